"""Long lists for `--details` and `--job`: a line a row; where a terminal is narrow its name gives way, no figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from benchharness.terminal.console import spelled, tell
from benchharness.terminal.values import names_within, one_line, shortened

_GAP = 2
#: A name has no more letters than this, and keeps these where figures need the room.
_LONGEST_NAME, _LEAST_NAME = 48, 12


@dataclass(frozen=True, kw_only=True)
class Line:
    """A row: its cells are texts and styles. `note` stands behind them, or below where there is no room."""

    name: str
    cells: Sequence[tuple[str, str]] = ()
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Group:
    """Rows below a heading of theirs; without one they are not set in."""

    heading: str
    rows: Sequence[Line]


def show_lines(heads: Sequence[str], groups: Sequence[Group], console: Console) -> None:
    """Prints groups of rows whose columns stand below each other. `heads` are the columns' but for the name's.

    A column is set to the right where its head ends in a space.
    """
    rows = [row for group in groups for row in group.rows]
    if not rows:
        return
    indent = 2 if any(group.heading for group in groups) else 0
    widths = [
        max(
            cell_len(each)
            for each in (head.rstrip(), *(spelled(row.cells[at][0], console) for row in rows if at < len(row.cells)))
        )
        for at, head in enumerate(heads)
    ]
    left = console.width - indent - sum(width + _GAP for width in widths)
    whole = list(dict.fromkeys(row.name for row in rows))
    names = dict(zip(whole, names_within(whole, min(_LONGEST_NAME, max(left, _LEAST_NAME))), strict=True))
    name_width = max(map(cell_len, names.values()))
    _print_heads(heads, widths, indent + name_width, console)
    for group in groups:
        if group.heading and group.rows:
            _print(Text(spelled(shortened(one_line(group.heading), console.width), console)), console)
        for row in group.rows:
            line = Text(" " * indent + _padded(names[row.name], name_width))
            for (text, style), head, width in zip(row.cells, heads, widths, strict=False):
                line.append(" " * _GAP).append(_padded(spelled(text, console), width, head), style=style or None)
            _print_noted(line, row.note, indent, console)


def _print_heads(heads: Sequence[str], widths: Sequence[int], before: int, console: Console) -> None:
    line = Text(" " * before, style="dim")
    for head, width in zip(heads, widths, strict=True):
        line.append(" " * _GAP).append(_padded(head.rstrip(), width, head))
    if any(heads):
        _print(line, console)


def _print_noted(line: Text, note: str, indent: int, console: Console) -> None:
    text = spelled(one_line(note), console)
    room = console.width - line.cell_len - _GAP
    if not text:
        _print(line, console)
    elif cell_len(text) <= room:
        _print(line.append(" " * _GAP).append(text, style="dim"), console)
    else:
        _print(line, console)
        tell(console, text, "dim", indent + 2)


def _print(line: Text, console: Console) -> None:
    line.rstrip()
    console.print(line, soft_wrap=True, highlight=False)


def _padded(text: str, width: int, head: str = "") -> str:
    space = " " * (width - cell_len(text))
    return f"{space}{text}" if head.endswith(" ") else f"{text}{space}"
