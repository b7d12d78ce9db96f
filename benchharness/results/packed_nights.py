"""Nights packed whole: of each finished run, in one row, all that history asks of its attempts.

A year of nights with a base has a million values, and no way of reading a row for each is quick. So a run that is
finished has its values beside it once more, as columns in one blob, with what they are of; whatever changes the run
packs it anew or drops what was packed. It is nothing but a copy: where there is none, or this harness knows other
metrics than the one that packed it, the rows themselves are read, and `verify` holds the two against each other.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, delete, insert, select
from sqlalchemy.exc import DatabaseError

from benchharness.metrics import METRICS
from benchharness.results.night_rows import (
    FACTS,
    LONGEST_FACT,
    WITH_VALUES,
    Measured,
    Metric,
    Tried,
    in_parts,
    measured_in,
    rows_of,
)
from benchharness.results.schema import DAMAGE, attempts, measurements, packed_nights, runs

#: Of what is packed, and how; another one is not read. To be raised where a metric begins to be told by percentiles.
FORM = 1
#: A value of a night: into its jobs, which round, into its metrics.
_VALUE = np.dtype([("job", "<u4"), ("round", "<u4"), ("metric", "<u4"), ("value", "<f8")])
_COLUMNS = ("form", "jobs", "metrics", "figures")


def drop(connection: Connection, run: str) -> None:
    """Forgets what is packed of a run that goes on."""
    connection.execute(delete(packed_nights).where(packed_nights.c.run_id == run))


def keep(connection: Connection, run: str) -> None:
    """Packs a run that is finished. Of another nothing is packed, nor of one whose rows cannot be read."""
    drop(connection, run)
    state = connection.execute(select(runs.c.state).where(runs.c.id == run)).scalar_one_or_none()
    if state == "finished" and (found := packed(connection, run)) is not None:
        connection.execute(insert(packed_nights).values(run_id=run, **found))


def unpacked_runs(connection: Connection) -> list[str]:
    """The finished runs of which nothing is packed."""
    kept = select(packed_nights.c.run_id)
    query = select(runs.c.id).where(runs.c.state == "finished", runs.c.id.not_in(kept)).order_by(runs.c.started)
    return [str(run) for run in connection.execute(query).scalars()]


def packed(connection: Connection, run: str) -> Mapping[str, Any] | None:
    """The columns of a run's packed night, made of its rows; None where it cannot have one."""
    measured = select(measurements.c.metric).join(attempts, attempts.c.id == measurements.c.attempt_id)
    try:
        with connection.begin_nested():  # what a server cannot read ends no more than this
            names = set(connection.execute(measured.where(attempts.c.run_id == run).distinct()).scalars())
            if names - METRICS.keys():
                return None  # whoever knows them reads the rows
            found = measured_in(connection, [run], [name for name in WITH_VALUES if name in names])
    except (*DAMAGE, DatabaseError):
        return None  # damaged: whoever reads the rows is told
    figures = np.empty(len(found.value), _VALUE)
    for name in ("job", "round", "metric", "value"):
        column: NDArray[Any] = getattr(found, name)
        if name != "value" and len(column) and not 0 <= int(column.min()) <= int(column.max()) < 2**32:
            return None
        figures[name] = column
    return {
        "form": FORM,
        "jobs": json.dumps([each[1:] for each in found.tried]),
        "metrics": json.dumps(found.metrics),
        "figures": figures.tobytes(),
    }


def unpacked(connection: Connection, nights: Sequence[str]) -> tuple[Measured, list[str]]:
    """What of these nights is packed, and which of them are not. Raises `schema.DAMAGE` where that is damaged."""
    query = select(packed_nights.c.run_id, *(packed_nights.c[name] for name in _COLUMNS))
    query = query.where(packed_nights.c.form == FORM).order_by(packed_nights.c.run_id)
    rows = [
        row
        for some in in_parts(nights)
        for block in rows_of(connection, query.where(packed_nights.c.run_id.in_(some)))
        for row in block
    ]
    known = {row[0] for row in rows}
    return _measured(rows), [night for night in nights if night not in known]


def _measured(rows: Sequence[Sequence[Any]]) -> Measured:
    """Nights side by side: what each numbers by itself is numbered through."""
    told_jobs, told_metrics = cache(_jobs), cache(_metrics)
    tried: list[Tried] = []
    numbered: dict[Metric, int] = {}
    tables: dict[str, NDArray[np.int64]] = {}
    of_values: list[int] = []  # how many each night has, and of jobs and metrics
    of_jobs: list[int] = []
    of_metrics: list[int] = []
    for run, _, jobs, metrics, figures in rows:
        if metrics not in tables:
            places = [numbered.setdefault(each, len(numbered)) for each in told_metrics(metrics)]
            tables[metrics] = np.array(places, np.int64)
        mine = told_jobs(jobs)
        tried += [Tried(run, *each) for each in mine]
        of_values.append(len(figures) // _VALUE.itemsize)
        of_jobs.append(len(mine))
        of_metrics.append(len(tables[metrics]))
    found = np.frombuffer(b"".join(row[4] for row in rows), _VALUE)
    if len(found) != sum(of_values) or not np.isfinite(found["value"]).all():
        raise ValueError("packed nights hold something else than figures")
    metrics_of = np.concatenate([np.empty(0, np.int64), *(tables[row[3]] for row in rows)])
    return Measured(
        tried=tried,
        metrics=list(numbered),
        job=_through(found["job"], of_values, of_jobs),
        round=found["round"].astype(np.int64),
        metric=metrics_of[_through(found["metric"], of_values, of_metrics)],
        value=found["value"].astype(np.float64),
    )


def _through(places: NDArray[Any], values: Sequence[int], lengths: Sequence[int]) -> NDArray[np.int64]:
    """Places within each night as places in all nights' rows, of which each has so many. Raises `ValueError`."""
    if (places >= np.repeat(np.array(lengths, np.int64), np.array(values, np.int64))).any():
        raise ValueError("packed nights have figures of nothing")
    found: NDArray[np.int64] = (
        np.repeat(np.cumsum(lengths, dtype=np.int64) - np.array(lengths, np.int64), np.array(values, np.int64)) + places
    )
    return found


def _jobs(text: str) -> list[tuple[Any, ...]]:
    """What follows the run in `Tried`."""
    found = []
    for key, device, host, facts, made, good, ended in json.loads(text):
        words = (key, device, host, ended, *(each for each in facts if each is not None))
        if not all(isinstance(each, str) for each in words) or len(facts) != len(FACTS):
            raise TypeError("packed nights have jobs of something else than words")
        if not 0 <= good <= made < 2**32:
            raise ValueError(f"packed nights have {good} good ones of {made} attempts")
        known = tuple(None if each is None else each[:LONGEST_FACT] for each in facts)
        found.append((key, device, host, known, int(made), int(good), ended))
    return found


def _metrics(text: str) -> list[Metric]:
    found = [Metric(*each) for each in json.loads(text)]
    for each in found:
        if not (isinstance(each.name, str) and isinstance(each.parameters, str)):
            raise TypeError("packed nights have figures without a name")
        if not (each.percentile is None or isinstance(each.percentile, int)):
            raise TypeError("packed nights have percentiles that are no numbers")
    return found
