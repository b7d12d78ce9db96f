"""What compression lost: the raw rows of a quality attempt -> metrics. Pure.

The device reports four numbers a token (or an input) and no statistics; everything here can be derived again from what
is stored. Names and formulas as llama-perplexity prints them, in natural logarithms and float64. Every token counts
alike, however long its document. Means have an interval over documents, over chunks in a row where there is only one,
because errors within a text are correlated: `judge/means`.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from benchharness.judge.exact_shares import CLOPPER_PEARSON, clopper_pearson, exact_mcnemar
from benchharness.judge.means import mean_over
from benchharness.judge.paired import difference_of_shares
from benchharness.judge.ratios import ratio_of_sums
from benchharness.results.result import Attempt, Estimate, Measurement, MetricResult
from benchharness.scenarios.quality.rows import Of, Tokens, columns_of
from benchharness.scenarios.quality.students import answers, bits, distilled, unknown

#: Percentiles of the divergence and of the change of probability, as llama-perplexity prints them.
DIVERGENCE_PERCENTILES = (50.0, 90.0, 95.0, 99.0, 99.9)
CHANGE_PERCENTILES = (0.1, 1.0, 5.0, 25.0, 50.0, 75.0, 95.0, 99.0, 99.9)
_LARGEST_EXPONENT = math.log(sys.float_info.max)


def quality_metrics(attempt: Attempt) -> Iterator[MetricResult]:
    """Every quality metric that one attempt carries. Quality is computed, not timed: one attempt says it all."""
    makers: Mapping[str, Callable[[Of, Measurement], Iterator[MetricResult]]] = {
        "token_divergence": _token_metrics,
        "scored_chunks": _nothing,  # it says how the rows belong together
        "tempered_divergence": _nothing,  # what a student is taught by, told with the rows of tokens
        "scored_texts": bits,
        "answers_alike": answers,
        "greedy_prefix": _greedy_metrics,
        "class_decisions": _class_metrics,
        "class_divergence": _divergence_metrics,
        "embedding_similarity": _embedding_metrics,
        "similarity_ranks": _rank_metrics,
        "tensor_error": _tensor_metrics,
    }
    for measurement in attempt.measurements:
        maker = makers.get(measurement.metric)
        if maker is not None:
            of = Of(attempt, measurement)
            yield from maker(of, measurement)
            if measurement.row_length or measurement.metric == "tempered_divergence":
                yield of.raw(measurement)
    yield from unknown(attempt)


def _exp(value: float) -> float:
    """e to the value; infinite where that is larger than any number that can be stored, which `_finite` then says."""
    return math.exp(value) if value <= _LARGEST_EXPONENT else math.inf


def _root(square: float) -> float:
    """Of a mean of squares of which none is above 1."""
    return math.sqrt(min(square, 1.0))


def _token_metrics(of: Of, measurement: Measurement) -> Iterator[MetricResult]:
    tokens = Tokens(measurement, of.beside("scored_chunks"))
    reference, variant, divergence = (tokens.columns[name] for name in ("nll_reference", "nll_variant", "kld"))
    change = np.exp(-variant) - np.exp(-reference)
    mean, exp_mean = "mean over tokens", "exp of the mean over tokens"
    same = tokens.same
    yield of.metric("kld", tokens.mean(divergence, statistic=mean, positive=True, exactly=same))
    for percentile in DIVERGENCE_PERCENTILES:
        value = float(np.percentile(divergence, percentile))
        yield of.exact("kld_percentile", value, f"p{percentile:g} over tokens", percentile=percentile)
    yield of.exact("kld_largest", float(divergence.max()), "largest over tokens")
    yield of.metric("perplexity", tokens.mean(variant, statistic=exp_mean, positive=True, through=_exp))
    yield of.metric("reference_perplexity", tokens.mean(reference, statistic=exp_mean, positive=True, through=_exp))
    yield of.metric("log_perplexity_ratio", tokens.mean(variant - reference, statistic=mean, exactly=same))
    yield of.metric("probability_change", tokens.mean(change, statistic=mean, exactly=same))
    squared = tokens.mean(change**2, statistic=f"root of the {mean}", positive=True, exactly=same, through=_root)
    yield of.metric("probability_change_rms", squared)
    for percentile in CHANGE_PERCENTILES:
        value = float(np.percentile(change, percentile))
        yield of.exact("probability_change_percentile", value, f"p{percentile:g} over tokens", percentile=percentile)
    yield of.metric("same_top_token", tokens.share(tokens.columns["same_top"], statistic=mean, exactly=same))
    yield from distilled(of, tokens)


def _nothing(_: Of, __: Measurement) -> Iterator[MetricResult]:
    return iter(())


def _greedy_metrics(of: Of, measurement: Measurement) -> Iterator[MetricResult]:
    most = float(measurement.parameters.get("continuation_tokens", math.inf))
    found = mean_over(
        measurement.samples,
        statistic="mean over prompts",
        unit="prompts",
        in_a_row=of.in_a_row(len(measurement.samples)),
        positive=True,
        through=lambda tokens: min(tokens, most),
    )
    yield of.metric("greedy_prefix", of.exactly(found, np.asarray(measurement.samples), most))


def _class_metrics(of: Of, measurement: Measurement) -> Iterator[MetricResult]:
    columns = columns_of(measurement)
    statistic = "mean over inputs, interval by bootstrap over inputs"
    same = columns["reference"] == columns["variant"]
    yield of.metric("agreement", _share(int(same.sum()), len(same)))
    if "kld" in columns:  # rows of earlier versions
        yield of.metric("kld", ratio_of_sums(columns["kld"], None, statistic=statistic))
    elif why_not := of.scores.get("why_not"):
        yield of.metric("kld", Estimate(value=None, statistic=statistic, reason=str(why_not)))
    is_labelled = columns["label"] >= 0
    if not is_labelled.any():
        return
    labels = columns["label"][is_labelled]
    reference, variant = (columns[side][is_labelled] == labels for side in ("reference", "variant"))
    yield of.metric("accuracy", _share(int(variant.sum()), len(labels)))
    yield of.metric("reference_accuracy", _share(int(reference.sum()), len(labels)))
    change = variant.astype(np.float64) - reference
    gained, lost = int((variant & ~reference).sum()), int((reference & ~variant).sum())
    yield of.metric("accuracy_change", _paired_change(gained, lost, len(labels)))
    yield of.exact("mcnemar_p", exact_mcnemar(gained, lost), f"exact McNemar: {gained} gained, {lost} lost")
    for label in np.unique(labels):
        of_class = labels == label
        drop = float(change[of_class].mean())
        statistic_ = f"mean over the {int(of_class.sum())} inputs of the class"
        yield of.exact("class_accuracy_change", drop, statistic_, label=int(label))


def _divergence_metrics(of: Of, measurement: Measurement) -> Iterator[MetricResult]:
    """One input with classes rounded to zero makes the whole mean a lower bound, and changes its name."""
    columns = columns_of(measurement)
    statistic = "mean over inputs, interval by bootstrap over inputs"
    pooled, inputs = int((columns["pooled"] > 0).sum()), len(columns["pooled"])
    if pooled:
        most = int(columns["pooled"].max())
        bound = f"a lower bound: up to {most} classes rounded to zero are pooled in {pooled} of {inputs} inputs; "
        yield of.metric("kld_pooled", ratio_of_sums(columns["kld"], None, statistic=bound + statistic))
    else:
        yield of.metric("kld", ratio_of_sums(columns["kld"], None, statistic=statistic))
    yield of.metric("total_variation", ratio_of_sums(columns["total_variation"], None, statistic=statistic))


def _paired_change(gained: int, lost: int, inputs: int) -> Estimate:
    """Not drawn again: where no input differs every draw gives 0, and some are not told apart all the same."""
    low, high = difference_of_shares(gained, lost, inputs)
    return Estimate(
        value=(gained - lost) / inputs,
        low=low,
        high=high,
        count=1,
        statistic=f"paired: {gained} gained and {lost} lost of {inputs}, outer ends of Tango's and the exact interval",
        drawn=inputs,
        drawn_unit="inputs",
    )


def _share(hits: int, trials: int) -> Estimate:
    low, high = clopper_pearson(hits, trials)
    statistic = f"{hits} of {trials}, {CLOPPER_PEARSON}"
    value = hits / trials
    return Estimate(value=value, low=low, high=high, count=1, statistic=statistic, drawn=trials, drawn_unit="inputs")


def _embedding_metrics(of: Of, measurement: Measurement) -> Iterator[MetricResult]:
    statistic = "mean over inputs, interval by bootstrap over inputs"
    yield of.metric("cosine", _mean_cosine(np.asarray(measurement.samples), statistic))


def _mean_cosine(cosines: NDArray[np.float64], statistic: str) -> Estimate:
    """What is skewed is how much a cosine lacks of 1."""
    lacking = np.maximum(1 - cosines, 0.0)  # a rounded 1 may be above it
    return ratio_of_sums(lacking, None, statistic=statistic, through=lambda lack: 1 - lack)


def _cosine_of_tensors(
    signal: NDArray[np.float64], noise: NDArray[np.float64], cosines: NDArray[np.float64], statistic: str
) -> Estimate:
    """The device writes 0 where one of two is all zeros and has no direction; what it is of the two tells them."""
    no_signal, lost = (signal == 0) & (noise > 0), (signal > 0) & (noise == signal) & (cosines == 0)
    if lost.any():
        reason = f"in {int(lost.sum())} of {len(signal)} inputs the variant's output is all zeros, and has no direction"
        return Estimate(value=None, statistic=statistic, reason=reason)
    if no_signal.all():
        return Estimate(value=None, statistic=statistic, reason="the reference is all zeros, and has no direction")
    used = int((~no_signal).sum())
    left_out = (
        f"over {used} of {len(signal)} inputs: in the others the reference is all zeros; " if no_signal.any() else ""
    )
    return _mean_cosine(cosines[~no_signal], left_out + statistic)


def _rank_metrics(of: Of, measurement: Measurement) -> Iterator[MetricResult]:
    yield of.exact("similarity_ranks", measurement.value, "Spearman's rank correlation of all pairs' cosines")


def _tensor_metrics(of: Of, measurement: Measurement) -> Iterator[MetricResult]:
    columns = columns_of(measurement)
    signal, noise = columns["signal"], columns["noise"]
    total = "over all inputs"
    if noise.sum() > 0 and signal.sum() > 0:
        interval = f"{total}, interval by bootstrap over inputs: signal and noise drawn in pairs"
        yield of.metric("sqnr", ratio_of_sums(noise, signal, statistic=interval, through=_decibels))
    else:
        reason = "the outputs are identical: there is no noise" if not noise.any() else "the reference is all zeros"
        yield of.metric("sqnr", Estimate(value=None, statistic=total, reason=reason))
    statistic = "mean over inputs, interval by bootstrap over inputs"
    yield of.metric("cosine", _cosine_of_tensors(signal, noise, columns["cosine"], statistic))
    yield of.exact("largest_error", float(columns["largest_error"].max()), f"largest {total}")


def _decibels(noise_to_signal: float) -> float:
    return -10 * math.log10(noise_to_signal)
