"""The section on what compression lost."""
