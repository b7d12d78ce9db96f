"""The devices of a host, as their profiles in a folder have them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchharness.errors import UsageError
from benchharness.suite.tables import read_toml


@dataclass(frozen=True, kw_only=True)
class Unit:
    """A device of this host: how it is called, its profile, and what it can be asked for by."""

    name: str
    profile: Path
    labels: Mapping[str, str]


def units_in(folder: Path) -> list[Unit]:
    """The devices with a profile in a folder. `[labels]` in a profile are told to the farm. Raises `SuiteError`."""
    return [_unit(path) for path in sorted(folder.glob("*.toml"))]


def _unit(path: Path) -> Unit:
    table = read_toml(path)
    given = table.get("labels", {})
    found = table.get("found", {})
    if not isinstance(given, dict) or not isinstance(found, dict):
        raise UsageError(f"{path}: [labels] and [found] are tables of words")
    labels = {**{key: str(value) for key, value in found.items()}, **{key: str(value) for key, value in given.items()}}
    hardware = str(table.get("hardware") or table.get("name") or path.stem)
    return Unit(name=path.stem, profile=path, labels={**labels, "hardware": hardware})
