"""Answers of several hardware targets side by side: where each variant passes, and where not. Pure.

Times of different devices are not ranked: what stands side by side is how each keeps the budgets of its own target.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from benchharness.judge.answer.model import Answer, Row
from benchharness.results.result import VerdictKind

#: Of a list, this many are told.
_MOST = 3


class Standing(StrEnum):
    """How a variant stands on one hardware target, best first."""

    PASSES = "passes"
    OPEN = "undecided"
    FAILS = "fails"
    ABSENT = "not run"


@dataclass(frozen=True, kw_only=True)
class Place:
    """A variant on one hardware target: its best row there, how that stands, and what keeps it from passing."""

    hardware: str
    standing: Standing
    why: tuple[str, ...] = ()
    row: Row | None = None


@dataclass(frozen=True, kw_only=True)
class Across:
    """One variant over all hardware targets. `places` are in the order of the targets."""

    variant: str
    ships: bool
    places: tuple[Place, ...]

    @property
    def finding(self) -> str:
        """ "int8 passes on 4 of 5: fails on pixel-6: memory"."""
        return f"{self.variant} passes {self.where}"

    @property
    def where(self) -> str:
        """What variants that keep and miss the same on each target have in common: "on 4 of 5: fails on pixel-6"."""
        passed = sum(place.standing is Standing.PASSES for place in self.places)
        others = [told for standing in _TOLD for told in self._at(standing)]
        told = f": {'; '.join(others)}" if others else ""
        return f"on {passed} of {len(self.places)}{told}"

    def _at(self, standing: Standing) -> Iterator[str]:
        """Targets with one reason together."""
        by_reason: dict[tuple[str, ...], list[str]] = {}
        for place in self.places:
            if place.standing is standing:
                by_reason.setdefault(place.why, []).append(place.hardware)
        for why, names in list(by_reason.items())[:_MOST]:
            yield f"{standing} on {_list(names)}{f': {_list(why)}' if why else ''}"
        if len(by_reason) > _MOST:
            yield f"{standing} on {sum(map(len, list(by_reason.values())[_MOST:]))} more"


#: What a reader must know first.
_TOLD = (Standing.FAILS, Standing.OPEN, Standing.ABSENT)


def across(answers: Sequence[Answer]) -> list[Across]:
    """A line for each variant of one model and workload, which `answers` of several hardware targets are on.

    Those that pass most often stand first, those that do not ship last.
    """
    best = [{row.variant: row for row in reversed(answer.rows)} for answer in answers]
    variants = dict.fromkeys(row.variant for answer in answers for row in answer.rows)
    found = [
        Across(
            variant=variant,
            ships=any(rows[variant].ships for rows in best if variant in rows),
            places=tuple(_place(answer, rows.get(variant)) for answer, rows in zip(answers, best, strict=True)),
        )
        for variant in variants
    ]
    return sorted(found, key=_rank)


def findings(found: Sequence[Across]) -> Iterator[str]:
    """A sentence for each variant that ships, those of which the same is true in one."""
    by_where: dict[str, list[str]] = {}
    for each in found:
        if each.ships:
            by_where.setdefault(each.where, []).append(each.variant)
    for where, names in by_where.items():
        yield f"{_list(names)} {'passes' if len(names) == 1 else 'pass'} {where}"


def worst_last(found: Sequence[Across]) -> list[int]:
    """The hardware targets by what passes there, as positions among the places: the one where least does is last."""
    if not found:
        return []

    def badness(at: int) -> tuple[int, ...]:
        standings = [each.places[at].standing for each in found if each.ships]
        return -standings.count(Standing.PASSES), -standings.count(Standing.OPEN), -standings.count(Standing.FAILS)

    return sorted(range(len(found[0].places)), key=badness)


def _rank(each: Across) -> tuple[bool, int, int]:
    standings = [place.standing for place in each.places]
    return not each.ships, -standings.count(Standing.PASSES), standings.count(Standing.FAILS)


def _place(answer: Answer, row: Row | None) -> Place:
    if row is None:
        return Place(hardware=answer.hardware, standing=Standing.ABSENT)
    missed = _titles(answer, row, VerdictKind.MISS)
    still_open = [*_titles(answer, row, VerdictKind.UNDECIDED), *answer.unmeasured]
    failed = [*missed, *(f"{each.job.scenario} {each.outcome.kind}" for each in row.results if not each.outcome.ok)]
    if failed:
        return Place(hardware=answer.hardware, standing=Standing.FAILS, why=tuple(failed), row=row)
    if still_open or row.unfit or not answer.budgets:
        why = still_open or row.unfit or ["no budget is set"]
        return Place(hardware=answer.hardware, standing=Standing.OPEN, why=tuple(why), row=row)
    return Place(hardware=answer.hardware, standing=Standing.PASSES, row=row)


def _titles(answer: Answer, row: Row, kind: VerdictKind) -> list[str]:
    pairs = zip(answer.columns, row.cells, strict=True)
    return [column.title for column, cell in pairs if column.budget and cell.verdict is kind]


def _list(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return ", ".join(names[:_MOST]) + more
