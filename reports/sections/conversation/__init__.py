"""The section on whole conversations."""
