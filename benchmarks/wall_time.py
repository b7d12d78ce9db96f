"""The wall time of a whole `benchharness run` against a bare script that does the same work.

A job of five fresh processes on SmolLM2 int4, one scenario at a time, against five runs of a script that imports
onnxruntime, loads the model and answers as many requests of as many tokens, with nothing stored and nothing
reported. A round is both, in random order. The command is run once before, so that hashes are cached and the store
exists, as is so for everybody but on the first day.
"""

from __future__ import annotations

import functools
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchharness.device.inputs.requests import seeded_tokens
from benchharness.results.result import Attempt
from benchharness.results.store import Store
from benchmarks.bars import Bar, Breakdown, Finding, at_most
from benchmarks.options import Options, run_alone
from benchmarks.pairs import Round, collect, in_random_order, median_of, ratio_of
from benchmarks.processes import load_average, run_program, run_timed
from benchmarks.smollm2 import folder

VARIANT = "int4"
LIMIT = 1.5
PROCESSES = 5
PROMPT_TOKENS = 32
OUTPUT_TOKENS = 48
VOCABULARY = 49152
#: Output tokens of each request of one worker, by scenario, with the settings below.
ANSWERS = {
    "first-token": [1] * (1 + 3 + 5),  # the cold one, warm-ups, repeats
    "steady": [8] + [OUTPUT_TOKENS] * 4,  # warm-ups, the last of full length; repeats (and two single tokens of checks)
}
#: Half the width that is enough: the bar is a bound, not an equality.
_NARROW = 0.05

#: Phases of a worker's cold start, named as the bare script's parts; what is left of a worker is requests.
_PHASES = {"start": "interpreter", "import": "import", "load": "load"}

_SUITE = """
[models.smollm2]
task = "causal-lm"
variants.{variant} = {{ artefact = '{folder}' }}

[[configurations]]
threads = {threads}

[[workloads]]
prompt = {{ tokens = {prompt_tokens} }}
output_tokens = {output_tokens}

[scenarios]
first-token = {{ warmup = 3, repeats = 5, most_repeats = 5 }}
steady = {{ warmup = 2, repeats = 3, most_repeats = 3 }}

[attempts]
at_least = {processes}
"""


def measure(options: Options) -> Bar:
    """Ratios harness / bare script of wall times, by scenario, at the largest thread count asked for."""
    model, threads = folder(options, VARIANT), max(options.threads)
    before = load_average()
    end_s = time.monotonic() + options.max_time_s
    findings: list[Finding] = []
    breakdowns: list[Breakdown] = []
    order = random.Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="benchharness-") as scratch:
        for done, scenario in enumerate(ANSWERS):
            race = _Race(Path(scratch), model, threads, scenario)
            race.harness()
            race.forget()
            share_s = (end_s - time.monotonic()) / (len(ANSWERS) - done)
            rounds = collect(functools.partial(race.round, order), max_time_s=share_s, names=["wall"], within=_NARROW)
            findings.append(_finding(scenario, rounds))
            breakdowns += race.breakdowns()
    return Bar(
        name="wall_time",
        claim=f"{PROCESSES} processes through `benchharness run` take at most {LIMIT:g} times a bare script's time",
        findings=findings,
        conditions=[
            f"SmolLM2 {VARIANT}, threads {threads}, prompt {PROMPT_TOKENS} tokens; steady decodes {OUTPUT_TOKENS}",
            f"{PROCESSES} fresh processes on both sides; hashes cached, store there, page cache warm",
        ],
        load=(before, load_average()),
        breakdowns=breakdowns,
    )


