"""What a night's attempts told, read from their own rows: how the attempts of each job ended, and every value."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Select, Text, cast, select

from benchharness.metrics import METRICS, ROWS
from benchharness.results.result import Outcome, OutcomeKind
from benchharness.results.schema import attempts, by_percentile, measurements

#: Of the device's words about an attempt, what may explain another level.
FACTS = ("runtime", "interpreter", "OS", "kernel")
LONGEST_FACT = 200
#: Who pairs values by job, round and metric makes one number of the three.
MOST_ROUNDS = 2**32
_BLOCK = 20_000
#: Databases bound how many values a question may name.
_RUNS_AT_A_TIME = 500
_OK = OutcomeKind.OK.value
_NOWHERE = -1  # the number of an attempt that did not end well
#: Rows of courses and ladders are no values.
_NO_VALUES = frozenset(metric.name for metric in ROWS)
#: Of the registry's metrics, those that nights have values of.
WITH_VALUES = tuple(name for name in METRICS if name not in _NO_VALUES)


class Tried(NamedTuple):
    """A job of a night on one device: what was there, and how its attempts ended."""

    run: str
    key: str
    device: str
    host: str
    facts: tuple[str | None, ...]  # as `FACTS`
    attempts: int
    good: int
    ended: str  # how the last attempt ended that did not end well


class Metric(NamedTuple):
    """What a value is of: a metric's name, its parameters as they are stored, and which percentile, if it is one."""

    name: str
    parameters: str
    percentile: int | None = None


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What some nights measured. The arrays are as long as there are values; all are of attempts that ended well."""

    tried: Sequence[Tried]
    metrics: Sequence[Metric]
    job: NDArray[np.int64]  # into `tried`
    round: NDArray[np.int64]
    metric: NDArray[np.int64]  # into `metrics`
    value: NDArray[np.float64]


def measured_in(connection: Connection, nights: Sequence[str], names: Sequence[str] = WITH_VALUES) -> Measured:
    """What the runs of these ids measured, of these metrics; jobs in the order of runs, keys, and attempts.

    Of metrics that are percentiles, each percentile that the samples carry. Raises `schema.DAMAGE` where the store is
    damaged.
    """
    tried = _Tries()
    for some in in_parts(nights):
        query = select(*_ATTEMPT).where(attempts.c.run_id.in_(some))
        query = query.order_by(attempts.c.run_id, attempts.c.job_key, attempts.c.started)
        tried.add(itertools.chain.from_iterable(rows_of(connection, query)))
    values = _Values(tried)
    for some in in_parts(nights):
        query = select(*_MEASUREMENT).join(attempts, attempts.c.id == measurements.c.attempt_id)
        query = query.where(attempts.c.run_id.in_(some))
        if connection.dialect.name != "sqlite":  # which goes along its index; a server gives rows as it likes
            query = query.order_by(measurements.c.attempt_id, measurements.c.position)
        plain = query.add_columns(measurements.c.value).where(measurements.c.metric.in_(_plain(names)))
        tailed = query.add_columns(cast(measurements.c.percentiles, Text))
        tailed = tailed.where(measurements.c.metric.in_(_tailed(names)))
        for rows in rows_of(connection, plain):
            values.add(rows)
        for rows in rows_of(connection, tailed):
            values.add(list(_percentiles(rows)))
    return values.measured()


def rows_of(connection: Connection, query: Select[Any]) -> Iterator[Sequence[Any]]:
    """Rows in blocks, as the database's driver gives them: SQLAlchemy's own take as long again.

    Raises `ValueError` where the driver cannot read one, such as for JSON that is none.
    """
    cursor = connection.execute(query).cursor
    try:
        while cursor is not None and (rows := cursor.fetchmany(_BLOCK)):
            yield rows
    except connection.dialect.loaded_dbapi.Error as error:  # SQLAlchemy wraps those of its own rows only
        raise ValueError(f"rows cannot be read: {error}") from error


_ATTEMPT = (
    *(attempts.c[name] for name in ("id", "run_id", "job_key", "round", "device", "host", "outcome", "reason")),
    attempts.c.effective["runtime_version"].as_string(),
    *(attempts.c.conditions[name].as_string() for name in ("python", "os", "kernel")),
)
_MEASUREMENT = (measurements.c.attempt_id, measurements.c.metric, cast(measurements.c.parameters, Text))


def in_parts(nights: Sequence[str]) -> Iterator[Sequence[str]]:
    """Ids in order, so many at a time as one question may name."""
    ordered = sorted(nights)
    return (ordered[at : at + _RUNS_AT_A_TIME] for at in range(0, len(ordered), _RUNS_AT_A_TIME))


def _plain(names: Sequence[str]) -> list[str]:
    return [name for name in names if not METRICS[name].percentiles]


def _tailed(names: Sequence[str]) -> list[str]:
    return [name for name in names if METRICS[name].percentiles]


class _Numbered(dict[Any, int]):
    """Numbers things in the order in which they are first met."""

    def __missing__(self, key: Any) -> int:
        self[key] = number = len(self)
        return number


class _Tries:
    """Gathers attempts by job and device, and numbers those that ended well."""

    def __init__(self) -> None:
        self.number: dict[str, int] = {}  # by a good attempt's id its place in the next two
        self.job: list[int] = []
        self.round: list[int] = []
        self._numbered = _Numbered()
        self._grouped: dict[int, list[Sequence[Any]]] = {}

    def add(self, rows: Iterable[Sequence[Any]]) -> None:
        """More attempts, those of one job as they were made."""
        for id_, run, key, round_, device, host, outcome, reason, *facts in rows:
            at = self._numbered[run, key, device]
            self._grouped.setdefault(at, []).append((outcome, reason, host, facts))
            if outcome == _OK:
                self.number[id_] = len(self.job)
                self.job.append(at)
                self.round.append(round_)

    def tried(self) -> list[Tried]:
        """A row for each job and device."""
        return [_tried(run, key, device, self._grouped[at]) for (run, key, device), at in self._numbered.items()]


def _tried(run: str, key: str, device: str, made: Sequence[Sequence[Any]]) -> Tried:
    good = [each for each in made if each[0] == _OK]
    bad = [each for each in made if each[0] != _OK]
    _, _, host, facts = (good or made)[-1]
    return Tried(
        run=run,
        key=key,
        device=device,
        host=host,
        facts=tuple(None if fact is None else str(fact)[:LONGEST_FACT] for fact in facts),
        attempts=len(made),
        good=len(good),
        ended=str(Outcome(kind=OutcomeKind(bad[-1][0]), reason=bad[-1][1] or "")) if bad else "",
    )


class _Values:
    """Gathers the values of good attempts as arrays; a value that is none is no reason to lose the others."""

    def __init__(self, tried: _Tries) -> None:
        self._tries, self._metrics = tried, _Numbered()
        self._job, self._round = np.array(tried.job, np.int64), np.array(tried.round, np.int64)
        if ((self._round < 0) | (self._round >= MOST_ROUNDS)).any():
            raise ValueError("attempts of rounds that nobody makes")
        self._attempts: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
        self._metric: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
        self._value: list[NDArray[np.float64]] = [np.empty(0)]

    def add(self, rows: Sequence[Any]) -> None:
        """Rows of attempt, metric, what of it, and value. What is done for each is done by built-in functions alone."""
        if not rows:
            return
        ids, metrics, parameters, values = zip(*rows, strict=True)
        value = np.array(values, np.float64)
        numbers = map(self._tries.number.get, ids, itertools.repeat(_NOWHERE))
        attempt = np.fromiter(numbers, np.int64, len(rows))
        metric = np.fromiter(map(self._metrics.__getitem__, zip(metrics, parameters, strict=True)), np.int64, len(rows))
        kept = (attempt != _NOWHERE) & np.isfinite(value)
        self._attempts.append(attempt[kept])
        self._metric.append(metric[kept])
        self._value.append(value[kept])

    def measured(self) -> Measured:
        """All of them."""
        attempt = np.concatenate(self._attempts)
        return Measured(
            tried=self._tries.tried(),
            metrics=[
                Metric(name, *told) if isinstance(told, tuple) else Metric(name, told) for name, told in self._metrics
            ],
            job=self._job[attempt],
            round=self._round[attempt],
            metric=np.concatenate(self._metric),
            value=np.concatenate(self._value),
        )


def _percentiles(rows: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
    """A row for each percentile that an attempt's samples carry."""
    for attempt, metric, parameters, told in rows:
        for percentile, value in by_percentile(json.loads(told)).items():
            yield attempt, metric, (parameters, percentile), value
