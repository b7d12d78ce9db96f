"""Peak memory as the harness tells it, against what an independent process reads of the kernel.

A round is two workers of the same job, in random order. One is the harness's own, and another process reads its
resident size from outside without a pause: the highest value of a phase against the harness's peak of that phase, both
of one process. On a busy machine the observer is interrupted and can miss a short peak, never add one. The other worker
cannot reset its peak, so that the kernel's account of it at its end (`wait4`) covers its whole life: against the first
one's `peak_memory`. Last, a phase that holds 64 MiB for 2 ms, against the 64 MiB.
"""

from __future__ import annotations

import functools
import random
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchharness.errors import NothingRan, UsageError
from benchharness.results.result import Estimate
from benchmarks.bars import Bar, Criterion, Finding, Verdict
from benchmarks.options import ROOT, Options, run_alone
from benchmarks.pairs import Round, collect, in_random_order, median_of, ratio_of
from benchmarks.processes import load_average, run_program
from benchmarks.smollm2 import folder

SHARE = 0.02
BYTES = 2**20
TRANSIENT_BYTES = 64 * 2**20
TRANSIENT_S = 0.002
#: Phases of a worker that are compared one by one; before them there is no model.
PHASES = ("load", "measure")
#: Half the width that is enough for a bound of 2 %.
_NARROW = 0.005
#: Workers in a row, on a busy machine, of which the observer may miss a phase of milliseconds.
_MOST_UNSEEN = 10
_WHOLE = "whole"
_WORKER = ["-m", "benchharness.device.worker"]
#: The same worker on a system that has no way to reset a peak.
_UNRESET_WORKER = [
    "-c",
    "from benchharness.device.sensors import memory; memory.reset_peak = lambda: False; "
    "from benchharness.device import worker; worker.main()",
]


@dataclass(frozen=True, kw_only=True)
class _Model:
    """A model, its task, and the workload's fields that differ by task."""

    name: str
    artefact: Path
    task: str
    workload: Mapping[str, Any]


def measure(options: Options) -> Bar:
    """Ratios harness / observer of peak memory, by model and phase; and of the transient."""
    claim = "peak memory within 2 % or 1 MiB of what an independent process reads of the kernel"
    before = load_average()
    if not sys.platform.startswith("linux"):
        return Bar(name="memory_truth", claim=claim, findings=[], conditions=["needs Linux"], load=(before, before))
    models, missing = _models(options)
    end_s = time.monotonic() + options.max_time_s
    order = random.Random(options.seed)
    findings: list[Finding] = []
    reads_per_s: list[float] = []
    unseen = 0.0
    for done, model in enumerate(models):
        share_s = (end_s - time.monotonic()) / (len(models) + 1 - done)
        rounds = collect(
            functools.partial(_round, model, order), max_time_s=share_s, names=[*PHASES, _WHOLE], within=_NARROW
        )
        findings += _findings(model, rounds)
        reads_per_s.append(median_of(rounds, "reads_per_s"))
        unseen += sum(found.values["unseen"] for found in rounds)
    findings.append(_transient(end_s - time.monotonic()))
    return Bar(
        name="memory_truth",
        claim=claim,
        findings=findings,
        conditions=[
            f"scenario 'steady', 1 thread; the observer read {min(reads_per_s):.0f} times a second or more",
            f"{unseen:.0f} workers with a phase that the observer did not see were started again",
            *missing,
        ],
        load=(before, load_average()),
    )


def _models(options: Options) -> tuple[list[_Model], list[str]]:
    """The models that are here; and what is missing, in words."""
    examples = ROOT / "examples"
    language = {"asks": "language", "prompt": {"seed": 0, "length": 64}, "dimensions": {}}
    tensor = {"asks": "tensor", "prompt": {"seed": 0, "length": 64}, "dimensions": {"batch": 1}}
    models = [
        _Model(
            name=f"demo {variant}",
            artefact=examples / "demo_model" / "artefacts" / f"onnx-{variant}",
            task="causal-lm",
            workload=language,
        )
        for variant in ("fp32", "int4")
    ]
    digits = examples / "digits" / "artefacts" / "fp32.onnx"
    models.append(_Model(name="digits fp32", artefact=digits, task="classifier", workload=tensor))
    try:
        smollm2 = folder(options, "int4")
    except UsageError as error:
        return models, [str(error)]
    models.append(_Model(name="SmolLM2 int4", artefact=smollm2, task="causal-lm", workload=language))
    return models, []


def _order(model: _Model) -> dict[str, Any]:
    """What the supervisor would send to the worker (`protocol.schema.json`)."""
    workload = {"continuation": "fixed", "values": {}, "seed": 0, "output_tokens": 32, "context_depth": 0}
    return {
        "id": "memory-truth",
        "adapter": "onnxruntime",
        "configuration": {"accelerator": None, "threads": 1, "options": {}, "accelerator_options": {}},
        "artefact": str(model.artefact),
        "tokenizer": None,
        "task": model.task,
        "workload": {**workload, **model.workload},
        "scenario": "steady",
        "module": "benchharness.device.scenarios.steady",
        "settings": {
            "warmup": 2,
            "repeats": 3,
            "most_repeats": 30,
            "most_inferences": 2000,
            "min_time_ns": 500_000_000,
        },
    }


