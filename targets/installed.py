"""What pip has installed, by its own name of it. Asking loads a mail parser and more: whoever need not, does not."""

from __future__ import annotations


def version_of(package: str) -> str:
    """A package's version. Raises `ImportError` where it is not installed."""
    from importlib.metadata import version  # 10 ms

    return version(package)
