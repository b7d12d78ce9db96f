"""Whether scenario `quality` tells the truth, at what cost, in how much memory.

Five parts, each of which runs alone with `--parts`:
    figures   KLD, perplexity, Δp against plain onnxruntime and float64 numpy over stored logits
    cost      time of the metric over time of the forward passes, SmolLM2 against its float reference
    order     more bits, smaller blocks, less noise: less divergence; a copy: none
    passes    dynamic int8 differs between token by token and one pass; int4 in blocks does not
    memory    100,000 tokens of a vocabulary of 49,152, by workers that compute nothing
SmolLM2's parts are left out where it is not built (make smollm2), and what was left out is said.
"""

from __future__ import annotations

import functools
import itertools
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchharness.device.line.protocol import LONGEST_LINE_BYTES
from benchharness.errors import UsageError
from benchharness.results.result import Estimate
from benchmarks.bars import Bar, Criterion, Finding, Verdict, at_most
from benchmarks.options import Options, ending_in_words, parser, read
from benchmarks.pairs import Round, collect, median_of, ratio_of
from benchmarks.plain_logits import figures, logits_of, read_chunks
from benchmarks.processes import load_average
from benchmarks.quality_models import (
    BUILT,
    DEMO,
    TEXT,
    Answer,
    Evaluation,
    Floats,
    Seeded,
    barely_noisy,
    by_chunk,
    by_recipes,
    copy_of,
    in_blocks,
    noisy,
    run_pass,
    value,
)
from benchmarks.smollm2 import folder

EXACT = 1e-6
COST = 0.05
TINY = 1e-5
MEMORY_BYTES = 300 * 2**20
DECIBELS = (10, 20, 30, 40, 50, 60)
_MIB = 2**20
_DRAWS = 4000
_CLAIM = (
    "figures within 1e-6 of float64 over stored logits; the metric costs at most 5 % of the forward passes; damage is "
    "ranked right; 100,000 tokens within 300 MiB"
)


def measure(options: Options, parts: Sequence[str] = ()) -> Bar:
    """Every finding of the parts asked for; of all where none is named."""
    before = load_average()
    findings: list[Finding] = []
    missing: list[str] = []
    for name, find in _PARTS.items():
        if not parts or name in parts:
            try:
                findings += find(options)
            except UsageError as error:
                missing.append(f"{name}: {error}")
    return Bar(
        name="quality_truth",
        claim=_CLAIM,
        findings=findings,
        conditions=["1 thread a model; demo model in chunks of 64 tokens, the second half scored", *missing],
        load=(before, load_average()),
    )


# The harness's figures against stored logits.


def _demo(chunks: int, kind: str = "decode") -> Evaluation:
    return Evaluation(
        chunks=read_chunks(TEXT, DEMO / "onnx-fp32" / "tokenizer.json", length=64, count=chunks), kind=kind
    )


def _smollm2(options: Options, chunks: int, kind: str = "decode") -> Evaluation:
    tokenizer = folder(options, "fp32") / "tokenizer.json"
    return Evaluation(chunks=read_chunks(TEXT, tokenizer, length=64, count=chunks), kind=kind)


def _figures(options: Options) -> Iterator[Finding]:
    reference = DEMO / "onnx-fp32"
    tiny = barely_noisy(reference, BUILT / "tiny-noise", TINY, _demo(4))
    variants = {"fp32": reference, "int8": DEMO / "onnx-int8", "int4": DEMO / "onnx-int4", "tiny noise": tiny}
    for kind in ("decode", "prefill"):
        yield from _compared("demo", variants, _demo(4, kind))
    smollm2 = {name: folder(options, name) for name in ("fp32", "int8", "int4")}
    for kind in ("decode", "prefill"):
        yield from _compared("SmolLM2", smollm2, _smollm2(options, 2, kind))


