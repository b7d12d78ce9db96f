"""How long a year of nights takes: `benchharness history`, and its page, over 365 nights x 20 targets x 30 metrics.

A night is a run for each target. `--variants` is not used. Stores: one attempt a night without a base (as many figures
as nights x targets x metrics), and three attempts each of a base and a candidate (six times as many values). A round is
the command and the page, each in a process of its own, in random order, files in the page cache. The bars are wall
times, so that they take a machine that does nothing else.
"""

from __future__ import annotations

import functools
import json
import random
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import insert

from benchharness.metrics import METRICS, ROWS
from benchharness.results.packed_nights import keep
from benchharness.results.result import Job
from benchharness.results.samples import pack
from benchharness.results.schema import attempts, job_columns, jobs, measurements, runs, summary_columns
from benchharness.results.store import Store
from benchmarks.bars import Bar, Finding, at_most
from benchmarks.options import Options, run_alone
from benchmarks.pairs import Round, in_random_order, median_of, ratio_of
from benchmarks.processes import load_average, run_timed

NIGHTS, TARGETS, FIGURES = 365, 20, 30
COMMAND_S, PAGE_S, PAGE_BYTES = 2.0, 10.0, 5_000_000
ROUNDS = 5
COMMAND, PAGE = "history", "history --out"
#: A candidate is slower from this night on, on every fifth target.
STEP, _SIZE = 250, 1.05
_FIRST = datetime(2025, 1, 1, 2, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How much of everything a store holds."""

    label: str
    attempts: int
    sides: tuple[str, ...]
    nights: int = NIGHTS
    targets: int = TARGETS
    figures: int = FIGURES


ALONE = Scale(label="one attempt, no base", attempts=1, sides=("",))
PAIRED = Scale(label="three pairs", attempts=3, sides=("base", "candidate"))


def measure(options: Options) -> Bar:
    """Ratios of wall times and of the page's size to what they may be."""
    before, order = load_average(), random.Random(options.seed)
    findings = []
    for scale in (ALONE, PAIRED):
        with tempfile.TemporaryDirectory(prefix="benchharness-") as scratch:
            url = f"sqlite:///{Path(scratch) / 'store.db'}"
            fill(url, scale, options.seed)
            page = Path(scratch) / "history.html"
            rounds = [_round(url, page, order) for _ in range(ROUNDS + 1)][1:]  # the first one warms the page cache
            # Of three pairs it is told, and no bar is set: six times the values that were asked for.
            findings += [_finding(rounds, name, limit, scale) for name, limit in ((COMMAND, COMMAND_S), (PAGE, PAGE_S))]
            findings.append(_size(page, scale))
    return Bar(
        name="history",
        claim=f"a year is told within {COMMAND_S:g} s, its page within {PAGE_S:g} s and {PAGE_BYTES / 1e6:g} MB",
        findings=findings,
        conditions=[f"{NIGHTS} nights x {TARGETS} targets x {FIGURES} metrics; page cache warm"],
        load=(before, load_average()),
    )


def _finding(rounds: list[Round], name: str, limit: float, scale: Scale) -> Finding:
    return Finding(
        label=f"benchharness {name} / {limit:g} s, {scale.label}",
        ratio=ratio_of(rounds, name),
        per_round=[each.ratios[name] for each in rounds],
        absolute=f"{median_of(rounds, name):.2f} s",
        criterion=at_most(1.0) if scale is ALONE else None,
    )


def _size(page: Path, scale: Scale) -> Finding:
    size = page.stat().st_size
    rounds = [Round(ratios={PAGE: size / PAGE_BYTES}, values={PAGE: size})] * ROUNDS  # the same page each time
    return Finding(
        label=f"page / {PAGE_BYTES / 1e6:g} MB, {scale.label}",
        ratio=ratio_of(rounds, PAGE),
        per_round=[each.ratios[PAGE] for each in rounds],
        absolute=f"{size / 1e6:.2f} MB",
        criterion=at_most(1.0),
    )


def _round(url: str, page: Path, order: random.Random) -> Round:
    words = ["-m", "benchharness", "history", "--store", url]
    commands = {COMMAND: words, PAGE: [*words, "--out", str(page)]}
    limits = {COMMAND: COMMAND_S, PAGE: PAGE_S}
    sides = {name: functools.partial(run_timed, [sys.executable, *each]) for name, each in commands.items()}
    walls = {name: wall_s for name, (wall_s, _) in in_random_order(sides, order).items()}
    return Round(ratios={name: wall / limits[name] for name, wall in walls.items()}, values=walls)


# The store


def fill(
    url: str, scale: Scale, seed: int, *, suite: str = "nightly", suite_json: str = "{}", first_night: int = 0
) -> None:
    """That many nights more in a store, its values drawn, written in one go."""
    store, drawn = Store(url), np.random.default_rng(seed)
    names = [name for name in METRICS if not METRICS[name].percentiles and METRICS[name] not in ROWS][: scale.figures]
    drift = np.zeros(scale.targets)
    with store.writing() as connection:
        for night in range(first_night, first_night + scale.nights):
            drift = 0.7 * drift + drawn.normal(0, 0.03, scale.targets)
            for target in range(scale.targets):
                rows = _Rows(night, target, scale, names, float(drift[target]), drawn)
                run = {**rows.run, "suite": suite, "suite_json": suite_json}
                connection.execute(insert(runs), [run])
                connection.execute(insert(jobs), rows.jobs)
                connection.execute(insert(attempts), list(rows.attempts))
                connection.execute(insert(measurements), list(rows.measurements))
                keep(connection, rows.run["id"])
    store.close()


class _Rows:
    """The rows of one run."""

    def __init__(
        self, night: int, target: int, scale: Scale, names: list[str], drift: float, drawn: np.random.Generator
    ) -> None:
        self._id = f"{night:04d}-{target:02d}"
        self._started = _FIRST + timedelta(days=night, minutes=target)
        self._scale, self._names, self._drawn, self._drift = scale, names, drawn, drift
        self._slow = target % 5 == 0 and night >= STEP
        self._jobs = [_job(target, side, rebuilt=self._slow) for side in scale.sides]

    @property
    def run(self) -> dict[str, Any]:
        return {
            "id": self._id,
            "suite": "nightly",
            "suite_digest": "5f" * 32,
            "suite_json": "{}",
            "hardware_json": json.dumps({"name": self._jobs[0].hardware}),
            "version": "0.1.0",
            "started": self._started,
            "finished": self._started,
            "state": "finished",
        }

    @property
    def jobs(self) -> list[dict[str, Any]]:
        return [
            {
                "run_id": self._id,
                "key": job.key,
                "position": at,
                "stopped": "",
                "job_json": json.dumps(job.to_json()),
                **job_columns(job.to_json()),
            }
            for at, job in enumerate(self._jobs)
        ]

    @property
    def attempts(self) -> Iterator[dict[str, Any]]:
        for job in self._jobs:
            for round_ in range(self._scale.attempts):
                yield {
                    "id": f"{self._id}-{job.key[:4]}-{round_}",
                    "run_id": self._id,
                    "job_key": job.key,
                    "round": round_,
                    "device": f"device-{job.hardware}",
                    "host": "0123456789ab",
                    "started": self._started,
                    "duration_ns": 2_000_000_000,
                    "outcome": "ok",
                    "reason": "",
                    "evidence": "",
                    "effective": {"runtime_version": "1.20", "accelerators": ["cpu"], "threads": 2},
                    "conditions": self._conditions(),
                    "warnings": [],
                }

    def _conditions(self) -> dict[str, Any]:
        """As much as a device tells."""
        told = {f"sensor_{number}": {"unknown": "no such file on this system"} for number in range(20)}
        facts = {"os": "Debian GNU/Linux 12 (bookworm)", "kernel": "6.1", "python": "3.11.7"}
        return {**told, **facts, "load_average": float(self._drawn.random())}

    @property
    def measurements(self) -> Iterator[dict[str, Any]]:
        for job in self._jobs:
            slow = _SIZE if self._slow and job.side != "base" else 1.0
            for round_ in range(self._scale.attempts):
                noise = self._drawn.normal(self._drift, 0.02, len(self._names))
                for position, (name, moved) in enumerate(zip(self._names, noise.tolist(), strict=True)):
                    yield {
                        "attempt_id": f"{self._id}-{job.key[:4]}-{round_}",
                        "position": position,
                        "metric": name,
                        "parameters": {"output_tokens": 64},
                        "value": 1e7 * slow * float(np.exp(moved)),
                        "row_length": 0,
                        **_NO_SAMPLES,
                    }


_NO_SAMPLES = {"samples": pack([]), "percentiles": {}, **summary_columns([])}
_NO_SAMPLES = {name: None if isinstance(each, float) else each for name, each in _NO_SAMPLES.items()}  # NULL for NaN


def _job(target: int, side: str, *, rebuilt: bool) -> Job:
    return Job.from_json(
        {
            "key": f"{side or 'alone'}{target:02d}".ljust(16, "0"),
            "hardware": f"target-{target:02d}",
            "model": "chat",
            "task": "causal-lm",
            "variant": "int8",
            "reference": "int8",
            "artefact": "/models/int8.onnx",
            "digest": ("cd34" if rebuilt and side != "base" else "ab12") * 16,
            "artefact_bytes": 1000,
            "recipe": "int8 weights",
            "tokenizer": None,
            "configuration": {"name": "onnxruntime", "runtime": "onnxruntime"},
            "workload": {"name": "64 tokens", "prompt": {"length": 64}},
            "scenario": "steady",
            "settings": {"warmup": 2},
            "timeout_s": 600.0,
            "side": side,
            "pair": "p" if side else "",
        }
    )


if __name__ == "__main__":
    run_alone(measure, description=__doc__ or "", example="python -m benchmarks.history")
