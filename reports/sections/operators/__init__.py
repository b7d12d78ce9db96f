"""The section on where operators ran, and runtimes at equal precision."""
