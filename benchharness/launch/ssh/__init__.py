"""The line to a device over SSH."""
