"""Processes of ours: how they start, are grouped and end, and what is left of them when they have."""
