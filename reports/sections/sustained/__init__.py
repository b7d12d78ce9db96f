"""The section on sustained attempts: speed over time."""
