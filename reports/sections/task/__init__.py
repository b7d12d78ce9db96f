"""The section on what a model gets right, task by task."""
