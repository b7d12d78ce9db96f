"""An answer's table as lines that fit the terminal: whole columns or none, no cell broken."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from benchharness.judge.answer import Answer, AnswerKind
from benchharness.terminal.cells import Head, Shown, shown_column
from benchharness.terminal.console import spelled
from benchharness.terminal.values import names_within

#: Between two columns.
_GAP = 2
#: Letters of a name that are shown where there is room, as a share of the width; and fewer, for another column.
_NAME_SHARE, _NAME, _SHORT_NAME, _LEAST_NAME = 0.3, 24, 20, 16
_FEW_COLUMNS, _MOST_COLUMNS = 4, 6
_WIDE = 120
#: Lines of a title above a column.
_TITLE_LINES = 3
REFERENCE = " *"
#: The parts of a cell.
_VALUE, _RATIO, _PARTS = 0, 2, 4


@dataclass(frozen=True, kw_only=True)
class Grid:
    """A table that was laid out: its lines, and how many columns have no room."""

    lines: Sequence[Text]
    shown: int  # columns that have room
    ratios: bool  # whether one stands in them
    lacks_ratios: bool  # whether one had no room
    names: Sequence[str]  # of the rows, as they are shown


def grid(answer: Answer, console: Console, most_rows: int | None = None) -> Grid:
    """The answer's table, as many of its first columns as there is room for."""
    rows = answer.rows[:most_rows]
    columns = [shown_column(column, rows, at) for at, column in enumerate(answer.columns if rows else ())]
    names, fitting, lacks_ratios = _room([row.name for row in rows], columns, console)
    marked = [f"{name}{REFERENCE if row.reference else ''}" for name, row in zip(names, rows, strict=True)]
    labels = [spelled(label, console) for label in marked]
    width = max((cell_len(label) for label in labels), default=0)
    lines = [*_heads(fitting, width)]
    for at, label in enumerate(labels):
        line = Text(_padded(label, width), style="bold" if answer.kind is AnswerKind.SHIP and not at else "")
        for column in fitting:
            line.append(" " * _GAP).append_text(column.cell(at))
        line.rstrip()
        lines.append(line)
    ratios = any(column.parts[_RATIO] for column in fitting)
    return Grid(lines=lines, shown=len(fitting), ratios=ratios, lacks_ratios=lacks_ratios, names=names)


def _every_ratio(cells: Sequence[Shown]) -> Sequence[Shown]:
    return cells


def _but_of_exact(cells: Sequence[Shown]) -> Sequence[Shown]:
    return cells if any(cell.spread for cell in cells) else _no_ratio(cells)


def _no_ratio(cells: Sequence[Shown]) -> Sequence[Shown]:
    return [replace(cell, ratio="") for cell in cells]


def _brief(cells: Sequence[Shown]) -> Sequence[Shown]:
    return [replace(cell, ratio="", spread=cell.brief or cell.spread) for cell in cells]


#: What gives way, step by step, where that makes room for one of the first columns: titles on one line, the ratios of
#: sizes, every ratio, the ends of wide intervals. In each step names give way first.
_LAYOUTS = ((True, _every_ratio), (False, _every_ratio), (False, _but_of_exact), (False, _no_ratio), (False, _brief))


