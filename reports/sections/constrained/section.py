"""Constrained devices -> a section: memory ladders and their floors, fallback chains, less CPU, load beside it.

A floor under a cgroup's memory limit and one under an address-space limit are different quantities: the second counts
what is reserved and never touched too. They stand in parts of their own, with tables and figures of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchharness.results.courses import SLOWER_FROM, Ladder, Step, StepOutcome
from benchharness.results.result import Estimate
from benchharness.units import quantity_text
from reports.model.entries import Entry, by_comparison, subject_of
from reports.model.estimates import quantity
from reports.model.jobs import Missing, missing
from reports.model.numbers import finite, known
from reports.model.section import Glossary, Material, Section, SectionKind, in_a_line
from reports.model.tables import Cell, Quantity, QuantityRow, QuantityTable
from reports.model.visible import name_text, value_text
from reports.sections.constrained.chart import LadderChart, SlowdownBars
from reports.sections.constrained.series import MEMORY, constraint_text, floor_chart, is_memory, slowdown_bars

SCENARIO = "constrained"
#: Sign and tone of an outcome. The words say the same; signs and colours only make it quicker to see.
SIGNS = {
    StepOutcome.FINE: ("●", "ok"),
    StepOutcome.SLOWER: ("▲", "kind"),
    StepOutcome.THRASHING: ("◆", "bad"),
    StepOutcome.ERROR: ("✕", "bad"),
    StepOutcome.KILLED: ("■", "bad"),
    StepOutcome.TIMEOUT: ("▼", "bad"),
    StepOutcome.NOT_APPLIED: ("○", "why"),
    StepOutcome.UNKNOWN: ("?", "why"),
}
_GLOSSARY = {
    StepOutcome.FINE: f"enough trials answered, and their median took less than {SLOWER_FROM:.2f} times the usual time",
    StepOutcome.SLOWER: f"their median took {SLOWER_FROM:.2f} times the usual time or more; with less CPU or beside "
    "load, also where too few were in time",
    StepOutcome.THRASHING: "too late, and it read pages in again far more often than without the constraint",
    StepOutcome.ERROR: "the runtime gave up by itself, such as when an allocation failed, or crashed",
    StepOutcome.KILLED: "the kernel ended the process for want of memory",
    StepOutcome.TIMEOUT: "too late without the page-ins of thrashing: it hung or crawled",
    StepOutcome.NOT_APPLIED: "the constraint could not be set here",
    StepOutcome.UNKNOWN: "what it was to run beside was not there to the end of its trials, or they were too few",
}
_FLOORS = {
    "memory floor": "The memory floor is the smallest limit on memory under which enough trials answer in time, found "
    "by bisection between a limit that holds and one that does not. Each trial is a fresh process, and the limit "
    "counts what it touches, mapped files included.",
    "address-space floor": "The address-space floor is found in the same way under a limit on address space, which is "
    "what can be set without permission for cgroups. It counts what is reserved and never touched too: it is not a "
    "memory floor, and the two do not compare.",
}
_METRICS = {"memory floor": "memory_floor", "address-space floor": "address_space_floor"}
_COLUMNS = (
    ("floor", "lower is better"),
    ("bracket", "largest limit that failed, smallest that held, each attempt"),
    ("unconstrained", "median time of a trial"),
    ("limit set by", ""),
)
#: Beyond this many ladders their steps are folded: the figure shows them all.
_MOST_OPEN, _MOST_TRIES, _MOST_NOTES = 2, 12, 6
Laddered = tuple[Entry, Ladder]


@dataclass(frozen=True, kw_only=True)
class StepRow:
    """One step of a ladder in words. `sign` and `tone` stand beside the outcome's word."""

    constraint: str
    answered: str
    slower: str
    time: str
    page_ins: str
    peak: str
    outcome: str
    sign: str
    tone: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class LadderSteps:
    """The steps of one attempt."""

    anchor: str
    who: str
    about: str
    steps: tuple[StepRow, ...]
    folded: bool


@dataclass(frozen=True, kw_only=True)
class ChainRow:
    """One fallback chain under one limit. `tries` are (variant, outcome, sign, tone, time, reason)."""

    who: str
    limit: str
    tries: tuple[tuple[str, str, str, str, str, str], ...]
    answered_by: str
    time: str
    lost: str


@dataclass(frozen=True, kw_only=True)
class FloorPart:
    """Everything found under limits of one kind. What limits of another kind found stands in a part of its own."""

    name: str
    heading: str
    told: tuple[str, ...]
    table: QuantityTable
    figure: LadderChart | None
    ladders: tuple[LadderSteps, ...]
    chains: tuple[ChainRow, ...]


