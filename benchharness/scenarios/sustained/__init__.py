"""Scenario `sustained`, on the host: a course window by window, and the verdict on it."""
