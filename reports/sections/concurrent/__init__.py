"""The section on several requests at once."""
