"""Numbers with units as people write them: "250 ms", "10 min", "600 MiB", "2 %". The unit is never guessed."""

from __future__ import annotations

import re

from benchharness.errors import UsageError

_NUMBER = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?|\.[0-9]+)\s*([^\s0-9.]+)\s*")

SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}
SHARES = {"%": 0.01}


def seconds(text: str) -> float:
    """A duration in seconds. Raises `UsageError`."""
    return _quantity(text, SECONDS, "a duration", "250 ms")


def share(text: str) -> float:
    """A share of one, from percent. Raises `UsageError`."""
    return _quantity(text, SHARES, "a share", "2 %")


def _quantity(text: str, units: dict[str, float], what: str, example: str) -> float:
    match = _NUMBER.fullmatch(text)
    if match is None or match[2] not in units:
        known = ", ".join(units)
        raise UsageError(f'{text!r} is not {what}: write a number and a unit ({known}), such as "{example}"')
    return float(match[1]) * units[match[2]]
