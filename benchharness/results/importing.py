"""Brings runs of another store into this one. The other is read and never changed, and nothing in it is believed.

A run comes whole, in one transaction, or not at all: whoever ends the process at any moment can import again, and gets
what was missing. What is here stays as it is: the same again adds nothing, and something else under an id that is here
is refused. A run that was imported is never executed; where it is from stands in `runs.origin`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Connection, func, insert, select, update

from benchharness.errors import StoreError
from benchharness.metrics import METRICS
from benchharness.results.packed_nights import keep
from benchharness.results.plausibility import contradictions
from benchharness.results.result import Attempt, Job
from benchharness.results.samples import pruned, unpack
from benchharness.results.schema import Reader, attempts, jobs, measurements, runs, utc
from benchharness.results.store import Store
from benchharness.results.untrusted import (
    MOST_ATTEMPTS,
    MOST_JOBS,
    MOST_MEASUREMENTS,
    MOST_RUN_BYTES,
    NotOurs,
    attempt_columns,
    job_row,
    measurement_columns,
    run_row,
)

#: What two runs of one id must share, and their jobs and attempts: everything but what goes on while they are made.
_OF_RUN = ("suite", "suite_digest", "suite_json", "hardware_json", "version", "started")
_OF_JOB = ("position", "job_json")
_OF_ATTEMPT = (
    *("job_key", "round", "device", "host", "started", "duration_ns", "outcome", "reason", "evidence"),
    *("effective", "conditions", "warnings"),
)
_OF_MEASUREMENT = ("metric", "parameters", "value", "row_length")
#: Of samples of which one side has no more: what both kept.
_KEPT = ("samples_count", "first_sample", "least_sample", "middle_sample")
_LONGEST_ORIGIN = 200

#: Tries whether a run can be shown: its suite, its hardware target, its jobs and attempts. Raises whatever it raises.
Trial = Callable[[str, str, Sequence[tuple[Job, str]], Sequence[Attempt]], None]
#: Hears how many attempts are done, and of how many.
Watching = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class Imported:
    """What became of the runs of one store: `added` and `here` by id, `refused` by what it is, with the reason.

    `attempts` were added, those among them that runs of before lacked.
    """

    source: str
    added: Sequence[str] = ()
    went_on: Sequence[str] = ()  # here already, and had gone on there
    here: Sequence[str] = ()
    attempts: int = 0
    refused: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Whole:
    """A run with all that belongs to it, as rows of ours; jobs and attempts by key and id, measurements by attempt."""

    run: dict[str, Any]
    jobs: dict[str, dict[str, Any]]
    attempts: dict[str, dict[str, Any]]
    measured: dict[str, list[dict[str, Any]]]


def named(source: str | Path, into: str) -> str:
    """The URL of a store that is named by its file or its URL. Raises `StoreError` for what cannot be imported."""
    told = str(source)
    url = told if "://" in told else f"sqlite:///{Path(told).expanduser().absolute()}"
    path, mine = _file(url), _file(into)
    if path is not None and path.is_symlink():
        raise StoreError(f"{told}: it is a link; name the file itself, {os.path.realpath(path)}")
    if url == into or (path and mine and path.exists() and mine.exists() and path.samefile(mine)):
        raise StoreError(f"{told}: it is this store itself")
    return url


def _file(url: str) -> Path | None:
    return Path(url.removeprefix("sqlite:///")) if url.startswith("sqlite:///") else None


def check(source: Store) -> None:
    """Raises `StoreError` for a store that is damaged, or lacks what stores of its schema have."""
    if trouble := source.integrity(quick=True):
        raise StoreError(f"{source.url}: it is damaged ({trouble[0]}); nothing was imported")
    if lacks := source.lacks():
        raise StoreError(
            f"{source.url}: it lacks {', '.join(lacks[:3])}, and its schema has that; nothing was imported"
        )


def import_from(source: Store, into: Store, origin: str, trial: Trial, watching: Watching | None = None) -> Imported:
    """Brings every run of `source` here that is sound. Raises `StoreError` where either store fails.

    `origin` is what is kept of where they are from.
    """
    with source.reading() as connection:
        listed = list(connection.execute(select(runs.c.id).order_by(runs.c.started, runs.c.id)).scalars())
        total = connection.execute(select(func.count()).select_from(attempts)).scalar_one()
        refused = dict(_stray(connection))
    added: list[str] = []
    went_on: list[str] = []
    here: list[str] = []
    count = done = 0
    for number, run in enumerate(listed):
        try:
            whole = _read(source, run, listed[:number])
            _try(source, whole, trial)
            known, new = _brought(into, whole, origin[-_LONGEST_ORIGIN:])
        except NotOurs as error:
            refused[f"run {run!s:.60}"] = str(error)
        else:
            (here if known and not new else went_on if known else added).append(run)
            count, done = count + new, done + len(whole.attempts)
        if watching:
            watching(done, total)
    return Imported(source=origin, added=added, went_on=went_on, here=here, attempts=count, refused=refused)


def _stray(connection: Connection) -> Iterator[tuple[str, str]]:
    """What belongs to no run of that store, and so to nobody."""
    for what, table, parent in (
        ("jobs", jobs, select(runs.c.id).where(runs.c.id == jobs.c.run_id)),
        ("attempts", attempts, select(runs.c.id).where(runs.c.id == attempts.c.run_id)),
        ("measurements", measurements, select(attempts.c.id).where(attempts.c.id == measurements.c.attempt_id)),
    ):
        query = select(func.count()).select_from(table).where(~parent.exists())
        if number := connection.execute(query).scalar_one():
            yield f"{number} {what}", f"they are of no {'attempt' if what == 'measurements' else 'run'} there"


def _read(source: Store, run: str, before: Sequence[str]) -> _Whole:
    """A run as rows of ours. Raises `NotOurs`."""
    if not isinstance(run, str) or run in before:
        raise NotOurs("its id stands there twice, or is none")
    try:
        with source.reading() as connection:
            _bound(connection, run)
            return _rows(connection, run)
    except (StoreError, OverflowError) as error:  # such as a column that holds another type than it says
        raise NotOurs(f"it holds what cannot be read: {error!s:.300}") from error


def _bound(connection: Connection, run: str) -> None:
    """Refuses a run that is larger than any, before it is read."""
    of_run = select(attempts.c.id).where(attempts.c.run_id == run)
    mine = measurements.c.attempt_id.in_(of_run)
    counts = {
        "jobs": (select(func.count()).select_from(jobs).where(jobs.c.run_id == run), MOST_JOBS),
        "attempts": (select(func.count()).select_from(of_run.subquery()), MOST_ATTEMPTS),
        "bytes of samples": (select(func.sum(func.length(measurements.c.samples))).where(mine), MOST_RUN_BYTES),
    }
    for what, (query, most) in counts.items():
        if (found := connection.execute(query).scalar() or 0) > most:
            raise NotOurs(f"it has {found} {what}, and no run has more than {most}")


def _rows(connection: Connection, run: str) -> _Whole:
    names = ("id", *_OF_RUN, "finished", "state", "pruned")
    query = select(*(runs.c[name] for name in names)).where(runs.c.id == run)
    told = run_row(connection.execute(query).mappings().one())
    query = select(*(jobs.c[name] for name in ("key", "position", "job_json", "stopped"))).where(jobs.c.run_id == run)
    planned = [job_row(row) for row in connection.execute(query.order_by(jobs.c.position)).mappings()]
    query = select(*Reader.ATTEMPT).where(attempts.c.run_id == run).order_by(attempts.c.started)
    made = [attempt_columns(row) for row in connection.execute(query).mappings()]
    whole = _Whole(
        run=told,
        jobs={each["key"]: each for each in planned},
        attempts={each["id"]: each for each in made},
        measured={each["id"]: [] for each in made},
    )
    if len(whole.jobs) < len(planned) or len(whole.attempts) < len(made):
        raise NotOurs("one of its jobs or attempts stands there twice")
    for each in made:
        if each["job_key"] not in whole.jobs:
            raise NotOurs(f"attempt {each['id']} is of job {each['job_key']}, which the run does not have")
    _measured(connection, whole)
    return whole


def _measured(connection: Connection, whole: _Whole) -> None:
    """Reads the measurements of a run's attempts."""
    query = (
        select(measurements.c.attempt_id, measurements.c.position, *Reader.MEASUREMENT)
        .join(attempts, attempts.c.id == measurements.c.attempt_id)
        .where(attempts.c.run_id == whole.run["id"])
    )
    for row in connection.execute(query).mappings():
        told = dict(row)
        attempt = told.pop("attempt_id")
        found = measurement_columns(told, f"attempt {attempt}", pruned=whole.run["pruned"] is not None)
        whole.measured[attempt].append(found)
    for attempt, several in whole.measured.items():
        several.sort(key=lambda each: int(each["position"]))
        if len({each["position"] for each in several}) < len(several) or len(several) > MOST_MEASUREMENTS:
            raise NotOurs(f"attempt {attempt}: its measurements stand there twice, or are too many")


