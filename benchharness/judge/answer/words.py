"""The headline of an answer and the sentences below it: verdict first, then the figures that decided."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from benchharness.judge.answer.model import Answer, AnswerKind, Cell, Column, Row
from benchharness.judge.choice import OBJECTIVE_OF, Choice
from benchharness.judge.processes import is_program, other_process
from benchharness.metrics import METRICS, Better
from benchharness.results.result import Estimate, VerdictKind
from benchharness.units import is_about_zero, quantity_text, scale_for

#: More names, figures or budgets than this are counted instead of listed.
_MOST = 4
#: Characters of a reason that a runtime or a device gave.
_LONGEST = 160


def headline(answer: Answer) -> str:
    """The verdict, without the figures: "Ship int8", "Undecided: int8 keeps 3, ITL p95 open"."""
    return _HEADLINES[answer.kind](answer)


def sentences(answer: Answer, choice: Choice) -> Iterator[str]:
    """What decided it, and what a reader would ask next."""
    told = list(_SENTENCES[answer.kind](answer, choice))
    yield from told
    if answer.kind is not AnswerKind.NOT_TRUSTWORTHY:
        yield from _without_figures(answer, told)
    if all(result.job.of_answers for row in answer.rows for result in row.results):
        yield "What it costs in time and memory was not measured."


def _without_figures(answer: Answer, told: Sequence[str]) -> Iterator[str]:
    """The rows that a reader would miss: all of their jobs failed, or were not run."""
    lost = [row for row in answer.rows if row.failures and not row.measured]
    unsaid = [row for row in lost if not any(f"failed: {row.name}," in sentence for sentence in told)]
    if unsaid:
        yield f"Nothing measured of {_list(f'{row.name} ({_ended(row)})' for row in unsaid)}."


def _ended(row: Row) -> str:
    """How the first failure of a row's jobs ended."""
    failed = [result for result in row.results if not result.outcome.ok]
    return str(failed[0].outcome.kind) if any(result.outcomes for result in failed) else "not run"


def _named(answer: Answer) -> Row:
    return answer.rows[0]


# Ship


def _ship(answer: Answer) -> str:
    return f"Ship {answer.named}"


def _why_ship(answer: Answer, choice: Choice) -> Iterator[str]:
    row = _named(answer)
    yield f"It keeps {_all_of(len(answer.budgets))}: {_list(_figures(row, answer, VerdictKind.PASS))}."
    ties = [row.name for row in answer.rows[1:] if f"{row.variant} · {row.configuration}" in choice.ties]
    if ties:
        yield f"No clear difference in what is wished for, {choice.wish}: {_list(ties)}."
    if not choice.recommended and sum(not each.unfit for each in answer.rows) > 1:
        yield f"Others keep every budget too; which is the {choice.wish} was not shown."
    yield from _without_limits(answer)
    if other := _smaller_that_fails(answer):
        yield other


def _without_limits(answer: Answer) -> Iterator[str]:
    """What the one to ship is worse in than its reference, and what it lost, where no limit speaks of it."""
    row = _named(answer)
    if row.reference:
        return
    free = [(column, cell) for column, cell in zip(answer.columns, row.cells, strict=True) if not column.budget]
    if worse := [
        f"{column.title} {_figure(column, cell)}, {_times(cell)}" for column, cell in free if _worse(column, cell)
    ]:
        yield f"Worse than its reference, without a limit: {'; '.join(worse[:_MOST])}."
    if any(OBJECTIVE_OF.get(column.metric) == "quality" for column in answer.budgets):
        return
    lost = [(column, cell) for column, cell in free if OBJECTIVE_OF.get(column.metric) == "quality" and cell.estimate]
    for column, cell in lost[:1]:
        of = f" of {_cut(cell.output)}" if cell.output else ""
        yield f"No limit on quality: {column.title} {_figure(column, cell)}{of}{_references(answer, column)}."


def _worse(column: Column, cell: Cell) -> bool:
    apart = cell.ratio.apart if cell.ratio else 0
    return bool(apart) and column.better is not Better.NEITHER and (apart > 0) is (column.better is Better.LOWER)