def _compared(model: str, variants: Mapping[str, Path], evaluation: Evaluation) -> Iterator[Finding]:
    """For each variant the figure of the harness that is furthest from the plain computation's."""
    answer = run_pass(variants, evaluation)
    stored = {
        name: logits_of(path, evaluation.chunks, evaluation.first, evaluation.kind) for name, path in variants.items()
    }
    reference, *others = variants
    for name in others:
        plain = figures(stored[reference], stored[name], evaluation.chunks, evaluation.first)
        pairs = {key: (value(answer, name, *key), truth) for key, truth in plain.items()}
        worst = max(pairs, key=lambda key: abs(_ratio(*pairs[key]) - 1))
        told, truth = pairs[worst]
        divergence, true_divergence = pairs["kld", None]
        yield _exact_finding(
            f"{model} {name}, {evaluation.kind}: harness / plain, the worst of {len(pairs)} figures",
            _ratio(told, truth),
            f"{_named(worst)} apart by {abs(_ratio(told, truth) - 1):.1e}; KLD {divergence:.9g} against "
            f"{true_divergence:.9g}; PPL {value(answer, name, 'perplexity'):.9g}, Δp "
            f"{value(answer, name, 'probability_change'):.6g}",
            _within(EXACT),
        )


def _ratio(told: float, truth: float) -> float:
    return 1.0 if told == truth else told / truth if truth else math.inf


def _named(metric: tuple[str, float | None]) -> str:
    name, percentile = metric
    return name if percentile is None else f"{name} p{percentile:g}"


# What the metric costs. `metric_ns`: wall time in which the conductor compares rows, for all variants together.
# `forward_ns`: wall time in which it waits for rows; models go on while it compares, up to eight rows ahead. The CPU
# time of the processes, read from outside, holds the reading of the pipes too.


def _cost(options: Options) -> Iterator[Finding]:
    variants = {name: folder(options, name) for name in ("fp32", "int8")}
    for kind, share in (("decode", 0.5), ("prefill", 0.1)):
        evaluation = _smollm2(options, 2, kind)
        rounds = collect(
            functools.partial(_cost_round, variants, evaluation),
            max_time_s=options.max_time_s * share,
            names=["told"],
            within=0.2,
        )
        asked = at_most(COST) if kind == "decode" else None
        scored = len(evaluation.chunks) * (len(evaluation.chunks[0]) - evaluation.first)
        yield Finding(
            label=f"SmolLM2 int8, {kind}: metric_ns / forward_ns, as the harness tells",
            ratio=ratio_of(rounds, "told"),
            per_round=[each.ratios["told"] for each in rounds],
            absolute=f"{median_of(rounds, 'metric_s') / scored * 1e3:.2f} ms a scored token; waiting for the models "
            f"{median_of(rounds, 'forward_s') / scored * 1e3:.1f} ms",
            criterion=asked,
        )
        yield Finding(
            label=f"SmolLM2 int8, {kind}: CPU time of the conductor / of the two models' processes",
            ratio=ratio_of(rounds, "seen"),
            per_round=[each.ratios["seen"] for each in rounds],
            absolute=f"{median_of(rounds, 'conductor_s') / scored * 1e3:.2f} against "
            f"{median_of(rounds, 'scorers_s') / scored * 1e3:.1f} ms a scored token",
            criterion=asked,
        )


def _cost_round(variants: Mapping[str, Path], evaluation: Evaluation) -> Round:
    answer = run_pass(variants, evaluation)
    told = answer["results"]["int8"]["metric_cost"]
    conductor, scorers = (answer["processes"][role]["compare_s"] for role in ("conductor", "scorer"))
    values = {
        "metric_s": told["metric_ns"] / 1e9,
        "forward_s": told["forward_ns"] / 1e9,
        "conductor_s": conductor,
        "scorers_s": scorers,
    }
    return Round(ratios={"told": told["metric_ns"] / told["forward_ns"], "seen": conductor / scorers}, values=values)


# Whether damage is ranked right.


