"""Runs of several devices of one hardware target, made up, and what each of them found."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

from benchharness.judge.derive import derive
from benchharness.judge.fleet import Fleet, Measured, fleets
from benchharness.results.result import Attempt, Job, Outcome, OutcomeKind
from benchharness.results.store import Store
from tests.unit.made_up import STARTED, attempt, job, measured, run

FP32 = job("f" * 16, hardware="pixel-8", variant="fp32", digest="00ff" * 16)
INT8 = job("1" * 16, hardware="pixel-8", variant="int8")
METRICS = {"tpot": 1e7, "model_ttft": 2e8}
#: What a phone says of itself.
PHONE = {"processor": "Tensor G3", "cores": 9, "memory_bytes": 7_700_000_000, "model": "Pixel 8", "os": "Android 15"}


def attempts_of(
    device: str,
    jobs: Sequence[Job],
    *,
    factor: float = 1.0,
    noise: float = 0.01,
    conditions: Mapping[str, Any] | None = None,
    count: int = 5,
    seed: int = 1,
    scale: Mapping[str, float] | None = None,
    effective: Mapping[str, Any] | None = None,
) -> list[Attempt]:
    """Attempts on a device that is slower by `factor`; `scale` is by variant or side, beside it."""
    drawn = np.random.default_rng([seed, *device.encode()])
    told = {**PHONE, "farm": {"device": device, "by": "ann"}, **(conditions or {})}
    found = []
    for number in range(count):
        for each in jobs:
            by = factor * (scale or {}).get(each.side or each.variant, 1.0)
            values = [
                measured(name, base * by * math.exp(noise * drawn.standard_normal())) for name, base in METRICS.items()
            ]
            found.append(
                attempt(
                    number,
                    *values,
                    job=each.key,
                    device=f"id-{device}",
                    id=f"{device}-{each.key[:4]}-{number:03d}",
                    conditions=told,
                    effective={"runtime_version": "1.20", "accelerators": ["cpu"], "threads": 2, **(effective or {})},
                )
            )
    return found


def measured_on(device: str, *, jobs: Sequence[Job] = (FP32, INT8), hours: float = 0.0, **how: Any) -> Measured:
    """A run on a device; `factor` is how much slower it is."""
    primary = how.pop("primary", ())
    made = attempts_of(device, jobs, **how)
    when = STARTED + timedelta(hours=hours)
    return Measured(
        run=replace(run(), id=f"run-of-{device}-{hours:g}", started=when, finished=when),
        results=derive([(each, "") for each in jobs], made),
        primary=primary,
    )


def fleet_of(*several: Measured) -> Fleet:
    (found,) = fleets(several)
    return found


def stored(folder: Path, nights: Sequence[tuple[str, float, float]], jobs: Sequence[Job] = (FP32, INT8)) -> str:
    """A store with a run for each (device, hours after the first, how much slower); its URL."""
    url = f"sqlite:///{folder / 'devices.db'}"
    with closing(Store(url)) as store:
        for number, (device, hours, factor) in enumerate(nights):
            made = store.create_run(
                suite="phones",
                digest="5f" * 32,
                suite_json="{}",
                hardware_json='{"name": "pixel-8"}',
                planned=list(jobs),
            )
            for each in attempts_of(device, jobs, factor=factor, seed=number):
                when = each.started + timedelta(hours=hours)
                store.save_attempt(made, replace(each, id=f"{number}-{each.id}", started=when))
            store.set_state(made, "finished")
            _began(store, made, hours)
    return url


def _began(store: Store, made: str, hours: float) -> None:
    from sqlalchemy import update

    from benchharness.results.schema import runs

    when = STARTED + timedelta(hours=hours)
    with store.writing() as connection:
        connection.execute(update(runs).where(runs.c.id == made).values(started=when, finished=when))


def crashed(device: str) -> Measured:
    """A run in which one job failed."""
    made = measured_on(device)
    failed = Outcome(kind=OutcomeKind.CRASHED, reason="it left")
    results = [
        replace(each, outcome=failed, metrics=[]) if each.job.variant == "int8" else each for each in made.results
    ]
    return replace(made, results=results)