@dataclass(frozen=True, kw_only=True)
class Constraints(Section):
    """How a model on a workload fares with less: memory, CPU, and other load beside it."""

    floors: tuple[FloorPart, ...]
    slowdown: SlowdownBars | None
    slow_steps: tuple[LadderSteps, ...]
    missing: tuple[Missing, ...]
    glossary: Glossary


def make(material: Material) -> tuple[Constraints, ...]:
    """A section for each model and workload with constrained jobs."""
    found = [entry for entry in material.costs if entry.result.job.scenario == SCENARIO or entry.result.ladders]
    return tuple(
        _constraints(f"constraints-{number}", group)
        for number, group in enumerate(by_comparison(found).values(), start=1)
    )


def _constraints(anchor: str, entries: Sequence[Entry]) -> Constraints:
    ladders = [(entry, ladder) for entry in entries for ladder in entry.result.ladders]
    names = [name for name in _FLOORS if any(ladder.floor_name == name for _, ladder in ladders)]
    floors = [
        _floor(name, [(entry, ladder) for entry, ladder in ladders if ladder.floor_name == name]) for name in names
    ]
    seen = {step.outcome for _, ladder in ladders for step in ladder.steps}
    seen |= {link.outcome for _, ladder in ladders for chain in ladder.chains for link in chain.links}
    return Constraints(
        anchor=anchor,
        subject=subject_of(entries[0]),
        finding=in_a_line(_findings(entries), "no floor was found"),
        floors=tuple(floor for floor in floors if floor),
        slowdown=slowdown_bars(entries),
        slow_steps=tuple(_steps(ladders, memory=False)),
        missing=tuple(missing(entries, lambda entry: bool(entry.result.ladders), "no ladder was recorded")),
        glossary=tuple((str(outcome), text) for outcome, text in _GLOSSARY.items() if outcome in seen),
    )


def _findings(entries: Sequence[Entry]) -> Iterator[str]:
    """The floor of each row, under its own name."""
    for entry in entries:
        for name in dict.fromkeys(ladder.floor_name for ladder in entry.result.ladders):
            shown = _floor_quantity(entry, name)
            if shown.text != "none":
                yield f"{entry.who_and_how} {name_text(name)} {shown.text}"


def _floor(name: str, ladders: Sequence[Laddered]) -> FloorPart | None:
    """The part on one kind of floor; None where nothing was tried and nothing is said about it."""
    tried = [(entry, ladder) for entry, ladder in ladders if any(map(is_memory, ladder.steps)) or ladder.chains]
    if not tried and not any(ladder.reason for _, ladder in ladders):
        return None
    entries = list(dict.fromkeys(entry.anchor for entry, _ in ladders))
    by_anchor = {entry.anchor: entry for entry, _ in ladders}
    return FloorPart(
        name=name,
        heading=name[0].upper() + name[1:],
        told=(_FLOORS[name], *dict.fromkeys(note for entry in by_anchor.values() for note in _notes(entry))),
        table=QuantityTable(
            scenario=name, columns=_COLUMNS, rows=tuple(_floor_row(by_anchor[anchor], name) for anchor in entries)
        ),
        figure=floor_chart(name, ladders),
        ladders=tuple(_steps(ladders, memory=True)),
        chains=tuple(_chains(ladders)),
    )


def _notes(entry: Entry) -> Iterator[str]:
    """What a device says about its limits: whether swap was closed, and what they do not count."""
    told = entry.result.effective.of_scenario(SCENARIO)
    if told.get("swap"):
        yield f"Swap: {value_text(told['swap'])}."
    for heading, kind in (("", "notes"), ("A better way to limit memory was not open: ", "no_better_way")):
        notes = told.get(kind)
        if isinstance(notes, list | tuple):
            yield from (f"{heading}{value_text(note)}." for note in notes[:_MOST_NOTES])


def _ladders(entry: Entry, name: str) -> list[Ladder]:
    return [ladder for ladder in entry.result.ladders if ladder.floor_name == name]


def _floor_row(entry: Entry, name: str) -> QuantityRow:
    ladders = _ladders(entry, name)
    brackets = [
        f"{_size(ladder.failing_bytes)} to {_size(ladder.floor_bytes)}"
        if known(ladder.failing_bytes) is not None
        else f"{_size(ladder.floor_bytes)} held, and no limit failed"
        for ladder in ladders
        if finite([ladder.floor_bytes])
    ]
    shown = _floor_quantity(entry, name)
    times = finite(ladder.unconstrained_ns for ladder in ladders)
    ways = ", ".join(dict.fromkeys(name_text(ladder.by) for ladder in ladders))
    return QuantityRow(
        who=entry.who_and_how,
        cells=(
            Cell(state="value", quantity=shown)
            if shown.text != "none"
            else Cell(state="absent", note=f"none: {shown.reason}"),
            _told("; ".join(brackets), "no limit both held and failed"),
            _told(" to ".join(dict.fromkeys(quantity_text(each, "ns") for each in _ends(times))), "unknown"),
            _told(ways, "not recorded"),
        ),
    )


