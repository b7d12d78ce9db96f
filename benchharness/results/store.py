"""Attempts, saved as they end. Results are never stored: they are derived from attempts (`derive`).

One row per attempt and metric, its samples a compact blob. SQLite in WAL mode, or any database that SQLAlchemy
speaks. What is read back is not trusted: blobs are bounded, JSON is data, nothing is executed.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from operator import itemgetter
from pathlib import Path
from typing import Any, cast

from sqlalchemy import Connection, Engine, create_engine, event, func, insert, inspect, select, update
from sqlalchemy.engine import URL, RowMapping, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import StaticPool

from benchharness import __version__
from benchharness.errors import RunNotFound, StoreError
from benchharness.results.history import Part, Told, read
from benchharness.results.ids import new_id
from benchharness.results.result import Attempt, Figure, Job, Measurement, OutcomeKind, Run
from benchharness.results.schema import (
    REVISION,
    Reader,
    attempt_row,
    attempts,
    by_percentile,
    job_columns,
    jobs,
    measurement_rows,
    measurements,
    runs,
    utc,
)

#: How long a writer waits for another one's transaction.
_BUSY_MS = 30_000


class Store:
    """Opens, migrates, writes and reads one store. Every error of the database is a `StoreError`."""

    def __init__(self, url: str) -> None:
        self.url = url
        with _as_store_errors(url):
            self._engine = _up_to_date(_engine(url), url)

    def create_run(
        self, *, suite: str, digest: str, suite_json: str, hardware_json: str, planned: Sequence[Job]
    ) -> str:
        """Stores a new run with its jobs; its id (UUIDv7)."""
        run = new_id()
        with self._writing() as connection:
            connection.execute(
                insert(runs).values(
                    id=run,
                    suite=suite,
                    suite_digest=digest,
                    suite_json=suite_json,
                    hardware_json=hardware_json,
                    version=__version__,
                    started=datetime.now(UTC),
                    state="interrupted",  # until somebody walks it
                )
            )
            connection.execute(insert(jobs), [_job_row(run, position, job) for position, job in enumerate(planned)])
        return run

    def save_attempt(self, run: str, attempt: Attempt) -> None:
        """Stores an attempt with its measurements in one transaction; one that is there already is left alone."""
        with self._writing() as connection:
            if connection.execute(select(attempts.c.id).where(attempts.c.id == attempt.id)).first():
                return
            connection.execute(insert(attempts).values(run_id=run, **attempt_row(attempt)))
            if attempt.measurements:
                connection.execute(insert(measurements), measurement_rows(attempt))

    def stop_job(self, run: str, job: str, reason: str) -> None:
        """Notes why a job gets no more attempts."""
        with self._writing() as connection:
            where = (jobs.c.run_id == run) & (jobs.c.key == job)
            connection.execute(update(jobs).where(where).values(stopped=reason))

    def set_state(self, run: str, state: str) -> None:
        """`running`, `interrupted` or `finished`."""
        finished = datetime.now(UTC) if state == "finished" else None
        with self._writing() as connection:
            connection.execute(update(runs).where(runs.c.id == run).values(state=state, finished=finished))

    def find(self, name: str) -> str:
        """A run's id from its id, a unique prefix, or `latest`. Raises `RunNotFound`."""
        with self._reading() as connection:
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
        with self._reading() as connection:
            return [_run(row) for row in connection.execute(_RUNS.order_by(runs.c.started.desc())).mappings()]

    def hardware_of_runs(self) -> dict[str, list[str]]:
        """By a run's id, the hardware targets that its jobs were planned for."""
        query = select(jobs.c.run_id, jobs.c.hardware).group_by(jobs.c.run_id, jobs.c.hardware)
        query = query.order_by(func.min(jobs.c.position))
        found: dict[str, list[str]] = {}
        with self._reading() as connection:
            for run, hardware in connection.execute(query):
                found.setdefault(run, []).append(hardware)
        return found

    def runs_by_suite_and_hardware(self) -> dict[tuple[str, str], list[Run]]:
        """By suite and hardware target, the runs, newest first."""
        hardware = self.hardware_of_runs()
        found: dict[tuple[str, str], list[Run]] = {}
        for each in self.list_runs():
            for name in hardware.get(each.id, ()):
                found.setdefault((each.suite, name), []).append(each)
        return found

    def run(self, run: str) -> Run:
        """One run by its full id."""
        with self._reading() as connection:
            return _run(connection.execute(_RUNS.where(runs.c.id == run)).mappings().one())

    def suite_and_hardware(self, run: str) -> tuple[str, str]:
        """The JSON of the suite and of the hardware target that a run was started with."""
        with self._reading() as connection:
            row = connection.execute(select(runs.c.suite_json, runs.c.hardware_json).where(runs.c.id == run)).one()
            return str(row[0]), str(row[1])

    def jobs(self, run: str) -> list[tuple[Job, str]]:
        """A run's jobs in the suite's order, each with why it stopped ("" if it did not)."""
        with self._reading() as connection:
            query = select(jobs.c.job_json, jobs.c.stopped).where(jobs.c.run_id == run).order_by(jobs.c.position)
            return [(Job.from_json(json.loads(text)), str(stopped)) for text, stopped in connection.execute(query)]

    def attempts(self, run: str) -> list[Attempt]:
        """A run's attempts with their measurements, in the order they were made.

        Samples are unpacked when somebody looks at them, and raise `StoreError` then where they are damaged.
        """
        reader = Reader(f"the store {self.url} holds what cannot be read")
        with self._reading() as connection:
            query = (
                select(measurements.c.attempt_id, measurements.c.position, *Reader.MEASUREMENT)
                .join(attempts, attempts.c.id == measurements.c.attempt_id)
                .where(attempts.c.run_id == run)
            )
            placed: dict[str, list[tuple[int, Measurement]]] = {}
            for attempt, position, *row in connection.execute(query).all():
                placed.setdefault(attempt, []).append((position, reader.measurement(row)))
            # In order here: a database would copy every blob to sort them.
            measured = {attempt: [each for _, each in sorted(some, key=_PLACE)] for attempt, some in placed.items()}
            query = select(*Reader.ATTEMPT).where(attempts.c.run_id == run).order_by(attempts.c.started, attempts.c.id)
            return [reader.attempt(row, measured.get(row[0], [])) for row in connection.execute(query).all()]

    def figures(
        self, *, cells: Sequence[str] | None = None, metric: str | None = None, since: datetime | None = None
    ) -> list[Figure]:
        """What attempts that ended well measured, in any run, oldest first, without their samples.

        Only of these cells, of this metric, of runs that started no earlier.
        """
        query = (
            select(*_FIGURE)
            .join(attempts, attempts.c.id == measurements.c.attempt_id)
            .join(runs, runs.c.id == attempts.c.run_id)
            .join(jobs, (jobs.c.run_id == attempts.c.run_id) & (jobs.c.key == attempts.c.job_key))
            .where(attempts.c.outcome == OutcomeKind.OK.value)
            .order_by(runs.c.started, runs.c.id, jobs.c.position, attempts.c.round, measurements.c.position)
        )
        if cells is not None:
            query = query.where(jobs.c.cell.in_(cells))
        if metric is not None:
            query = query.where(measurements.c.metric == metric)
        if since is not None:
            query = query.where(runs.c.started >= since)
        with self._reading() as connection:
            return [_figure(row) for row in connection.execute(query).mappings()]

    def history(self, part: Part) -> Told:
        """What history is told from, of that part of the store; see `results.history`."""
        with self._reading() as connection:
            return read(connection, part)

    def close(self) -> None:
        """Lets go of the database."""
        self._engine.dispose()

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with _as_store_errors(self.url), self._engine.begin() as connection:
            try:
                yield connection
            except (ValueError, TypeError, KeyError) as error:
                what = f"the store {self.url} holds what cannot be read: {error}; it is damaged or not ours"
                raise StoreError(what) from error

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with _as_store_errors(self.url), _writer(self._engine).begin() as connection:
            yield connection


