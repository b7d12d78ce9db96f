"""What `benchharness adapters` shows: every adapter, and whether it runs on a device."""

from __future__ import annotations

from collections.abc import Iterable

from rich.table import Table
from rich.text import Text

from benchharness.launch.ask import NamedAvailability
from benchharness.terminal.values import visible


def adapters_table(availabilities: Iterable[NamedAvailability]) -> Table:
    """A table of every adapter, for the terminal."""

    table = Table("adapter", "runs here", "version", "formats")
    table.add_column("accelerators", overflow="fold")  # their names are what a suite must hold to the letter
    for found in availabilities:
        runs_here = Text("yes", "green") if found.available else Text(visible(f"no: {found.reason}"), "red")
        row = (found.version, ", ".join(found.formats), "\n".join(found.lines))
        table.add_row(found.name, runs_here, *(Text(visible(cell)) for cell in row))
    return table
