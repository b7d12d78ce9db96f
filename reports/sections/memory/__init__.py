"""The section on what variants held, phase by phase, and their sizes."""
