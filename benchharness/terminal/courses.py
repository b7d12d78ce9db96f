"""What the terminal shows of courses over time, of pauses, and of devices that run short."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from benchharness.metrics import METRICS, Unit
from benchharness.results.courses import Course, Step, StepOutcome
from benchharness.results.result import MetricResult, Result
from benchharness.terminal.console import tell
from benchharness.terminal.course_lines import STATE_STYLES, floor_text, share_text, short_name
from benchharness.terminal.lines import Group, Line, show_lines
from benchharness.terminal.values import estimated, one_line, plus_minus
from benchharness.units import duration_text, quantity_text

_OUTCOME_STYLES = {StepOutcome.FINE: "green", StepOutcome.SLOWER: "yellow", StepOutcome.NOT_APPLIED: "dim",
                   StepOutcome.UNKNOWN: "dim"}  # fmt: skip
_LONGEST_NAME = 24
_AFTER_PAUSE = ("ttft_after_pause", "decode_rate_after_pause", "inference_after_pause")


def sessions(results: Sequence[Result], console: Console) -> None:
    """What the results have of each: every session with its evidence, pauses, ladders, fallback chains."""
    _courses(results, console)
    _pauses(results, console)
    for result in results:
        for ladder in result.ladders:
            tell(console, f"{short_name(result.job)}: {floor_text(ladder)}", "bold")
            heads = ("outcome", "answered", "time ", "page-ins ", "peak ")
            show_lines(heads, [Group(heading="", rows=[_step(step) for step in ladder.steps])], console)
    _chains(results, console)


def _courses(results: Sequence[Result], console: Console) -> None:
    """A row per sustained attempt: the verdict and its own figures, not those over attempts; evidence below it."""
    groups = [
        Group(
            heading=short_name(result.job),
            rows=[
                _course(f"session {number} of {len(result.courses)}", course)
                for number, course in enumerate(result.courses, start=1)
            ],
        )
        for result in results
        if result.courses
    ]
    if groups:
        tell(console, "sustained sessions, each by itself", "bold")
    show_lines(("verdict", "its burst ", "its steady state ", "kept "), groups, console)


def _course(name: str, course: Course) -> Line:
    settled = "unknown" if course.settled_rate is None else quantity_text(course.settled_rate, course.unit)
    losses = ((10, course.below_10_s), (25, course.below_25_s))
    told = [f"−{loss} % after {duration_text(reached)}" for loss, reached in losses if reached is not None]
    return Line(
        name=name,
        cells=(
            (str(course.state), STATE_STYLES.get(course.state, "red")),
            (quantity_text(course.burst_rate, course.unit), ""),
            (settled, ""),
            ("unknown" if course.retention is None else share_text(course.retention), ""),
        ),
        note="; ".join([*told, *(sentence.rstrip(".") for sentence in course.evidence)]),
    )


def _pauses(results: Sequence[Result], console: Console) -> None:
    """A row per result and pause, for each metric."""
    groups = []
    for name in _AFTER_PAUSE:
        found = [(result, metric) for result in results for metric in result.metrics if metric.name == name]
        found.sort(key=lambda each: (results.index(each[0]), float(each[1].parameters.get("pause_s", 0.0))))
        groups += [Group(heading=METRICS[name].title, rows=[_pause(*each) for each in found])] if found else []
    if groups:
        tell(console, "requests after a pause", "bold")
    show_lines(("pause ", "value ", "interval"), groups, console)


def _pause(result: Result, metric: MetricResult) -> Line:
    pause = duration_text(float(metric.parameters.get("pause_s", 0.0)))
    name, estimate = " · ".join((result.job.variant, result.job.configuration.name)), metric.estimate
    if estimate.value is None:
        return Line(name=name, cells=((pause, ""), ("unknown", "dim")), note=estimate.reason)
    return Line(
        name=name,
        cells=((pause, ""), (estimated(estimate, metric.unit), ""), (plus_minus(estimate, metric.unit), "dim")),
    )


def constraint(step: Step) -> str:
    """What was taken away, and how much of it was left."""
    if step.amount is None:
        return step.constraint
    if step.constraint in ("memory", "address space"):
        return f"{step.constraint} {quantity_text(step.amount, Unit.BYTES)}"
    if step.constraint == "cpu quota":
        return f"{step.constraint} {100 * step.amount:.0f} %"
    return f"{step.constraint} {step.amount:g}"


def _step(step: Step) -> Line:
    by_ratio = step.slower and step.outcome in (StepOutcome.FINE, StepOutcome.SLOWER)
    slower = f" ×{step.slower:.2f}" if by_ratio else ""
    return Line(
        name=constraint(step),
        cells=(
            (f"{step.outcome}{slower}", _OUTCOME_STYLES.get(step.outcome, "red")),
            (f"{step.answered} of {step.trials}", ""),
            ("" if step.time_ns is None else quantity_text(step.time_ns, Unit.NANOSECONDS), ""),
            ("" if step.page_ins is None else f"{step.page_ins:,.0f}", ""),
            ("" if step.peak_bytes is None else quantity_text(step.peak_bytes, Unit.BYTES), ""),
        ),
        note=step.reason.partition("; ")[0],  # the report has the reasons of all trials
    )


def _chains(results: Sequence[Result], console: Console) -> None:
    """A row per limit: which variant answered in the end, and what the others cost."""
    chains = [(result.job, chain) for result in results for ladder in result.ladders for chain in ladder.chains]
    if chains:
        tell(console, "fallback chains", "bold")
    rows = [
        Line(
            name=" · ".join((job.variant, job.configuration.name)),
            cells=(
                (quantity_text(chain.limit_bytes, Unit.BYTES), ""),
                (one_line(chain.answered_by or "none", _LONGEST_NAME), ""),
                (quantity_text(chain.time_ns, Unit.NANOSECONDS), ""),
                (quantity_text(chain.lost_ns, Unit.NANOSECONDS), ""),
            ),
            note=", ".join(f"{link.variant}: {link.outcome}" for link in chain.links),
        )
        for job, chain in chains
    ]
    show_lines(("limit ", "answered by", "time ", "lost "), [Group(heading="", rows=rows)], console)
