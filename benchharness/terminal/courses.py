"""What the terminal shows of courses over time, of pauses, and of devices that run short."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchharness.metrics import METRICS, Unit
from benchharness.results.courses import Course, Step, StepOutcome
from benchharness.results.result import MetricResult, Result
from benchharness.terminal.course_lines import STATE_STYLES, floor_text
from benchharness.terminal.values import estimated, interval, visible
from benchharness.units import duration_text, quantity_text

_OUTCOME_STYLES = {StepOutcome.FINE: "green", StepOutcome.SLOWER: "yellow", StepOutcome.NOT_APPLIED: "dim"}
_AFTER_PAUSE = ("ttft_after_pause", "decode_rate_after_pause", "inference_after_pause")


def sessions(results: Sequence[Result], console: Console) -> None:
    """A table for each of them that the results have something for."""
    for table in (_courses(results), _pauses(results), *_ladders(results), _chains(results)):
        if table is not None and table.row_count:
            console.print(table)


def _courses(results: Sequence[Result]) -> Table:
    """A row per sustained attempt: the verdict, and what it stands on. Its own figures, not those over attempts."""
    own = ("its burst", "its steady state", "its retention", "-10 %", "-25 %")
    table = Table("session", "verdict", *own, "evidence")
    table.title, table.title_justify = Text("sustained sessions, each by itself"), "left"
    for result in results:
        for number, course in enumerate(result.courses, start=1):
            which = f", session {number} of {len(result.courses)}" if len(result.courses) > 1 else ""
            table.add_row(Text(visible(f"{result.job.title}{which}")), *_course(course))
    return table


def _course(course: Course) -> Iterator[Text]:
    yield Text(str(course.state), style=STATE_STYLES.get(course.state, "red"))
    yield Text(quantity_text(course.burst_rate, course.unit))
    yield Text("unknown" if course.settled_rate is None else quantity_text(course.settled_rate, course.unit))
    yield Text("unknown" if course.retention is None else f"{course.retention:.1%}")
    for seconds in (course.below_10_s, course.below_25_s):
        yield Text("never" if seconds is None else duration_text(seconds))
    yield Text(visible("; ".join(course.evidence)), style="dim")


def _pauses(results: Sequence[Result]) -> Table:
    """A row per result and pause."""
    table = Table("request after a pause", "pause", *(METRICS[name].title for name in _AFTER_PAUSE))
    for result in results:
        found = [metric for metric in result.metrics if metric.name in _AFTER_PAUSE]
        for pause in sorted({float(metric.parameters.get("pause_s", 0.0)) for metric in found}):
            named = {metric.name: metric for metric in found if metric.parameters.get("pause_s") == pause}
            cells = [_estimate(named.get(name)) for name in _AFTER_PAUSE]
            table.add_row(Text(visible(result.job.title)), duration_text(pause), *cells)
    return table


def _estimate(metric: MetricResult | None) -> Text:
    if metric is None or metric.estimate.value is None:
        return Text("")
    return Text(estimated(metric.estimate, metric.unit) + interval(metric.estimate, metric.unit))


def _ladders(results: Sequence[Result]) -> Iterator[Table]:
    """A table per ladder: a row per step, and the floor in the title."""
    for result in results:
        for ladder in result.ladders:
            title = f"{visible(result.job.title)}: {floor_text(ladder)}"
            table = Table("constraint", "outcome", "answered", "time", "page-ins", "peak", title=Text(title))
            table.title_justify = "left"
            for step in ladder.steps:
                table.add_row(*_step(step))
            yield table


def constraint(step: Step) -> str:
    """What was taken away, and how much of it was left."""
    if step.amount is None:
        return step.constraint
    if step.constraint in ("memory", "address space"):
        return f"{step.constraint} {quantity_text(step.amount, Unit.BYTES)}"
    if step.constraint == "cpu quota":
        return f"{step.constraint} {step.amount:.0%}"
    return f"{step.constraint} {step.amount:g}"


def _step(step: Step) -> Iterator[Text]:
    by_ratio = step.slower and step.outcome in (StepOutcome.FINE, StepOutcome.SLOWER)
    slower = f" × {step.slower:.2f}" if by_ratio else ""
    first = step.reason.partition("; ")[0]  # the report has the reasons of all trials
    reason = f" ({visible(first)})" if first else ""
    yield Text(constraint(step))
    yield Text(f"{step.outcome}{slower}{reason}", style=_OUTCOME_STYLES.get(step.outcome, "red"))
    yield Text(f"{step.answered} of {step.trials}")
    yield Text("" if step.time_ns is None else quantity_text(step.time_ns, Unit.NANOSECONDS))
    yield Text("" if step.page_ins is None else f"{step.page_ins:.0f}")
    yield Text("" if step.peak_bytes is None else quantity_text(step.peak_bytes, Unit.BYTES))


def _chains(results: Sequence[Result]) -> Table:
    """A row per limit: which variant answered in the end, and what the others cost."""
    table = Table("fallback chain", "memory limit", "answered by", "time", "lost", "tries")
    for result in results:
        for ladder in result.ladders:
            for chain in ladder.chains:
                tries = ", ".join(f"{link.variant}: {link.outcome}" for link in chain.links)
                table.add_row(
                    Text(visible(result.job.title)),
                    quantity_text(chain.limit_bytes, Unit.BYTES),
                    Text(visible(chain.answered_by or "none")),
                    quantity_text(chain.time_ns, Unit.NANOSECONDS),
                    quantity_text(chain.lost_ns, Unit.NANOSECONDS),
                    Text(visible(tries)),
                )
    return table
