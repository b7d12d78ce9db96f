"""Verifies a store without changing a byte: is it whole, and does what it says of itself agree with what it holds?

Trouble is what makes figures wrong or keeps them from being shown. Clocks that went back, and stores that are not of
today's schema, are told beside it: nothing is wrong with what was measured.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import numpy as np
from sqlalchemy import func, select, tuple_

from benchharness.errors import StoreError
from benchharness.results.packed_nights import FORM, packed
from benchharness.results.result import Job
from benchharness.results.samples import Numbers, unpack
from benchharness.results.schema import (
    DAMAGE,
    SUMMARIZED,
    Reader,
    attempts,
    is_summed_up,
    job_columns,
    jobs,
    measurements,
    packed_nights,
    runs,
    summary_columns,
    utc,
)
from benchharness.results.store import Store

#: So many of one kind are named; all are counted.
MOST_NAMED = 5
_AT_A_TIME = 500
#: What is computed anew may differ in its last digits from what another machine computed.
_ROUNDING = 1e-9
#: A clock that is set right by so much is an ordinary one.
_ORDINARY = timedelta(seconds=5)
#: What a job's key is made of (`suite.planning`), and what is in it only where the job has it.
_OF_KEY = (
    *("hardware", "model", "task", "variant", "reference", "artefact", "digest", "artefact_bytes", "recipe"),
    *("tokenizer", "configuration", "workload", "scenario", "settings", "timeout_s"),
)
_OF_KEY_WHERE_SAID = ("against", "chain", "tensors")

#: Hears how many measurements are done, and of how many.
Watching = Callable[[int, int], None]


@dataclass
class Finding:
    """Of one kind: how many there are, and the first few."""

    count: int = 0
    first: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Verified:
    """What was looked at, and by kind what is wrong and what is odd."""

    url: str
    runs: int
    jobs: int
    attempts: int
    measurements: int
    samples: int
    trouble: Mapping[str, Finding]
    notes: Mapping[str, Finding]

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.trouble


class _Found:
    """Gathers findings by kind, in the order first met."""

    def __init__(self) -> None:
        self.by_kind: dict[str, Finding] = {}

    def add(self, kind: str, which: str, count: int = 1) -> None:
        """Counts one more, or several of which only this is told."""
        found = self.by_kind.setdefault(kind, Finding())
        found.count += count
        if len(found.first) < MOST_NAMED:
            found.first.append(which)


def verify(store: Store, watching: Watching | None = None) -> Verified:
    """Looks at everything in a store that was opened to be read. Raises `StoreError` where it cannot be read at all."""
    trouble, notes = _Found(), _Found()
    for damage in store.integrity():
        trouble.add("SQLite finds damage", damage)
    if store.migrated_from:
        notes.add("of an older schema", f"{store.migrated_from}; a copy was migrated and verified")
    counted = {table.name: 0 for table in (runs, jobs, attempts, measurements)}
    samples = 0
    try:
        for column in store.lacks():
            trouble.add("the schema lacks a column", column)
        with store.reading() as connection:
            for table in (runs, jobs, attempts, measurements):
                counted[table.name] = connection.execute(select(func.count()).select_from(table)).scalar_one()
        _belonging(store, trouble)
        _runs(store, trouble, notes)
        _jobs(store, trouble)
        _attempts(store, trouble, notes)
        _packed(store, trouble)
        samples = _samples(store, trouble, counted["measurements"], watching)
    except StoreError as error:
        trouble.add("it cannot be read further", str(error))
    return Verified(url=store.url, **counted, samples=samples, trouble=trouble.by_kind, notes=notes.by_kind)


def _belonging(store: Store, trouble: _Found) -> None:
    """Whether everything has what it belongs to."""
    owner, night = measurements.c.attempt_id, packed_nights.c.run_id
    job = (jobs.c.run_id == attempts.c.run_id) & (jobs.c.key == attempts.c.job_key)
    asked = (
        ("jobs of no run", jobs.c.run_id, select(runs.c.id).where(runs.c.id == jobs.c.run_id)),
        ("attempts of no run", attempts.c.id, select(runs.c.id).where(runs.c.id == attempts.c.run_id)),
        ("attempts of no job", attempts.c.id, select(jobs.c.key).where(job)),
        ("measurements of no attempt", owner, select(attempts.c.id).where(attempts.c.id == owner)),
        (
            "packed nights of no run",
            night,
            select(runs.c.id).where((runs.c.id == night) & (runs.c.state == "finished")),
        ),
    )
    with store.reading() as connection:
        for kind, column, parent in asked:
            for each in connection.execute(select(column).where(~parent.exists())).scalars():
                trouble.add(kind, str(each))


def _runs(store: Store, trouble: _Found, notes: _Found) -> None:
    last: dict[str, tuple[str, datetime]] = {}
    with store.reading() as connection:
        for row in connection.execute(select(runs).order_by(runs.c.id)).mappings():
            run, started = row["id"], utc(row["started"])
            if row["state"] not in ("running", "interrupted", "finished"):
                trouble.add("runs in no state", f"{run}: {row['state']}")
            for name in ("suite_json", "hardware_json"):
                if not _is_object(row[name]):
                    trouble.add("runs whose request cannot be read", f"{run}: {name}")
            if row["finished"] and utc(row["finished"]) < started - _ORDINARY:
                notes.add("runs that ended before they began", run)
            # Ids tell the order in which runs were made, of one machine's clock.
            before, began = last.get(row["origin"], ("", started))
            if _has_time(run) and started < began - _ORDINARY:
                notes.add("runs out of order: a clock was set back", f"{run} began before {before}")
            last[row["origin"]] = max((before, began), (run, started), key=lambda each: each[1])


def _has_time(run: str) -> bool:
    try:
        return UUID(run).version == 7
    except ValueError:
        return False


def _is_object(text: Any) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, TypeError, RecursionError):
        return False


def _jobs(store: Store, trouble: _Found) -> None:
    with store.reading() as connection:
        for row in connection.execute(select(jobs)).mappings():
            which = f"{row['key']} of run {row['run_id']}"
            try:
                told = json.loads(row["job_json"])
                job, columns = Job.from_json(told), job_columns(told)
            except DAMAGE as error:
                trouble.add("jobs that cannot be read", f"{which}: {type(error).__name__}: {error!s:.100}")
                continue
            if job.key != row["key"]:
                trouble.add("jobs under another key", f"{which} calls itself {job.key!s:.20}")
            elif not job.side and key_of(told) != job.key:
                trouble.add("jobs whose key does not follow from what they say", which)
            if columns["cell"] != row["cell"]:
                trouble.add("jobs whose cell does not follow from what they say", which)
            differ = [name for name, value in columns.items() if name != "cell" and value != row[name]]
            if differ:
                trouble.add("jobs whose columns say something else", f"{which}: {', '.join(differ)}")


def key_of(job: Mapping[str, Any]) -> str:
    """The key that follows from what a stored job says; another one where two builds are compared."""
    facts = {name: job.get(name) for name in _OF_KEY}
    facts |= {name: job[name] for name in _OF_KEY_WHERE_SAID if job.get(name)}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def _attempts(store: Store, trouble: _Found, notes: _Found) -> None:
    began: dict[str, datetime] = {}
    reader = Reader(store.url)
    with store.reading() as connection:
        for run, started in connection.execute(select(runs.c.id, runs.c.started)):
            began[run] = utc(started)
        for run, *row in connection.execute(select(attempts.c.run_id, *Reader.ATTEMPT)):
            which = f"{row[0]} of run {run}"
            try:
                attempt = reader.attempt(row, [])
            except DAMAGE as error:
                trouble.add("attempts that cannot be read", f"{which}: {error!s:.100}")
                continue
            if attempt.duration_ns < 0:
                notes.add("attempts that ended before they began", which)
            if run in began and attempt.started < began[run] - _ORDINARY:
                notes.add("attempts before their run began", which)


def _packed(store: Store, trouble: _Found) -> None:
    """Whether what history reads of a night is what its attempts measured."""
    with store.reading() as connection:
        for row in connection.execute(select(packed_nights)).mappings().all():
            anew = packed(connection, row["run_id"])
            if row["form"] == FORM and (anew is None or any(row[name] != value for name, value in anew.items())):
                trouble.add("packed nights that do not agree with their attempts", row["run_id"])


def _samples(store: Store, trouble: _Found, total: int, watching: Watching | None) -> int:
    """Unpacks every sample, and holds it against what is kept beside; how many there are."""
    place = tuple_(measurements.c.attempt_id, measurements.c.position)
    names = ("attempt_id", "position", "metric", "value", "samples", "percentiles", "samples_count", *SUMMARIZED)
    query = select(*(measurements.c[name] for name in names), runs.c.pruned)
    query = query.outerjoin(attempts, attempts.c.id == measurements.c.attempt_id)
    query = query.outerjoin(runs, runs.c.id == attempts.c.run_id).limit(_AT_A_TIME)
    query = query.order_by(measurements.c.attempt_id, measurements.c.position)
    done, samples, after = 0, 0, None
    with store.reading() as connection:
        while (
            page := connection.execute(query if after is None else query.where(place > tuple_(*after))).mappings().all()
        ):
            after = (page[-1]["attempt_id"], page[-1]["position"])
            for row in page:
                count, wrong = _measured(row)
                samples += count
                if wrong:
                    trouble.add(wrong, f"{row['metric']} of attempt {row['attempt_id']}")
            done += len(page)
            if watching:
                watching(done, total)
    return samples


def _measured(row: Mapping[Any, Any]) -> tuple[int, str]:
    """How many samples a measurement has, and what is wrong with it."""
    if not _is_number(row["value"]):
        return 0, "values that are no numbers"
    if row["samples"] == b"" and row["pruned"] is not None:
        return 0, _wrong_with_what_is_left(row)
    try:
        samples = unpack(row["samples"])
    except (ValueError, TypeError):
        return 0, "samples that cannot be unpacked"
    return len(samples), _wrong_with_what_is_kept(row, samples)


def _wrong_with_what_is_left(row: Mapping[Any, Any]) -> str:
    if not is_summed_up(row["metric"]):
        return "rows of raw tables that are gone"
    kept = [row["samples_count"], *(row[name] for name in SUMMARIZED)]
    return "" if all(map(_is_number, kept)) else "pruned samples of which too little was kept"


def _wrong_with_what_is_kept(row: Mapping[Any, Any], samples: Numbers) -> str:
    if row["samples_count"] is None:
        return ""  # they could not be read when stores learned to keep that: they are asked themselves
    anew = summary_columns(samples)
    if row["samples_count"] != anew.pop("samples_count"):
        return "samples that are not as many as were counted"
    pairs = [(row[name], value) for name, value in anew.items() if row[name] is not None]
    pairs += _percentiles(row["percentiles"], samples)
    agree = all(_close(*pair) for pair in pairs)
    return "" if agree else "samples that do not agree with what is kept beside them"


def _percentiles(told: Any, samples: Numbers) -> Iterator[tuple[Any, float]]:
    """Those that are kept, with what they are."""
    if not isinstance(told, Mapping):
        yield None, 0.0
        return
    for name, value in told.items():
        known = str(name).isdecimal() and int(name) <= 100 and len(samples)
        yield value, float(np.percentile(samples, int(name))) if known else math.inf


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _close(one: Any, other: float) -> bool:
    return isinstance(one, int | float) and bool(np.isclose(one, other, rtol=_ROUNDING, atol=0.0, equal_nan=True))