def _ends(values: Sequence[float]) -> list[float]:
    return [min(values), max(values)] if values else []


def _told(text: str, otherwise: str) -> Cell:
    if not text:
        return Cell(state="absent", note=otherwise)
    return Cell(state="value", quantity=Quantity(text="", reason=text))


def _floor_quantity(entry: Entry, name: str) -> Quantity:
    """The job's estimate; without one, what its attempts found. `none` and the reason where none found a floor."""
    metrics = (metric for metric in entry.result.metrics if metric.name == _METRICS.get(name))
    metric = next((metric for metric in metrics if metric.estimate.value is not None), None)
    ladders = _ladders(entry, name)
    if metric is not None:
        return quantity(metric.estimate, metric.unit)
    floors = finite(ladder.floor_bytes for ladder in ladders)
    if floors:
        alone = Estimate(
            value=max(floors), reason=f"the highest of {len(floors)} attempts" if len(floors) > 1 else "one attempt"
        )
        return quantity(alone, "bytes")
    reasons = dict.fromkeys(value_text(ladder.reason) for ladder in ladders if ladder.reason)
    return Quantity(text="none", reason="; ".join(reasons) or "no reason was recorded")


def _steps(ladders: Sequence[Laddered], *, memory: bool) -> Iterator[LadderSteps]:
    """The steps of each attempt that are on memory, or those that are not, largest limit first."""
    some = [
        (entry, ladder, [step for step in ladder.steps if is_memory(step) == memory and step.constraint != "none"])
        for entry, ladder in ladders
    ]
    some = [(entry, ladder, steps) for entry, ladder, steps in some if steps]
    for entry, ladder, steps in some:
        by_limit = sorted(steps, key=lambda step: -(step.amount or 0.0)) if memory else steps
        yield LadderSteps(
            anchor=entry.anchor,
            who=_attempt(entry, ladder),
            about=f"limit set by {name_text(ladder.by)}" if memory else "",
            steps=tuple(_step(step) for step in by_limit),
            folded=len(some) > _MOST_OPEN,
        )


def _attempt(entry: Entry, ladder: Ladder) -> str:
    """The row, and which attempt of several."""
    attempts = entry.result.ladders
    number = next(at for at, other in enumerate(attempts, start=1) if other is ladder)
    return f"{entry.who_and_how}, attempt {number} of {len(attempts)}" if len(attempts) > 1 else entry.who_and_how


def _step(step: Step) -> StepRow:
    sign, tone = SIGNS.get(step.outcome, ("", ""))
    return StepRow(
        constraint=_size(step.amount) if step.constraint in MEMORY else constraint_text(step),
        answered=f"{step.answered} of {step.trials}",
        slower=_factor(step.slower),
        time=_time(step.time_ns),
        page_ins="unknown" if (page_ins := known(step.page_ins)) is None else f"{page_ins:,.0f}",
        peak=_size(step.peak_bytes),
        outcome=name_text(step.outcome),
        sign=sign,
        tone=tone,
        reason=value_text(
            step.reason or ("nothing failed" if step.answered == step.trials else "no reason was recorded")
        ),
    )


def _factor(value: float | None) -> str:
    return "no value" if (factor := known(value)) is None else f"{quantity_text(factor, '')}×"


def _time(value: float | None) -> str:
    return "unknown" if (time := known(value)) is None else quantity_text(time, "ns")


def _size(value: float | None) -> str:
    return "unknown" if (size := known(value)) is None else quantity_text(size, "bytes")


def _chains(ladders: Sequence[Laddered]) -> Iterator[ChainRow]:
    for entry, ladder in ladders:
        for chain in ladder.chains:
            yield ChainRow(
                who=_attempt(entry, ladder),
                limit=_size(chain.limit_bytes),
                tries=tuple(
                    (
                        name_text(link.variant),
                        name_text(link.outcome),
                        *SIGNS.get(link.outcome, ("", "")),
                        _time(link.time_ns),
                        value_text(link.reason) if link.reason else "",
                    )
                    for link in chain.links[:_MOST_TRIES]
                ),
                answered_by=name_text(chain.answered_by) if chain.answered_by else "",
                time=_time(chain.time_ns) if chain.answered_by else "no answer",
                lost=_lost(chain.lost_ns),
            )


def _lost(value: float) -> str:
    return "nothing" if value == 0 else _time(value)


SECTION = SectionKind(name=SCENARIO, heading="Constrained devices", make=make, order=90, tells=(SCENARIO,))
