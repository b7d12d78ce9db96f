"""Verdicts counted by class: the confusion matrix, shares with their intervals, and what the bars ask. Pure."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.table import Table

from benchharness.judge.exact_shares import clopper_pearson
from benchharness.results.courses import SessionState
from benchharness.results.result import Estimate
from benchmarks.bars import Criterion, Finding, Verdict
from benchmarks.course_plan import CONTENTION, EXPECTED, MOVED, ONE_CORE, QUOTA, QUOTA_KINDS, SLOW_15, UNDISTURBED
from benchmarks.course_records import FAILED, Judged

STATES = (*map(str, SessionState), FAILED)
#: The shares that bars ask for, in at least so many sessions of a class.
_RIGHT = {QUOTA: 0.95, MOVED: 0.95, ONE_CORE: 0.95, CONTENTION: 0.95, SLOW_15: 0.90}
_FALSE_ALARMS = 0.05
ENOUGH = 20


def is_right(session: Judged) -> bool:
    """Whether the verdict is the one that the condition calls for."""
    return session.state == EXPECTED[session.name]


@dataclass(frozen=True, kw_only=True)
class Row:
    """A class, or a part of it: `counts` by verdict, and figures over its sessions."""

    label: str
    name: str  # the class
    part: str  # "85 %" or "2 threads"; empty for all of it
    sessions: int
    counts: Mapping[str, int]
    right: Estimate | None  # None where the condition calls for no certain verdict
    took_hold: int
    begun_early: int  # before the baseline was over
    retention: float | None  # medians
    busy_cores: float
    others_cores: float


def undisturbed_by_others(sessions: Sequence[Judged], at_most: float) -> list[Judged]:
    """Those in which others took no more cores than this, whatever they were called; and all that failed."""
    return [each for each in sessions if not each.others_cores > at_most]


def rows(sessions: Sequence[Judged]) -> list[Row]:
    """Each class, then its parts: kinds of quota, numbers of threads."""
    return [_row(name, part, group) for name, part, group in _groups(sessions)]


def _groups(sessions: Sequence[Judged]) -> Iterator[tuple[str, str, list[Judged]]]:
    for name in EXPECTED:
        group = [each for each in sessions if each.name == name]
        if not group:
            continue
        yield name, "", group
        for kind in dict.fromkeys((*QUOTA_KINDS, *sorted({each.kind for each in group} - {""}))):
            part = [each for each in group if each.kind == kind]
            if part:
                yield name, kind, part
        for threads in sorted({each.threads for each in group}):
            told = f"{threads} thread{'s' if threads > 1 else ''}"
            yield name, told, [each for each in group if each.threads == threads]


def _row(name: str, part: str, group: Sequence[Judged]) -> Row:
    counts = Counter(each.state for each in group)
    retained = [each.retention for each in group if each.retention is not None]
    return Row(
        label=f"{name}, {part}" if part else name,
        name=name,
        part=part,
        sessions=len(group),
        counts={state: counts[state] for state in STATES},
        right=None if EXPECTED[name] is None else share(sum(map(is_right, group)), len(group)),
        took_hold=sum(each.took_hold for each in group),
        begun_early=sum(each.begun_early for each in group),
        retention=statistics.median(retained) if retained else None,
        busy_cores=statistics.median(each.busy_cores for each in group),
        others_cores=statistics.median(each.others_cores for each in group),
    )


def table(found: Sequence[Row]) -> Table:
    """The matrix for the terminal."""
    drawn = Table("class", *STATES, "right", "95 % interval", "in force", "rate kept", "busy cores", "others'")
    for row in found:
        told = [str(row.counts[state]) if row.counts[state] else "·" for state in STATES]
        right = ["–", "–"]
        if row.right is not None:
            right = [f"{row.right.value:.1%}", f"{row.right.low:.1%} to {row.right.high:.1%}"]
        figures = (
            f"{row.took_hold} of {row.sessions}",
            _percent(row.retention),
            f"{row.busy_cores:.2f}",
            f"{row.others_cores:.2f}",
        )
        drawn.add_row(f"  {row.part}" if row.part else f"[bold]{row.name}[/bold]", *told, *right, *figures)
    return drawn


def share(hits: int, trials: int) -> Estimate:
    """A share with Clopper and Pearson's interval."""
    low, high = clopper_pearson(hits, trials)
    told = "share with Clopper and Pearson's interval"
    return Estimate(value=hits / trials, low=low, high=high, count=trials, statistic=told)


def findings(found: Sequence[Row]) -> list[Finding]:
    """The share of each class that its bar asks about, or that is only told; its parts are in words."""
    return [_finding(row, found) for row in found if not row.part and row.right is not None]


def _finding(row: Row, found: Sequence[Row]) -> Finding:
    right = row.right
    assert right is not None
    hits = row.counts[str(EXPECTED[row.name])]
    alarms = row.name == UNDISTURBED
    return Finding(
        label=f"{row.label}: {'false alarms' if alarms else f'called {EXPECTED[row.name]}'}",
        ratio=share(row.sessions - hits, row.sessions) if alarms else right,
        per_round=[],
        absolute="; ".join(
            [_in_words(row), *(_in_words(part) for part in found if part.name == row.name and part.part)]
        ),
        criterion=_criterion(row.name),
    )


def descriptions(found: Sequence[Row]) -> list[str]:
    """What was seen of the classes that no bar asks about, and how many sessions say less than they should."""
    told = [_in_words(row) for row in found if row.right is None]
    for row in found:
        if row.part:
            continue
        if row.took_hold < row.sessions:
            missing = row.sessions - row.took_hold
            told.append(
                f"{row.name}: the condition was not in force in {missing} of {row.sessions} (they count as any)"
            )
        if row.begun_early:
            told.append(f"{row.name}: the condition set in before the baseline ended in {row.begun_early} sessions")
    return told


def _in_words(row: Row) -> str:
    verdicts = ", ".join(f"{state} {count}" for state, count in row.counts.items() if count)
    return f"{row.part or row.name}: {verdicts}, rate kept {_percent(row.retention)}"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.1%}"


def _criterion(name: str) -> Criterion | None:
    """The bar is a count, not an estimate: so many of so many are right or they are not."""
    if name == UNDISTURBED:
        return _count(f"at most {_FALSE_ALARMS:g}", None, _FALSE_ALARMS)
    return _count(f"at least {_RIGHT[name]:g}", _RIGHT[name], None) if name in _RIGHT else None


def _count(says: str, low: float | None, high: float | None) -> Criterion:
    def judge(share: Estimate) -> Verdict:
        if share.value is None or share.count < ENOUGH:
            return Verdict.UNDECIDED
        kept = (low is None or share.value >= low) and (high is None or share.value <= high)
        return Verdict.PASS if kept else Verdict.MISS

    return Criterion(says=f"{says} of {ENOUGH} or more", low=low, high=high, judge=judge)
