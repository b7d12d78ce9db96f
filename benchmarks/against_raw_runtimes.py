"""Decode rate and first-token latency in onnxruntime-genai, OpenVINO, LiteRT-LM and a browser, against bare loops.

Measured like `against_raw_loop`: a round is a fresh process that loads the harness's session, a bare loop's and the
same bare loop's again (a control) in random order, and lets them take turns. On the bundled demo model, whose tokens
take a fraction of a millisecond: what the harness adds shows here as nowhere else.
"""

from __future__ import annotations

import functools
import random
import subprocess
import sys
import time

from benchmarks.bars import EQUAL, Bar, Finding
from benchmarks.options import ROOT, Options, run_alone
from benchmarks.pairs import collect
from benchmarks.processes import load_average
from benchmarks.side_by_side import METRICS, findings_of, round_of

PROMPT_TOKENS = 32
OUTPUT_TOKENS = 32
TURNS = 40
_DEMO, _BUILT = ROOT / "examples" / "demo_model", ROOT / "build" / "demo_model"
#: By case, the demo model's artefact.
CASES = {
    "genai logits": _DEMO / "artefacts" / "onnx-gqa-fp32",
    "genai stream": _DEMO / "artefacts" / "onnx-gqa-fp32",
    "openvino": _DEMO / "artefacts" / "onnx-fp32",
    "web": _DEMO / "artefacts" / "onnx-fp32",
    "litert-lm": _BUILT / "litert-lm-fp32",
}
#: By case, what counts as equal where that is not `EQUAL`: what other threads and pages stamp spreads more.
WITHIN = {"web": 0.05, "litert-lm": 0.05}


def measure(options: Options) -> Bar:
    """Ratios harness / bare loop of `decode_rate` and `model_ttft`, by case and thread count."""
    subprocess.run([sys.executable, str(_DEMO / "runtimes.py")], check=True, stdout=subprocess.DEVNULL)
    cases = [(case, threads) for case in CASES for threads in options.threads]
    before = load_average()
    end_s = time.monotonic() + options.max_time_s
    findings: list[Finding] = []
    order = random.Random(options.seed)
    for done, (case, threads) in enumerate(cases):
        request = {
            "case": case,
            "folder": str(CASES[case]),
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
        claim="decode rate and model_ttft equal to bare loops of these runtimes alone",
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
