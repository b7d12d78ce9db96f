"""Whole pages: what stands on one, and its HTML."""
