"""What a store is asked for to tell its history: few columns of many rows, in four queries. Plain data and arrays.

A year of nights has a quarter of a million figures. They come as columns and stay columns; what a job is, is read once
for all nights that planned it alike.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Select, Text, cast, select

from benchharness.metrics import METRICS, ROWS
from benchharness.results.result import Outcome, OutcomeKind, Parameters
from benchharness.results.schema import LONGEST, attempts, by_percentile, jobs, measurements, runs, utc
from benchharness.results.trends import Night

#: Of the device's words about an attempt, what may explain another level.
FACTS = ("runtime", "interpreter", "OS", "kernel")
_LONGEST_FACT = 200
_BLOCK = 20_000
_OK = OutcomeKind.OK.value
_NOWHERE = -1  # the number of an attempt that did not end well
#: Rows of courses and ladders are no values.
_NO_VALUES = frozenset(metric.name for metric in ROWS)


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
    facts: Sequence[str | None]  # as `FACTS`
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
    """Asks a store. Raises `ValueError`, `TypeError` or `KeyError` where it is damaged."""
    rows = connection.execute(_nights(part)).all()
    nights = [
        Night(run=row.id, suite=row.suite, suite_digest=row.suite_digest, started=utc(row.started),
              version=row.version, state=row.state)
        for row in rows
    ]  # fmt: skip
    number = {night.run: at for at, night in enumerate(nights)}
    planned = _planned(connection, part)
    tried = _attempts(connection, part, number, planned)
    return Told(
        nights=nights,
        finished=[row.finished and utc(row.finished) for row in rows],
        jobs=[*tried.jobs, *_never_tried(planned, tried.keys, number)],
        **_values(connection, part, tried),
    )


class _Numbered(dict[Any, int]):
    """Numbers things in the order in which they are first met."""

    def __missing__(self, key: Any) -> int:
        self[key] = number = len(self)
        return number


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


@dataclass(frozen=True, kw_only=True)
class _Tried:
    jobs: Sequence[NightJob]
    keys: frozenset[tuple[str, str]]  # run and key of each
    number: Mapping[str, int]  # by a good attempt's id its place in the next two
    job: NDArray[np.int64]
    round: NDArray[np.int64]


def _attempts(
    connection: Connection, part: Part, number: Mapping[str, int], planned: Mapping[tuple[str, str], Planned]
) -> _Tried:
    names = ("id", "run_id", "job_key", "round", "device", "host", "outcome", "reason")
    told = (
        attempts.c.effective["runtime_version"].as_string(),
        *(attempts.c.conditions[name].as_string() for name in ("python", "os", "kernel")),
    )
    query = select(*(attempts.c[name] for name in names), *told).join(runs, runs.c.id == attempts.c.run_id)
    if part.hardware is not None:
        query = query.join(jobs, (jobs.c.run_id == attempts.c.run_id) & (jobs.c.key == attempts.c.job_key))
    query = _of_jobs(query, part).order_by(attempts.c.run_id, attempts.c.job_key, attempts.c.started)
    numbered = _Numbered()
    number_of, jobs_of, rounds = dict[str, int](), list[int](), list[int]()
    grouped: dict[int, list[Sequence[Any]]] = {}
    for id_, run, key, round_, device, host, outcome, reason, *facts in itertools.chain.from_iterable(
        _rows(connection, query)
    ):
        if (run, key) not in planned:
            continue
        at = numbered[run, key, device]
        grouped.setdefault(at, []).append((outcome, reason, host, facts))
        if outcome == _OK:
            number_of[id_] = len(jobs_of)
            jobs_of.append(at)
            rounds.append(round_)
    made = [
        _night_job(number[run], planned[run, key], device, grouped[at]) for (run, key, device), at in numbered.items()
    ]
    return _Tried(
        jobs=made,
        keys=frozenset((run, key) for run, key, _ in numbered),
        number=number_of,
        job=np.array(jobs_of, np.int64),
        round=np.array(rounds, np.int64),
    )


def _night_job(night: int, planned: Planned, device: str, tried: Sequence[Sequence[Any]]) -> NightJob:
    good = [each for each in tried if each[0] == _OK]
    bad = [each for each in tried if each[0] != _OK]
    _, _, host, facts = (good or tried)[-1]
    ended = str(Outcome(kind=OutcomeKind(bad[-1][0]), reason=bad[-1][1] or "")) if bad else ""
    return NightJob(
        night=night,
        planned=planned,
        device=device,
        host=host,
        facts=[None if fact is None else str(fact)[:_LONGEST_FACT] for fact in facts],
        attempts=len(tried),
        good=len(good),
        ended=ended,
    )


def _never_tried(
    planned: Mapping[tuple[str, str], Planned], tried: frozenset[tuple[str, str]], number: Mapping[str, int]
) -> list[NightJob]:
    nothing = [None] * len(FACTS)
    return [
        NightJob(night=number[run], planned=job, device="", host="", facts=nothing, attempts=0, good=0, ended="")
        for (run, key), job in planned.items()
        if (run, key) not in tried
    ]


def _values(connection: Connection, part: Part, tried: _Tried) -> dict[str, Any]:
    """Every value of a good attempt; of metrics that are percentiles, each percentile that the samples carry."""
    names = [name for name in METRICS if name not in _NO_VALUES and part.metric in (None, name)]
    columns = (measurements.c.attempt_id, measurements.c.metric, cast(measurements.c.parameters, Text))
    query = select(*columns, measurements.c.value).where(measurements.c.metric.in_(_plain(names)))
    tailed = select(*columns, cast(measurements.c.percentiles, Text)).where(measurements.c.metric.in_(_tailed(names)))
    if part.suite is not None or part.since is not None or part.hardware is not None:
        query, tailed = _narrowed(query, part), _narrowed(tailed, part)
    numbered = _Numbered()
    blocks = [_block(rows, tried, numbered) for rows in _rows(connection, query)]
    blocks += [_block(list(_percentiles(rows)), tried, numbered) for rows in _rows(connection, tailed)]
    whole = np.concatenate([block.places for block in blocks]) if blocks else np.empty((0, 3), np.int64)
    return {
        "wanted": frozenset(names),
        "metrics": [_metric(*each) for each in numbered],
        "job": whole[:, 0],
        "round": whole[:, 1],
        "metric": whole[:, 2],
        "value": np.concatenate([block.values for block in blocks]) if blocks else np.empty(0),
    }


class _Block(NamedTuple):
    """Some values, and of each its job, round and metric."""

    places: NDArray[np.int64]
    values: NDArray[np.float64]


def _rows(connection: Connection, query: Select[Any]) -> Iterator[Sequence[Any]]:
    """Rows in blocks, as the database's driver gives them: SQLAlchemy's own take as long again, and are a million."""
    cursor = connection.execute(query).cursor
    while cursor is not None and (rows := cursor.fetchmany(_BLOCK)):
        yield rows


def _percentiles(rows: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
    """A row for each percentile that an attempt's samples carry."""
    for attempt, metric, parameters, told in rows:
        for percentile, value in by_percentile(json.loads(told)).items():
            yield attempt, metric, (parameters, percentile), value