def _try(source: Store, whole: _Whole, trial: Trial) -> None:
    """Holds the numbers of a run against each other, and looks whether it can be shown. Raises `NotOurs`."""
    try:
        planned, made = source.jobs(whole.run["id"]), source.attempts(whole.run["id"])
        for attempt in made:
            if attempt.outcome.ok:
                _hold(attempt)
        trial(whole.run["suite_json"], whole.run["hardware_json"], planned, made)
    except NotOurs:
        raise
    except Exception as error:
        raise NotOurs(f"it cannot be shown: {error!s:.300} ({type(error).__name__})") from error


def _hold(attempt: Attempt) -> None:
    # Samples that were pruned cannot be held against anything, and metrics of other packages nobody here knows.
    there = [each for each in attempt.measurements if pruned(each.samples) is None and each.metric in METRICS]
    memory = attempt.conditions.others.get("memory_bytes")
    for nonsense in contradictions(there, attempt.duration_ns, memory):
        raise NotOurs(f"attempt {attempt.id}: {nonsense}")


def _brought(into: Store, whole: _Whole, origin: str) -> tuple[bool, int]:
    """Stores what is not here; whether the run was here, and how many attempts were not. Raises `NotOurs`."""
    run = whole.run["id"]
    with into.writing() as connection:
        found = connection.execute(select(runs).where(runs.c.id == run)).mappings().one_or_none()
        mine: dict[str, Any] | None = None if found is None else {**found}
        new = _new_attempts(connection, whole)
        if mine is None:
            brought = {**whole.run, "state": _state(whole.run), "imported": datetime.now(UTC), "origin": origin}
            connection.execute(insert(runs).values(**brought))
            if whole.jobs:
                connection.execute(insert(jobs), [{"run_id": run, **each} for each in whole.jobs.values()])
        else:
            _same_run(connection, mine, whole)
            if not mine["origin"] and new:
                raise NotOurs(f"it is a run of this store, and there it has {len(new)} attempts more")
            if mine["origin"]:
                _go_on(connection, mine, whole, grown=bool(new))
        _insert(connection, run, [whole.attempts[each] for each in new], whole)
        keep(connection, run)
    return mine is not None, len(new)


