"""The harness's decode rate against onnxruntime-genai's own generator, on the same file with the same threads.

onnxruntime-genai has an environment of its own, so the two never share a process. A round is one fresh process of
each, in random order; each loads once and generates several times greedily from the same prompt. The round's ratio is
that of the processes' medians. Threads are set on both sides; everything else is each one's own default.
"""

from __future__ import annotations

import functools
import random
import statistics
import time
from collections.abc import Sequence
from typing import Any

from benchharness.device.inputs.tokenizer import Tokenizer
from benchharness.errors import UsageError
from benchmarks.bars import Bar, Finding, not_below
from benchmarks.options import Options, run_alone
from benchmarks.pairs import Round, collect, in_random_order, median_of, ratio_of
from benchmarks.processes import load_average, run_program
from benchmarks.smollm2 import folder

#: Long enough an answer that no generator ends early.
PROMPT = """<|im_start|>user
Write a long story about an old lighthouse.<|im_end|>
<|im_start|>assistant
"""
OUTPUT_TOKENS = 48
WARMUP = 1
REPEATS = 5


def measure(options: Options) -> Bar:
    """Ratios harness / onnxruntime-genai of decode rates, by variant and thread count."""
    if not options.genai_python.is_file():
        raise UsageError(
            f"no interpreter with onnxruntime-genai at {options.genai_python}; make it with: make smollm2, "
            "or name one with --genai-python"
        )
    cases = [(variant, threads) for variant in options.variants for threads in options.threads]
    folders = {variant: folder(options, variant) for variant in options.variants}
    before = load_average()
    end_s = time.monotonic() + options.max_time_s
    findings, conditions = [], set()
    order = random.Random(options.seed)
    for done, (variant, threads) in enumerate(cases):
        request = {
            "folder": str(folders[variant]),
            "threads": threads,
            "prompt": Tokenizer(folders[variant] / "tokenizer.json").encode(PROMPT),
            "output_tokens": OUTPUT_TOKENS,
            "warmup": WARMUP,
            "repeats": REPEATS,
        }
        rival = _Rival(options, request)
        share_s = (end_s - time.monotonic()) / (len(cases) - done)
        rounds = collect(functools.partial(rival.round, order), max_time_s=share_s, names=["decode_rate"])
        findings.append(_finding(f"{variant}, threads {threads}: decode_rate", rounds))
        conditions |= rival.seen
    return Bar(
        name="against_genai",
        claim="decode rate at or above onnxruntime-genai's own generator",
        findings=findings,
        conditions=[
            f"{OUTPUT_TOKENS} tokens, greedy; {WARMUP} warm-up and {REPEATS} repeats a process",
            *sorted(conditions),
        ],
        load=(before, load_average()),
    )


class _Rival:
    """Makes rounds of one case, and notes what was seen in them."""

    def __init__(self, options: Options, request: dict[str, Any]) -> None:
        self._python = options.genai_python
        self._request = request
        self.seen: set[str] = set()

    def round(self, order: random.Random) -> Round:
        """One process of each, in random order."""
        answers = in_random_order(
            {
                "harness": lambda: run_program("harness_decode", self._request).answer,
                "genai": lambda: run_program("genai_decode", self._request, python=self._python).answer,
            },
            order,
        )
        genai = answers["genai"]
        same = "the same" if genai["tokens"] == answers["harness"]["tokens"] else "different"
        self.seen.add(f"onnxruntime-genai {genai['version']} on onnxruntime {genai['runtime_version']}")
        self.seen.add(f"both chose {same} tokens")
        medians = {side: statistics.median(answer["decode_rate"]) for side, answer in answers.items()}
        return Round(ratios={"decode_rate": medians["harness"] / medians["genai"]}, values=medians)


def _finding(label: str, rounds: Sequence[Round]) -> Finding:
    harness, genai = (median_of(rounds, side) for side in ("harness", "genai"))
    return Finding(
        label=label,
        ratio=ratio_of(rounds, "decode_rate"),
        per_round=[found.ratios["decode_rate"] for found in rounds],
        absolute=f"{harness:.1f} against {genai:.1f} tokens/s",
        criterion=not_below(),
    )


if __name__ == "__main__":
    run_alone(
        measure,
        description=__doc__ or "",
        example="python -m benchmarks.against_genai --variants int4 --threads 1 --max-time '3 min'",
    )
