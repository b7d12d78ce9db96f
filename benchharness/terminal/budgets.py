"""Budgets: a row each with what was measured, why a row may not ship, and the last line of a run that missed one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import inf

from rich.console import Console

from benchharness.judge.answer import Answer, Cell, Column, Row
from benchharness.metrics import Better
from benchharness.results.result import Result, VerdictKind
from benchharness.terminal.cells import MARK_STYLES
from benchharness.terminal.console import tell
from benchharness.terminal.lines import Group, Line, show_lines
from benchharness.terminal.values import half_beside, one_line, plus_minus, shortened
from benchharness.units import quantity_text, scale_for

#: What each verdict is called.
MARKS_IN_WORDS = {VerdictKind.PASS: "kept", VerdictKind.MISS: "missed", VerdictKind.UNDECIDED: "undecided"}
_LONGEST_NAME = 40
#: Budgets that the last line speaks of.
_MOST_TOLD = 2

Judged = tuple[Row, Cell]


def budgets(answers: Sequence[Answer], unmeasured: Sequence[str], console: Console) -> None:
    """A row for each budget: how many keep it, and the variant that is furthest from it."""
    rows = [(column.origin, _row(column, judged)) for answer in answers for column, judged in _judged(answer)]
    origins = dict.fromkeys(origin for origin, _ in rows if origin)
    rows += [("", Line(name=one_line(each), note="nothing measured it")) for each in unmeasured]
    by = f", set by the {next(iter(origins))}" if len(origins) == 1 else ""
    groups = [
        Group(heading=f"set by the {origin}" if origin else "", rows=[row for each, row in rows if each == origin])
        for origin in dict.fromkeys(origin for origin, _ in rows)
    ]
    groups = groups if len(origins) > 1 else [Group(heading="", rows=[row for _, row in rows])]
    if rows:
        tell(console, f"budgets{by}", "bold")
    show_lines(("kept ", "missed ", "open ", "worst"), groups, console)


def _row(column: Column, judged: Sequence[Judged]) -> Line:
    counts = [sum(cell.verdict is kind for _, cell in judged) for kind in VerdictKind]
    row, cell = _worst(column, judged)
    style = MARK_STYLES[cell.verdict] if cell.verdict else ""
    cells = (*((str(count), "") for count in counts), (figure(column, cell), style))
    return Line(name=one_line(column.budget), cells=cells, note=_name(row))


def standings(answers: Sequence[Answer]) -> Iterator[str]:
    """Why rows may not ship, and which other one is better in something and worse in nothing."""
    for answer in answers:
        for row in answer.rows:
            beaten = [f"dominated by {one_line(row.dominated_by)}"] if row.dominated_by else []
            if told := [*map(one_line, row.unfit), *beaten]:
                yield f"{_name(row)}: {'; '.join(told)}"


def why_missed(answers: Sequence[Answer], unmeasured: Sequence[str], *, undecided_fails: bool) -> str:
    """The last line of a run that exits with 1: how many budgets, which, and by whom.

    What no variant passes may be no budget, where every one fails: then the answer says why.
    """
    whole = [(column, judged) for answer in answers for column, judged in _judged(answer)]
    names = {column.budget for column, _ in whole} | set(unmeasured)
    missed = list(_failing(whole, VerdictKind.MISS))
    if missed:
        return f"{_counted(missed, names)} missed: {_told(missed)}"
    still_open = list(_failing(whole, VerdictKind.UNDECIDED)) if undecided_fails else []
    nothing = [f"{one_line(budget)}, which nothing measured" for budget in unmeasured]
    parts = [*filter(None, [_told(still_open)]), *nothing[:_MOST_TOLD]]
    count = len({column.budget for column, _ in still_open}) + len(unmeasured)
    if not (undecided_fails and count):
        answer = next((answer for answer in answers if answer.none_passes), answers[0])
        return " ".join([f"{answer.headline}.", *answer.sentences[:1]])
    return f"{count} of {_budgets(len(names))} undecided, which --undecided fail counts as missed: {'; '.join(parts)}"


def why_failed(results: Sequence[Result]) -> str:
    """The last line of a run some jobs of which failed: how many, and how the first did."""
    failed = [result for result in results if not result.outcome.ok]
    first = failed[0]
    jobs = f"{len(failed)} of {len(results)} job{'' if len(results) == 1 else 's'}"
    return f"{jobs} failed: {one_line(first.job.title, 120)}: {one_line(first.outcome, 240)}"


def figure(column: Column, cell: Cell) -> str:
    """A cell's value with its interval, in the column's unit."""
    if cell.is_reference:
        return "reference"
    if cell.estimate is None or cell.estimate.value is None:
        return f"unknown ({one_line(cell.reason, 80)})" if cell.reason else "unknown"
    value = cell.estimate.value
    scale = column.scale or scale_for(column.unit, value)
    bound = "≥ " if cell.is_bound else ""
    shown = f"{bound}{quantity_text(value, column.unit, scale, half_beside(cell.estimate, column.limit))}"
    return f"{shown} {plus_minus(cell.estimate, column.unit, scale)}".rstrip()


def _judged(answer: Answer) -> Iterator[tuple[Column, list[Judged]]]:
    for at, column in enumerate(answer.columns):
        if column.budget:
            yield column, [(row, row.cells[at]) for row in answer.rows if row.cells[at].verdict is not None]


def _failing(
    whole: Sequence[tuple[Column, Sequence[Judged]]], kind: VerdictKind
) -> Iterator[tuple[Column, Sequence[Judged]]]:
    for column, judged in whole:
        if found := [each for each in judged if each[1].verdict is kind]:
            yield column, found


def _worst(column: Column, judged: Sequence[Judged]) -> Judged:
    """Of those that miss it, else of those that leave it open, else of all, the one with the worst value."""
    order = (VerdictKind.MISS, VerdictKind.UNDECIDED, VerdictKind.PASS)
    sign = 1 if column.better is Better.HIGHER else -1

    def badness(each: Judged) -> tuple[int, float]:
        _, cell = each
        value = cell.estimate.value if cell.estimate is not None else None
        kind = order.index(cell.verdict) if cell.verdict else len(order)
        return kind, inf if value is None else sign * value

    return min(judged, key=badness)


def _told(failing: Sequence[tuple[Column, Sequence[Judged]]]) -> str:
    parts = []
    for column, judged in failing[:_MOST_TOLD]:
        row, cell = _worst(column, judged)
        also = f" and {len(judged) - 1} more" if len(judged) > 1 else ""
        parts.append(f"{_asked(column)} {figure(column, cell)} (limit {_limit(column)}) for {_name(row)}{also}")
    more = [f"and {len(failing) - _MOST_TOLD} more"] if len(failing) > _MOST_TOLD else []
    return "; ".join([*parts, *more])


def _asked(column: Column) -> str:
    """A budget's metric as it is written in a suite."""
    which = (
        f" of {one_line(column.output, 24)}" if column.output else f".p{column.percentile}" if column.percentile else ""
    )
    return f"{column.metric}{which}"


def _limit(column: Column) -> str:
    return one_line(column.limit_text).lstrip("≤≥ ")


def _counted(failing: Sequence[tuple[Column, Sequence[Judged]]], names: set[str]) -> str:
    return f"{len({column.budget for column, _ in failing})} of {_budgets(len(names))}"


def _budgets(count: int) -> str:
    return f"{count} budget{'' if count == 1 else 's'}"


def _name(row: Row) -> str:
    return " · ".join(shortened(one_line(name), _LONGEST_NAME) for name in (row.variant, row.configuration))
