"""What it costs a model that the supervisor looks at its process and the device's sensors.

One session decodes in windows of half a second; another process looks at it in some of them exactly as the supervisor
does in a sustained session, and waits in the others. A round is one window with and two without, in random order, next
to each other: the slowdown is the rate without over the rate with. The two without, one by the other, are the control.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchharness.errors import UsageError
from benchmarks.bars import Bar, Finding, at_most
from benchmarks.options import ROOT, Options, run_alone
from benchmarks.pairs import Round, median_of, ratio_of
from benchmarks.processes import load_average, run_program
from benchmarks.smollm2 import folder

LIMIT = 1.01
#: Half the width of the interval at which a case ends early.
WITHIN = 0.005
WINDOW_S = 0.5
PROMPT_TOKENS = 8
DEMO = ROOT / "examples" / "demo_model" / "artefacts" / "onnx-fp32"


@dataclass(frozen=True)
class _Case:
    """A model, how many tokens an answer of it has (several answers fill a window), and on how many threads."""

    name: str
    folder: Path
    output_tokens: int
    threads: int


def measure(options: Options) -> Bar:
    """Ratios of decode rates, unwatched / watched, by model and thread count."""
    models, missing = _models(options)
    cases = [_Case(*model, threads) for model in models for threads in options.threads]
    before = load_average()
    end_s = time.monotonic() + options.max_time_s
    order = random.Random(options.seed)
    findings: list[Finding] = []
    for done, case in enumerate(cases):
        share_s = (end_s - time.monotonic()) / (len(cases) - done)
        findings += _findings(case, _measured(case, share_s, order.randrange(2**32)))
    return Bar(
        name="sampler",
        claim="looking at the worker and all sensors as often as in a session costs under 1 % of the decode rate",
        findings=findings,
        conditions=[
            f"windows of {WINDOW_S:g} s in one session; a round is one watched and two unwatched ones",
            f"prompt {PROMPT_TOKENS} tokens, prefill not counted; ends at ± {WITHIN:.1%} or when its time is over",
            *missing,
        ],
        load=(before, load_average()),
    )


def _models(options: Options) -> tuple[list[tuple[str, Path, int]], list[str]]:
    """Name, folder and output tokens of each model that is here; and what is missing, in words."""
    models = [("demo fp32", DEMO, 400)]
    try:
        models.append(("SmolLM2 int4", folder(options, "int4"), 16))
    except UsageError as error:
        return models, [str(error)]
    return models, []


def _measured(case: _Case, max_time_s: float, seed: int) -> Mapping[str, Any]:
    request = {
        "folder": str(case.folder),
        "threads": case.threads,
        "prompt_tokens": PROMPT_TOKENS,
        "output_tokens": case.output_tokens,
        "window_s": WINDOW_S,
        "max_time_s": max_time_s,
        "within": WITHIN,
        "seed": seed,
    }
    return run_program("decode_looked_on", request).answer


def _findings(case: _Case, answer: Mapping[str, Any]) -> list[Finding]:
    rounds = [_round(rates) for rates in answer["rounds"]]
    label = f"{case.name}, threads {case.threads}"
    looks, on_s, cpu_ns = answer["looks"], answer["on_s"], answer["cpu_ns"]
    absolute = (
        f"{median_of(rounds, 'off'):.1f} unwatched against {median_of(rounds, 'on'):.1f} tokens/s; {looks / on_s:.1f} "
        f"looks/s, {cpu_ns / max(1, looks) / 1e3:.0f} µs of CPU each, {cpu_ns / 1e9 / on_s:.2%} of a core"
    )
    return [
        _finding(f"{label}: slowdown", "slowdown", rounds, absolute),
        _finding(f"{label}: slowdown, control", "control", rounds, "unwatched against unwatched"),
    ]


def _round(rates: Mapping[str, float]) -> Round:
    """The slowdown against the geometric mean of both unwatched windows, and the control."""
    off, again = rates["off"], rates["off again"]
    return Round(ratios={"slowdown": (off * again) ** 0.5 / rates["on"], "control": off / again}, values=rates)


def _finding(label: str, name: str, rounds: Sequence[Round], absolute: str) -> Finding:
    return Finding(
        label=label,
        ratio=ratio_of(rounds, name),
        per_round=[found.ratios[name] for found in rounds],
        absolute=absolute,
        criterion=at_most(LIMIT) if name == "slowdown" else None,
    )


if __name__ == "__main__":
    run_alone(measure, description=__doc__ or "", example="python -m benchmarks.sampler --threads 1 --max-time '2 min'")