def _state(run: Mapping[str, Any]) -> str:
    """Nobody is at work on it here."""
    return "finished" if run["state"] == "finished" else "interrupted"


def _insert(connection: Connection, run: str, made: Sequence[dict[str, Any]], whole: _Whole) -> None:
    if made:
        connection.execute(insert(attempts), [{"run_id": run, **each} for each in made])
    rows = [{"attempt_id": each["id"], **row} for each in made for row in whole.measured[each["id"]]]
    if rows:
        connection.execute(insert(measurements), rows)


def _same_run(connection: Connection, mine: Mapping[str, Any], whole: _Whole) -> None:
    """Whether a run that is here is the same one. Raises `NotOurs`."""
    for name in _OF_RUN:
        if _plain(mine[name]) != _plain(whole.run[name]):
            raise NotOurs(f"a run of this id is here, with another {name}; neither was changed")
    here = {row["key"]: row for row in connection.execute(_of(jobs, mine["id"])).mappings()}
    if here.keys() != whole.jobs.keys():
        raise NotOurs("a run of this id is here, with other jobs; neither was changed")
    for key, job in whole.jobs.items():
        if any(here[key][name] != job[name] for name in _OF_JOB):
            raise NotOurs(f"a run of this id is here, and its job {key} is another; neither was changed")


