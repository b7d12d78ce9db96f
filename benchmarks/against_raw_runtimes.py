"""Decode rate and first-token latency in onnxruntime-genai and OpenVINO, against bare loops.

Measured like `against_raw_loop`: a round is a fresh process that loads the harness's session, a bare loop's and the
same bare loop's again (a control) in random order, and lets them take turns. On the bundled demo model, whose tokens
take a fraction of a millisecond: what the harness adds shows here as nowhere else.
"""

from __future__ import annotations

import functools
import random
import statistics
import time
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.bars import Bar, Finding, equal
from benchmarks.options import ROOT, Options, run_alone
from benchmarks.pairs import Round, collect, median_of, ratio_of
from benchmarks.processes import load_average, run_program

PROMPT_TOKENS = 32
OUTPUT_TOKENS = 32
TURNS = 40
METRICS = ("decode_rate", "model_ttft")
#: By case, the demo model's artefact.
CASES = {"genai logits": "onnx-gqa-fp32", "genai stream": "onnx-gqa-fp32", "openvino": "onnx-fp32"}

Answer = Mapping[str, Mapping[str, Sequence[float]]]


def measure(options: Options) -> Bar:
    """Ratios harness / bare loop of `decode_rate` and `model_ttft`, by case and thread count."""
    cases = [(case, threads) for case in CASES for threads in options.threads]
    before = load_average()
    end_s = time.monotonic() + options.max_time_s
    findings: list[Finding] = []
    order = random.Random(options.seed)
    for done, (case, threads) in enumerate(cases):
        request = {
            "case": case,
            "folder": str(ROOT / "examples" / "demo_model" / "artefacts" / CASES[case]),
            "threads": threads,
            "prompt_tokens": PROMPT_TOKENS,
            "output_tokens": OUTPUT_TOKENS,
            "turns": TURNS,
        }
        share_s = (end_s - time.monotonic()) / (len(cases) - done)
        rounds = collect(functools.partial(_round, request, order), max_time_s=share_s, names=METRICS)
        findings += _findings(f"{case}, {threads} thread{'' if threads == 1 else 's'}", rounds)
    return Bar(
        name="against_raw_runtimes",
        claim="decode rate and model_ttft equal to bare loops of onnxruntime-genai and OpenVINO",
        findings=findings,
        conditions=[
            f"prompt {PROMPT_TOKENS} tokens, output {OUTPUT_TOKENS}, greedy; OpenVINO in float32",
            f"three sessions in one process, {TURNS} turns each",
        ],
        load=(before, load_average()),
    )


def _round(request: dict[str, Any], order: random.Random) -> Round:
    answer: Answer = run_program("side_by_side_runtimes", {**request, "seed": order.randrange(2**32)}).answer
    ratios = {metric: _ratio(answer, metric, "harness") for metric in METRICS}
    ratios |= {f"{metric}, control": _ratio(answer, metric, "raw again") for metric in METRICS}
    values = {
        f"{side} {metric}": statistics.median(answer[side][metric]) for side in ("harness", "raw") for metric in METRICS
    }
    return Round(ratios=ratios, values=values)


def _ratio(answer: Answer, metric: str, side: str) -> float:
    """The median over turns of this side's figure over the bare loop's."""
    return statistics.median(mine / raw for mine, raw in zip(answer[side][metric], answer["raw"][metric], strict=True))


def _findings(label: str, rounds: Sequence[Round]) -> list[Finding]:
    rates = [median_of(rounds, f"{side} decode_rate") for side in ("harness", "raw")]
    ttfts = [median_of(rounds, f"{side} model_ttft") / 1e6 for side in ("harness", "raw")]
    absolute = {
        "decode_rate": f"{rates[0]:.1f} against {rates[1]:.1f} tokens/s",
        "model_ttft": f"{ttfts[0]:.2f} against {ttfts[1]:.2f} ms",
    }
    return [
        Finding(
            label=f"{label}: {name}",
            ratio=ratio_of(rounds, name),
            per_round=[found.ratios[name] for found in rounds],
            absolute=absolute.get(name, "bare loop against itself"),
            criterion=equal() if name in absolute else None,
        )
        for name in rounds[0].ratios
    ]


if __name__ == "__main__":
    run_alone(
        measure,
        description=__doc__ or "",
        example="python -m benchmarks.against_raw_runtimes --threads 1 --max-time '3 min'",
    )
