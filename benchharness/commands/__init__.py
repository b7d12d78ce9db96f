"""The command line: one module a command, and how it begins and ends."""
