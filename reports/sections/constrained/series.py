"""The steps of ladders -> what their figures draw."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median

from benchharness.results.courses import Ladder, Step, StepOutcome
from benchharness.units import Scale, scale_for
from reports.model.entries import Entry
from reports.model.numbers import finite, known, rounded
from reports.model.visible import name_text
from reports.sections.constrained.chart import (
    LadderChart,
    LadderPanel,
    LadderStep,
    SlowdownBar,
    SlowdownBars,
    SlowdownGroup,
)

#: Constraints whose amount is a limit in bytes.
MEMORY = ("memory", "address space")
#: Best first.
OUTCOMES = (
    StepOutcome.FINE,
    StepOutcome.SLOWER,
    StepOutcome.THRASHING,
    StepOutcome.ERROR,
    StepOutcome.KILLED,
    StepOutcome.TIMEOUT,
    StepOutcome.NOT_APPLIED,
    StepOutcome.UNKNOWN,
)
#: A trial that takes this many times as long counts as no answer, where the job does not say otherwise.
_SLOWEST = 10.0
_MIB = Scale(2**20, "MiB")
Laddered = tuple[Entry, Ladder]


def is_memory(step: Step) -> bool:
    """Whether a step limits memory or address space."""
    return step.constraint in MEMORY


def constraint_text(step: Step) -> str:
    """A constraint in words: `50 % of the CPU time`."""
    amount = known(step.amount)
    if step.constraint == "cpu quota" and amount is not None:
        return f"{100 * amount:.0f} % of the CPU time"
    if step.constraint == "cores" and amount is not None:
        return f"{amount:g} core{'' if amount == 1 else 's'}"
    named = {"busy core": "a busy core", "memory bandwidth": "memory-bandwidth load"}
    if step.constraint.startswith("foreground "):
        return f"{name_text(step.constraint.removeprefix('foreground '))} in the foreground"
    return named.get(step.constraint, name_text(step.constraint)) + (f" {amount:g}" if amount is not None else "")


def floor_chart(name: str, ladders: Sequence[Laddered]) -> LadderChart | None:
    """Latency against the limit, one panel a row; None where no limit was tried."""
    rows: dict[str, tuple[Entry, list[Ladder]]] = {}
    for entry, ladder in ladders:
        if any(_drawable(ladder)):
            rows.setdefault(entry.anchor, (entry, []))[1].append(ladder)
    if not rows:
        return None
    everything = [step for _, of_row in rows.values() for ladder in of_row for step in _drawable(ladder)]
    times = finite(ladder.unconstrained_ns for _, of_row in rows.values() for ladder in of_row)
    scale = scale_for("ns", median(times) if times else 1e9)
    seen = {name_text(step.outcome) for step in everything}
    known = [str(outcome) for outcome in OUTCOMES if outcome in seen]
    limit = name.removesuffix(" floor").replace("-", " ")
    return LadderChart(
        title=f"Latency against the {limit} limit",
        unit=_MIB.symbol,
        note="One mark a step, several trials each; a trial is a fresh process, from its start to its last answer. "
        "Upper part: the median time of the trials that answered. Lower part: the outcome of every step. "
        f"Band: between the largest limit that failed and the smallest that held, the {name}.",
        floor=name,
        x_title=f"{limit} limit",
        y_title=f"time ({scale.symbol})",
        outcomes=(*known, *sorted(seen - set(known))),
        panels=tuple(_panel(entry, of_row, scale) for entry, of_row in rows.values()),
    )


def _drawable(ladder: Ladder) -> Iterator[Step]:
    for step in ladder.steps:
        if is_memory(step) and (known(step.amount) or 0) > 0:
            yield step


def _panel(entry: Entry, ladders: Sequence[Ladder], scale: Scale) -> LadderPanel:
    free = [time for time in finite(ladder.unconstrained_ns for ladder in ladders) if time > 0]
    unconstrained = rounded(median(free) / scale.divisor) if free else None
    slowest = entry.result.job.settings.get("slowest", _SLOWEST)
    times_as_long = slowest if isinstance(slowest, int | float) and (known(slowest) or 0) > 1 else _SLOWEST
    return LadderPanel(
        label=entry.who_and_how,
        unconstrained=unconstrained,
        latest=rounded(unconstrained * times_as_long) if unconstrained else None,
        steps=tuple(_mark(step, ladder, scale) for ladder in ladders for step in _drawable(ladder)),
        brackets=tuple(
            (rounded(failing / _MIB.divisor), rounded(floor / _MIB.divisor))
            for failing, floor in (
                (known(ladder.failing_bytes) or 0.0, known(ladder.floor_bytes) or 0.0) for ladder in ladders
            )
            if 0 < failing < floor
        ),
    )


def _mark(step: Step, ladder: Ladder, scale: Scale) -> LadderStep:
    """At the median of the trials that answered: a failed one's time is no latency."""
    slower, usual = known(step.slower), known(ladder.unconstrained_ns)
    time = known(slower * usual) if slower is not None and usual is not None else None
    return LadderStep(
        limit=rounded((step.amount or 0.0) / _MIB.divisor),
        time=rounded(time / scale.divisor) if time and time > 0 else None,
        outcome=name_text(step.outcome),
    )


def slowdown_bars(entries: Sequence[Entry]) -> SlowdownBars | None:
    """Less CPU and background load, the attempts of a job together; None where nothing of it was tried."""
    groups = [SlowdownGroup(label=entry.who_and_how, bars=bars) for entry in entries if (bars := tuple(_bars(entry)))]
    if not groups:
        return None
    return SlowdownBars(
        title="Times as long as without the constraint",
        unit="times the unconstrained time",
        note="Bar: median over attempts of how many times as long the median trial took that answered; thin line: "
        "lowest to highest attempt. The line at 1 is the time without a constraint.",
        groups=tuple(groups),
    )


def _bars(entry: Entry) -> Iterator[SlowdownBar]:
    by_name: dict[str, list[Step]] = {}
    for ladder in entry.result.ladders:
        for step in ladder.steps:
            if not is_memory(step) and step.constraint != "none":
                by_name.setdefault(constraint_text(step), []).append(step)
    for name, steps in by_name.items():
        slower = [value for value in finite(step.slower for step in steps) if value > 0]
        worst = max(steps, key=lambda step: OUTCOMES.index(step.outcome) if step.outcome in OUTCOMES else len(OUTCOMES))
        counts = [step for step in steps if step.outcome == worst.outcome]
        outcome = name_text(worst.outcome)
        some = f" in {len(counts)} of {len(steps)} attempts" if len(counts) < len(steps) else ""
        middle = median(slower) if slower else None
        yield SlowdownBar(
            name=name,
            slower=(rounded(middle), rounded(min(slower)), rounded(max(slower))) if middle else None,
            outcome=outcome,
            text=f"{middle:.3g}×, {outcome}{some}" if middle else f"{outcome}{some}",
        )
