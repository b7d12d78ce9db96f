"""Attempts, saved as they end. Results are never stored: they are derived from attempts (`derive`).

One row per attempt and metric, its samples a compact blob. SQLite in WAL mode, or any database that SQLAlchemy
speaks. What is read back is not trusted: blobs are bounded, JSON is data, nothing is executed.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import numpy as np
import uuid_utils
from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Connection,
    DateTime,
    Engine,
    Float,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    event,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.engine import RowMapping, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from benchharness import __version__
from benchharness.errors import RunNotFound, StoreError
from benchharness.result import Attempt, Job, Measurement, Outcome, OutcomeKind, ResultWarning, Run

#: The Alembic revision that this code reads and writes.
REVISION = "0001"
#: A blob that unpacks to more is not ours: 10 million samples.
_MOST_BLOB_BYTES = 80_000_000
#: How long a writer waits for another one's transaction.
_BUSY_MS = 30_000

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
jobs = Table(
    "jobs",
    metadata,
    Column("run_id", ForeignKey("runs.id"), primary_key=True),
    Column("key", String(16), primary_key=True),
    Column("position", Integer, nullable=False),
    Column("job_json", Text, nullable=False),
    Column("stopped", Text, nullable=False, default=""),
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
)


class Store:
    """Opens, migrates, writes and reads one store. Every error of the database is a `StoreError`."""

    def __init__(self, url: str) -> None:
        self.url = url
        with _as_store_errors(url):
            self._engine = _engine(url)
            _bring_up_to_date(self._engine, url)

    def create_run(
        self, *, suite: str, digest: str, suite_json: str, hardware_json: str, planned: Sequence[Job]
    ) -> str:
        """Stores a new run with its jobs; its id (UUIDv7)."""
        run = str(uuid_utils.uuid7())
        with self._transaction() as connection:
            connection.execute(
                insert(runs).values(
                    id=run,
                    suite=suite,
                    suite_digest=digest,
                    suite_json=suite_json,
                    hardware_json=hardware_json,
                    version=__version__,
                    started=datetime.now(UTC),
                    state="running",
                )
            )
            rows = [
                {
                    "run_id": run,
                    "key": job.key,
                    "position": position,
                    "job_json": json.dumps(asdict(job)),
                    "stopped": "",
                }
                for position, job in enumerate(planned)
            ]
            connection.execute(insert(jobs), rows)
        return run

    def save_attempt(self, run: str, attempt: Attempt) -> None:
        """Stores an attempt with its measurements in one transaction; one that is there already is left alone."""
        with self._transaction() as connection:
            if connection.execute(select(attempts.c.id).where(attempts.c.id == attempt.id)).first():
                return
            connection.execute(insert(attempts).values(run_id=run, **_attempt_row(attempt)))
            if attempt.measurements:
                connection.execute(insert(measurements), _measurement_rows(attempt))

    def stop_job(self, run: str, job: str, reason: str) -> None:
        """Notes why a job gets no more attempts."""
        with self._transaction() as connection:
            where = (jobs.c.run_id == run) & (jobs.c.key == job)
            connection.execute(update(jobs).where(where).values(stopped=reason))

    def set_state(self, run: str, state: str) -> None:
        """`running`, `interrupted` or `finished`."""
        finished = datetime.now(UTC) if state == "finished" else None
        with self._transaction() as connection:
            connection.execute(update(runs).where(runs.c.id == run).values(state=state, finished=finished))

    def find(self, name: str) -> str:
        """A run's id from its id, a unique prefix, or `latest`. Raises `RunNotFound`."""
        with self._transaction() as connection:
            if name == "latest":
                found = connection.execute(select(runs.c.id).order_by(runs.c.started.desc()).limit(1)).scalars().all()
                if not found:
                    raise RunNotFound(f"the store {self.url} holds no run yet; make one with: benchharness demo")
                return str(found[0])
            found = (
                connection.execute(select(runs.c.id).where(runs.c.id.startswith(name, autoescape=True))).scalars().all()
            )
        if len(found) == 1:
            return str(found[0])
        if found:
            raise RunNotFound(f"{len(found)} runs begin with {name!r}; write more of the id (see: benchharness runs)")
        raise RunNotFound(f"no run begins with {name!r} in {self.url}; see: benchharness runs")

    def list_runs(self) -> list[Run]:
        """Every run, newest first."""
        with self._transaction() as connection:
            found = connection.execute(select(runs).order_by(runs.c.started.desc())).mappings().all()
            return [self._run(connection, row) for row in found]

    def run(self, run: str) -> Run:
        """One run by its full id."""
        with self._transaction() as connection:
            return self._run(connection, connection.execute(select(runs).where(runs.c.id == run)).mappings().one())

    def suite_and_hardware(self, run: str) -> tuple[str, str]:
        """The JSON of the suite and of the hardware target that a run was started with."""
        with self._transaction() as connection:
            row = connection.execute(select(runs.c.suite_json, runs.c.hardware_json).where(runs.c.id == run)).one()
            return str(row[0]), str(row[1])

    def jobs(self, run: str) -> list[tuple[Job, str]]:
        """A run's jobs in the suite's order, each with why it stopped ("" if it did not)."""
        with self._transaction() as connection:
            query = select(jobs.c.job_json, jobs.c.stopped).where(jobs.c.run_id == run).order_by(jobs.c.position)
            return [(Job(**json.loads(text)), str(stopped)) for text, stopped in connection.execute(query)]

    def attempts(self, run: str) -> list[Attempt]:
        """A run's attempts with their measurements, in the order they were made."""
        with self._transaction() as connection:
            query = (
                select(measurements)
                .join(attempts, attempts.c.id == measurements.c.attempt_id)
                .where(attempts.c.run_id == run)
                .order_by(measurements.c.attempt_id, measurements.c.position)
            )
            measured: dict[str, list[Measurement]] = {}
            for row in connection.execute(query).mappings():
                measured.setdefault(row["attempt_id"], []).append(_measurement(row))
            query = select(attempts).where(attempts.c.run_id == run).order_by(attempts.c.started, attempts.c.id)
            return [_attempt(row, measured.get(row["id"], [])) for row in connection.execute(query).mappings()]

    def close(self) -> None:
        """Lets go of the database."""
        self._engine.dispose()

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        with _as_store_errors(self.url), self._engine.begin() as connection:
            yield connection

    def _run(self, connection: Connection, row: RowMapping) -> Run:
        counts = [
            connection.execute(select(func.count()).select_from(table).where(table.c.run_id == row["id"])).scalar_one()
            for table in (jobs, attempts)
        ]
        return Run(
            id=row["id"],
            suite=row["suite"],
            suite_digest=row["suite_digest"],
            started=_utc(row["started"]),
            finished=row["finished"] and _utc(row["finished"]),
            state=row["state"],
            version=row["version"],
            jobs=counts[0],
            attempts=counts[1],
        )