_PLACE = itemgetter(0)
_COUNTS = [
    select(func.count()).select_from(table).where(table.c.run_id == runs.c.id).scalar_subquery().label(name)
    for name, table in (("jobs", jobs), ("attempts", attempts))
]
#: Runs with how many jobs and attempts each has.
_RUNS = select(runs, *_COUNTS)
_FIGURE = (
    runs.c.id.label("run"),
    runs.c.started,
    *(jobs.c[name] for name in ("key", "cell", "model", "variant", "configuration", "scenario", "digest", "hardware")),
    *(attempts.c[name] for name in ("device", "round")),
    *(measurements.c[name] for name in ("metric", "parameters", "value", "percentiles")),
)


def _job_row(run: str, position: int, job: Job) -> dict[str, Any]:
    stored = job.to_json()
    told = {"run_id": run, "key": job.key, "position": position, "job_json": json.dumps(stored), "stopped": ""}
    return {**told, **job_columns(stored)}


def _run(row: RowMapping) -> Run:
    return Run(
        id=row["id"],
        suite=row["suite"],
        suite_digest=row["suite_digest"],
        started=utc(row["started"]),
        finished=row["finished"] and utc(row["finished"]),
        state=row["state"],
        version=row["version"],
        jobs=row["jobs"],
        attempts=row["attempts"],
    )


