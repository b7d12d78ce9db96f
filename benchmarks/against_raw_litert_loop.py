"""The harness's decode rate and first-token latency against a raw `CompiledModel` loop on the same model.

Measured like `against_raw_loop`: a round is a fresh process that loads the harness's session, a raw loop's and the same
raw loop's again (a control) in random order, and lets them take turns on the same fixed tokens. The prompt is one token
longer than a prefill, so that neither side pads.
"""

from __future__ import annotations

import functools
import random
import time
from pathlib import Path

from benchharness.errors import UsageError
from benchmarks.bars import Bar, Finding
from benchmarks.options import Options, run_alone
from benchmarks.pairs import collect
from benchmarks.processes import load_average
from benchmarks.side_by_side import METRICS, findings_of, round_of

#: `prefill_32`, and one token through `decode`.
PROMPT_TOKENS = 33
#: Short turns follow each other closely, so that a disturbance of seconds meets all sides.
OUTPUT_TOKENS = 16
#: Turns of each side in one process: about half a minute on one slow core.
TURNS = {"fp32": 12, "int8": 24, "int4": 24}
_FEWEST_TURNS = 12


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
        rounds = collect(
            functools.partial(round_of, "side_by_side_bare", request, order), max_time_s=share_s, names=METRICS
        )
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


if __name__ == "__main__":
    run_alone(
        measure,
        description=__doc__ or "",
        example="python -m benchmarks.against_raw_litert_loop --variants int8 --threads 2 --max-time '3 min'",
    )