def _order(_: Options) -> Iterator[Finding]:
    evaluation, longer = _demo(12), _demo(48)  # blocks of 32 and of 64 are not told apart by 12 chunks
    onnx, tflite, core_ml = (DEMO / name for name in ("onnx-fp32", "tflite-fp32", "coreml-fp16"))
    bits = by_recipes(onnx, ["onnx-int4-block32", "onnx-int8-block32"], BUILT / "onnx")
    blocks = in_blocks(onnx, (128, 64, 32, 16), BUILT / "blocks")
    ladder = {f"{each} dB": noisy(onnx, BUILT / f"noise-{each}", 10 ** (-each / 20)) for each in DECIBELS}
    copy = {"copy": copy_of(onnx, BUILT / "copy")}
    answer = run_pass({"fp32": onnx, **bits, **blocks, **ladder, **copy}, longer)
    yield from _falling("ONNX MatMulNBits", answer, bits)
    yield from _falling("ONNX MatMulNBits, 4 bits", answer, blocks)
    yield from _falling("weight noise", answer, ladder)
    largest = max(
        abs(value(answer, "copy", name))
        for name in ("kld", "kld_largest", "log_perplexity_ratio", "probability_change", "probability_change_rms")
    )
    same = value(answer, "copy", "same_top_token")
    yield _exact_finding(
        "a copy: largest of KLD, largest KLD, ln PPL ratio, Δp, RMS Δp",
        largest,
        f"{largest:g}; same top token {same:.0%}",
        Criterion(says="exactly 0", low=None, high=0.0, judge=_judge(lambda ratio: ratio == 0 and same == 1)),
    )
    weights = by_recipes(tflite, ["tflite-int4-weight-only", "tflite-int8-weight-only"], BUILT / "tflite")
    tflite_answer = run_pass({"fp32": tflite, **weights}, evaluation, configurations=[{"runtime": "tflite"}])
    yield from _falling("ai-edge-quantizer weight only", tflite_answer, weights)
    palettes = by_recipes(core_ml, [f"coreml-palette{bits}" for bits in (4, 6, 8)], BUILT / "coreml")
    reference = [{"runtime": "coreml", "accelerator": "reference"}]
    yield from _falling(
        "Core ML palettes", run_pass({"fp16": core_ml, **palettes}, evaluation, configurations=reference), palettes
    )


def _falling(family: str, answer: Answer, variants: Mapping[str, Path]) -> Iterator[Finding]:
    """Each variant over the one before it, which is damaged more: mean KLD has to fall."""
    names = list(variants)
    falling = Criterion(
        says="below 1", low=None, high=1.0, judge=_judge_interval(lambda low, high: (high < 1, low >= 1))
    )
    for worse, better in itertools.pairwise(names):
        yield _chunks_finding(
            f"{family}: KLD of {better} / of {worse}",
            by_chunk(answer, better),
            by_chunk(answer, worse),
            falling,
        )


# Decode and prefill.


def _passes(options: Options) -> Iterator[Finding]:
    optimum = options.models / "onnx-optimum-fp32"
    if not (optimum / "model.onnx").is_file():
        raise UsageError(f"SmolLM2 as Optimum exports it is not in {optimum}")
    dynamic = by_recipes(optimum, ["onnx-int8-dynamic"], BUILT / "smollm2")
    variants = {"fp32": optimum, "int8 dynamic": dynamic["onnx-int8-dynamic"], "int4": folder(options, "int4")}
    found = {}
    for kind in ("decode", "prefill"):
        found[kind] = run_pass(variants, replace(_smollm2(options, 6), kind=kind))
    apart = Criterion(
        says="above 1: scales span the chunk",
        low=1.0,
        high=None,
        judge=_judge_interval(lambda low, high: (low > 1, high <= 1)),
    )
    for name, criterion in (("int8 dynamic", apart), ("int4", _equal_within(0.02))):
        label = f"SmolLM2 {name}: KLD in one pass / token by token"
        yield _chunks_finding(label, by_chunk(found["prefill"], name), by_chunk(found["decode"], name), criterion)


# Memory.


def _memory(_: Options) -> Iterator[Finding]:
    least = Seeded(vocabulary=32, scored=31, chunk=32).run()
    seeded = Seeded(vocabulary=49_152, scored=100_000)
    began_s = time.perf_counter()
    answer = seeded.run()
    took_s = time.perf_counter() - began_s
    grown = {
        role: answer["processes"][role]["peak_bytes"] - least["processes"][role]["peak_bytes"]
        for role in ("harness", "supervisor", "conductor")
    }
    told = ", ".join(
        f"{role} +{grown[role] / _MIB:.0f} to {answer['processes'][role]['peak_bytes'] / _MIB:.0f}" for role in grown
    )
    numbers = answer["results"]["noisy"]["rows"]
    logits_bytes = len(numbers) / 4 * seeded.vocabulary * 4 * 2
    yield _exact_finding(
        f"{len(numbers) // 4} tokens: peaks of harness, supervisor and conductor beyond 31 tokens' / 300 MiB",
        sum(grown.values()) / MEMORY_BYTES,
        f"{told} MiB (the logits: {logits_bytes / 2**30:.0f} GiB); {took_s:.0f} s",
        _below(1.0),
    )
    line = len(json.dumps(numbers, separators=(",", ":")))
    yield _exact_finding(
        "the same: a variant's rows as JSON / the longest line of the protocol",
        line / LONGEST_LINE_BYTES,
        f"{line / _MIB:.1f} of {LONGEST_LINE_BYTES / _MIB:.0f} MiB",
        _below(1.0),
    )
    divergence, truth = value(answer, "noisy", "kld"), seeded.mean_divergence()
    yield _exact_finding(
        "the same: mean KLD, harness / from the rows of logits",
        divergence / truth,
        f"{divergence:.12g} against {truth:.12g}",
        _within(EXACT),
    )


