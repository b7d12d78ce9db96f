"""The section on how jobs failed."""
