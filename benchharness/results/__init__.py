"""Attempts and results: what they are, where they are kept, and how they leave for other programs."""
