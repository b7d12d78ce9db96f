"""The store's tables, and how attempts become rows and come back. Rows that come back are not trusted."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    ColumnElement,
    DateTime,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    cast,
)

from benchharness.metrics import METRICS
from benchharness.metrics.percentiles import samples_for_percentile
from benchharness.records import MEMORY_TIMELINE, TABLES
from benchharness.results.cell import cell_of
from benchharness.results.result import Attempt, Measurement, Outcome, OutcomeKind, ResultWarning
from benchharness.results.samples import Kept, Numbers, Summary, pack, summarized, unpack
from benchharness.results.told import Conditions, Effective

#: The Alembic revision that this code reads and writes.
REVISION = "0005"
#: What reading rows may raise where they hold something else than was written: JSON of another kind, nested without an
#: end, or with numbers beyond all bounds.
DAMAGE = (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError)

#: What of a `Summary` has columns of their own, by their names, in its order.
SUMMARIZED = {
    "first_sample": "first",
    "least_sample": "least",
    "middle_sample": "middle",
    "deviation": "deviation",
    "mean_sample": "mean",
}

metadata = MetaData()
runs = Table(
    "runs",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("suite", String(100), nullable=False),
    Column("suite_digest", String(64), nullable=False),
    Column("suite_json", Text, nullable=False),
    Column("hardware_json", Text, nullable=False),
    Column("version", String(40), nullable=False),
    Column("started", DateTime(timezone=True), nullable=False),
    Column("finished", DateTime(timezone=True)),
    Column("state", String(20), nullable=False),
    Column("pruned", DateTime(timezone=True)),  # when samples of it were last dropped
    Column("imported", DateTime(timezone=True)),
    Column("origin", String(200), nullable=False, default="", server_default=""),  # the store that it was imported from
)
#: How long the columns of a job are that hold names from outside.
LONGEST = {"model": 200, "variant": 200, "configuration": 200, "scenario": 60, "digest": 64, "hardware": 200}
jobs = Table(
    "jobs",
    metadata,
    Column("run_id", ForeignKey("runs.id"), primary_key=True),
    Column("key", String(16), primary_key=True),
    Column("position", Integer, nullable=False),
    Column("job_json", Text, nullable=False),
    Column("stopped", Text, nullable=False, default=""),
    # What lists and comparisons ask for, so that nobody has to read every job; all of it stands in `job_json` too.
    Column("cell", String(32), nullable=False, index=True),
    *(Column(name, String(length), nullable=False) for name, length in LONGEST.items()),
)
attempts = Table(
    "attempts",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("run_id", ForeignKey("runs.id"), nullable=False, index=True),
    Column("job_key", String(16), nullable=False),
    Column("round", Integer, nullable=False),
    Column("device", String(64), nullable=False),
    Column("host", String(64), nullable=False),
    Column("started", DateTime(timezone=True), nullable=False),
    Column("duration_ns", BigInteger, nullable=False),
    Column("outcome", String(20), nullable=False),
    Column("reason", Text, nullable=False),
    Column("evidence", Text, nullable=False),
    Column("effective", JSON, nullable=False),
    Column("conditions", JSON, nullable=False),
    Column("warnings", JSON, nullable=False),
    Index("ix_attempts_of_job", "run_id", "job_key"),
)
measurements = Table(
    "measurements",
    metadata,
    Column("attempt_id", ForeignKey("attempts.id"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("metric", String(60), nullable=False),
    Column("parameters", JSON, nullable=False),
    Column("value", Float, nullable=False),
    Column("row_length", Integer, nullable=False),
    # zlib of little-endian float64; no byte at all where they were pruned, and a summary says what is kept of them.
    Column("samples", LargeBinary, nullable=False),
    Column("percentiles", JSON, nullable=False),  # {"50": value, …}, those that the samples carry; {} for raw rows
    # What else is asked of samples, so that nobody has to unpack them for a table: `samples.Summary`. Without a count
    # nothing of it is known; NULL stands for NaN in the others.
    Column("samples_count", Integer),
    *(Column(name, Float) for name in SUMMARIZED),
)
#: A copy of what history asks of finished runs: `results.packed_nights`. Where a run has none, its rows are read.
packed_nights = Table(
    "packed_nights",
    metadata,
    Column("run_id", ForeignKey("runs.id"), primary_key=True),
    Column("form", Integer, nullable=False),
    Column("jobs", Text, nullable=False),
    Column("metrics", Text, nullable=False),
    Column("figures", LargeBinary, nullable=False),
)


#: The columns that an attempt and a measurement are made of.
_OF_ATTEMPT = (
    *("id", "job_key", "round", "device", "host", "started", "duration_ns", "outcome", "reason", "evidence"),
    *("effective", "conditions", "warnings"),
)
_OF_MEASUREMENT = (
    *("metric", "parameters", "value", "row_length", "samples", "percentiles", "samples_count"),
    *SUMMARIZED,
)


def _plain(column: Column[Any]) -> ColumnElement[Any]:
    """A column as it is stored: an object as its text."""
    return cast(column, Text).label(column.name) if isinstance(column.type, JSON) else column


def attempt_row(attempt: Attempt) -> dict[str, Any]:
    """The columns of an attempt, without its run."""
    return {
        "id": attempt.id,
        "job_key": attempt.job,
        "round": attempt.round,
        "device": attempt.device,
        "host": attempt.host,
        "started": attempt.started,
        "duration_ns": attempt.duration_ns,
        "outcome": attempt.outcome.kind.value,
        "reason": attempt.outcome.reason,
        "evidence": attempt.outcome.evidence,
        "effective": attempt.effective.to_json(),
        "conditions": attempt.conditions.to_json(),
        "warnings": [asdict(warning) for warning in attempt.warnings],
    }


def job_columns(job: Mapping[str, Any]) -> dict[str, str]:
    """What of a job, as it is stored, stands in columns of its own; names are cut where a column ends."""
    named = {name: str(job.get(name, "")) for name in ("model", "variant", "scenario", "digest", "hardware")}
    named["configuration"] = str((job.get("configuration") or {}).get("name", ""))
    return {"cell": cell_of(job), **{name: value[: LONGEST[name]] for name, value in named.items()}}


def percentiles_of(metric: str, samples: Numbers) -> dict[str, float]:
    """By percentile, what a measurement's samples carry; {} for metrics that have none, such as raw rows."""
    known = METRICS.get(metric)
    if known is None or not len(samples):
        return {}
    wanted = [each for each in known.percentiles or known.tails if len(samples) >= samples_for_percentile(each)]
    return {str(each): float(value) for each, value in zip(wanted, np.percentile(samples, wanted), strict=True)}