def _engine(url: str) -> Engine:
    parsed = make_url(url)
    engine = create_engine(parsed)
    if parsed.get_backend_name() == "sqlite":
        event.listen(engine, "connect", _configure_sqlite)
    return engine


def _configure_sqlite(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={_BUSY_MS}")
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")  # an attempt reported as saved survives a power cut
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _bring_up_to_date(engine: Engine, url: str) -> None:
    from benchharness import migrations

    with engine.connect() as connection:
        revision = migrations.revision_of(connection)
    if revision == REVISION:
        return
    if revision is not None and revision not in migrations.known():
        raise StoreError(f"{url}: written by a newer benchharness (schema {revision}); upgrade benchharness to read it")
    with engine.begin() as connection:
        migrations.upgrade(connection)


@contextmanager
def _as_store_errors(url: str) -> Iterator[None]:
    try:
        yield
    except ArgumentError as error:
        raise StoreError(f"{url!r} is not a store's URL; write for example sqlite:///results.db") from error
    except SQLAlchemyError as error:
        cause = getattr(error, "orig", None) or error
        raise StoreError(f"the store {url} failed: {cause}; check its path, permissions and free space") from error
    except ModuleNotFoundError as error:
        raise StoreError(f"the store {url} needs a driver that is not installed: {error.name}") from error


def _attempt_row(attempt: Attempt) -> dict[str, Any]:
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
        "effective": dict(attempt.effective),
        "conditions": dict(attempt.conditions),
        "warnings": [asdict(warning) for warning in attempt.warnings],
    }


def _measurement_rows(attempt: Attempt) -> list[dict[str, Any]]:
    return [
        {
            "attempt_id": attempt.id,
            "position": position,
            "metric": measurement.metric,
            "parameters": dict(measurement.parameters),
            "value": measurement.value,
            "row_length": measurement.row_length,
            "samples": zlib.compress(np.asarray(measurement.samples, "<f8").tobytes(), 1),
        }
        for position, measurement in enumerate(attempt.measurements)
    ]


def _measurement(row: RowMapping) -> Measurement:
    unpacked = zlib.decompressobj().decompress(row["samples"], _MOST_BLOB_BYTES)
    return Measurement(
        metric=row["metric"],
        parameters=row["parameters"],
        value=row["value"],
        samples=np.frombuffer(unpacked, "<f8").tolist(),
        row_length=row["row_length"],
    )


def _attempt(row: RowMapping, measured: Sequence[Measurement]) -> Attempt:
    return Attempt(
        id=row["id"],
        job=row["job_key"],
        round=row["round"],
        device=row["device"],
        host=row["host"],
        started=_utc(row["started"]),
        duration_ns=row["duration_ns"],
        outcome=Outcome(kind=OutcomeKind(row["outcome"]), reason=row["reason"], evidence=row["evidence"]),
        measurements=measured,
        effective=row["effective"],
        conditions=row["conditions"],
        warnings=[ResultWarning(**warning) for warning in row["warnings"]],
    )


def _utc(moment: datetime) -> datetime:
    """SQLite forgets the time zone; everything stored is UTC."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
