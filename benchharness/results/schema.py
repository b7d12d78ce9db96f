"""The store's tables, and how attempts become rows and come back. Rows that come back are not trusted."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import numpy as np
from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
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
)
from sqlalchemy.engine import RowMapping

from benchharness.metrics import METRICS
from benchharness.results.cell import cell_of
from benchharness.results.result import Attempt, Measurement, Outcome, OutcomeKind, ResultWarning
from benchharness.results.told import Conditions, Effective

#: The Alembic revision that this code reads and writes.
REVISION = "0002"
#: A blob that unpacks to more is not ours: 10 million samples.
_MOST_BLOB_BYTES = 80_000_000

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
)
#: How long the columns of a job are that hold names from outside.
_LONGEST = {"model": 200, "variant": 200, "configuration": 200, "scenario": 60, "digest": 64, "hardware": 200}
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
    *(Column(name, String(length), nullable=False) for name, length in _LONGEST.items()),
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
    Column("samples", LargeBinary, nullable=False),  # zlib of little-endian float64
    Column("percentiles", JSON, nullable=False),  # {"50": value, …}, those that the samples carry; {} for raw rows
)


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
    return {"cell": cell_of(job), **{name: value[: _LONGEST[name]] for name, value in named.items()}}


def percentiles_of(metric: str, samples: Sequence[float]) -> dict[str, float]:
    """By percentile, what a measurement's samples carry; {} for metrics that have none, such as raw rows."""
    from benchharness.metrics.percentiles import samples_for_percentile  # scipy takes long to load, and lists need none

    known = METRICS.get(metric)
    if known is None or not samples:
        return {}
    wanted = [each for each in known.percentiles or known.tails if len(samples) >= samples_for_percentile(each)]
    return {str(each): float(value) for each, value in zip(wanted, np.percentile(samples, wanted), strict=True)}


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
            "samples": zlib.compress(np.asarray(measurement.samples, "<f8").tobytes(), 1),
            "percentiles": percentiles_of(measurement.metric, measurement.samples),
        }
        for position, measurement in enumerate(attempt.measurements)
    ]


def measurement_from(row: RowMapping) -> Measurement:
    """A measurement from its row. Raises `ValueError` where the row is damaged."""
    return Measurement(
        metric=row["metric"],
        parameters=row["parameters"],
        value=row["value"],
        samples=unpack(row["samples"]),
        row_length=row["row_length"],
    )


def unpack(blob: bytes) -> list[float]:
    """The samples of a measurement. Raises `ValueError` where they are damaged, or more than any attempt has."""
    unpacker = zlib.decompressobj()
    try:
        unpacked = unpacker.decompress(blob, _MOST_BLOB_BYTES)
    except zlib.error as error:
        raise ValueError(f"samples cannot be unpacked: {error}") from error
    if not unpacker.eof:
        raise ValueError("samples are cut off, or far more than any attempt has")
    samples: list[float] = np.frombuffer(unpacked, "<f8").tolist()
    return samples


def attempt_from(row: RowMapping, measured: Sequence[Measurement]) -> Attempt:
    """An attempt from its row. Raises `ValueError` or `TypeError` where the row is damaged."""
    return Attempt(
        id=row["id"],
        job=row["job_key"],
        round=row["round"],
        device=row["device"],
        host=row["host"],
        started=utc(row["started"]),
        duration_ns=row["duration_ns"],
        outcome=Outcome(kind=OutcomeKind(row["outcome"]), reason=row["reason"], evidence=row["evidence"]),
        measurements=measured,
        effective=Effective.from_json(row["effective"]),
        conditions=Conditions.from_json(row["conditions"]),
        warnings=[ResultWarning(**warning) for warning in row["warnings"]],
    )


def utc(moment: datetime) -> datetime:
    """SQLite forgets the time zone; everything stored is UTC."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
