"""What `benchharness adapters` shows: every adapter, whether it runs on a device, and how to get those that do not."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchharness.launch.ask import NamedAvailability
from benchharness.terminal.console import tell
from benchharness.terminal.values import visible


def show_adapters(availabilities: Sequence[NamedAvailability], console: Console) -> None:
    """A table of every adapter, and below it a sentence of each that is missing: in a cell it would be cut."""
    table = Table()
    # Names of adapters and accelerators are what a suite must hold to the letter.
    table.add_column("adapter", no_wrap=True, min_width=max((len(found.name) for found in availabilities), default=0))
    for heading in ("runs here", "version", "formats", "accelerators"):
        table.add_column(heading, overflow="fold")
    for found in availabilities:
        runs_here = Text("yes", "green") if found.available else Text("no", "red")
        version = found.version if found.available else ""
        row = (version, ", ".join(found.formats), "\n".join(found.lines))
        table.add_row(found.name, runs_here, *(Text(visible(cell)) for cell in row))
    console.print(table)
    for found in availabilities:
        if not found.available:
            tell(console, f"{found.name}: {visible(found.reason)}")