def _room(
    names: Sequence[str], columns: Sequence[tuple[Head, Sequence[Shown]]], console: Console
) -> tuple[Sequence[str], Sequence[_Column], bool]:
    """The names, the columns that stand beside them, and whether these lack some of their ratios."""
    width = console.width
    most = len(columns) if width >= _WIDE else _MOST_COLUMNS
    best: tuple[Sequence[str], Sequence[_Column], bool] = (names_within(names, _LEAST_NAME), (), False)
    for on_one_line, kept in _LAYOUTS:
        made = [_Column.of(head, kept(cells), console, on_one_line=on_one_line) for head, cells in columns]
        for room in (max(_NAME, int(width * _NAME_SHARE)), _SHORT_NAME, _LEAST_NAME):
            shown = names_within(names, min(room, max(width // 2, 4)))
            left = width - max((cell_len(name) for name in shown), default=0) - len(REFERENCE)
            count = min(_fitting([column.width for column in made], left), most)
            if on_one_line and count < len(columns):
                break
            if count > len(best[1]):
                lacks = any(cell.ratio for _, cells in columns[:count] for cell in cells if cell not in kept(cells))
                best = (shown, made[:count], lacks)
            if len(best[1]) >= min(_FEW_COLUMNS, len(columns)):
                return best
    return best


def _fitting(widths: Sequence[int], room: int) -> int:
    count = 0
    for width in widths:
        room -= width + _GAP
        if room < 0:
            break
        count += 1
    return count


@dataclass(frozen=True, kw_only=True)
class _Column:
    """A column's cells in parts below each other, and its head in lines."""

    head: Sequence[str]
    cells: Sequence[Sequence[tuple[str, str]]]
    words: Sequence[str]  # what stands in place of a value
    parts: Sequence[int]  # their widths
    width: int

    @classmethod
    def of(cls, head: Head, cells: Sequence[Shown], console: Console, *, on_one_line: bool) -> _Column:
        spelt = [[(spelled(text, console), style) for text, style in cell.parts] for cell in cells]
        parts = [max(cell_len(cell[at][0]) for cell in spelt) for at in range(_PARTS)]
        words = [spelled(cell.word, console) for cell in cells]
        marks = parts[-1] + 1 if parts[-1] else 0
        body = max(_joined(parts), max(map(cell_len, words)) + marks)
        below, title = spelled(head.below, console), spelled(head.title, console)
        lines = [title] if on_one_line else _wrapped(title, max(body, cell_len(below)))
        width = max([body, cell_len(below), *map(cell_len, lines)])
        return cls(head=[*lines, below], cells=spelt, words=words, parts=parts, width=width)

    def cell(self, at: int) -> Text:
        """A cell, its parts where those of the others are."""
        value, *_, mark = self.cells[at]
        shown = [(self.words[at], value[1])] if self.words[at] else []
        shown = shown or [
            (_padded(text, width, right=part in (_VALUE, _RATIO)), style)
            for part, ((text, style), width) in enumerate(zip(self.cells[at][:-1], self.parts[:-1], strict=True))
            if width
        ]
        made = Text()
        for text, style in shown:
            made.append(" " if made else "").append(text, style=style or None)
        made.append(" " * (self.width - self.parts[-1] - made.cell_len))
        return made.append(_padded(mark[0], self.parts[-1]), style=mark[1] or None)


def _joined(parts: Sequence[int]) -> int:
    """The width of parts that are there, a space between each two."""
    there = [part for part in parts if part]
    return sum(there) + max(len(there) - 1, 0)


def _heads(columns: Sequence[_Column], name_width: int) -> Iterator[Text]:
    """Titles and limits, standing on the rows below them."""
    height = max((len(column.head) for column in columns), default=0)
    for at in range(height):
        line = Text(" " * name_width)
        for column in columns:
            above = height - len(column.head)
            text = column.head[at - above] if at >= above else ""
            line.append(" " * _GAP).append(_padded(text, column.width), style="bold")
        line.rstrip()
        yield line


def _wrapped(title: str, width: int) -> list[str]:
    """A title on as few lines as its column is wide for, and at most three."""
    words = title.split() or [""]
    room = max([width, *map(cell_len, words), math.ceil(cell_len(title) / _TITLE_LINES)])
    lines = [words[0]]
    for word in words[1:]:
        if cell_len(lines[-1]) + 1 + cell_len(word) <= room:
            lines[-1] = f"{lines[-1]} {word}"
        else:
            lines.append(word)
    return lines


def _padded(text: str, width: int, *, right: bool = False) -> str:
    space = " " * (width - cell_len(text))
    return f"{space}{text}" if right else f"{text}{space}"