def _block(rows: Sequence[Any], tried: _Tried, numbered: _Numbered) -> _Block:
    """Rows as arrays, of good attempts; a value that is none is no reason to lose the others."""
    ids, metrics, parameters, values = zip(*rows, strict=True) if rows else ((), (), (), ())
    value = np.array(values, np.float64)
    # A million rows: what is done for each is done by built-in functions alone.
    attempt = np.fromiter(map(tried.number.get, ids, itertools.repeat(_NOWHERE)), np.int64, len(rows))
    metric = np.fromiter(map(numbered.__getitem__, zip(metrics, parameters, strict=True)), np.int64, len(rows))
    kept = (attempt != _NOWHERE) & np.isfinite(value)
    attempt = attempt[kept]
    return _Block(np.column_stack((tried.job[attempt], tried.round[attempt], metric[kept])), value[kept])


def _plain(names: Sequence[str]) -> list[str]:
    return [name for name in names if not METRICS[name].percentiles]


def _tailed(names: Sequence[str]) -> list[str]:
    return [name for name in names if METRICS[name].percentiles]


def _narrowed(query: Select[Any], part: Part) -> Select[Any]:
    query = query.join(attempts, attempts.c.id == measurements.c.attempt_id).join(runs, runs.c.id == attempts.c.run_id)
    if part.hardware is not None:
        query = query.join(jobs, (jobs.c.run_id == attempts.c.run_id) & (jobs.c.key == attempts.c.job_key))
    return _of_jobs(query, part)


def _metric(name: str, told: str | tuple[str, int]) -> tuple[str, Parameters]:
    text, percentile = told if isinstance(told, tuple) else (told, None)
    parameters = json.loads(text)
    if not isinstance(parameters, dict):
        raise TypeError(f"parameters are no object but {text[:60]!r}")
    return name, parameters if percentile is None else {**parameters, "percentile": percentile}
