"""What stands in one cell of an answer's table, in parts that the terminal aligns and Markdown joins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchharness.judge.answer import Cell, Column, Row
from benchharness.metrics import Better
from benchharness.results.result import Estimate, VerdictKind
from benchharness.terminal.values import brief_spread, half_beside, half_of, one_line, plus_minus, shortened
from benchharness.units import Scale, quantity_text, scale_for

MARKS = {VerdictKind.PASS: "✓", VerdictKind.MISS: "✗", VerdictKind.UNDECIDED: "?"}
MARK_STYLES = {VerdictKind.PASS: "green", VerdictKind.MISS: "red", VerdictKind.UNDECIDED: "yellow"}
_LONGEST_TITLE = 32
#: Ratios that two decimals do not tell from 1, or from 0.
_NO_RATIO = ("0.00", "1.00")


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A cell in its parts, each with a style; a part that is not there is empty. Without a value there is a word."""

    value: str = ""
    spread: str = ""
    brief: str = ""  # shorter than the ends of an interval: the larger side of it
    ratio: str = ""
    mark: str = ""
    style: str = ""
    ratio_style: str = ""
    mark_style: str = ""
    word: str = ""

    @property
    def parts(self) -> tuple[tuple[str, str], ...]:
        """Texts and styles, in the order in which they stand."""
        return (
            (self.value, self.style),
            (self.spread, "dim"),
            (self.ratio, self.ratio_style),
            (self.mark, self.mark_style),
        )


@dataclass(frozen=True, kw_only=True)
class Head:
    """What stands above a column: its title, and the limit or the unit."""

    title: str
    below: str


def shown_column(column: Column, rows: Sequence[Row], at: int) -> tuple[Head, list[Shown]]:
    """A column's head and its cells; the unit stands in the head where all of them share it."""
    cells = [row.cells[at] for row in rows]
    symbols = {_scale(column, cell.estimate).symbol for cell in cells if cell.estimate is not None}
    shared = len(symbols) < 2
    title = shortened(one_line(column.title), _LONGEST_TITLE)
    unit = next(iter(symbols), "")
    limit = one_line(column.limit_text, _LONGEST_TITLE)
    told = limit if limit and (not unit or limit.endswith(unit)) else ", ".join(filter(None, (limit, unit)))
    head = Head(title=title, below=told if shared else limit)
    return head, [_shown(column, cell, with_unit=not shared) for cell in cells]


def _shown(column: Column, cell: Cell, *, with_unit: bool) -> Shown:
    mark = MARKS[cell.verdict] if cell.verdict is not None and column.budget else ""
    mark_style = MARK_STYLES[cell.verdict] if cell.verdict is not None else ""
    estimate = cell.estimate
    if estimate is None or estimate.value is None:
        word = "reference" if cell.is_reference else "unknown"
        return Shown(word=word, style="dim", mark=mark, mark_style=mark_style)
    scale = _scale(column, estimate)
    value = quantity_text(estimate.value, column.unit, scale, half_beside(estimate, column.limit))
    bare = value if with_unit else value.removesuffix(scale.symbol).rstrip()
    return Shown(
        value=f"≥ {bare}" if cell.is_bound else bare,
        spread="" if value.startswith("≈") else plus_minus(estimate, column.unit, scale),
        brief="" if value.startswith("≈") else brief_spread(estimate, column.unit, scale),
        ratio=ratio_text(cell.ratio),
        mark=mark,
        style="dim" if cell.doubt else "",
        ratio_style=ratio_style(cell.ratio, column.better),
        mark_style=mark_style,
    )


def ratio_text(ratio: Estimate | None) -> str:
    """A ratio to the reference where it is clear; else nothing."""
    if ratio is None or ratio.value is None or not ratio.apart:
        return ""
    whole = quantity_text(ratio.value, "", half=half_of(ratio))
    short = f"{ratio.value:.2f}"
    return f"×{short if len(short) < len(whole) and short not in _NO_RATIO else whole}"


def ratio_style(ratio: Estimate | None, better: Better) -> str:
    """Green or red where the whole interval of a ratio is far enough from 1, and a direction is better."""
    if ratio is None or not ratio.apart or better is Better.NEITHER:
        return "dim"
    return "green" if (ratio.apart < 0) == (better is Better.LOWER) else "red"


def _scale(column: Column, estimate: Estimate | None) -> Scale:
    if column.scale is not None:
        return column.scale
    return scale_for(column.unit, estimate.value if estimate is not None and estimate.value is not None else 0.0)