def _round(model: _Model, order: random.Random) -> Round:
    request = {"order": _order(model)}
    answers = in_random_order(
        {
            "watched": lambda: _watched({**request, "arguments": _WORKER, "watch": True}),
            "unreset": lambda: _run({**request, "arguments": _UNRESET_WORKER, "watch": False}),
        },
        order,
    )
    watched, unreset = answers["watched"], answers["unreset"]
    told, seen = _peaks(watched["told"]), {**watched["seen"], _WHOLE: unreset["maxrss"]}
    values = {f"told {name}": told[name] for name in (*PHASES, _WHOLE)}
    values |= {f"seen {name}": seen[name] for name in (*PHASES, _WHOLE)}
    values["unseen"] = watched["unseen"]
    values["reads_per_s"] = watched["reads"] / watched["wall_s"]
    return Round(ratios={name: told[name] / seen[name] for name in (*PHASES, _WHOLE)}, values=values)


def _watched(request: dict[str, Any]) -> dict[str, Any]:
    """A worker whose every phase was seen. `unseen`: how many before it had a phase that passed between two looks."""
    for unseen in range(_MOST_UNSEEN):
        found = _run(request)
        if found["seen"].keys() >= set(PHASES):
            return {**found, "unseen": unseen}
    raise NothingRan(f"the observer missed a phase of {_MOST_UNSEEN} workers; measure again on a machine less busy")


def _run(request: dict[str, Any]) -> dict[str, Any]:
    ended = run_program("watched_worker", request)
    if ended.answer["told"].get("type") != "measured":
        raise NothingRan(f"the worker did not measure: {ended.answer['told'].get('reason', 'it ended')}")
    return {**ended.answer, "wall_s": ended.wall_s}


def _peaks(told: Mapping[str, Any]) -> dict[str, float]:
    """The harness's peak bytes by phase, and of the whole attempt."""
    peaks = {}
    for found in told["measurements"]:
        if found["metric"] == "peak_memory":
            peaks[_WHOLE] = found["value"]
        elif found["metric"] == "phase_peak_memory":
            peaks[found["parameters"]["phase"]] = found["value"]
    return peaks


def _findings(model: _Model, rounds: Sequence[Round]) -> list[Finding]:
    labels = {name: f"{model.name}: peak in phase {name}, same process" for name in PHASES}
    labels[_WHOLE] = f"{model.name}: peak of the attempt, undisturbed process"
    return [
        _finding(label, name, rounds, median_of(rounds, f"told {name}"), median_of(rounds, f"seen {name}"))
        for name, label in labels.items()
    ]


def _transient(max_time_s: float) -> Finding:
    """A phase with a peak of known size, too short for anybody who looks now and then."""
    request = {"bytes": TRANSIENT_BYTES, "held_s": TRANSIENT_S}

    def once() -> Round:
        added = run_program("transient", request).answer["added"]
        return Round(ratios={"transient": added / TRANSIENT_BYTES}, values={"added": added})

    rounds = collect(once, max_time_s=max_time_s, names=["transient"], within=_NARROW)
    label = f"{TRANSIENT_BYTES >> 20} MiB for {TRANSIENT_S * 1e3:g} ms: added to the phase's peak"
    return _finding(label, "transient", rounds, median_of(rounds, "added"), TRANSIENT_BYTES)


def _finding(label: str, name: str, rounds: Sequence[Round], told_bytes: float, truth_bytes: float) -> Finding:
    return Finding(
        label=label,
        ratio=ratio_of(rounds, name),
        per_round=[found.ratios[name] for found in rounds],
        absolute=f"{told_bytes / 2**20:.2f} against {truth_bytes / 2**20:.2f} MiB",
        criterion=_within(truth_bytes),
    )


def _within(truth_bytes: float) -> Criterion:
    """Within 2 % or 1 MiB of the truth, whichever is more: the whole interval has to lie there."""
    tolerance = max(SHARE, BYTES / truth_bytes)
    low, high = 1 - tolerance, 1 + tolerance

    def judge(ratio: Estimate) -> Verdict:
        if ratio.low is None or ratio.high is None:
            return Verdict.UNDECIDED
        if low <= ratio.low and ratio.high <= high:
            return Verdict.PASS
        return Verdict.MISS if ratio.low > high or ratio.high < low else Verdict.UNDECIDED

    return Criterion(says=f"within {tolerance:.1%}", low=low, high=high, judge=judge)


if __name__ == "__main__":
    run_alone(measure, description=__doc__ or "", example="python -m benchmarks.memory_truth --max-time '2 min'")
