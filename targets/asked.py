"""Checks of a configuration that most adapters make alike, in the same words."""

from __future__ import annotations

from typing import Any

from benchharness.contract import Configuration
from benchharness.errors import Unsupported


def whole_number(option: str, value: Any) -> int:
    """A number of threads or tokens. Raises `Unsupported` for anything that is none above zero."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise Unsupported(f"{option}: {value!r} is not a whole number above zero; leave it out for the default")
    return value


def refuse_plugins(configuration: Configuration, why: str) -> None:
    """Raises `Unsupported` for a plug-in's library or unit, with why this runtime takes none."""
    for key in ("library", "unit"):
        if getattr(configuration, key) is not None:
            raise Unsupported(f"{key}: {why}; leave it out")
