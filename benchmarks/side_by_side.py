"""What a benchmark against a bare loop makes of its rounds: of the harness, a bare loop, and the same one again.

A round is a fresh process (a program of `benchmarks.programs`) in which the three take turns in random order; its ratio
is the median of its turns' ratios. The bare loop over itself is a control: how far two equal sessions differ.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.bars import EQUAL, Finding, equal
from benchmarks.pairs import Round, median_of, ratio_of
from benchmarks.processes import run_program

METRICS = ("decode_rate", "model_ttft")

Answer = Mapping[str, Mapping[str, Sequence[float]]]


def round_of(program: str, request: Mapping[str, Any], order: random.Random) -> Round:
    """Ratios of one fresh process, and the figures behind them."""
    answer: Answer = run_program(program, {**request, "seed": order.randrange(2**32)}).answer
    ratios = {metric: _ratio(answer, metric, "harness") for metric in METRICS}
    ratios |= {f"{metric}, control": _ratio(answer, metric, "raw again") for metric in METRICS}
    values = {
        f"{side} {metric}": statistics.median(answer[side][metric]) for side in ("harness", "raw") for metric in METRICS
    }
    return Round(ratios=ratios, values=values)


def _ratio(answer: Answer, metric: str, side: str) -> float:
    """The median over turns of this side's figure over the bare loop's."""
    return statistics.median(mine / raw for mine, raw in zip(answer[side][metric], answer["raw"][metric], strict=True))


def findings_of(label: str, rounds: Sequence[Round], within: float = EQUAL) -> list[Finding]:
    """What all rounds of one case say, the control included; equal is what is so close."""
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
            criterion=equal(within) if name in absolute else None,
        )
        for name in rounds[0].ratios
    ]
