"""Stores of many nights, written in one go, and what makes one night differ from another."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from sqlalchemy import insert

from benchharness.judge.bridges import bridges_of
from benchharness.judge.derive import derive
from benchharness.judge.history import history_of
from benchharness.results.history import Part
from benchharness.results.result import Job, Outcome, OutcomeKind, Result
from benchharness.results.schema import attempt_row, attempts, jobs, measurement_rows, measurements, runs
from benchharness.results.store import Store, _job_row
from benchharness.results.trends import History, Trend
from tests.unit.made_up import attempt, job, measured

FIRST = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)
_UNWEIGHED: dict[str, Any] = {"artefact_bytes": 0, "download_bytes": None}  # what sizes say is tested by itself
BASE = job("b" * 16, side="base", pair="p", digest="00ff" * 16, **_UNWEIGHED)
CANDIDATE = job("c" * 16, side="candidate", pair="p", digest="ab12" * 16, **_UNWEIGHED)
ALONE = job("a" * 16, **_UNWEIGHED)


@dataclass(frozen=True, kw_only=True)
class Made:
    """One night. `scale` is by the side of a job; what is None is not run, an outcome is how every attempt ended."""

    jobs: Sequence[Job] = (BASE, CANDIDATE)
    scale: Mapping[str, float | Outcome | None] = field(default_factory=dict)
    drift: float = 0.0  # in the logarithm, of everything that night
    started: datetime | None = None
    finished: datetime | None = None
    state: str = "finished"
    version: str = "0.1.0"
    suite: str = "phones"
    suite_digest: str = "5f" * 32
    suite_json: str = "{}"
    hardware_json: str = '{"name": "this-machine"}'
    runtime: str | None = "1.20"
    runtimes: Mapping[str, str] = field(default_factory=dict)  # by side, where it is another
    system: Any = "Debian 12"
    device: str = "4f2d9c01ab3e"
    metrics: Sequence[str] = ("model_ttft",)
    metrics_of: Mapping[str, Sequence[str]] = field(default_factory=dict)  # by side, where they are others


def write(store: Store, nights: Sequence[Made], *, rounds: int = 5, noise: float = 0.02, seed: int = 1) -> Store:
    """Every night of them, one a day unless it says when it started; their runs' ids are `night-0000` and so on."""
    drawn = np.random.default_rng(seed)
    for number, made in enumerate(nights):
        _write(store, number, made, rounds, lambda: float(drawn.normal(0, noise)))
    return store


def _write(store: Store, number: int, made: Made, rounds: int, noise: Callable[[], float]) -> None:
    run = f"night-{number:04d}"
    started = made.started or FIRST + timedelta(days=number)
    tried = [each for at in range(rounds) for job in made.jobs if (each := _attempt(number, made, job, at, noise))]

    with store.writing() as connection:
        connection.execute(
            insert(runs).values(
                id=run,
                suite=made.suite,
                suite_digest=made.suite_digest,
                suite_json=made.suite_json,
                hardware_json=made.hardware_json,
                version=made.version,
                started=started,
                finished=made.finished or started + timedelta(hours=1),
                state=made.state,
            )
        )
        connection.execute(insert(jobs), [_job_row(run, at, each) for at, each in enumerate(made.jobs)])
        if tried:
            connection.execute(insert(attempts), [{"run_id": run, **attempt_row(each)} for each in tried])
        if rows := [row for each in tried for row in measurement_rows(each)]:
            connection.execute(insert(measurements), rows)


def _attempt(number: int, made: Made, job: Job, round_: int, noise: Callable[[], float]) -> Any:
    scale = made.scale.get(job.side or job.variant, 1.0)
    if scale is None:
        return None
    ended = scale if isinstance(scale, Outcome) else Outcome(kind=OutcomeKind.OK)
    value = 0.0 if isinstance(scale, Outcome) else 1e7 * scale * math.exp(made.drift + noise())
    runtime = made.runtimes.get(job.side, made.runtime)
    names = made.metrics_of.get(job.side, made.metrics)
    told = [] if isinstance(scale, Outcome) else [measured(name, value, [value]) for name in names]
    return attempt(
        round_,
        *told,
        job=job.key,
        id=f"{number:04d}-{job.key[:4]}-{round_:03d}",
        device=made.device,
        outcome=ended,
        effective={"runtime_version": runtime} if runtime else {},
        conditions={"os": made.system, "python": "3.11.7", "kernel": "6.1"},
    )


def told(store: Store, *, now: datetime | None = None, **asked: Any) -> History:
    """The history of a store, the day after its last night unless said."""
    pinned = asked.pop("pinned", ())
    budgets = asked.pop("budgets", None)
    bridges = [each for run in asked.pop("bridges", ()) for each in bridges_of(store.run(run), _results(store, run))]
    found = store.history(Part(**asked))
    last = max((night.started for night in found.nights), default=FIRST)
    return history_of(found, now=now or last + timedelta(hours=20), pinned=pinned, bridges=bridges, budgets=budgets)


def _results(store: Store, run: str) -> list[Result]:
    return derive(store.jobs(run), store.attempts(run))


def only(history: History, **which: Any) -> Trend:
    """The one trend that is so."""
    (found,) = [each for each in history.trends if all(getattr(each, name) == is_ for name, is_ in which.items())]
    return found


def wandering(count: int, *, spread: float = 0.04, shared: float = 0.7, seed: int = 1) -> list[float]:
    """How a machine's speed moves from night to night, in the logarithm."""
    drawn = np.random.default_rng(seed)
    moved = [float(drawn.normal(0, spread))]
    for _ in range(count - 1):
        moved.append(shared * moved[-1] + float(drawn.normal(0, spread * math.sqrt(1 - shared**2))))
    return moved


FP32 = Job.from_json({**ALONE.to_json(), "key": "d" * 16, "variant": "fp32"})
CRASH = Outcome(kind=OutcomeKind.CRASHED, reason="signal 11")
THREE = ("model_ttft", "decode_rate", "peak_memory")


def changed_nights(names: str = "") -> list[Made]:
    """A confirmed step with its artefact, and a variant that fails in the end. `names`: what everything is called."""
    jobs = [BASE, CANDIDATE, FP32]
    if names:
        called = (names, names, f"{names}2")  # the third is another variant
        jobs = [
            Job.from_json({**each.to_json(), "model": names, "variant": variant, "digest": names})
            for each, variant in zip(jobs, called, strict=True)
        ]
    rebuilt = [jobs[0], replace(jobs[1], digest="cd34" * 16), jobs[2]]
    before = [Made(jobs=jobs, metrics=THREE)] * 15
    after = [Made(jobs=rebuilt, metrics=THREE, scale={"candidate": 1.1})] * 12
    failing = Made(
        jobs=rebuilt, metrics=THREE, scale={"candidate": 1.1, f"{names}2" if names else "fp32": CRASH, "base": 1.0}
    )
    return [*before, *after, failing]


def hostile_history(attack: str) -> History:
    """Everything that has a name is the attack, and so is the reason of a failure."""
    store = Store("sqlite://")
    made = [
        replace(each, suite=attack, version=attack, suite_digest=attack, device=attack)
        for each in changed_nights(attack)
    ]
    made[15:] = [replace(each, system=attack, runtimes={"candidate": attack}) for each in made[15:]]
    history = told(write(store, made))
    return replace(history, told=[attack])
