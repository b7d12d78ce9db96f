"""The section on what became of a candidate since its base, where a run compares two builds."""
