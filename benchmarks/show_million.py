"""How long `benchharness show` takes on a run of a million samples: 100 jobs of 50 attempts of 200 samples each.

A round is a bare interpreter and the command, in random order; ten rounds, files in the page cache. The bar is a wall
time, so that it takes a machine that does nothing else.
"""

from __future__ import annotations

import functools
import random
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from benchharness.device.adapters import formats
from benchharness.device.rules import RULES
from benchharness.results.result import Attempt, Job, Measurement, Outcome, OutcomeKind
from benchharness.results.store import Store
from benchharness.results.told import Conditions, Effective
from benchharness.suite.artefact import DigestCache
from benchharness.suite.fields import THIS_MACHINE
from benchharness.suite.hardware import load_hardware
from benchharness.suite.materials import gather
from benchharness.suite.plan import plan
from benchharness.suite.tables import Suite, suite_from_table
from benchmarks.bars import Bar, Finding, at_most
from benchmarks.options import Options, run_alone
from benchmarks.pairs import Round, in_random_order, median_of, ratio_of
from benchmarks.processes import load_average, run_timed

LIMIT_S = 1.0
ROUNDS = 10
BARE, SHOW = "a bare interpreter", "show"
VARIANTS, WORKLOADS, ATTEMPTS, SAMPLES = 20, 5, 50, 200


def measure(options: Options) -> Bar:
    """Ratios show / one second of wall times."""
    before, order = load_average(), random.Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="benchharness-") as scratch:
        url = f"sqlite:///{Path(scratch) / 'store.db'}"
        _fill(url, Path(scratch), options.seed)
        rounds = [_round(url, order) for _ in range(ROUNDS + 1)][1:]  # the first one warms the page cache
    finding = Finding(
        label=f"benchharness show / {LIMIT_S:g} s",
        ratio=ratio_of(rounds, SHOW),
        per_round=[each.ratios[SHOW] for each in rounds],
        absolute=f"{median_of(rounds, SHOW) * 1e3:.0f} ms, {BARE} {median_of(rounds, BARE) * 1e3:.0f} ms",
        criterion=at_most(1.0),
    )
    return Bar(
        name="show_million",
        claim=f"a run of a million samples is shown within {LIMIT_S:g} s",
        findings=[finding],
        conditions=[f"{VARIANTS * WORKLOADS} jobs of {ATTEMPTS} attempts of {SAMPLES} samples; page cache warm"],
        load=(before, load_average()),
    )


def _round(url: str, order: random.Random) -> Round:
    commands = {BARE: ["-c", "pass"], SHOW: ["-m", "benchharness", "show", "--store", url]}
    sides = {name: functools.partial(run_timed, [sys.executable, *words]) for name, words in commands.items()}
    walls = {name: wall_s for name, (wall_s, _) in in_random_order(sides, order).items()}
    return Round(ratios={SHOW: walls[SHOW] / LIMIT_S}, values=walls)


def _fill(url: str, folder: Path, seed: int) -> None:
    """A store with one run, its samples drawn."""
    suite, hardware = _suite(folder), load_hardware(THIS_MACHINE)
    jobs = plan(suite, hardware, gather(suite, DigestCache(None)), formats)
    store, drawn = Store(url), np.random.default_rng(seed)
    run = store.create_run(
        suite=suite.name,
        digest=suite.digest,
        suite_json=suite.model_dump_json(by_alias=True),
        hardware_json=hardware.model_dump_json(),
        planned=jobs,
    )
    for job in jobs:
        for round_ in range(ATTEMPTS):
            store.save_attempt(run, _attempt(job, round_, drawn))
    store.close()


def _suite(folder: Path) -> Suite:
    variants = {f"v{number}": {"artefact": str(folder / f"v{number}.null")} for number in range(VARIANTS)}
    for name in variants:
        (folder / f"{name}.null").write_text(name)
    return suite_from_table(
        {
            "name": "a million samples",
            "models": {"chat": {"task": "causal-lm", "variants": variants}},
            "configurations": [{"runtime": "null"}],
            "workloads": [{"prompt": {"tokens": [8 << number for number in range(WORKLOADS)]}}],
            "scenarios": {"steady": {}},
        }
    )


def _attempt(job: Job, round_: int, drawn: np.random.Generator) -> Attempt:
    """An attempt with one latency, conditions of its own as a device tells them, and nothing that is warned of."""
    samples = drawn.lognormal(13.8, 0.1, SAMPLES)
    latency = Measurement(
        metric="steady_inference", parameters={}, value=float(np.median(samples)), samples=samples.tolist()
    )
    return Attempt(
        id=f"{job.key}{round_:020d}",
        job=job.key,
        round=round_,
        device="0123456789ab",
        host="0123456789ab",
        started=datetime.now(UTC) + timedelta(seconds=round_),
        duration_ns=2_000_000_000,
        outcome=Outcome(kind=OutcomeKind.OK),
        measurements=[latency],
        effective=Effective.from_json({"rules": RULES, "accelerators": ["cpu"], "threads": 2}),
        conditions=Conditions.from_json({"python": "3.12.1", "waiting_share": float(drawn.random() / 100)}),
    )


if __name__ == "__main__":
    run_alone(measure, description=__doc__ or "", example="python -m benchmarks.show_million")
