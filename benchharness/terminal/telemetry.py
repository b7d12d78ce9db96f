"""What `benchharness telemetry` shows. What devices called things is not trusted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console

from benchharness.telemetry.ledger import Ledger, shown
from benchharness.telemetry.privacy import Piece
from benchharness.terminal.console import say, tell
from benchharness.terminal.lines import Group, Line, show_lines
from benchharness.terminal.values import one_line, visible


def show_field(told: Mapping[str, Any], console: Console) -> None:
    """A line a figure, the field's value first and the lab's beside it, and what they say and do not."""
    tell(console, one_line(told["title"]), "bold")
    groups = [
        Group(
            heading=f"{one_line(each['hardware'])} · {one_line(each['variant'])}",
            rows=[_line(row) for row in each["rows"]],
        )
        for each in told["groups"]
    ]
    show_lines(("devices ", "field ", "95 %", "lab ", "95 %"), groups, console)
    for remark in told["remarks"]:
        tell(console, one_line(remark), "dim")


def _line(row: Mapping[str, Any]) -> Line:
    """The first job of the lab in columns, further ones beneath; a reason stands where there is room for one."""
    first, *more = row["lab"] or [{"value": "", "interval": "", "whose": ""}]
    told = [f"lab: {first['whose']}"] if more else []
    told += [f"{each['whose']}: {each['value']}, {each['interval']}" for each in more if each["value"] != "unknown"]
    cells = [(row["devices"], "dim")]
    for where, each in (("field", row), ("lab", first)):
        known = each["value"] not in ("", "unknown")
        cells += [(each["value"], "" if known else "yellow"), (each["interval"] if known else "", "dim")]
        told += [f"{where}: {each['interval']}"] if each["value"] == "unknown" else []
    return Line(name=row["figure"], cells=cells, note="; ".join(dict.fromkeys(told)))


def show_ledger(ledger: Ledger, console: Console) -> None:
    """The budget, what is left, and a line a question."""
    tell(console, f"a device may have lost epsilon {shown(ledger.spent)} of {shown(ledger.budget)}", "bold")
    names = f"{ledger.model}; {', '.join(ledger.hardware)}; {', '.join(ledger.variants)}"
    tell(console, one_line(f"{shown(ledger.left)} is left, for good: {names}"), "dim")
    if ledger.torn:
        tell(console, "its last line was cut off as it was written; nobody was told what it said", "yellow")
    rows = [
        Line(
            name=entry.question.period,
            cells=((shown(entry.question.epsilon), ""), (one_line(entry.at), "dim")),
            note=f"{', '.join(entry.question.hardware)}: {', '.join(entry.question.histograms)}",
        )
        for entry in ledger.entries
    ]
    show_lines(("epsilon ", "answered"), [Group(heading="", rows=rows)], console)


def show_pieces(pieces: Iterable[Piece], bounds: str, console: Console) -> None:
    """Each stretch of a file as it is, with its place and what it says; nothing of it is wrapped or left out."""
    total = 0
    for piece in pieces:
        total += len(piece.content)
        say(console, visible(piece.content.decode("ascii", "backslashreplace").removesuffix("\n")))
        tell(console, one_line(f"bytes {piece.place}{': ' if piece.says else ''}{piece.says}"), "dim", indent=4)
    tell(console, f"{total:,} bytes in all, and no others.", "bold")
    if bounds:
        tell(console, bounds, "dim")