def _of(table: Any, run: str) -> Any:
    return select(table).where(table.c.run_id == run)


def _new_attempts(connection: Connection, whole: _Whole) -> list[str]:
    """The attempts that are not here. Raises `NotOurs` for one that is, with other content or in another run."""
    ids = list(whole.attempts)
    here: dict[str, Any] = {}
    for start in range(0, len(ids), 500):
        some = attempts.c.id.in_(ids[start : start + 500])
        here |= {row["id"]: row for row in connection.execute(select(attempts).where(some)).mappings()}
        query = select(measurements).where(measurements.c.attempt_id.in_(ids[start : start + 500]))
        found: dict[str, list[Any]] = {}
        for row in connection.execute(query.order_by(measurements.c.position)).mappings():
            found.setdefault(row["attempt_id"], []).append(row)
        for each in ids[start : start + 500]:
            if each in here and not _same_attempt(here[each], found.get(each, []), whole, each):
                raise NotOurs(f"an attempt {each} is here, with other content; neither was changed")
    return [each for each in ids if each not in here]


def _same_attempt(mine: Mapping[str, Any], measured: Sequence[Any], whole: _Whole, attempt: str) -> bool:
    theirs, others = whole.attempts[attempt], whole.measured[attempt]
    return (
        mine["run_id"] == whole.run["id"]
        and all(_plain(mine[name]) == _plain(theirs[name]) for name in _OF_ATTEMPT)
        and len(measured) == len(others)
        and all(map(_same_measurement, measured, others))
    )


def _same_measurement(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> bool:
    if any(_plain(mine[name]) != _plain(theirs[name]) for name in _OF_MEASUREMENT):
        return False
    if not mine["samples"] or not theirs["samples"]:
        return all(mine[name] == theirs[name] for name in _KEPT)
    return mine["samples"] == theirs["samples"] or _alike(mine["samples"], theirs["samples"])


def _alike(mine: bytes, theirs: bytes) -> bool:
    """Whether two blobs hold the same: other versions of zlib pack otherwise."""
    try:
        return np.array_equal(unpack(mine), unpack(theirs))
    except ValueError:  # what is here is damaged
        return False


def _plain(value: Any) -> Any:
    """As two stores can be compared: moments in UTC, objects as their text, with the order of keys."""
    if isinstance(value, datetime):
        return utc(value)
    return json.dumps(value) if isinstance(value, dict | list) else value


def _go_on(connection: Connection, mine: Mapping[str, Any], whole: _Whole, *, grown: bool) -> None:
    """Takes over what became of an imported run where it is made."""
    run = mine["id"]
    if mine["state"] != "finished" and whole.run["state"] == "finished":
        done = {"state": "finished", "finished": whole.run["finished"]}
        connection.execute(update(runs).where(runs.c.id == run).values(**done))
    if grown and whole.run["pruned"] is not None and mine["pruned"] is None:
        connection.execute(update(runs).where(runs.c.id == run).values(pruned=whole.run["pruned"]))
    for key, job in whole.jobs.items():
        where = (jobs.c.run_id == run) & (jobs.c.key == key) & (jobs.c.stopped != job["stopped"])
        connection.execute(update(jobs).where(where).values(stopped=job["stopped"]))
