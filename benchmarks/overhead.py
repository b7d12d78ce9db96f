"""What the harness itself costs: a job on the adapter that does nothing, so that whatever takes time is the harness.

One run of both scenarios through the Python API; an attempt is a round. Two bars: a token may cost 2 µs (the loop, the
greedy choice, the stamps) and a worker may take 400 ms from its spawn until it is ready to import a runtime. The other
figures have no bar: they stand as ratios to the worker's own life, or to the memory of a bare interpreter.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import psutil

import benchharness
from benchharness.device.sensors.memory import ResidentSize
from benchharness.judge.intervals import paired_ratio
from benchharness.results.result import Attempt, Job, Result
from benchharness.results.store import Store
from benchmarks.bars import Bar, Finding, at_most
from benchmarks.options import Options, run_alone
from benchmarks.processes import load_average

TOKEN_LIMIT_NS = 2_000
READY_LIMIT_NS = 400_000_000
#: Attempts of each scenario; both together take half a minute.
ATTEMPTS = 20
OUTPUT_TOKENS = 4096
#: Interpreters that do nothing, for comparison.
_BARE_PROCESSES = 5


def measure(options: Options) -> Bar:
    """Ratios measured / limit of the cost of a token and of a worker's start; controls for the rest."""
    before = load_average()
    watcher = _SupervisorWatcher()
    with tempfile.TemporaryDirectory(prefix="benchharness-") as scratch:
        attempts = _attempts(Path(scratch), watcher, options.max_time_s)
    ended = [attempt for attempt in attempts if attempt.outcome.ok]
    return Bar(
        name="overhead",
        claim="without a model, a token costs under 2 µs and a worker is ready within 400 ms",
        findings=[*_time_findings(ended), *_memory_findings(ended, watcher.resident)],
        conditions=[
            f"adapter 'null', {len(ended)} of {len(attempts)} attempts ok; {OUTPUT_TOKENS} output tokens in 'steady'",
            "an attempt is a round; page cache warm",
        ],
        load=(before, load_average()),
    )


def _attempts(scratch: Path, watcher: _SupervisorWatcher, max_time_s: float) -> Sequence[Attempt]:
    """The attempts of one run of both scenarios, in the order they were made."""
    artefact, store = scratch / "nothing.null", f"sqlite:///{scratch / 'store.db'}"
    artefact.touch()
    suite = {
        "name": "overhead",
        "models": {"nothing": {"task": "causal-lm", "variants": {"nothing": {"artefact": str(artefact)}}}},
        "configurations": [{"runtime": "null"}],
        "workloads": [{"prompt": {"tokens": 16}, "output_tokens": OUTPUT_TOKENS}],
        "attempts": {"at_least": ATTEMPTS, "max_time": f"{max_time_s:g} s"},
    }
    found = benchharness.run(suite, store=store, watching=watcher.watching())
    opened = Store(store)
    try:
        return sorted(opened.attempts(found.run.id), key=lambda attempt: attempt.started)
    finally:
        opened.close()


class _SupervisorWatcher:
    """An `execute.Observer` that draws nothing, and notes the supervisor's resident bytes when an attempt ends."""

    def __init__(self) -> None:
        self.resident: list[int] = []

    @contextmanager
    def watching(self) -> Iterator[_SupervisorWatcher]:
        """Itself; there is nothing to clean up."""
        yield self

    def begins(self, jobs: Sequence[Job], attempt: int, of: int, left: int, left_s: float | None) -> None:
        """Draws nothing."""

    def phase(self, phase: str, done: int, total: int) -> None:
        """Draws nothing."""

    def done(self, result: Result) -> None:
        """Draws nothing."""

    def ended(self, job: Job, attempt: Attempt) -> None:
        """Reads the memory of this process's child, the supervisor."""
        for child in psutil.Process().children():
            held = ResidentSize(child.pid).read() if any("supervisor" in word for word in child.cmdline()) else None
            if held is not None:
                self.resident.append(held)


def _time_findings(attempts: Sequence[Attempt]) -> list[Finding]:
    per_token = _values(attempts, "tpot")
    ready = _values(attempts, "cold_start_phase", phase="start")
    lives = [attempt.duration_ns for attempt in attempts]
    watched = [ns for attempt in attempts if (ns := attempt.conditions.watching_ns) is not None]
    between = _between_ns(attempts)
    return [
        _bar("time per token / 2 µs", per_token, TOKEN_LIMIT_NS, f"{median(per_token):.0f} ns a token"),
        _bar("worker spawn to ready / 400 ms", ready, READY_LIMIT_NS, f"{median(ready) / 1e6:.0f} ms"),
        _control(
            "between two workers / worker's life",
            list(zip(between, lives, strict=False)),  # there is no gap behind the last one
            f"{median(between) / 1e6:.1f} ms an attempt, with a worker's life of {median(lives) / 1e6:.0f} ms",
        ),
        _control(
            "reading memory / worker's life",
            list(zip(watched, lives, strict=True)),
            f"{median(watched) / 1e6:.1f} ms an attempt, taken out of its times",
        ),
    ]


def _memory_findings(attempts: Sequence[Attempt], supervisor: Sequence[int]) -> list[Finding]:
    bare = median(_bare_interpreter_bytes() for _ in range(_BARE_PROCESSES))
    sides = {
        "worker before any runtime": _values(attempts, "settled_memory", phase="start", kind="rss"),
        "supervisor": supervisor,
    }
    return [
        _control(
            f"{side}: memory / bare interpreter's",
            [(held, bare) for held in found],
            f"{median(found) / 2**20:.1f} MiB resident, a bare interpreter {bare / 2**20:.1f} MiB",
        )
        for side, found in sides.items()
        if found
    ]


def _values(attempts: Sequence[Attempt], metric: str, **parameters: str) -> list[float]:
    """A metric's value in every attempt that has it with these parameters, in the metric's base unit."""
    return [
        measured.value
        for attempt in attempts
        for measured in attempt.measurements
        if measured.metric == metric and parameters.items() <= measured.parameters.items()
    ]


def _between_ns(attempts: Sequence[Attempt]) -> list[float]:
    """From the end of a worker to the spawn of the next: saving, deciding, ordering, reading conditions; in ns."""
    starts = [attempt.started.timestamp() * 1e9 for attempt in attempts]
    ends = [start + attempt.duration_ns for start, attempt in zip(starts, attempts, strict=True)]
    return [later - sooner for sooner, later in zip(ends, starts[1:], strict=False)]


def _bare_interpreter_bytes() -> int:
    """Resident bytes of an interpreter of the same kind that has imported nothing."""
    with subprocess.Popen(
        [sys.executable, "-c", "print(flush=True); input()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()  # it is up
        held: int = psutil.Process(process.pid).memory_info().rss
        process.stdin.write(b"\n")
    return held


def _bar(label: str, values: Sequence[float], limit: float, absolute: str) -> Finding:
    return Finding(
        label=label,
        ratio=paired_ratio([(value, limit) for value in values], statistic="geometric mean over attempts"),
        per_round=[value / limit for value in values],
        absolute=absolute,
        criterion=at_most(1.0),
    )


def _control(label: str, pairs: Sequence[tuple[float, float]], absolute: str) -> Finding:
    return Finding(
        label=label,
        ratio=paired_ratio(pairs, statistic="geometric mean over attempts"),
        per_round=[first / second for first, second in pairs],
        absolute=absolute,
        criterion=None,
    )


if __name__ == "__main__":
    run_alone(measure, description=__doc__ or "", example="python -m benchmarks.overhead --max-time '1 min'")
