"""Drops samples of old runs, and keeps what every table and comparison takes of them.

Only samples go whose every figure stands beside them, and it is made anew before they go: count, first, least, median
and its deviation, mean, percentiles. Raw tables, of which courses, ladders and quality are derived, stay; of these
only memory over time goes, which is drawn and nothing else. A run is pruned in one transaction, so that whoever ends
the process at any moment leaves runs that are pruned and runs that are not; doing it again does the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from sqlalchemy import ColumnElement, Connection, Select, bindparam, func, select, tuple_, update

from benchharness.metrics import METRICS
from benchharness.results.packed_nights import keep
from benchharness.results.samples import unpack
from benchharness.results.schema import (
    attempts,
    is_summed_up,
    jobs,
    measurements,
    percentiles_of,
    runs,
    summary_columns,
)
from benchharness.results.store import Store

#: So many rows are read at a time: samples may be large.
_AT_A_TIME = 500
#: A store of which less than this share is empty is not written anew where nothing was dropped.
_WORTH_SHRINKING = 0.05

#: Hears how many measurements are done, and of how many.
Watching = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class Prunable:
    """Samples that can be dropped: of how many runs and measurements, and what they take as they are packed."""

    runs: int
    measurements: int
    bytes: int


@dataclass(frozen=True, kw_only=True)
class Pruned:
    """Samples that were dropped. `damaged` measurements were left alone, because theirs cannot be read.

    `file_bytes` are the store's before and after, None where it is no file; `not_freed` says why it did not shrink.
    """

    runs: int
    measurements: int
    bytes: int
    damaged: int
    file_bytes: tuple[int, int] | None
    not_freed: str = ""


def prunable(store: Store, before: datetime, scenarios: Sequence[str]) -> Prunable:
    """What `prune` would drop of runs that were finished before a moment, of jobs of these scenarios."""
    columns = (
        func.count(attempts.c.run_id.distinct()),
        func.count(),
        func.coalesce(func.sum(func.length(measurements.c.samples)), 0),
    )
    with store.reading() as connection:
        of_runs, count, size = connection.execute(_old(select(*columns), before, scenarios)).one()
    return Prunable(runs=of_runs, measurements=count, bytes=size)


def prune(store: Store, before: datetime, scenarios: Sequence[str], watching: Watching | None = None) -> Pruned:
    """Drops them, and gives the space back. Raises `StoreError`; runs that were done by then stay pruned."""
    size = store.file_bytes()
    found = prunable(store, before, scenarios)
    with store.reading() as connection:
        query = _old(select(attempts.c.run_id).distinct(), before, scenarios)
        old = sorted(connection.execute(query).scalars())
    done = dropped = freed = 0
    touched = set()
    for run in old:
        with store.writing() as connection:
            for looked_at, packed in _pruned(connection, run, before, scenarios):
                done, dropped, freed = done + looked_at, dropped + len(packed), freed + sum(packed)
                touched.update([run] if packed else [])
                if watching:
                    watching(done, found.measurements)
            if run in touched:  # samples that were summed up before percentiles were may have told more of these
                keep(connection, run)
    not_freed = store.shrink() if dropped or store.empty_share() > _WORTH_SHRINKING else ""
    after = store.file_bytes()
    return Pruned(
        runs=len(touched),
        measurements=dropped,
        bytes=freed,
        damaged=done - dropped,
        file_bytes=None if size is None or after is None else (size, after),
        not_freed=not_freed,
    )


def _old(query: Select[Any], before: datetime, scenarios: Sequence[str]) -> Select[Any]:
    """Of measurements with samples of runs that nobody will go on with, those of which everything is kept."""
    ended = func.coalesce(runs.c.finished, runs.c.started)
    joined = (
        query.select_from(measurements)
        .join(attempts, attempts.c.id == measurements.c.attempt_id)
        .join(runs, runs.c.id == attempts.c.run_id)
        .join(jobs, (jobs.c.run_id == attempts.c.run_id) & (jobs.c.key == attempts.c.job_key))
    )
    return joined.where(
        runs.c.state == "finished",
        ended < before.astimezone(UTC),
        jobs.c.scenario.in_(scenarios),
        measurements.c.metric.in_(sorted(filter(is_summed_up, METRICS))),
        func.length(measurements.c.samples) > 0,
        measurements.c.samples_count > 0,
    )


def _pruned(
    connection: Connection, run: str, before: datetime, scenarios: Sequence[str]
) -> Iterator[tuple[int, list[int]]]:
    """Prunes a run; for each page of its rows how many were looked at, and the bytes of each that was dropped."""
    place = tuple_(measurements.c.attempt_id, measurements.c.position)
    columns = [measurements.c[name] for name in ("attempt_id", "position", "metric", "samples", "percentiles")]
    query = _old(select(*columns, measurements.c.samples_count), before, scenarios)
    query = query.where(attempts.c.run_id == run).order_by(*columns[:2]).limit(_AT_A_TIME)
    after: ColumnElement[bool] | None = None
    while page := connection.execute(query if after is None else query.where(after)).all():
        after = place > tuple_(page[-1].attempt_id, page[-1].position)
        kept = [(row, told) for row in page if (told := _kept(row))]
        if kept:
            connection.execute(_CHANGE, [{"of": row.attempt_id, "at": row.position, **told} for row, told in kept])
            connection.execute(update(runs).where(runs.c.id == run).values(pruned=datetime.now(UTC)))
        yield len(page), [len(row.samples) for row, _ in kept]


def _kept(row: Any) -> dict[str, Any]:
    """What stays of a measurement's samples; nothing where they cannot be read, or are no numbers to sum up."""
    try:
        samples = unpack(row.samples)
    except ValueError:
        return {}
    if len(samples) != row.samples_count or not np.isfinite(samples).all():
        return {}
    stored = row.percentiles if isinstance(row.percentiles, dict) else {}
    return {"now": b"", "told": {**stored, **percentiles_of(row.metric, samples)}, **summary_columns(samples)}


_CHANGE = (
    update(measurements)
    .where(measurements.c.attempt_id == bindparam("of"), measurements.c.position == bindparam("at"))
    .values(
        samples=bindparam("now"),
        percentiles=bindparam("told"),
        **{name: bindparam(name) for name in summary_columns([])},
    )
)
