"""The section on the warnings of a page's jobs, by kind."""
