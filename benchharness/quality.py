"""What compression lost: the raw rows of a quality attempt -> metrics. Pure.

The device reports four numbers a token (or an input) and no statistics; everything here can be derived again from what
is stored. Names and formulas as llama-perplexity prints them, in natural logarithms and float64. Every token counts
alike, however long its document. Means have an interval from a bootstrap over documents, over chunks where there is
only one, because errors within a text are correlated.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from benchharness.metrics import METRICS
from benchharness.result import Attempt, AttemptValue, Estimate, Measurement, MetricResult, Parameters
from benchharness.statistics.bootstrap import clopper_pearson, exact_mcnemar, mean_over, ratio_over

Rows = NDArray[np.float64]

#: Percentiles of the divergence and of the change of probability, as llama-perplexity prints them.
DIVERGENCE_PERCENTILES = (50.0, 90.0, 95.0, 99.0, 99.9)
CHANGE_PERCENTILES = (0.1, 1.0, 5.0, 25.0, 50.0, 75.0, 95.0, 99.0, 99.9)
_LARGEST_EXPONENT = math.log(sys.float_info.max)
#: The columns of `token_divergence` and of `class_decisions`.
_NLL_REFERENCE, _NLL_VARIANT, _DIVERGENCE, _SAME_TOP = range(4)
_LABEL, _CLASS_REFERENCE, _CLASS_VARIANT, _CLASS_DIVERGENCE = range(4)


def quality_metrics(attempt: Attempt) -> Iterator[MetricResult]:
    """Every quality metric that one attempt carries. Quality is computed, not timed: one attempt says it all."""
    makers: Mapping[str, Callable[[_Of, Measurement], Iterator[MetricResult]]] = {
        "token_divergence": _token_metrics,
        "scored_chunks": _nothing,  # it says how the rows belong together
        "greedy_prefix": _greedy_metrics,
        "class_decisions": _class_metrics,
        "embedding_similarity": _embedding_metrics,
        "similarity_ranks": _rank_metrics,
        "tensor_error": _tensor_metrics,
    }
    for measurement in attempt.measurements:
        maker = makers.get(measurement.metric)
        if maker is not None:
            of = _Of(attempt, measurement)
            yield from maker(of, measurement)
            if measurement.row_length:
                yield of.raw(measurement)


class _Of:
    """Makes metric results of one measurement, raw rows left where they are stored."""

    def __init__(self, attempt: Attempt, measurement: Measurement) -> None:
        self._attempt = attempt
        self.parameters: Parameters = measurement.parameters

    def metric(self, name: str, found: Estimate, **parameters: float | str) -> MetricResult:
        """A metric of this measurement."""
        value = AttemptValue(
            attempt=self._attempt.id,
            device=self._attempt.device,
            round=self._attempt.round,
            value=0.0 if found.value is None else found.value,
        )
        return MetricResult(
            name=name,
            parameters={**self.parameters, **parameters},
            unit=METRICS[name].unit,
            estimate=found,
            attempts=(value,),
        )

    def beside(self, name: str) -> Measurement | None:
        """Another measurement of the same attempt."""
        return next((each for each in self._attempt.measurements if each.metric == name), None)

    def raw(self, measurement: Measurement) -> MetricResult:
        """The rows themselves, for figures and for whoever wants to compute something else."""
        made = self.metric(measurement.metric, Estimate(value=measurement.value, count=1, statistic="of the raw rows"))
        (value,) = made.attempts
        rows = replace(value, samples=measurement.samples, row_length=measurement.row_length)
        return replace(made, attempts=(rows,))

    def exact(self, name: str, value: float, statistic: str, **parameters: float | str) -> MetricResult:
        """A metric that has no interval, because it is no mean."""
        found = Estimate(value=value, count=1, statistic=statistic, reason="no mean, and so no interval")
        return self.metric(name, found, **parameters)


def rows_of(measurement: Measurement) -> Rows:
    """The rows of a measurement, shape (inputs, row_length)."""
    return np.asarray(measurement.samples, dtype=np.float64).reshape(-1, max(1, measurement.row_length))


class _Tokens:
    """The rows of `token_divergence`, and what is drawn again for an interval: documents, or the chunks of only one."""

    def __init__(self, measurement: Measurement, chunks: Measurement | None) -> None:
        self.columns = rows_of(measurement).T
        if chunks is None:  # as all were stored once: chunks of one length
            length = int(measurement.parameters["scored"])
            self._scored = np.full(self.columns.shape[1] // length, length)
            documents = np.zeros(len(self._scored))
        else:
            documents, _, scored = rows_of(chunks).T
            self._scored = scored.astype(int)
        _, of_chunk = np.unique(documents, return_inverse=True)
        self._by_document = int(of_chunk.max()) > 0
        drawn = of_chunk if self._by_document else np.arange(len(self._scored))
        self._drawn = np.repeat(drawn, self._scored)
        self.unit = "documents" if self._by_document else "chunks"

    def mean(
        self, values: NDArray[np.float64], *, statistic: str, through: Callable[[float], float] = float
    ) -> Estimate:
        """The mean of one value a token."""
        if not self._by_document and len(set(self._scored.tolist())) == 1:
            by_chunk = values.reshape(len(self._scored), -1).mean(axis=1)
            return mean_over(by_chunk, statistic=statistic, through=through)
        sums = np.bincount(self._drawn, weights=values).astype(np.float64)
        counts = np.bincount(self._drawn).astype(np.float64)
        return ratio_over(sums, counts, statistic=statistic, unit=self.unit, through=through)


def _exp(value: float) -> float:
    """e to the value; the largest number there is where that is larger still."""
    return math.exp(min(value, _LARGEST_EXPONENT))


def _token_metrics(of: _Of, measurement: Measurement) -> Iterator[MetricResult]:
    tokens = _Tokens(measurement, of.beside("scored_chunks"))
    reference, variant, divergence, same_top = tokens.columns
    change = np.exp(-variant) - np.exp(-reference)
    mean = f"mean over tokens, interval by bootstrap over {tokens.unit}"
    exp_mean = f"exp of the {mean}"
    yield of.metric("kld", tokens.mean(divergence, statistic=mean))
    for percentile in DIVERGENCE_PERCENTILES:
        value = float(np.percentile(divergence, percentile))
        yield of.exact("kld_percentile", value, f"p{percentile:g} over tokens", percentile=percentile)
    yield of.exact("kld_largest", float(divergence.max()), "largest over tokens")
    yield of.metric("perplexity", tokens.mean(variant, statistic=exp_mean, through=_exp))
    yield of.metric("reference_perplexity", tokens.mean(reference, statistic=exp_mean, through=_exp))
    yield of.metric("log_perplexity_ratio", tokens.mean(variant - reference, statistic=mean))
    yield of.metric("probability_change", tokens.mean(change, statistic=mean))
    squared = tokens.mean(change**2, statistic=f"root of the {mean}", through=math.sqrt)
    yield of.metric("probability_change_rms", squared)
    for percentile in CHANGE_PERCENTILES:
        value = float(np.percentile(change, percentile))
        yield of.exact("probability_change_percentile", value, f"p{percentile:g} over tokens", percentile=percentile)
    yield of.metric("same_top_token", tokens.mean(same_top, statistic=mean))


def _nothing(_: _Of, __: Measurement) -> Iterator[MetricResult]:
    return iter(())


def _greedy_metrics(of: _Of, measurement: Measurement) -> Iterator[MetricResult]:
    statistic = "mean over prompts, interval by bootstrap over prompts"
    yield of.metric("greedy_prefix", mean_over(measurement.samples, statistic=statistic, unit="prompts"))


def _class_metrics(of: _Of, measurement: Measurement) -> Iterator[MetricResult]:
    rows = rows_of(measurement)
    statistic = "mean over inputs, interval by bootstrap over inputs"
    same = rows[:, _CLASS_REFERENCE] == rows[:, _CLASS_VARIANT]
    yield of.metric("agreement", _share(int(same.sum()), len(rows)))
    yield of.metric("kld", mean_over(rows[:, _CLASS_DIVERGENCE], statistic=statistic, unit="inputs"))
    labelled = rows[rows[:, _LABEL] >= 0]
    if not len(labelled):
        return
    reference = labelled[:, _CLASS_REFERENCE] == labelled[:, _LABEL]
    variant = labelled[:, _CLASS_VARIANT] == labelled[:, _LABEL]
    yield of.metric("accuracy", _share(int(variant.sum()), len(labelled)))
    yield of.metric("reference_accuracy", _share(int(reference.sum()), len(labelled)))
    change = variant.astype(np.float64) - reference
    yield of.metric("accuracy_change", mean_over(change, statistic=f"paired: {statistic}", unit="inputs"))
    gained, lost = int((variant & ~reference).sum()), int((reference & ~variant).sum())
    yield of.exact("mcnemar_p", exact_mcnemar(gained, lost), f"exact McNemar: {gained} gained, {lost} lost")
    for label in np.unique(labelled[:, _LABEL]):
        of_class = labelled[:, _LABEL] == label
        drop = float(change[of_class].mean())
        statistic_ = f"mean over the {int(of_class.sum())} inputs of the class"
        yield of.exact("class_accuracy_change", drop, statistic_, label=int(label))


def _share(hits: int, trials: int) -> Estimate:
    low, high = clopper_pearson(hits, trials)
    return Estimate(value=hits / trials, low=low, high=high, count=1, statistic=f"{hits} of {trials}, Clopper-Pearson")


def _embedding_metrics(of: _Of, measurement: Measurement) -> Iterator[MetricResult]:
    statistic = "mean over inputs, interval by bootstrap over inputs"
    yield of.metric("cosine", mean_over(measurement.samples, statistic=statistic, unit="inputs"))


def _rank_metrics(of: _Of, measurement: Measurement) -> Iterator[MetricResult]:
    yield of.exact("similarity_ranks", measurement.value, "Spearman's rank correlation of all pairs' cosines")


def _tensor_metrics(of: _Of, measurement: Measurement) -> Iterator[MetricResult]:
    signal, noise, cosine, largest = rows_of(measurement).T
    total = "over all inputs"
    if noise.sum() > 0 and signal.sum() > 0:
        yield of.exact("sqnr", 10 * math.log10(signal.sum() / noise.sum()), total)
    else:
        reason = "the outputs are identical: there is no noise" if not noise.any() else "the reference is all zeros"
        yield of.metric("sqnr", Estimate(value=None, statistic=total, reason=reason))
    statistic = "mean over inputs, interval by bootstrap over inputs"
    yield of.metric("cosine", mean_over(cosine, statistic=statistic, unit="inputs"))
    yield of.exact("largest_error", float(largest.max()), f"largest {total}")