def _times(cell: Cell) -> str:
    assert cell.ratio is not None
    assert cell.ratio.value is not None
    return f"{quantity_text(cell.ratio.value, '')}×"


def _references(answer: Answer, column: Column) -> str:
    """The reference's own figure in a column; "" where it has none, or there are several references."""
    at = list(answer.columns).index(column)
    found = [row.cells[at] for row in answer.rows if row.reference and row.cells[at].estimate is not None]
    return f", the reference's {_figure(column, found[0])}" if len(found) == 1 else ""


def _smaller_that_fails(answer: Answer) -> str:
    """Why not the smaller one: the smallest row that is not fit, and what it misses."""
    sized = [(size, row) for row in answer.rows if (size := _size(row)) and row.ships]
    own = _size(_named(answer))
    below = [(size, row) for size, row in sized if own and size < own and row.unfit]
    if not below:
        return ""
    _, row = min(below, key=lambda each: each[0])
    missed = list(_figures(row, answer, VerdictKind.MISS))
    still_open = list(_figures(row, answer, VerdictKind.UNDECIDED))
    if missed:
        return f"Smaller, but misses: {row.name}, {_list(missed)}."
    if still_open:
        return f"Smaller, but undecided: {row.name}, {_list(still_open)}."
    return f"Smaller, but failed: {row.name}, {_cut(row.unfit[0])}."


def _size(row: Row) -> int:
    return row.results[0].job.artefact_bytes


# Undecided


def _undecided(answer: Answer) -> str:
    row = _named(answer)
    kept = row.count(VerdictKind.PASS)
    titles = [column.title for column, _ in _open(answer)] + [budget.partition(" ")[0] for budget in _unasked(answer)]
    return f"Undecided: {row.name} keeps {kept} of {kept + len(titles)}, {_list(titles)} open"


def _why_undecided(answer: Answer, choice: Choice) -> Iterator[str]:
    row = _named(answer)
    for column, cell in _open(answer)[:_MOST]:
        yield _sentence(f"{column.title}: {_figure(column, cell)}; limit {column.limit_text}", _decides(column, cell))
    if missing := _unasked(answer):
        yield f"Nothing measured {_list(missing)}."
    if kept := list(_figures(row, answer, VerdictKind.PASS)):
        yield f"Kept: {_list(kept)}."


def _open(answer: Answer) -> list[tuple[Column, Cell]]:
    """The budgets of the named row that are neither kept nor missed."""
    return [
        (column, cell)
        for column, cell in zip(answer.columns, _named(answer).cells, strict=True)
        if column.budget and cell.verdict not in (VerdictKind.PASS, VerdictKind.MISS) and not cell.is_reference
    ]


def _unasked(answer: Answer) -> list[str]:
    return list(answer.unmeasured)


def _decides(column: Column, cell: Cell) -> str:
    """What would decide an open budget."""
    if cell.estimate is None or column.limit is None:
        return cell.reason
    if cell.doubt:
        return cell.doubt
    from benchharness.judge.deciding import what_would_decide  # scipy takes long to load, and most answers need none

    told = METRICS[column.metric].decided_by or what_would_decide(cell.estimate, column.limit)
    return told or cell.reason


# None passes


def _none(answer: Answer) -> str:
    shipping = [row for row in answer.rows if row.ships]
    if not shipping:
        return "None passes: no variant ships"
    blocked = _blocking(answer, shipping)
    whole = [(column, rows) for column, rows in blocked if len(rows) == len(shipping)]
    if whole:
        column, rows = whole[0]
        return f"None passes: {_everyone(shipping)} over the limit in {column.title}, {_span(answer, column, rows)}"
    if not blocked:
        return f"None passes: {_everyone(shipping)} failing"
    counted = [f"{column.title} ({len(rows)} of {len(shipping)})" for column, rows in blocked]
    return f"None passes: {_list(counted)} over the limit"


def _also_over(answer: Answer, rows: Sequence[Row]) -> list[str]:
    """What is blocked beside what the headline names, and for how many rows."""
    named = {column.title for column, blocked in _blocking(answer, rows)[:1] if len(blocked) == len(rows)}
    return [
        f"{column.title} ({len(blocked)} of {len(rows)})"
        for column, blocked in _blocking(answer, rows)
        if column.title not in named
    ]


