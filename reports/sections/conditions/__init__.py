"""The section on what was asked, and under which conditions."""