@dataclass
class _Race:
    """One scenario: the command, the script, and where each spent its time."""

    scratch: Path
    model: Path
    threads: int
    scenario: str
    harness_parts: list[Mapping[str, float]] = field(default_factory=list)
    bare_parts: list[Mapping[str, float]] = field(default_factory=list)

    def round(self, order: random.Random) -> Round:
        """Both, in random order."""
        took_s = in_random_order({"harness": self.harness, "bare": self.bare}, order)
        return Round(ratios={"wall": took_s["harness"] / took_s["bare"]}, values=took_s)

    def harness(self) -> float:
        """One `benchharness run`, start of the process to its end, in seconds."""
        suite = self.scratch / "suite.toml"
        suite.write_text(
            _SUITE.format(
                variant=VARIANT,
                folder=self.model,
                threads=self.threads,
                prompt_tokens=PROMPT_TOKENS,
                output_tokens=OUTPUT_TOKENS,
                processes=PROCESSES,
            )
        )
        store = f"sqlite:///{self.scratch / 'store.db'}"
        command = [sys.executable, "-m", "benchharness", "run", str(suite), "--scenario", self.scenario]
        started_s = time.time()
        wall_s, _ = run_timed([*command, "--store", store, "--out", str(self.scratch / "report")])
        self.harness_parts.append(_harness_parts(store, started_s, wall_s))
        return wall_s

    def bare(self) -> float:
        """As many runs of the bare script as the harness starts processes, in seconds."""
        request = {
            "folder": str(self.model),
            "threads": self.threads,
            "prompt": seeded_tokens(VOCABULARY, PROMPT_TOKENS, seed=0),
            "fed": seeded_tokens(VOCABULARY, OUTPUT_TOKENS, seed=2),
            "answers": ANSWERS[self.scenario],
        }
        started_ns = time.perf_counter_ns()
        runs = [run_program("bare", request) for _ in range(PROCESSES)]
        wall_s = (time.perf_counter_ns() - started_ns) / 1e9
        parts = {phase: sum(run.answer[phase] for run in runs) for phase in runs[0].answer}
        self.bare_parts.append({"interpreter": wall_s - sum(parts.values()), **parts})
        return wall_s

    def forget(self) -> None:
        """Drops what the run for warming up left."""
        self.harness_parts.clear()

    def breakdowns(self) -> list[Breakdown]:
        """Means over the rounds, so that the parts add up to the mean wall time."""
        return [
            Breakdown(label=f"{self.scenario}: {side}", parts_s=_means(parts))
            for side, parts in (("benchharness run", self.harness_parts), ("bare script", self.bare_parts))
        ]


def _harness_parts(url: str, started_s: float, wall_s: float) -> dict[str, float]:
    """Seconds by part, from what the run stored about its attempts. The parts add up to the wall time."""
    store = Store(url)
    try:
        attempts = sorted(store.attempts(store.find("latest")), key=lambda attempt: attempt.started)
    finally:
        store.close()
    starts = [attempt.started.timestamp() for attempt in attempts]
    workers = sum(attempt.duration_ns for attempt in attempts) / 1e9
    ended_s = starts[-1] + attempts[-1].duration_ns / 1e9
    before, after = starts[0] - started_s, started_s + wall_s - ended_s
    phases = {_PHASES[phase]: seconds for phase, seconds in _cold_start_phases(attempts).items() if phase in _PHASES}
    return {
        "before the first worker": before,
        **phases,
        "requests" if phases else "workers as a whole": workers - sum(phases.values()),
        "between workers": ended_s - starts[0] - workers,
        "after the last worker": after,
    }


def _cold_start_phases(attempts: Sequence[Attempt]) -> dict[str, float]:
    """Seconds by phase, summed over the attempts; empty where the scenario does not measure a cold start."""
    phases: dict[str, float] = {}
    for attempt in attempts:
        for measured in attempt.measurements:
            if measured.metric == "cold_start_phase":
                phase = str(measured.parameters["phase"])
                phases[phase] = phases.get(phase, 0.0) + measured.value / 1e9
    return phases


def _means(parts: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {part: statistics.fmean(each[part] for each in parts) for part in parts[0]}


def _finding(scenario: str, rounds: Sequence[Round]) -> Finding:
    harness, bare = (median_of(rounds, side) for side in ("harness", "bare"))
    return Finding(
        label=f"{VARIANT}, {scenario}: wall time",
        ratio=ratio_of(rounds, "wall"),
        per_round=[found.ratios["wall"] for found in rounds],
        absolute=f"{harness:.2f} against {bare:.2f} s",
        criterion=at_most(LIMIT),
    )


if __name__ == "__main__":
    run_alone(
        measure,
        description=__doc__ or "",
        example="python -m benchmarks.wall_time --threads 2 --max-time '5 min'",
    )