def _everyone(rows: Sequence[Row]) -> str:
    return rows[0].name if len(rows) == 1 else "both variants" if len(rows) == 2 else f"all {len(rows)} variants"


def _blocking(answer: Answer, rows: Sequence[Row]) -> list[tuple[Column, list[Row]]]:
    """The budgets that rows miss, those that most of them miss first."""
    found = [
        (column, [row for row in rows if row.cells[at].verdict is VerdictKind.MISS])
        for at, column in enumerate(answer.columns)
        if column.budget
    ]
    return sorted((each for each in found if each[1]), key=lambda each: -len(each[1]))


def _span(answer: Answer, column: Column, rows: Sequence[Row]) -> str:
    at = list(answer.columns).index(column)
    values = sorted(each.value for row in rows if (each := row.cells[at].estimate) and each.value is not None)
    ends = [quantity_text(value, column.unit, column.scale) for value in dict.fromkeys((values[0], values[-1]))]
    first, _, unit = ends[0].rpartition(" ")
    if first and ends[-1].endswith(f" {unit}"):
        ends[:-1] = [first] * (len(ends) - 1)  # a unit is said once
    return f"{' to '.join(ends)}; limit {column.limit_text}"


def _why_none(answer: Answer, choice: Choice) -> Iterator[str]:
    row = _named(answer)
    missed = list(_figures(row, answer, VerdictKind.MISS))
    kept = list(_titles(row, answer, VerdictKind.PASS))
    why = _cut(row.unfit[0]) if row.unfit else "nothing was measured"
    told = f"misses {_list(missed)}" if missed else f"fails: {why}"
    yield f"Closest: {row.name}, {told}" + (f"; keeps {_list(kept)}." if kept else ".")
    shipping = [row for row in answer.rows if row.ships]
    if others := [told for told in _also_over(answer, shipping) if told not in answer.headline]:
        yield f"Also over a limit: {_list(others)}."
    for column, cell in _open(answer)[:_MOST]:
        yield _sentence(f"Open: {column.title} {_figure(column, cell)}", _decides(column, cell))
    if missing := _unasked(answer):
        yield f"Nothing measured {_list(missing)}."


# No budgets


def _no_budgets(answer: Answer) -> str:
    return "No budgets set: " + ("the trade-off" if len(answer.rows) > 1 else f"what {answer.named} costs")


def _why_no_budgets(answer: Answer, choice: Choice) -> Iterator[str]:
    if len(answer.rows) == 1:
        (row,) = answer.rows
        pairs = zip(answer.columns, row.cells, strict=True)
        shown = [f"{column.title} {_figure(column, cell)}" for column, cell in pairs if cell.estimate]
        yield f"{_capital(', '.join(shown[:_MOST]))}."
    elif named := [told for column in answer.columns if (told := _best(answer, column, choice.tells_apart))]:
        measured = sum(row.measured for row in answer.rows)
        among = f" of {measured} measured" if measured < len(answer.rows) else ""
        yield f"Clearly best{among}: {'; '.join(named[:_MOST])}."
    else:
        yield "No variant is clearly best in anything that was measured."
    yield 'A limit makes it a verdict: --budget "METRIC=LIMIT", or [budgets] in a suite.'


def _best(answer: Answer, column: Column, tells_apart: float) -> str:
    """The row that is best in a column with its whole interval, in words; "" where none is, or bounds are all."""
    at = list(answer.columns).index(column)
    shown = [
        (row, estimate)
        for row in answer.rows
        if row.measured and (estimate := row.cells[at].estimate) is not None and not row.cells[at].doubt
    ]
    if len(shown) < 2 or column.better is Better.NEITHER or METRICS[column.metric].bounds:
        return ""
    for row, mine in shown:
        others = [theirs for other, theirs in shown if other is not row]
        if all(_clearly_better(column, mine, theirs, tells_apart) for theirs in others):
            cell = row.cells[at]
            alike = not any(_other_process(column, row, other) for other, _ in shown)
            aside = "" if alike else " (without Python, unlike others)"
            return f"{column.title}: {row.name}, {_figure(column, cell)}{aside}"
    return ""


