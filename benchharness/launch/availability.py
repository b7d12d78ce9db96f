"""Which adapters run on this machine, asked in a process each: a broken runtime can end the process that imports it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchharness.device import adapters
from benchharness.device.child import ask
from benchharness.errors import Unsupported

if TYPE_CHECKING:
    from rich.table import Table

_PATIENCE_S = 60


@dataclass(frozen=True, kw_only=True)
class NamedAvailability:
    """An adapter, and whether it runs here."""

    name: str
    formats: tuple[str, ...]
    available: bool
    version: str
    accelerators: tuple[str, ...]
    reason: str
    units: Mapping[str, Sequence[str]]  # by accelerator, as a configuration's `unit` names them, and what they are


def adapters_table() -> Table:
    """A table of every adapter, for the terminal."""
    from rich.table import Table
    from rich.text import Text

    from benchharness.terminal.values import visible

    table = Table("adapter", "runs here", "version", "formats")
    table.add_column("accelerators", overflow="fold")  # their names are what a suite must hold to the letter
    for found in availabilities():
        runs_here = Text("yes", "green") if found.available else Text(visible(f"no: {found.reason}"), "red")
        row = (found.version, ", ".join(found.formats), "\n".join(_accelerators(found)))
        table.add_row(found.name, runs_here, *(Text(visible(cell)) for cell in row))
    return table


def availabilities() -> Iterator[NamedAvailability]:
    """Every adapter that is built in or installed."""
    for name in adapters.names():
        answer = _asked(name)
        yield NamedAvailability(
            name=name,
            formats=_formats(name),
            available=bool(answer.get("available")),
            version=str(answer.get("version", "unknown")),
            accelerators=tuple(map(str, answer.get("accelerators", ()))),
            reason=str(answer.get("reason", "")),
            units=_units(answer.get("units")),
        )


def accelerators_here() -> dict[str, list[str]]:
    """By adapter that runs here, a line for each accelerator and for each unit of it that can be chosen."""
    return {found.name: list(_accelerators(found)) for found in availabilities() if found.available}


def _accelerators(found: NamedAvailability) -> Iterator[str]:
    """A line each; below one that has units to choose from, those."""
    for accelerator in found.accelerators:
        yield accelerator
        yield from (f"  unit {unit}" for unit in found.units.get(accelerator, ()))


def _units(told: object) -> dict[str, tuple[str, ...]]:
    """An adapter is not trusted to tell them in the form that is due."""
    if not isinstance(told, dict):
        return {}
    return {str(name): tuple(map(str, units)) for name, units in told.items() if isinstance(units, list)}


def _formats(name: str) -> tuple[str, ...]:
    try:
        return adapters.formats(name)
    except Unsupported:
        return ()


def _asked(name: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchharness.device.adapters", name]
    done = ask(command, _PATIENCE_S)
    if done.code is None:
        return {"reason": f"its runtime did not load within {_PATIENCE_S} s"}
    try:
        answer = json.loads(done.out.splitlines()[-1])
    except (ValueError, IndexError):
        words = done.words.strip().splitlines()[-1:]
        return {"reason": f"loading it ended with exit code {done.code}: {' '.join(words)}"}
    return answer if isinstance(answer, dict) else {}
