"""The machine in words: processor, cores, memory, system, power, as its device said them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchharness.results.result import Result
from reports.model.visible import name_text, value_text

_SAID = ("processor", "cores", "memory_bytes", "os", "virtualisation", "power_source")


def machine_of(results: Sequence[Result]) -> str:
    """One line; what a device does not know is left out, and where devices differ each value stands once."""
    told = [result.conditions.to_json() for result in results if result.conditions]
    return ", ".join(part for key in _SAID if (part := _one(key, told)))


def _one(key: str, told: Sequence[Mapping[str, Any]]) -> str:
    values = dict.fromkeys(_words(key, each[key]) for each in told if key in each)
    return " or ".join(value for value in values if value)


def _words(key: str, value: Any) -> str:
    if isinstance(value, Mapping) or value in (None, "none", ""):
        return ""
    if key == "cores":
        return f"{name_text(value)} core{'' if value == 1 else 's'}"
    if key == "power_source":
        return f"on {name_text(value)}"
    return value_text(value, key)
