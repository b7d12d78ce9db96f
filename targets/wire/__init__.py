"""Readers of wire formats, shared by adapters: each checks that what it reads lies inside the file."""