def _figure(row: RowMapping) -> Figure:
    return Figure(**{**row, "started": utc(row["started"]), "percentiles": by_percentile(row["percentiles"])})


def _engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
    except ValueError as error:  # a port that is no number
        raise ArgumentError(str(error)) from error
    engine = create_engine(parsed, creator=_read_only_opener(parsed)) if _is_archive(parsed) else create_engine(parsed)
    if parsed.get_backend_name() == "sqlite":
        event.listen(engine, "connect", _configure_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _is_archive(url: URL) -> bool:
    """Whether this is an SQLite file that may be read and not written: a nightly job's, kept for others to look at."""
    if url.get_backend_name() != "sqlite" or not url.database or url.query:
        return False
    path = Path(url.database)
    return path.is_file() and not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK))


def _read_only_opener(url: URL) -> Callable[[], sqlite3.Connection]:
    """Opens the file without writing beside it; where no log of unfinished writes is, as one that does not change."""
    path = Path(url.database or "").absolute()
    log = path.with_name(f"{path.name}-wal")
    settled = not log.exists()
    address = f"{path.as_uri()}?mode=ro{'&immutable=1' if settled else ''}"
    return lambda: sqlite3.connect(address, uri=True, check_same_thread=False)


def _writer(engine: Engine) -> Engine:
    return engine.execution_options(writes=True)


def _configure_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # transactions begin where SQLAlchemy begins them, table changes included
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={_BUSY_MS}")
    cursor.execute("PRAGMA synchronous=FULL")  # an attempt reported as saved survives a power cut
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # A writer takes its lock at once and waits for it; a reader that becomes a writer would be refused instead.
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _use_wal(engine: Engine) -> None:
    """Write-ahead logging, which stays with the file. Two openers of a new file can be in each other's way."""
    if engine.dialect.name != "sqlite":
        return
    deadline = time.monotonic() + _BUSY_MS / 1000
    raw = engine.raw_connection()
    try:
        while True:
            try:
                raw.cursor().execute("PRAGMA journal_mode=WAL")
            except engine.dialect.loaded_dbapi.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise StoreError(f"{engine.url}: {error}; check its path, permissions and free space") from error
                time.sleep(0.02)
            else:
                return
    finally:
        raw.close()


def _up_to_date(engine: Engine, url: str) -> Engine:
    """The engine of a store in today's schema: migrated in place, or in memory where the file may not be written."""
    from benchharness.results import migrations

    with engine.connect() as connection:
        revision = migrations.revision_of(connection)
        if revision is None and inspect(connection).get_table_names():
            raise StoreError(
                f"{url}: a database of something else; name a file of its own, such as sqlite:///results.db"
            )
    if revision == REVISION:
        return engine
    if revision is not None and revision not in migrations.known():
        raise StoreError(f"{url}: written by a newer benchharness (schema {revision}); upgrade benchharness to read it")
    if revision is not None and _is_archive(engine.url):
        engine = _in_memory(engine)
    _use_wal(engine)
    with _writer(engine).begin() as connection:
        if migrations.revision_of(connection) != REVISION:  # nobody else was faster
            migrations.upgrade(connection)
    return engine


def _in_memory(archive: Engine) -> Engine:
    """A copy of an SQLite file that lives as long as its engine."""
    copy = sqlite3.connect(":memory:", check_same_thread=False)
    raw = archive.raw_connection()
    try:
        cast("sqlite3.Connection", raw.driver_connection).backup(copy)
    finally:
        raw.close()
        archive.dispose()
    engine = create_engine("sqlite://", creator=lambda: copy, poolclass=StaticPool)
    event.listen(engine, "connect", _configure_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


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
