"""Whether a figure is evidence: for being better than another one, and for keeping a budget or missing it. Pure.

A figure may be shown and still prove nothing: the course behind it was disturbed, another runtime computed what the
weights say, or it was measured by a rule that has been mended since. What no attempt
can change, such as a size, is known whatever became of the attempts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from benchharness.judge import earlier
from benchharness.metrics import METRICS, Unit
from benchharness.results.courses import Course, SessionState
from benchharness.results.result import EXACT, Estimate, MetricResult, Result, WarningKind

#: What disturbs a course from outside: its speed is not the model's then.
DISTURBED = (SessionState.QUOTA, SessionState.CORES, SessionState.CONTENTION, SessionState.STEAL)
#: What waiting changes: how long things take, and what they take meanwhile.
_TIMED = (Unit.NANOSECONDS, Unit.TOKENS_PER_SECOND, Unit.INFERENCES_PER_SECOND, Unit.JOULES)
_TIMED_SHARES = ("retention", "retention_of_steady")


def no_evidence(result: Result, metric: MetricResult) -> str:
    """Why a figure of a result proves nothing; "" where it does."""
    if metric.estimate.statistic == EXACT:
        return ""
    found = _of_all(result)
    if not found and (METRICS[metric.name].unit in _TIMED or metric.name in _TIMED_SHARES):
        found = _disturbed(result.courses)
    return f"no evidence: {found}" if found else ""


def _of_all(result: Result) -> str:
    if not result.outcome.ok:
        return f"most attempts ended otherwise, {result.outcome.kind}"
    if not result.effective.on_device:
        return "a reference execution, which says what the weights say and not what the device does"
    before = next(
        (each for each in result.warnings if each.kind is WarningKind.EARLIER_RULE and earlier.on_figures(each)), None
    )
    return before.message if before else ""


def _disturbed(courses: Sequence[Course]) -> str:
    """Courses only: what an attempt of seconds waited for is a warning beside its figure, and its figure stands."""
    states = [course.state for course in courses if course.state in DISTURBED]
    named = ", ".join(dict.fromkeys(map(str, states)))
    of = f"{len(courses)} session{'' if len(courses) == 1 else 's'}"
    return f"{named} in {len(states)} of {of}" if states else ""


def told_apart(results: Sequence[Result], tells_apart: float) -> list[Result]:
    """The results with ratios that are called better or worse from this threshold on."""

    def marked(ratio: Estimate) -> Estimate:
        return replace(ratio, tells_apart=tells_apart)

    return [
        replace(
            result,
            metrics=[replace(each, ratio=each.ratio and marked(each.ratio)) for each in result.metrics],
            contrasts=[
                replace(each, ratios=[(name, parameters, marked(ratio)) for name, parameters, ratio in each.ratios])
                for each in result.contrasts
            ],
        )
        for result in results
    ]
