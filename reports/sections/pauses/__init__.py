"""The section on speed after a pause."""
