"""A line each for what no cell can hold: a session's verdict, a memory floor, a fallback to another variant or unit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchharness.metrics import Unit
from benchharness.results.courses import Chain, Course, Ladder, SessionState
from benchharness.results.result import Job, Result, ResultWarning, WarningKind
from benchharness.terminal.values import one_line, shortened
from benchharness.units import duration_text, quantity_text

STATE_STYLES = {SessionState.STEADY: "green", SessionState.UNKNOWN: "yellow"}
#: More lines of one sort are left to the details.
_MOST = 8
_LONGEST_NAME = 40


def course_lines(results: Sequence[Result]) -> Iterator[tuple[str, str]]:
    """Lines and their styles."""
    yield from _few([line for result in results for line in _sessions(result)])
    yield from _few([(_floor(result.job, ladder), "") for result in results for ladder in result.ladders])
    chains = [(result, chain) for result in results for ladder in result.ladders for chain in ladder.chains]
    yield from _few([(_chain(result.job, chain), "") for result, chain in chains])
    yield from _few(list(_fallbacks(results)))
    for result in results:
        yield from _few([(line, "") for line in _told(result)])


def _told(result: Result) -> Iterator[str]:
    """What its scenario says of it, under its name."""
    for number, said in enumerate(result.told):
        yield f"  {one_line(said)}" if number else one_line(f"{short_name(result.job)}: {said}")


def _few(lines: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    more = len(lines) - _MOST
    return [*lines[:_MOST], (f"… and {more} more with --details", "dim")] if more > 1 else [*lines]


def short_name(job: Job) -> str:
    """Variant, configuration, and what was asked of them."""
    asked = f"{job.scenario} {job.pace}".strip()
    return " · ".join(shortened(one_line(name), _LONGEST_NAME) for name in (job.variant, job.configuration.name, asked))


def _sessions(result: Result) -> Iterator[tuple[str, str]]:
    """A line for each state that the sessions of a job came to; figures and evidence are the first such session's."""
    states: dict[SessionState, list[Course]] = {}
    for course in result.courses:
        states.setdefault(course.state, []).append(course)
    for state, courses in states.items():
        counted = f" in {len(courses)} of {len(result.courses)} sessions" if len(result.courses) > 1 else ""
        parts = [f"{short_name(result.job)}: {state}{counted}", *_course(courses[0])]
        yield one_line("; ".join(parts)), STATE_STYLES.get(state, "red")


def _course(course: Course) -> Iterator[str]:
    burst = quantity_text(course.burst_rate, course.unit)
    if course.settled_rate is None:
        yield f"burst {burst}, steady state unknown"
    else:
        kept = "" if course.retention is None else f" ({share_text(course.retention)} of it)"
        yield f"burst {burst}, then {quantity_text(course.settled_rate, course.unit)}{kept}"
    yield from (sentence.rstrip(".") for sentence in course.evidence)


def share_text(share: float) -> str:
    """A share of the burst rate in percent, one digit behind the point."""
    return f"{100 * share:.1f} %"


def floor_text(ladder: Ladder) -> str:
    """The least memory with which it answered, or why none is known."""
    if ladder.floor_bytes is None:
        return f"{ladder.floor_name} unknown ({one_line(ladder.reason)})"
    above = "" if ladder.failing_bytes is None else f", fails with {quantity_text(ladder.failing_bytes, Unit.BYTES)}"
    return f"{ladder.floor_name} {quantity_text(ladder.floor_bytes, Unit.BYTES)}{above} (by {one_line(ladder.by)})"


def _floor(job: Job, ladder: Ladder) -> str:
    return f"{short_name(job)}: {floor_text(ladder)}"


def _chain(job: Job, chain: Chain) -> str:
    limit = quantity_text(chain.limit_bytes, Unit.BYTES)
    tries = ", ".join(f"{shortened(one_line(link.variant), _LONGEST_NAME)} {link.outcome}" for link in chain.links)
    answered = (
        f"{shortened(one_line(chain.answered_by), _LONGEST_NAME)} answered" if chain.answered_by else "none answered"
    )
    took, lost = duration_text(chain.time_ns / 1e9), duration_text(chain.lost_ns / 1e9)
    return one_line(f"{short_name(job)} with {limit}: {answered} after {took}, {lost} of it lost ({tries})")


def _fallbacks(results: Sequence[Result]) -> Iterator[tuple[str, str]]:
    """Each thing that was said of an accelerator that took only part of a model, once."""
    found: dict[ResultWarning, list[Job]] = {}
    for result in results:
        for warning in result.warnings:
            if warning.kind is WarningKind.FALLBACK:
                found.setdefault(warning, []).append(result.job)
    for warning, jobs in found.items():
        also = f" and {len(jobs) - 1} more" if len(jobs) > 1 else ""
        yield f"{short_name(jobs[0])}{also}: {one_line(warning.message)}", "yellow"
