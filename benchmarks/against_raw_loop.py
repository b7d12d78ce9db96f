"""The harness's decode rate and first-token latency against a raw onnxruntime loop on the same model.

A round is a fresh process that loads three sessions in random order: the harness's, a raw loop's, and the same raw
loop's again, which shows how far two equal sessions differ (a control). In it the three take turns in random order, on
the same fixed tokens; the round's ratio is the median of its turns' ratios. Sessions load at addresses of their own and
keep them, so turns within a process are not independent: the interval is over rounds. onnxruntime's threads
do not spin here, or the idle sessions' threads would disturb the one that runs.
"""

from __future__ import annotations

import functools
import random
import time

from benchmarks.bars import Bar, Finding
from benchmarks.options import Options, run_alone
from benchmarks.pairs import collect
from benchmarks.processes import load_average
from benchmarks.side_by_side import METRICS, findings_of, round_of
from benchmarks.smollm2 import folder

PROMPT_TOKENS = 32
#: Short turns follow each other closely, so that a disturbance of seconds meets all sides.
OUTPUT_TOKENS = 16
#: Turns of each side in one process: about half a minute on one slow core.
TURNS = {"fp32": 12, "int4": 24}
_FEWEST_TURNS = 12


def measure(options: Options) -> Bar:
    """Ratios harness / raw loop of `decode_rate` and `model_ttft`, by variant and thread count."""
    cases = [(variant, threads) for variant in options.variants for threads in options.threads]
    folders = {variant: folder(options, variant) for variant in options.variants}
    before = load_average()
    end_s = time.monotonic() + options.max_time_s
    findings: list[Finding] = []
    order = random.Random(options.seed)
    for done, (variant, threads) in enumerate(cases):
        request = {
            "folder": str(folders[variant]),
            "threads": threads,
            "spinning": False,
            "prompt_tokens": PROMPT_TOKENS,
            "output_tokens": OUTPUT_TOKENS,
            "turns": TURNS.get(variant, _FEWEST_TURNS),
        }
        share_s = (end_s - time.monotonic()) / (len(cases) - done)
        rounds = collect(functools.partial(round_of, "side_by_side", request, order), max_time_s=share_s, names=METRICS)
        findings += findings_of(f"{variant}, {_threads(threads)}", rounds)
    return Bar(
        name="against_raw_loop",
        claim="decode rate and model_ttft equal to a raw onnxruntime loop with IO binding",
        findings=findings,
        conditions=[
            f"prompt {PROMPT_TOKENS} tokens, output {OUTPUT_TOKENS}, fixed continuation, greedy choice on both sides",
            "three sessions in one process, session.intra_op.allow_spinning = 0 for all",
        ],
        load=(before, load_average()),
    )


def _threads(count: int) -> str:
    return f"{count} thread" if count == 1 else f"{count} threads"


if __name__ == "__main__":
    run_alone(
        measure,
        description=__doc__ or "",
        example="python -m benchmarks.against_raw_loop --variants int4 --threads 2 --max-time '3 min'",
    )
