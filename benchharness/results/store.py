"""Attempts, saved as they end. Results are never stored: they are derived from attempts (`derive`).

One row per attempt and metric, its samples a compact blob. SQLite in WAL mode, or any database that SQLAlchemy
speaks. What is read back is not trusted: blobs are bounded, JSON is data, nothing is executed.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from operator import itemgetter
from pathlib import Path
from typing import Any, cast

from sqlalchemy import Connection, func, insert, inspect, select, update
from sqlalchemy.engine import RowMapping
from sqlalchemy.exc import DatabaseError

from benchharness import __version__
from benchharness.errors import RunNotFound, StoreError
from benchharness.results import packed_nights
from benchharness.results.history import Part, Told, read
from benchharness.results.ids import new_id
from benchharness.results.opening import as_store_errors, open_to_write, open_unchanged, reader, writer
from benchharness.results.result import Attempt, Figure, Job, Measurement, OutcomeKind, Run
from benchharness.results.schema import (
    DAMAGE,
    Reader,
    attempt_row,
    attempts,
    by_percentile,
    job_columns,
    jobs,
    measurement_rows,
    measurements,
    metadata,
    runs,
    utc,
)


class Store:
    """Opens, migrates, writes and reads one store. Every error of the database is a `StoreError`.

    `read_only`: nothing is made or changed, not even its schema, and what it holds is not trusted to be a store; where
    its schema was an older one, a copy was `migrated_from` it.
    """

    def __init__(self, url: str, *, read_only: bool = False) -> None:
        self.url = url
        with as_store_errors(url):
            self._engine, self.migrated_from = open_unchanged(url) if read_only else (open_to_write(url), "")

    def create_run(
        self, *, suite: str, digest: str, suite_json: str, hardware_json: str, planned: Sequence[Job]
    ) -> str:
        """Stores a new run with its jobs; its id (UUIDv7)."""
        run = new_id()
        with self.writing() as connection:
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
        with self.writing() as connection:
            if connection.execute(select(attempts.c.id).where(attempts.c.id == attempt.id)).first():
                return
            connection.execute(insert(attempts).values(run_id=run, **attempt_row(attempt)))
            if attempt.measurements:
                connection.execute(insert(measurements), measurement_rows(attempt))
            packed_nights.drop(connection, run)

    def stop_job(self, run: str, job: str, reason: str) -> None:
        """Notes why a job gets no more attempts."""
        with self.writing() as connection:
            where = (jobs.c.run_id == run) & (jobs.c.key == job)
            connection.execute(update(jobs).where(where).values(stopped=reason))

    def set_state(self, run: str, state: str) -> None:
        """`running`, `interrupted` or `finished`."""
        finished = datetime.now(UTC) if state == "finished" else None
        with self.writing() as connection:
            connection.execute(update(runs).where(runs.c.id == run).values(state=state, finished=finished))
            packed_nights.keep(connection, run)

    def find(self, name: str) -> str:
        """A run's id from its id, a unique prefix, or `latest`. Raises `RunNotFound`."""
        with self.reading() as connection:
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
        file = "; nor is it a file or folder here" if {"/", "\\", "."} & set(name) else ""
        raise RunNotFound(f"no run begins with {name!r} in {self.url}{file}; see: benchharness runs")

    def list_runs(self, suite: str | None = None) -> list[Run]:
        """Every run, newest first; only those of one suite."""
        query = _RUNS if suite is None else _RUNS.where(runs.c.suite == suite)
        with self.reading() as connection:
            return [_run(row) for row in connection.execute(query.order_by(runs.c.started.desc())).mappings()]

    def finished_on(self, suite: str, devices: Sequence[str]) -> list[tuple[Run, str]]:
        """The finished runs of a suite on some devices, newest first, each with its device."""
        where = (runs.c.suite == suite) & (runs.c.state == "finished") & attempts.c.device.in_(devices)
        on = select(attempts.c.run_id, attempts.c.device).join(runs, runs.c.id == attempts.c.run_id)
        device = on.where(where).distinct().subquery()
        query = _RUNS.add_columns(device.c.device).join(device, device.c.run_id == runs.c.id)
        with self.reading() as connection:
            rows = connection.execute(query.order_by(runs.c.started.desc())).mappings()
            return [(_run(row), row["device"]) for row in rows]

    def devices_of(self, several: Sequence[str]) -> list[tuple[str, str]]:
        """The devices of some runs, as (run, device), those of the newest run first."""
        query = select(attempts.c.run_id, attempts.c.device).join(runs, runs.c.id == attempts.c.run_id)
        query = query.where(attempts.c.run_id.in_(several)).distinct().add_columns(runs.c.started)
        with self.reading() as connection:
            rows = connection.execute(query.order_by(runs.c.started.desc(), attempts.c.device)).all()
            return [(str(row.run_id), str(row.device)) for row in rows]

    def runs_of(self, planned: Sequence[Job], since: datetime) -> list[str]:
        """The finished runs of these jobs and no others, whatever they are called and wherever their files lay.

        Newest first, none older than `since`, none that was imported. Jobs are the same by cell and artefact.
        """
        wanted = sorted((job.cell, job.digest) for job in planned)
        own = (runs.c.state == "finished") & (runs.c.origin == "") & (runs.c.started >= since)
        with_one = select(jobs.c.run_id).where((jobs.c.cell == wanted[0][0]) & (jobs.c.digest == wanted[0][1]))
        query = select(jobs.c.run_id, jobs.c.cell, jobs.c.digest).join(runs, runs.c.id == jobs.c.run_id)
        query = query.where(own & jobs.c.run_id.in_(with_one)).order_by(runs.c.started.desc(), runs.c.id.desc())
        found: dict[str, list[tuple[str, str]]] = {}
        with self.reading() as connection:
            for run, cell, digest in connection.execute(query):
                found.setdefault(run, []).append((cell, digest))
        return [run for run, theirs in found.items() if sorted(theirs) == wanted]

    def hardware_of_runs(self) -> dict[str, list[str]]:
        """By a run's id, the hardware targets that its jobs were planned for."""
        query = select(jobs.c.run_id, jobs.c.hardware).group_by(jobs.c.run_id, jobs.c.hardware)
        query = query.order_by(func.min(jobs.c.position))
        found: dict[str, list[str]] = {}
        with self.reading() as connection:
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
        with self.reading() as connection:
            return _run(connection.execute(_RUNS.where(runs.c.id == run)).mappings().one())

    def suite_and_hardware(self, run: str) -> tuple[str, str]:
        """The JSON of the suite and of the hardware target that a run was started with."""
        with self.reading() as connection:
            row = connection.execute(select(runs.c.suite_json, runs.c.hardware_json).where(runs.c.id == run)).one()
            return str(row[0]), str(row[1])

    def jobs(self, run: str) -> list[tuple[Job, str]]:
        """A run's jobs in the suite's order, each with why it stopped ("" if it did not)."""
        with self.reading() as connection:
            query = select(jobs.c.job_json, jobs.c.stopped).where(jobs.c.run_id == run).order_by(jobs.c.position)
            return [(Job.from_json(json.loads(text)), str(stopped)) for text, stopped in connection.execute(query)]

    def attempts(self, run: str) -> list[Attempt]:
        """A run's attempts with their measurements, in the order they were made.

        Samples are unpacked when somebody looks at them, and raise `StoreError` then where they are damaged.
        """
        with self.reading() as connection:
            pruned = connection.execute(select(runs.c.pruned).where(runs.c.id == run)).scalar()
            reader = Reader(f"the store {self.url} holds what cannot be read", pruned and utc(pruned))
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
        with self.reading() as connection:
            return [_figure(row) for row in connection.execute(query).mappings()]

    def file_bytes(self) -> int | None:
        """What an SQLite store takes on disk, with what is written ahead; None for any other."""
        path = Path(self._engine.url.database or "")
        if self._engine.dialect.name != "sqlite" or not path.is_file():
            return None
        log = path.with_name(f"{path.name}-wal")
        return path.stat().st_size + (log.stat().st_size if log.exists() else 0)

    def empty_share(self) -> float:
        """How much of an SQLite store is space of what was dropped; any other sees to that itself."""
        if self._engine.dialect.name != "sqlite":
            return 0.0
        with self.reading() as connection:
            empty, pages = (
                int(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one())
                for name in ("freelist_count", "page_count")
            )
        return empty / pages if pages else 0.0

    def integrity(self, *, quick: bool = False) -> list[str]:
        """What SQLite says is damaged, the first few; nothing where all is well. `quick`: without the indexes."""
        if self._engine.dialect.name != "sqlite":
            return []
        with as_store_errors(self.url), self._engine.begin() as connection:
            try:
                found = (
                    connection.exec_driver_sql(f"PRAGMA {'quick' if quick else 'integrity'}_check(5)").scalars().all()
                )
            except DatabaseError as error:
                return [str(error.orig)]
        return [" ".join(str(each).split()) for each in found if each != "ok"]

    def lacks(self) -> list[str]:
        """The columns of today's schema that are not there."""
        with as_store_errors(self.url), self._engine.begin() as connection:
            found = inspect(connection)
            there = {
                f"{table.name}.{column['name']}"
                for table in metadata.sorted_tables
                if found.has_table(table.name)
                for column in found.get_columns(table.name)
            }
        wanted = [f"{table.name}.{column.name}" for table in metadata.sorted_tables for column in table.columns]
        return [each for each in wanted if each not in there]

    def shrink(self) -> str:
        """Gives space of what was dropped back to the disk; why not where that cannot be now, else nothing."""
        if self._engine.dialect.name != "sqlite":
            return ""
        with as_store_errors(self.url), self._engine.connect() as connection:
            raw = cast("sqlite3.Connection", connection.connection.driver_connection)
            try:
                raw.execute("VACUUM")  # safe at any moment: it is written ahead like everything else
                ((busy, *_),) = raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            except sqlite3.OperationalError as error:
                return str(error)
        return "another program has the store open" if busy else ""

    def history(self, part: Part) -> Told:
        """What history is told from, of that part of the store; see `results.history`."""
        with self.reading() as connection:
            return read(connection, part)

    def close(self) -> None:
        """Lets go of the database."""
        self._engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that reads: what is read in it is of one moment."""
        with as_store_errors(self.url), reader(self._engine).begin() as connection:
            try:
                yield connection
            except DAMAGE as error:
                what = f"the store {self.url} holds what cannot be read: {error}; it is damaged or not ours"
                raise StoreError(what) from error

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that writes: all of it is stored, or nothing."""
        with as_store_errors(self.url), writer(self._engine).begin() as connection:
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
        pruned=row["pruned"] and utc(row["pruned"]),
        origin=row["origin"],
        jobs=row["jobs"],
        attempts=row["attempts"],
    )


def _figure(row: RowMapping) -> Figure:
    return Figure(**{**row, "started": utc(row["started"]), "percentiles": by_percentile(row["percentiles"])})
