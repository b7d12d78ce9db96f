"""What a store is asked for to tell its history: few columns of many rows, in a few questions. Plain data and arrays.

A year of nights has a quarter of a million figures, and with pairs a million. They come as columns and stay columns:
packed ones of nights that are (`packed_nights`), of the others from their rows (`night_rows`). What a job is, is read
once for all nights that planned it alike.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Select, select

from benchharness.results.night_rows import FACTS, WITH_VALUES, Measured, Metric, Tried, measured_in
from benchharness.results.packed_nights import unpacked
from benchharness.results.result import Parameters
from benchharness.results.schema import LONGEST, jobs, runs, utc
from benchharness.results.trends import Night


@dataclass(frozen=True, kw_only=True)
class Part:
    """Which part of a store; None: all of it."""

    suite: str | None = None
    hardware: str | None = None
    metric: str | None = None
    since: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A job, as every night has it that planned it alike."""

    cell: str
    hardware: str
    model: str
    variant: str
    configuration: str
    workload: str
    scenario: str
    digest: str
    side: str
    pair: str
    ships: bool
    artefact_size: int | None  # bytes; None: not known
    download_size: int | None


@dataclass(frozen=True, kw_only=True)
class NightJob:
    """A job of one night on one device: what it was made of, and how its attempts ended."""

    night: int
    planned: Planned
    device: str  # "" where no attempt was made
    host: str
    facts: Sequence[str | None]  # as `night_rows.FACTS`
    attempts: int
    good: int
    ended: str  # how the last attempt ended that did not end well


@dataclass(frozen=True, kw_only=True)
class Told:
    """What a store holds of some nights. The arrays are as long as there are values, and in no order."""

    nights: Sequence[Night]
    finished: Sequence[datetime | None]
    jobs: Sequence[NightJob]
    wanted: frozenset[str]  # the metrics that were asked for
    metrics: Sequence[tuple[str, Parameters]]
    job: NDArray[np.int64]  # into `jobs`
    round: NDArray[np.int64]
    metric: NDArray[np.int64]  # into `metrics`
    value: NDArray[np.float64]

    @property
    def newest(self) -> dict[tuple[str, str], str]:
        """By suite and hardware target the newest run that planned something there."""
        last: dict[tuple[str, str], int] = {}
        for job in self.jobs:
            key = self.nights[job.night].suite, job.planned.hardware
            last[key] = max(last.get(key, 0), job.night)
        return {key: self.nights[night].run for key, night in last.items()}


def read(connection: Connection, part: Part) -> Told:
    """Asks a store. Raises `schema.DAMAGE` where it is damaged."""
    rows = connection.execute(_nights(part)).all()
    nights = [
        Night(run=row.id, suite=row.suite, suite_digest=row.suite_digest, started=utc(row.started),
              version=row.version, state=row.state)
        for row in rows
    ]  # fmt: skip
    number = {night.run: at for at, night in enumerate(nights)}
    planned = _planned(connection, part)
    names = [name for name in WITH_VALUES if part.metric in (None, name)]
    found = _measured(connection, list(dict.fromkeys(run for run, _ in planned)), names)
    made, kept, places = _tried(found.tried, planned, number)
    metrics = [each for each in found.metrics if each.name in names]
    metric_places = _places(found.metrics, {each: at for at, each in enumerate(metrics)})
    job, metric = places[found.job], metric_places[found.metric]
    told = (job >= 0) & (metric >= 0)
    return Told(
        nights=nights,
        finished=[row.finished and utc(row.finished) for row in rows],
        jobs=[*made, *_never_tried(planned, kept, number)],
        wanted=frozenset(names),
        metrics=[_metric(each) for each in metrics],
        job=job[told],
        round=found.round[told],
        metric=metric[told],
        value=found.value[told],
    )


def _measured(connection: Connection, runs_: Sequence[str], names: Sequence[str]) -> Measured:
    """What all of these runs measured, in the order of their ids."""
    packed, others = unpacked(connection, runs_)
    if not others:
        return packed
    from_rows = measured_in(connection, others, names)
    return from_rows if not packed.tried else _together(packed, from_rows)