def _other_process(column: Column, best: Row, other: Row) -> bool:
    """Whether a row is best that has not in it what the other has."""
    return any(is_program(mine) and other_process(column.metric, mine, other.results[0]) for mine in best.results)


def _clearly_better(column: Column, one: Estimate, other: Estimate, tells_apart: float) -> bool:
    """What is shown as 0 and as `≈ 0` is one as good as the other."""
    if all(each.value is not None and is_about_zero(each.value, column.unit, column.scale) for each in (one, other)):
        return False
    first, second = (other, one) if column.better is Better.HIGHER else (one, other)
    return first.clearly_below(second, tells_apart)


# Not trustworthy


def _not_trustworthy(answer: Answer) -> str:
    if doubts := _doubts(answer):
        return f"Not trustworthy: {doubts[0]}"
    return "Not trustworthy: nothing was measured"


def _doubts(answer: Answer) -> list[str]:
    found = (cell.doubt.removeprefix("no evidence: ") for row in answer.rows for cell in row.cells if cell.doubt)
    return list(dict.fromkeys(found))


def _why_not_trustworthy(answer: Answer, choice: Choice) -> Iterator[str]:
    scenarios = {cell.scenario for row in answer.rows for cell in row.cells if cell.doubt}
    if scenarios:
        yield f"Rerun {_list(sorted(scenarios))}: those figures decide nothing."
    failures = dict.fromkeys(failure for row in answer.rows for failure in row.failures)
    for failure in [*failures][:_MOST]:
        yield _sentence(_capital(_cut(failure)))


# What several of them say


def _figures(row: Row, answer: Answer, kind: VerdictKind) -> Iterator[str]:
    """The row's figures on each budget of that verdict; those that keep none with the limit, for which it matters."""
    for column, cell in zip(answer.columns, row.cells, strict=True):
        if column.budget and cell.verdict is kind:
            if cell.is_reference:
                yield f"{column.title}, being the reference"
                continue
            limit = "" if kind is VerdictKind.PASS else f" (limit {column.limit_text})"
            yield f"{column.title} {_figure(column, cell)}{limit}"


def _titles(row: Row, answer: Answer, kind: VerdictKind) -> Iterator[str]:
    for column, cell in zip(answer.columns, row.cells, strict=True):
        if column.budget and cell.verdict is kind:
            yield column.title


def _figure(column: Column, cell: Cell) -> str:
    estimate = cell.estimate
    if estimate is None or (value := estimate.value) is None:
        return "unknown"
    bound = "≥ " if cell.is_bound else ""
    scale = column.scale or scale_for(column.unit, value)
    return f"{bound}{quantity_text(value, column.unit, scale, _half(estimate))}"


def _half(estimate: Estimate) -> float:
    return 0.0 if estimate.low is None or estimate.high is None else (estimate.high - estimate.low) / 2


def _all_of(count: int) -> str:
    return "the budget" if count == 1 else "both budgets" if count == 2 else f"all {count} budgets"


def _list(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return ", ".join(names[:_MOST]) + more


def _cut(text: str) -> str:
    """A reason of somebody else's, no longer than a line or two; the details have all of it."""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1].rstrip()}…"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _sentence(*parts: str) -> str:
    told = "; ".join(part for part in parts if part)
    return told if told.endswith((".", "…")) else f"{told}."


_HEADLINES = {
    AnswerKind.SHIP: _ship,
    AnswerKind.UNDECIDED: _undecided,
    AnswerKind.NONE: _none,
    AnswerKind.NO_BUDGETS: _no_budgets,
    AnswerKind.NOT_TRUSTWORTHY: _not_trustworthy,
}
_SENTENCES = {
    AnswerKind.SHIP: _why_ship,
    AnswerKind.UNDECIDED: _why_undecided,
    AnswerKind.NONE: _why_none,
    AnswerKind.NO_BUDGETS: _why_no_budgets,
    AnswerKind.NOT_TRUSTWORTHY: _why_not_trustworthy,
}
