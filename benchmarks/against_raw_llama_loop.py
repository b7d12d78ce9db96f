"""The harness's decode rate and first-token latency against a bare loop on llama.cpp's C functions, on the same model.

Measured like `against_raw_litert_loop`, on the demo model as GGUF, which is made where it is missing: so small a model
shows every microsecond that an adapter adds to a token.
"""

from __future__ import annotations

import functools
import random
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.bars import Bar, Finding
from benchmarks.options import Options, run_alone
from benchmarks.pairs import collect
from benchmarks.processes import load_average
from benchmarks.side_by_side import METRICS, findings_of, round_of

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "build" / "demo_model" / "gguf-f32"
PROMPT_TOKENS, OUTPUT_TOKENS, TURNS = 32, 64, 24


def measure(options: Options) -> Bar:
    """Ratios harness / bare loop of `decode_rate` and `model_ttft`, by thread count."""
    if not (FOLDER / "model.gguf").is_file():
        subprocess.run([sys.executable, str(ROOT / "examples" / "demo_model" / "gguf_model.py")], check=True)
    before, order = load_average(), random.Random(options.seed)
    end_s = time.monotonic() + options.max_time_s
    findings: list[Finding] = []
    for done, threads in enumerate(options.threads):
        request = {
            "runtime": "llama-cpp",
            "folder": str(FOLDER),
            "threads": threads,
            "prompt_tokens": PROMPT_TOKENS,
            "output_tokens": OUTPUT_TOKENS,
            "turns": TURNS,
        }
        share_s = (end_s - time.monotonic()) / (len(options.threads) - done)
        rounds = collect(
            functools.partial(round_of, "side_by_side_bare", request, order), max_time_s=share_s, names=METRICS
        )
        findings += findings_of(f"demo f32, {threads} thread{'' if threads == 1 else 's'}", rounds)
    return Bar(
        name="against_raw_llama_loop",
        claim="decode rate and model_ttft equal to a bare loop on llama.cpp's C functions",
        findings=findings,
        conditions=[
            f"prompt {PROMPT_TOKENS} tokens, output {OUTPUT_TOKENS}, fixed continuation, greedy choice on both sides",
            "three sessions in one process; llama.cpp's defaults: cache in float16, flash attention",
        ],
        load=(before, load_average()),
    )


if __name__ == "__main__":
    run_alone(
        measure,
        description=__doc__ or "",
        example="python -m benchmarks.against_raw_llama_loop --threads 1 --max-time '2 min'",
    )
