"""The section on which variant to ship."""
