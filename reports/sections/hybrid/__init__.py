"""The section on a cloud and a device that answer together."""
