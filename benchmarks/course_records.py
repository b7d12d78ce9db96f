"""Sustained sessions as they are kept: a line of JSON each, written when the session ends, judged again at any time.

The first line says what was asked for. A process that is killed while it writes loses the line that it was at.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from benchharness.errors import UsageError
from benchharness.records import SUSTAINED_WINDOW
from benchharness.results.courses import Course
from benchharness.results.result import Attempt, Measurement, Outcome, OutcomeKind
from benchharness.results.told import Conditions
from benchharness.scenarios.sustained.course import courses
from benchmarks.course_plan import Planned

#: What a session is called that yielded no verdict, because its attempt failed.
FAILED = "failed"
_KEPT = ("sustained_window", "sensor_reading", "process_limits")


@dataclass(frozen=True, kw_only=True)
class Session:
    """One session: what was planned, what was done to it, and what the harness measured."""

    planned: Planned
    injected: Mapping[str, Any]
    attempt: Attempt

    @property
    def course(self) -> Course | None:
        """The harness's description of it as it would be today; None where the attempt failed."""
        return next(courses([self.attempt]), None)


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A session as the matrix needs it. `state` is a `SessionState` or `FAILED`."""

    name: str
    kind: str
    threads: int
    state: str
    retention: float | None
    took_hold: bool
    begun_early: bool  # the condition set in before the baseline was over
    busy_cores: float
    others_cores: float  # of them, what neither the session nor its condition took; NaN where the attempt failed
    why: str  # the evidence


def judged(session: Session) -> Judged:
    """The present verdict on a session."""
    planned, injected, course = session.planned, session.injected, session.course
    applied = injected.get("applied") or [(math.inf, 0.0)]
    return Judged(
        name=planned.name,
        kind=planned.kind,
        threads=planned.threads,
        state=str(course.state) if course else FAILED,
        retention=course.retention if course else None,
        took_hold=bool(injected.get("took_hold")),
        begun_early=course is not None
        and course.baseline[1] > 0
        and applied[0][0] < course.windows[course.baseline[1] - 1].end_s,
        busy_cores=float(injected.get("busy_cores", math.nan)),
        others_cores=_others(session),
        why="; ".join(course.evidence) if course else str(session.attempt.outcome),
    )


def _others(session: Session) -> float:
    """Cores that others took on average; the harness's own looks and messages are among them."""
    told = next((each for each in session.attempt.measurements if each.metric == SUSTAINED_WINDOW.metric), None)
    if told is None:
        return math.nan
    column = SUSTAINED_WINDOW.by_name(told.samples)
    lasted_ns = float(column["end"][-1] - column["start"][0])
    after = session.injected.get("applied") or [(math.inf, 0.0)]
    with_hog = max(0.0, 1 - float(after[0][0]) * 1e9 / lasted_ns)
    hog = float(session.injected.get("hog_share", 0.0)) * with_hog
    own = float(sum(column["process_cpu"])) / lasted_ns
    return float(session.injected.get("busy_cores", math.nan)) - own - hog


class Records:
    """The file of one series of sessions."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def begin(self, asked: Mapping[str, Any]) -> None:
        """Starts the file. Raises `UsageError` where it is there already."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.path.exists():
            raise UsageError(f"{self.path} is there already; go on with --resume, or remove it")
        self._append({"asked": dict(asked)})

    def append(self, session: Session, verdict: Judged) -> None:
        """Keeps a session, with the verdict of the day, on the disk when this returns."""
        self._append(
            {
                "planned": asdict(session.planned),
                "injected": dict(session.injected),
                "state": verdict.state,
                "retention": verdict.retention,
                "why": verdict.why,
                "attempt": _told(session.attempt),
            }
        )

    def read(self) -> tuple[Mapping[str, Any], list[Session]]:
        """What was asked for, and all whole sessions. Raises `UsageError`."""
        try:
            lines = self.path.read_bytes().split(b"\n")[:-1]  # what follows the last line's end is not whole
            asked, *rows = [json.loads(line) for line in lines]
            return asked["asked"], [_session(row) for row in rows]
        except OSError as error:
            raise UsageError(f"{self.path}: {error.strerror}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{self.path}: not a file of sessions: {error}") from error

    def cut(self) -> None:
        """Drops the line that a killed process did not finish."""
        data = self.path.read_bytes()
        os.truncate(self.path, data.rfind(b"\n") + 1)

    def _append(self, row: Mapping[str, Any]) -> None:
        line = json.dumps(row, separators=(",", ":"), allow_nan=False) + "\n"
        with self.path.open("ab") as file:
            file.write(line.encode())
            file.flush()
            os.fsync(file.fileno())


def _told(attempt: Attempt) -> dict[str, Any]:
    return {
        "id": attempt.id,
        "device": attempt.device,
        "started": attempt.started.isoformat(),
        "duration_ns": attempt.duration_ns,
        "outcome": str(attempt.outcome.kind),
        "reason": attempt.outcome.reason,
        "measurements": [
            [each.metric, dict(each.parameters), each.row_length, _compact(each.samples)]
            for each in attempt.measurements
            if each.metric in _KEPT
        ],
        "sensors": attempt.conditions.sensors or None,
    }


def _compact(samples: Sequence[float]) -> list[float]:
    """Whole numbers without their point."""
    return [int(value) if float(value).is_integer() else value for value in samples]


def _session(row: Mapping[str, Any]) -> Session:
    told = row["attempt"]
    attempt = Attempt(
        id=told["id"],
        job="",
        round=row["planned"]["index"],
        device=told["device"],
        host="",
        started=datetime.fromisoformat(told["started"]),
        duration_ns=told["duration_ns"],
        outcome=Outcome(kind=OutcomeKind(told["outcome"]), reason=told["reason"]),
        measurements=[
            Measurement(metric=metric, parameters=parameters, value=0.0, samples=samples, row_length=length)
            for metric, parameters, length, samples in told["measurements"]
        ],
        conditions=Conditions.from_json({"sensors": told["sensors"]}),
    )
    return Session(planned=Planned(**row["planned"]), injected=row["injected"], attempt=attempt)
