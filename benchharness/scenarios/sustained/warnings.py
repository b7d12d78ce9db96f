"""What makes sustained attempts less sure: the verdicts on their courses."""

from __future__ import annotations

from collections.abc import Iterator

from benchharness.results.courses import SessionState
from benchharness.results.result import Result, ResultWarning, WarningKind
from benchharness.scenarios.sustained.power import METER_SENSOR

#: Which warning a course's verdict is, and what can be done about it.
_VERDICTS = {
    SessionState.QUOTA: (
        WarningKind.THROTTLED,
        "raise the container's CPU limit, or say that the quota is the product's",
    ),
    SessionState.CORES: (
        WarningKind.THROTTLED,
        "let the process have all its cores, or say that the system's affinity or cpuset is the product's",
    ),
    SessionState.HEAT: (WarningKind.THROTTLED, "this is what the device keeps up: plan with the steady-state rate"),
    SessionState.CONTENTION: (
        WarningKind.CONTENDED,
        "close other programs, or measure on a device that does nothing else",
    ),
    SessionState.STEAL: (WarningKind.CONTENDED, "the hypervisor gives the cores to others: use a machine of its own"),
    SessionState.SLOW_CORE: (WarningKind.NOT_STEADY, "heat does this, and so does a neighbour that uses the memory"),
    SessionState.UNKNOWN: (WarningKind.NOT_STEADY, "measure for longer, from a settled device"),
}


def of_courses(result: Result) -> Iterator[ResultWarning]:
    """Sustained attempts that were not steady, by verdict, in the words of the last of each."""
    for state, (kind, hint) in _VERDICTS.items():
        found = [course for course in result.courses if course.state is state]
        if found:
            yield ResultWarning(
                kind=kind,
                message=f"{state} in {len(found)} of {len(result.courses)} sessions: {'; '.join(found[-1].evidence)}",
                hint=hint,
            )


def of_meter(result: Result) -> Iterator[ResultWarning]:
    """A meter that the profile declares and that told nothing, in the words of the last course."""
    silent = [
        course.sensors_unknown[METER_SENSOR] for course in result.courses if METER_SENSOR in course.sensors_unknown
    ]
    if silent:
        yield ResultWarning(
            kind=WarningKind.NOT_APPLIED,
            message=f"the external meter told nothing in {len(silent)} of {len(result.courses)} courses: {silent[-1]}",
            hint="see whether its program writes, and what the profile's table 'meter' says of it",
        )
