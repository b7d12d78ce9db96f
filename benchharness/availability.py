"""Which adapters run on this machine, asked in a process each: a broken runtime can end the process that imports it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
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


def adapters_table() -> Table:
    """A table of every adapter, for the terminal."""
    from rich.table import Table
    from rich.text import Text

    from benchharness.terminal_values import visible

    table = Table("adapter", "runs here", "version", "formats", "accelerators")
    for found in availabilities():
        runs_here = Text("yes", "green") if found.available else Text(visible(f"no: {found.reason}"), "red")
        row = (found.version, ", ".join(found.formats), "\n".join(found.accelerators))
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
        )


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
