"""Scenario `sustained`: requests for minutes, and what the device keeps up meanwhile.

`course` makes a course of an attempt's windows, `detect` finds where its rate changed, `heat` whether that was heat.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from benchharness.scenarios.definition import Scenario, ScenarioSettings, Settings, nanoseconds
from benchharness.suite.fields import Count, Depth, Fraction, Pause, Seconds, all_different, as_list

if TYPE_CHECKING:
    from benchharness.results.courses import Course
    from benchharness.results.result import Attempt, MetricResult, Result, ResultWarning

#: What a longer session's windows and sensor readings say would not go over a line to the host in one message.
_LONGEST_SESSION_S = 7200.0


class Sustained(ScenarioSettings):
    """Settings of scenario `sustained`: how long, how paced, and how long to wait for a cool and settled start.

    `every` starts a request that often, `duty` keeps the device busy for that share of the time; without them requests
    are back to back. A window ends after `window`, or sooner where it holds `window_inferences`.
    """

    duration: Annotated[Seconds, Field(le=_LONGEST_SESSION_S)] = 60.0
    every: Annotated[tuple[Seconds, ...], BeforeValidator(as_list), AfterValidator(all_different)] = ()
    duty: Annotated[tuple[Fraction, ...], BeforeValidator(as_list), AfterValidator(all_different)] = ()
    window: Seconds = 1.0
    window_inferences: Count = 100
    warmup: Depth = 2
    entry_gate: Pause = 60.0  # at most; 0 s: start at once

    def expanded(self) -> Iterator[Settings]:
        """One for each pace."""
        made = {
            "duration_ns": nanoseconds(self.duration),
            "window_ns": nanoseconds(self.window),
            "window_inferences": self.window_inferences,
            "warmup": self.warmup,
            "entry_gate_s": self.entry_gate,
        }
        if not self.every and not self.duty:
            yield made
        yield from ({**made, "every_ns": nanoseconds(every)} for every in self.every)
        yield from ({**made, "duty": duty} for duty in self.duty)


class SustainedScenario(Scenario):
    """One session for a set time, its sensors read all through."""

    name = "sustained"
    title = "speed over minutes, when a device grows hot"
    settings = Sustained
    device = "benchharness.device.scenarios.sustained"
    opens_only = True
    sections = ("reports.sections.sustained.section", "reports.sections.pauses.section")
    sensors = True
    summed_up = True

    def courses(self, good: Sequence[Attempt]) -> Iterator[Course]:
        """One for each attempt."""
        from benchharness.scenarios.sustained.course import courses  # numpy and the detection take long to load

        return courses(good)

    def derived(self, good: Sequence[Attempt], courses: Sequence[Course]) -> Iterator[MetricResult]:
        """Rates at the start and at the end, and what was kept."""
        from benchharness.scenarios.sustained.course import sustained_metrics

        return sustained_metrics(good, courses)

    def beside(self, result: Result, others: Sequence[Result]) -> Iterator[MetricResult]:
        """Its rate held against that of a cool device."""
        from benchharness.scenarios.sustained.course import retention_of_steady

        if result.courses and (kept := retention_of_steady(result, others)) is not None:
            yield kept

    def disturbances(self, result: Result) -> Iterator[ResultWarning] | None:
        """The verdicts on its courses, where there are any."""
        from benchharness.scenarios.sustained.warnings import of_courses

        return of_courses(result) if result.courses else None

    def warnings(self, result: Result) -> Iterator[ResultWarning]:
        """A declared meter that told nothing."""
        from benchharness.scenarios.sustained.warnings import of_meter

        return of_meter(result)


SCENARIO = SustainedScenario()
