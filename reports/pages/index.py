"""The index: a line for each suite and hardware target, what failed or grew old first."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from benchharness.judge.answer import Answer, AnswerKind, Cell, Column, worst_first
from benchharness.metrics import Better
from benchharness.results.result import Run, VerdictKind
from benchharness.units import quantity_text
from reports.model.foot import Foot, moment
from reports.model.found import Found
from reports.model.gate import GateTold, gate_told
from reports.model.links import Link
from reports.model.visible import name_text, value_text
from reports.pages.environment import environment

STALE = timedelta(days=7)
_FAILED = (AnswerKind.NOT_TRUSTWORTHY, AnswerKind.NONE)
_FINISHED = "finished"
#: So many earlier runs of a target are listed: a year of nights on many of them makes a page that nobody opens.
_MOST_EARLIER = 20


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What the index is told of a suite on a hardware target: its newest run, or why that cannot be read."""

    suite: str
    hardware: str
    run: Run
    earlier: tuple[Run, ...] = ()
    page: str = ""
    targets: str = ""  # the page of all targets of the suite
    answers: tuple[Answer, ...] = ()
    gate: GateTold | None = None
    jobs: int = 0
    failed: int = 0
    trouble: str = ""


@dataclass(frozen=True, kw_only=True)
class Line:
    """A line of the index. `tags` say what puts it first: failed, unfinished, stale."""

    suite: str
    hardware: str
    href: str
    targets: str
    verdict: str
    more: str  # how many further answers there are
    closest: str
    age: str
    started: str
    jobs: str
    tags: tuple[str, ...]
    earlier: tuple[tuple[str, str, str], ...]  # (started, state, id), the newest of them
    earlier_runs: int  # in all


@dataclass(frozen=True, kw_only=True)
class IndexPage:
    """Everything in a store, in lines."""

    title: str
    finding: str
    lines: tuple[Line, ...]
    foot: Foot


def entry_of(found: Found, page: str, targets: str, earlier: Sequence[Run]) -> Entry:
    """What the index keeps of a run: not its results."""
    return Entry(
        suite=found.run.suite,
        hardware=found.hardware,
        run=found.run,
        earlier=tuple(earlier),
        page=page,
        targets=targets,
        answers=tuple(worst_first(found.answers)),
        gate=gate_told(found.since, found.run.state),
        jobs=len(found.results),
        failed=sum(not result.outcome.ok for result in found.results),
    )


def render_index(entries: Sequence[Entry], links: Sequence[Link], now: datetime) -> str:
    """The page as HTML."""
    return environment().get_template("pages/index.html.j2").render(page=index_page(entries, now), links=links)


def index_page(entries: Sequence[Entry], now: datetime) -> IndexPage:
    """The page as plain data. `now`: the moment against which a run is old."""
    ordered = sorted(entries, key=lambda each: _rank(each, now))
    lines = tuple(_line(each, now) for each in ordered)
    suites, targets = ({getattr(each, name) for each in entries} for name in ("suite", "hardware"))
    return IndexPage(
        title=f"{_count(suites, 'suite')} on {_count(targets, 'hardware target')}",
        finding=_finding(lines),
        lines=lines,
        foot=Foot(runs=(), written=moment(now)),
    )


def _count(names: Collection[str], noun: str) -> str:
    return f"{len(names)} {noun}{'' if len(names) == 1 else 's'}"


def _finding(lines: Sequence[Line]) -> str:
    if not lines:
        return "No run is in this store."
    counts = ((sum(tag in line.tags for line in lines), tag) for tag in ("failed", "unfinished", "stale"))
    told = ", ".join(f"{count} {tag}" for count, tag in counts if count)
    return f"{told[:1].upper()}{told[1:]}." if told else "None failed, none is stale."


def _rank(entry: Entry, now: datetime) -> tuple[bool, bool, int, str, str]:
    """Failed first, then stale; within them what must be known first."""
    tags = _tags(entry, now)
    kind = list(AnswerKind).index(entry.answers[0].kind) if entry.answers else -1
    return not {"failed", "unfinished"} & set(tags), "stale" not in tags, kind, entry.suite, entry.hardware


def _tags(entry: Entry, now: datetime) -> tuple[str, ...]:
    return tuple(_each_tag(entry, now))


def _each_tag(entry: Entry, now: datetime) -> Iterator[str]:
    failed = entry.failed or (entry.gate is not None and entry.gate.red)
    if entry.trouble or failed or any(answer.kind in _FAILED for answer in entry.answers):
        yield "failed"
    if entry.run.state != _FINISHED:
        yield "unfinished"
    if now - entry.run.started > STALE:
        yield "stale"


def _line(entry: Entry, now: datetime) -> Line:
    more = len(entry.answers) - 1
    worst = entry.answers[0] if entry.answers else None
    verdict = worst.headline if worst else "Nothing was measured."
    if entry.gate is not None:
        also = f". {verdict}" if worst is not None and worst.kind is not AnswerKind.NO_BUDGETS else ""
        verdict = f"{entry.gate.headline}{also}"
    return Line(
        suite=name_text(entry.suite),
        hardware=name_text(entry.hardware),
        href=entry.page,
        targets=entry.targets,
        verdict=value_text(entry.trouble or verdict),
        more=f"and {more} more answer{'' if more == 1 else 's'}" if more > 0 else "",
        closest=value_text(closest_budget(worst)) if worst else "",
        age=age_text(now - entry.run.started),
        started=moment(entry.run.started),
        jobs=f"{entry.jobs - entry.failed} of {entry.jobs} ok",
        tags=_tags(entry, now),
        earlier=tuple(
            (moment(run.started), name_text(run.state), name_text(run.id)) for run in entry.earlier[:_MOST_EARLIER]
        ),
        earlier_runs=len(entry.earlier),
    )


def closest_budget(answer: Answer) -> str:
    """The budget with the least room, or that is exceeded by most, of the row that the answer names."""
    found = [
        (room, column, cell)
        for column, cell in zip(answer.columns, answer.rows[0].cells, strict=True)
        if column.budget and (room := _room(column, cell)) is not None
    ]
    if not found:
        return ""
    _, column, cell = min(found, key=lambda each: each[0])
    estimate = cell.estimate
    assert estimate is not None
    assert estimate.value is not None
    half = (estimate.high - estimate.low) / 2 if estimate.low is not None and estimate.high is not None else 0.0
    value = quantity_text(estimate.value, column.unit, column.scale, half)
    return f"{column.title} {value} {_MARKS[cell.verdict]} {column.limit_text}"


_MARKS = {
    None: "",
    VerdictKind.PASS: "✓",
    VerdictKind.MISS: "✗",
    VerdictKind.UNDECIDED: "?",
}


def _room(column: Column, cell: Cell) -> float | None:
    """ln(limit / value), turned round where higher is better; None where one of them has no logarithm."""
    value = cell.estimate.value if cell.estimate else None
    if value is None or not column.limit or value <= 0 or column.limit <= 0 or not math.isfinite(value):
        return None
    room = math.log(column.limit / value)
    return -room if column.better is Better.HIGHER else room


def age_text(age: timedelta) -> str:
    """How old something is, in words: the largest unit that fits."""
    seconds = max(0.0, age.total_seconds())
    for length, noun in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= length:
            count = int(seconds // length)
            return f"{count} {noun}{'' if count == 1 else 's'}"
    return "under a minute"