# Findings that are computed, not timed, and what judges them.


def _exact_finding(label: str, ratio: float, absolute: str, criterion: Criterion) -> Finding:
    estimate = Estimate(value=ratio, count=1, statistic="computed", reason="computed, not timed")
    return Finding(label=label, ratio=estimate, per_round=[ratio], absolute=absolute, criterion=criterion)


def _chunks_finding(label: str, above: Floats, below: Floats, criterion: Criterion) -> Finding:
    """The ratio of two means over the same chunks; the interval by drawing chunks again."""
    generator = np.random.default_rng(0)
    drawn = generator.integers(0, len(above), (_DRAWS, len(above)))
    low, high = np.quantile(above[drawn].mean(axis=1) / below[drawn].mean(axis=1), (0.025, 0.975))
    estimate = Estimate(
        value=float(above.mean() / below.mean()), low=float(low), high=float(high), count=len(above), statistic="chunks"
    )
    return Finding(
        label=label,
        ratio=estimate,
        per_round=(above / below).tolist(),
        absolute=f"{above.mean():.4g} against {below.mean():.4g}",
        criterion=criterion,
    )


def _judge(passes: Callable[[float], bool]) -> Callable[[Estimate], Verdict]:
    return lambda ratio: Verdict.PASS if ratio.value is not None and passes(ratio.value) else Verdict.MISS


def _judge_interval(of: Callable[[float, float], tuple[bool, bool]]) -> Callable[[Estimate], Verdict]:
    """`of` tells of an interval's ends whether all of it lies inside, and whether all of it lies outside."""

    def judge(ratio: Estimate) -> Verdict:
        if ratio.low is None or ratio.high is None:
            return Verdict.UNDECIDED
        inside, outside = of(ratio.low, ratio.high)
        return Verdict.PASS if inside else Verdict.MISS if outside else Verdict.UNDECIDED

    return judge


def _within(tolerance: float) -> Criterion:
    judge = _judge(lambda ratio: abs(ratio - 1) <= tolerance)
    return Criterion(says=f"within {tolerance:g}", low=1 - tolerance, high=1 + tolerance, judge=judge)


def _below(limit: float) -> Criterion:
    return Criterion(says=f"at most {limit:g}", low=None, high=limit, judge=_judge(lambda ratio: ratio <= limit))


def _equal_within(tolerance: float) -> Criterion:
    low, high = 1 - tolerance, 1 + tolerance
    judge = _judge_interval(lambda least, most: (low <= least and most <= high, most < low or least > high))
    return Criterion(says=f"within {tolerance:.0%}", low=low, high=high, judge=judge)


_PARTS: Mapping[str, Callable[[Options], Iterator[Finding]]] = {
    "figures": _figures,
    "cost": _cost,
    "order": _order,
    "passes": _passes,
    "memory": _memory,
}


def main() -> None:
    """Measures alone: the parts named, or all."""
    from benchmarks.page import write_page
    from benchmarks.table import print_bars

    made = parser(__doc__ or "", "python -m benchmarks.quality_truth --parts order,figures")
    made.add_argument("--parts", default="", help=f"some of {', '.join(_PARTS)} (default: all)")
    found = made.parse_args()
    with ending_in_words():
        options = read(found)
        chosen = [part for part in found.parts.split(",") if part]
        unknown = [part for part in chosen if part not in _PARTS]
        if unknown:
            raise UsageError(f"--parts {unknown[0]}: there are {', '.join(_PARTS)}")
        bars = [measure(options, chosen)]
        print_bars(bars)
        print(f"page: {write_page(bars, options.out / 'quality_truth.html')}")


if __name__ == "__main__":
    main()
