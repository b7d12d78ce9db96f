"""The section on how samples spread, and what each percentile is."""