def is_summed_up(metric: str) -> bool:
    """Whether of a metric's samples nothing is asked but what is kept beside them. Rows of raw tables are asked each.

    Of these only memory over time is drawn, and nothing else.
    """
    return metric not in TABLES or metric == MEMORY_TIMELINE.metric


def summary_columns(samples: Numbers) -> dict[str, Any]:
    """The columns of a measurement that sum its samples up."""
    summary = summarized(samples, {})
    return {"samples_count": summary.count, **{column: getattr(summary, of) for column, of in SUMMARIZED.items()}}


def measurement_rows(attempt: Attempt) -> list[dict[str, Any]]:
    """A row for each measurement of an attempt, in order."""
    return [
        {
            "attempt_id": attempt.id,
            "position": position,
            "metric": measurement.metric,
            "parameters": dict(measurement.parameters),
            "value": measurement.value,
            "row_length": measurement.row_length,
            **_samples_columns(measurement.metric, np.asarray(measurement.samples, np.float64)),
        }
        for position, measurement in enumerate(attempt.measurements)
    ]


def _samples_columns(metric: str, samples: NDArray[np.float64]) -> dict[str, Any]:
    return {
        "samples": pack(samples),
        "percentiles": percentiles_of(metric, samples),
        **summary_columns(samples),
    }


class Reader:
    """Makes attempts of rows, whose samples stay packed. `where` begins what is said of those that are damaged.

    `pruned` is when samples of their run were dropped.
    What many attempts tell alike is read once and shared among them. Raises `ValueError` or `TypeError` for damage.
    """

    #: What `attempt` and `measurement` take, in this order. Objects come as text, which tells whether it is known.
    ATTEMPT = tuple(_plain(attempts.c[name]) for name in _OF_ATTEMPT)
    MEASUREMENT = tuple(_plain(measurements.c[name]) for name in _OF_MEASUREMENT)

    def __init__(self, where: str, pruned: datetime | None = None) -> None:
        self._where = where
        self._pruned = pruned
        self._parsed: Callable[[str], Any] = cache(json.loads)
        self._outcome = cache(
            lambda kind, reason, evidence: Outcome(kind=OutcomeKind(kind), reason=reason, evidence=evidence)
        )
        self._effective = cache(lambda text: Effective.from_json(json.loads(text)))
        self._conditions = cache(lambda text: Conditions.from_json(json.loads(text)))
        self._warnings = cache(lambda text: tuple(ResultWarning(**warning) for warning in json.loads(text)))

    def attempt(self, row: Sequence[Any], measured: Sequence[Measurement]) -> Attempt:
        """An attempt from its row and its measurements."""
        id_, job, round_, device, host, started, duration_ns, kind, reason, evidence, *told = row
        effective, conditions, warnings = told
        return Attempt(
            id=id_,
            job=job,
            round=round_,
            device=device,
            host=host,
            started=utc(started),
            duration_ns=duration_ns,
            outcome=self._outcome(kind, reason, evidence),
            measurements=measured,
            effective=self._effective(effective),
            conditions=self._conditions(conditions),
            warnings=list(self._warnings(warnings)),
        )

    def measurement(self, row: Sequence[Any]) -> Measurement:
        """A measurement from its row."""
        metric, parameters, value, row_length, blob, percentiles, count, *summary = row
        return Measurement(
            metric=metric,
            parameters=self._parsed(parameters),
            value=value,
            samples=unpack(blob).tolist() if count is None else self._kept(blob, percentiles, count, summary),
            row_length=row_length,
        )

    def _kept(self, blob: bytes, percentiles: str, count: int, summary: Sequence[float | None]) -> Kept:
        first, least, middle, deviation, mean = (math.nan if one is None else one for one in summary)
        told = Summary(
            count=count,
            first=first,
            least=least,
            middle=middle,
            deviation=deviation,
            mean=mean,
            percentiles=by_percentile(json.loads(percentiles)),
        )
        return Kept(blob, told, self._where, None if blob else self._pruned)


def by_percentile(told: Any) -> dict[int, float]:
    """Percentiles as they are stored, by their number. Raises `ValueError` or `TypeError` where they are damaged."""
    if not isinstance(told, Mapping):
        raise TypeError(f"percentiles are no object but {str(told)[:60]!r}")
    return {int(name): float(value) for name, value in told.items()}


def utc(moment: datetime) -> datetime:
    """SQLite forgets the time zone; everything stored is UTC."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
