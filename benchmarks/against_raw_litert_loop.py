"""The harness's decode rate and first-token latency against a raw `CompiledModel` loop on the same model.

Measured like `against_raw_loop`: a round is a fresh process that loads the harness's session, a raw loop's and the same
raw loop's again (a control) in random order, and lets them take turns on the same fixed tokens. The prompt is one token
longer than a prefill, so that neither side pads.
"""

from __future__ import annotations

import functools
import random
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchharness.errors import UsageError
from benchmarks.bars import Bar, Finding, equal
from benchmarks.options import Options, run_alone
from benchmarks.pairs import Round, collect, median_of, ratio_of
from benchmarks.processes import load_average, run_program

#: `prefill_32`, and one token through `decode`.
PROMPT_TOKENS = 33
#: Short turns follow each other closely, so that a disturbance of seconds meets all sides.
OUTPUT_TOKENS = 16
#: Turns of each side in one process: about half a minute on one slow core.
TURNS = {"fp32": 12, "int8": 24, "int4": 24}
_FEWEST_TURNS = 12

METRICS = ("decode_rate", "model_ttft")

Answer = Mapping[str, Mapping[str, Sequence[float]]]


def measure(options: Options) -> Bar:
    """Ratios harness / raw loop of `decode_rate` and `model_ttft`, by variant and thread count."""
    cases = [(variant, threads) for variant in options.variants for threads in options.threads]
    folders = {variant: _folder(options, variant) for variant in options.variants}
    before = load_average()
    end_s = time.monotonic() + options.max_time_s
    findings: list[Finding] = []
    order = random.Random(options.seed)
    for done, (variant, threads) in enumerate(cases):
        request = {
            "runtime": "tflite",
            "folder": str(folders[variant]),
            "threads": threads,
            "prompt_tokens": PROMPT_TOKENS,
            "output_tokens": OUTPUT_TOKENS,
            "turns": TURNS.get(variant, _FEWEST_TURNS),
        }
        share_s = (end_s - time.monotonic()) / (len(cases) - done)
        rounds = collect(functools.partial(round_of, request, order), max_time_s=share_s, names=METRICS)
        findings += findings_of(f"{variant}, {threads} thread{'' if threads == 1 else 's'}", rounds)
    return Bar(
        name="against_raw_litert_loop",
        claim="decode rate and model_ttft equal to a raw CompiledModel loop with one set of cache buffers",
        findings=findings,
        conditions=[
            f"prompt {PROMPT_TOKENS} tokens, output {OUTPUT_TOKENS}, fixed continuation, greedy choice on both sides",
            "three sessions in one process",
        ],
        load=(before, load_average()),
    )


def _folder(options: Options, variant: str) -> Path:
    found = options.models / f"tflite-{variant}"
    if not (found / "model.tflite").is_file():
        raise UsageError(f"SmolLM2 {variant} is not in {found}; build it with: make smollm2")
    return found


def round_of(request: dict[str, Any], order: random.Random) -> Round:
    """Ratios of one fresh process, and the figures behind them."""
    answer: Answer = run_program("side_by_side_bare", {**request, "seed": order.randrange(2**32)}).answer
    ratios = {metric: _ratio(answer, metric, "harness") for metric in METRICS}
    ratios |= {f"{metric}, control": _ratio(answer, metric, "raw again") for metric in METRICS}
    values = {
        f"{side} {metric}": statistics.median(answer[side][metric]) for side in ("harness", "raw") for metric in METRICS
    }
    return Round(ratios=ratios, values=values)


def _ratio(answer: Answer, metric: str, side: str) -> float:
    """The median over turns of this side's figure over the raw loop's."""
    return statistics.median(mine / raw for mine, raw in zip(answer[side][metric], answer["raw"][metric], strict=True))


def findings_of(label: str, rounds: Sequence[Round]) -> list[Finding]:
    """What all rounds of one case say, the control included."""
    rates = [median_of(rounds, f"{side} decode_rate") for side in ("harness", "raw")]
    ttfts = [median_of(rounds, f"{side} model_ttft") / 1e6 for side in ("harness", "raw")]
    absolute = {
        "decode_rate": f"{rates[0]:.1f} against {rates[1]:.1f} tokens/s",
        "model_ttft": f"{ttfts[0]:.1f} against {ttfts[1]:.1f} ms",
    }
    return [
        Finding(
            label=f"{label}: {name}",
            ratio=ratio_of(rounds, name),
            per_round=[found.ratios[name] for found in rounds],
            absolute=absolute.get(name, "raw loop against itself"),
            criterion=equal() if name in absolute else None,
        )
        for name in rounds[0].ratios
    ]


if __name__ == "__main__":
    run_alone(
        measure,
        description=__doc__ or "",
        example="python -m benchmarks.against_raw_litert_loop --variants int8 --threads 2 --max-time '3 min'",
    )
