"""Joules a token and an answer, of what was counted while a course ran; and by estimate, apart from it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from benchharness.records import SUSTAINED_WINDOW
from benchharness.results.courses import Course
from benchharness.results.result import Attempt, MetricResult
from benchharness.scenarios.sustained.battery import charged
from benchharness.scenarios.sustained.over_attempts import over_attempts
from benchharness.scenarios.sustained.power import CHARGE, METER_SENSOR, METERED, estimated_of, estimated_watts
from benchharness.scenarios.sustained.readings import LEAST_STEPS, Readings, Series

_TOO_COARSE = f"the battery's charge counter moved less than {LEAST_STEPS} times in the course: run a longer one"
_NOT_OF_THE_COURSE = (
    f"the external meter told no window of the course whole, or its counter moved less than {LEAST_STEPS} times in it"
)
#: What is known of less of a course is not told as if it were the course's.
_LEAST_KNOWN = 0.5
_LONGEST_REASON = 200


def energies(found: Sequence[Course], by_attempt: Mapping[str, Attempt]) -> Iterator[MetricResult]:
    """Measured ones always, for which there is a reason where nothing counted; estimates where there are any."""
    # What one counter tells has no mean with what another does, where it failed in an attempt: most attempts' is taken.
    told = [course.power_of for course in found if course.power_of]
    of = max(told, key=told.count, default="")
    taken = {course.attempt: _measured(course) if course.power_of == of else None for course in found}
    if not any(taken.values()):
        by_charge = {course.attempt: _by_charge(course) for course in found}
        if any(by_charge.values()):
            of, taken = CHARGE, by_charge
    yield from _told("", of, taken, found, by_attempt, _missing(found, by_attempt))
    estimated = {course.attempt: _estimated(by_attempt[course.attempt]) for course in found}
    if any(estimated.values()):
        of = next(filter(None, (estimated_of(each) for each in by_attempt.values())), "")
        yield from _told("estimated_", of, estimated, found, by_attempt, "")


#: Joules, and the windows that they are of.
Taken = tuple[float, Sequence[bool]]


def _told(
    kind: str,
    of: str,
    taken: Mapping[str, Taken | None],
    found: Sequence[Course],
    by_attempt: Mapping[str, Attempt],
    missing: str,
) -> Iterator[MetricResult]:
    parameters = {"of": of} if of else {}
    inferences: dict[str, float] = {}
    answers: dict[str, float] = {}
    for course in found:
        told = taken[course.attempt]
        if told is None:
            continue
        joules, windows = told
        made = sum(window.inferences for window, known in zip(course.windows, windows, strict=True) if known)
        if made < _LEAST_KNOWN * sum(window.inferences for window in course.windows):
            missing = f"it is known of less than {_LEAST_KNOWN:.0%} of the course only"
            continue
        inferences[course.attempt] = joules / made
        requests = _requests(by_attempt[course.attempt])[np.array(windows, dtype=bool)].sum()
        if course.unit == "tokens/s" and requests:
            answers[course.attempt] = joules / requests
    yield over_attempts(f"{kind}energy_per_inference", parameters, inferences, by_attempt, missing=missing)
    if answers:
        yield over_attempts(f"{kind}energy_per_answer", parameters, answers, by_attempt)


def _measured(course: Course) -> Taken | None:
    known = [window.watts is not None for window in course.windows]
    if not any(known):
        return None
    return sum((window.watts or 0.0) * (window.end_s - window.start_s) for window in course.windows), known


def _by_charge(course: Course) -> Taken | None:
    """Where a battery's charge counter was fine enough for the whole course."""
    if course.drained_watts is None:
        return None
    lasted_s = course.windows[-1].end_s - course.windows[0].start_s
    return course.drained_watts * lasted_s, [True] * len(course.windows)


def _estimated(attempt: Attempt) -> Taken | None:
    column = _windows(attempt)
    starts, ends = column["start"], column["end"]
    watts = estimated_watts(Readings(attempt), starts, ends)
    known = np.isfinite(watts)
    if not known.any():
        return None
    return float((watts * (ends - starts))[known].sum() / 1e9), known.tolist()


def _windows(attempt: Attempt) -> dict[str, Series]:
    (rows,) = (each.samples for each in attempt.measurements if each.metric == SUSTAINED_WINDOW.metric)
    return SUSTAINED_WINDOW.by_name(np.asarray(rows, dtype=np.float64))


def _requests(attempt: Attempt) -> Series:
    """Whole requests by window: none is ever cut."""
    return _windows(attempt)["requests"]


def _missing(found: Sequence[Course], by_attempt: Mapping[str, Attempt]) -> str:
    """Why nothing was counted."""
    for attempt in by_attempt.values():
        meter = attempt.conditions.sensors.get(METER_SENSOR)
        if isinstance(meter, Mapping) and meter.get("reason"):
            return str(meter["reason"])[:_LONGEST_REASON]
    if any(name.startswith(METERED) for course in found for name in course.sensors):
        return _NOT_OF_THE_COURSE
    coarse = _TOO_COARSE if any("drained_uj" in course.sensors for course in found) else "no energy sensor was read"
    return next(filter(None, map(charged, by_attempt.values())), coarse)
