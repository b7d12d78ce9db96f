"""The section on how cold starts divide into phases."""
