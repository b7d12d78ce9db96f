"""Decode rate and first-token latency in onnxruntime-genai, OpenVINO and a browser, against bare loops.

Measured like `against_raw_loop`: a round is a fresh process that loads the harness's session, a bare loop's and the
same bare loop's again (a control) in random order, and lets them take turns. On the bundled demo model, whose tokens
take a fraction of a millisecond: what the harness adds shows here as nowhere else.
"""

from __future__ import annotations

import functools
import random
import time

from benchmarks.bars import EQUAL, Bar, Finding
from benchmarks.options import ROOT, Options, run_alone
from benchmarks.pairs import collect
from benchmarks.processes import load_average
from benchmarks.side_by_side import METRICS, findings_of, round_of

PROMPT_TOKENS = 32
OUTPUT_TOKENS = 32
TURNS = 40
#: By case, the demo model's artefact.
CASES = {"genai logits": "onnx-gqa-fp32", "genai stream": "onnx-gqa-fp32", "openvino": "onnx-fp32", "web": "onnx-fp32"}
#: By case, what counts as equal where that is not `EQUAL`: a page's times spread more.
WITHIN = {"web": 0.05}


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
        rounds = collect(
            functools.partial(round_of, "side_by_side_runtimes", request, order),
            max_time_s=share_s,
            names=METRICS,
            within=WITHIN.get(case, EQUAL),
        )
        label = f"{case}, {threads} thread{'' if threads == 1 else 's'}"
        findings += findings_of(label, rounds, WITHIN.get(case, EQUAL))
    return Bar(
        name="against_raw_runtimes",
        claim="decode rate and model_ttft equal to bare loops of onnxruntime-genai, OpenVINO and onnxruntime-web",
        findings=findings,
        conditions=[
            f"prompt {PROMPT_TOKENS} tokens, output {OUTPUT_TOKENS}, greedy; OpenVINO in float32",
            f"three sessions in one process, {TURNS} turns each",
        ],
        load=(before, load_average()),
    )


if __name__ == "__main__":
    run_alone(
        measure,
        description=__doc__ or "",
        example="python -m benchmarks.against_raw_runtimes --threads 1 --max-time '3 min'",
    )
