"""The section on what the figures of a page mean, and what they do not say."""
