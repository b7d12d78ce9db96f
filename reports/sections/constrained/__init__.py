"""The section on constrained devices: memory floors, less CPU, load beside it."""