def _together(one: Measured, other: Measured) -> Measured:
    """Both, as if they had been read at once."""
    tried = [*one.tried, *other.tried]
    order = sorted(range(len(tried)), key=lambda at: tried[at].run)
    place = np.empty(len(tried), np.int64)
    place[order] = np.arange(len(tried))
    metrics = {each: at for at, each in enumerate(dict.fromkeys((*one.metrics, *other.metrics)))}
    return Measured(
        tried=[tried[at] for at in order],
        metrics=list(metrics),
        job=place[np.concatenate((one.job, other.job + len(one.tried)))],
        round=np.concatenate((one.round, other.round)),
        metric=np.concatenate([_places(each.metrics, metrics)[each.metric] for each in (one, other)]),
        value=np.concatenate((one.value, other.value)),
    )


def _places(metrics: Sequence[Metric], known: Mapping[Metric, int]) -> NDArray[np.int64]:
    """Of each its number among those that are known; -1: it is not."""
    return np.array([known.get(each, -1) for each in metrics], np.int64)


def _nights(part: Part) -> Select[Any]:
    names = ("id", "suite", "suite_digest", "started", "finished", "version", "state")
    return _of_runs(select(*(runs.c[name] for name in names)), part).order_by(runs.c.started, runs.c.id)


def _of_runs(query: Select[Any], part: Part) -> Select[Any]:
    if part.suite is not None:
        query = query.where(runs.c.suite == part.suite)
    if part.since is not None:
        query = query.where(runs.c.started >= part.since)
    return query


def _of_jobs(query: Select[Any], part: Part) -> Select[Any]:
    """The query, joined with runs, for the hardware target too."""
    if part.hardware is not None:
        query = query.where(jobs.c.hardware == part.hardware[: LONGEST["hardware"]])
    return _of_runs(query, part)


def _planned(connection: Connection, part: Part) -> dict[tuple[str, str], Planned]:
    query = select(jobs.c.run_id, jobs.c.key, jobs.c.cell, jobs.c.job_json).join(runs, runs.c.id == jobs.c.run_id)
    known: dict[tuple[str, str], Planned] = {}
    found = {}
    for run, key, cell, text in connection.execute(_of_jobs(query, part)).all():
        if (cell, text) not in known:
            known[cell, text] = _job(cell, json.loads(text))
        found[run, key] = known[cell, text]
    return found


def _job(cell: str, told: Mapping[str, Any]) -> Planned:
    named = {name: str(told[name]) for name in ("hardware", "model", "variant", "scenario", "digest")}
    return Planned(
        cell=cell,
        configuration=str(told["configuration"].get("name", "")),
        workload=str(told["workload"].get("name", "")),
        side=str(told.get("side", "")),
        pair=str(told.get("pair", "")),
        ships=bool(told.get("ships", True)),
        artefact_size=None if (told.get("files") or {}).get("unknown") else _bytes(told.get("artefact_bytes")),
        download_size=_bytes(told.get("download_bytes")),
        **named,
    )


def _bytes(told: Any) -> int | None:
    """A size; 0 is how an artefact stands that could not be read."""
    return told if isinstance(told, int) and told > 0 else None


def _tried(
    tried: Sequence[Tried], planned: Mapping[tuple[str, str], Planned], number: Mapping[str, int]
) -> tuple[list[NightJob], frozenset[tuple[str, str]], NDArray[np.int64]]:
    """The jobs that were tried, run and key of each, and of every row of `tried` its place among them; -1: nowhere."""
    made: list[NightJob] = []
    places = np.full(len(tried), -1, np.int64)
    for at, (run, key, device, host, facts, count, good, ended) in enumerate(tried):
        job = planned.get((run, key))
        if job is not None:
            places[at] = len(made)
            made.append(
                NightJob(
                    night=number[run],
                    planned=job,
                    device=device,
                    host=host,
                    facts=facts,
                    attempts=count,
                    good=good,
                    ended=ended,
                )
            )
    return made, frozenset((each.run, each.key) for each in tried), places


def _never_tried(
    planned: Mapping[tuple[str, str], Planned], tried: frozenset[tuple[str, str]], number: Mapping[str, int]
) -> list[NightJob]:
    nothing = [None] * len(FACTS)
    return [
        NightJob(night=number[run], planned=job, device="", host="", facts=nothing, attempts=0, good=0, ended="")
        for (run, key), job in planned.items()
        if (run, key) not in tried
    ]


def _metric(each: Metric) -> tuple[str, Parameters]:
    parameters = json.loads(each.parameters)
    if not isinstance(parameters, dict):
        raise TypeError(f"parameters are no object but {each.parameters[:60]!r}")
    return each.name, parameters if each.percentile is None else {**parameters, "percentile": each.percentile}
