"""Results and choices -> answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from benchharness.judge.answer import words
from benchharness.judge.answer.model import Answer, AnswerKind, Row
from benchharness.judge.answer.table import columns_of, excess, row_of
from benchharness.judge.choice import Choice, by_candidate, choice_of, quality_alone
from benchharness.judge.ranking import Candidate, Wish
from benchharness.results.result import TELLS_APART, Result, VerdictKind

#: In the order in which a reader must know them.
_PRECEDENCE = tuple(AnswerKind)


def answers(
    results: Sequence[Result],
    wish: Wish = Wish.SMALLEST,
    unmeasured: Sequence[str] = (),
    tells_apart: float = TELLS_APART,
) -> list[Answer]:
    """One for each hardware target, model and workload; a model of which only quality was measured has its own.

    `unmeasured`: budgets that no result says anything on.
    """
    return [
        _answer(of_each, choice_of(of_each, results, wish, unmeasured, tells_apart), unmeasured)
        for of_each in (*by_candidate(results), *quality_alone(results))
    ]


def worst_first(found: Sequence[Answer]) -> list[Answer]:
    """Not trustworthy, undecided, none, without budgets, ship: what must be known first stands first."""
    return sorted(found, key=lambda each: _PRECEDENCE.index(each.kind))


def _answer(of_each: Sequence[Sequence[Result]], choice: Choice, unmeasured: Sequence[str]) -> Answer:
    columns = columns_of(of_each)
    names = _names(choice.candidates)
    rows = [
        row_of(names[at], candidate, everything, columns)
        for at, (candidate, everything) in enumerate(zip(choice.candidates, of_each, strict=True))
    ]
    fit = [
        (candidate.name == choice.recommended, row)
        for row, candidate in zip(rows, choice.candidates, strict=True)
        if candidate.name == choice.recommended or not row.unfit
    ]
    recommended = max(fit, key=lambda each: each[0])[1] if fit else None
    budgeted = any(column.budget for column in columns) or bool(unmeasured)

    def closeness(row: Row) -> tuple[bool, bool, int, int, float]:
        missed = row.count(VerdictKind.MISS)
        return row is not recommended, not row.ships, missed, -row.count(VerdictKind.PASS), excess(row, columns)

    if budgeted or recommended:
        rows.sort(key=closeness)
    if not any(row.ships for row in rows):
        rows.sort(key=lambda row: not row.reference)
    made = Answer(
        hardware=choice.hardware,
        model=choice.model,
        workload=choice.workload,
        kind=_kind(rows, recommended, budgeted=budgeted),
        headline="",
        sentences=(),
        columns=columns,
        rows=rows,
        named=rows[0].name,
        unmeasured=tuple(unmeasured),
    )
    made = replace(made, headline=words.headline(made))
    return replace(made, sentences=tuple(words.sentences(made, choice)))


def _kind(rows: Sequence[Row], recommended: Row | None, *, budgeted: bool) -> AnswerKind:
    """By the rows that ship: nothing measured or no evidence where it decides, then what the budgets say."""
    if not any(row.measured for row in rows):
        return AnswerKind.NOT_TRUSTWORTHY
    if not budgeted:
        return AnswerKind.NO_BUDGETS
    if recommended is not None:
        return AnswerKind.SHIP
    hopeful = [row for row in rows if row.ships and not row.failures and not row.count(VerdictKind.MISS)]
    if not hopeful:
        return AnswerKind.NONE
    doubted = [any(cell.doubt and cell.verdict is VerdictKind.UNDECIDED for cell in row.cells) for row in hopeful]
    return AnswerKind.NOT_TRUSTWORTHY if all(doubted) else AnswerKind.UNDECIDED


def _names(candidates: Sequence[Candidate]) -> list[str]:
    """A variant's own name where it stands in one row only, else with its configuration."""
    counts = Counter(candidate.variant for candidate in candidates)
    return [each.variant if counts[each.variant] == 1 else each.name for each in candidates]
