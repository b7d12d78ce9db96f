"""What quality lost from one build to the next: differences input by input, so that hard ones cancel. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from benchharness.judge.bootstrap import mean_over
from benchharness.judge.compare import identity
from benchharness.results.result import Estimate, Measurement, MetricResult, Parameters, Result
from benchharness.scenarios.quality.comparison import Floats, Tokens, columns_of

Change = tuple[str, Parameters, Estimate]

_STATISTIC = "mean of candidate less base, input by input, interval by bootstrap over {}"


def changes(base: Result, candidate: Result) -> Iterator[Change]:
    """By metric candidate less base. Where the two were not evaluated on the same inputs there is none."""
    theirs = {identity(metric): metric for metric in base.metrics}
    for metric in candidate.metrics:
        maker, other = _MAKERS.get(metric.name), theirs.get(identity(metric))
        if maker is None or other is None:
            continue
        pair = (_measurement(other), _measurement(metric))
        if not all(each.row_length for each in pair) or len(pair[0].samples) != len(pair[1].samples):
            continue
        yield from ((name, metric.parameters, found) for name, found in maker(*pair, candidate))


def _measurement(metric: MetricResult) -> Measurement:
    """Raw rows as they were stored, of the one attempt that says it all."""
    value = metric.attempts[-1]
    return Measurement(
        metric=metric.name,
        parameters=metric.parameters,
        value=value.value,
        samples=value.samples,
        row_length=value.row_length,
    )


def _of_tokens(base: Measurement, candidate: Measurement, result: Result) -> Iterator[tuple[str, Estimate]]:
    chunks = next((_measurement(each) for each in result.metrics if each.name == "scored_chunks"), None)
    tokens, theirs = Tokens(candidate, chunks), columns_of(base)
    statistic = _STATISTIC.format(tokens.unit)
    for name, column in (("kld", "kld"), ("log_perplexity_ratio", "nll_variant"), ("same_top_token", "same_top")):
        yield name, tokens.mean(tokens.columns[column] - theirs[column], statistic=statistic)


def _of_classes(base: Measurement, candidate: Measurement, _: Result) -> Iterator[tuple[str, Estimate]]:
    ours, theirs = columns_of(candidate), columns_of(base)
    if not np.array_equal(ours["label"], theirs["label"]):
        return
    same = _as_numbers(ours["reference"] == ours["variant"]) - _as_numbers(theirs["reference"] == theirs["variant"])
    yield "agreement", _mean(same)
    labelled = ours["label"] >= 0
    if labelled.any():
        right = [_as_numbers(each["variant"] == each["label"])[labelled] for each in (ours, theirs)]
        yield "accuracy", _mean(right[0] - right[1])


def _of_divergence(base: Measurement, candidate: Measurement, _: Result) -> Iterator[tuple[str, Estimate]]:
    ours, theirs = columns_of(candidate), columns_of(base)
    if not (ours["pooled"] > 0).any() and not (theirs["pooled"] > 0).any():  # else both are lower bounds
        yield "kld", _mean(ours["kld"] - theirs["kld"])
    yield "total_variation", _mean(ours["total_variation"] - theirs["total_variation"])


def _of_tensors(base: Measurement, candidate: Measurement, _: Result) -> Iterator[tuple[str, Estimate]]:
    yield "cosine", _mean(columns_of(candidate)["cosine"] - columns_of(base)["cosine"])


def _mean(differences: Floats) -> Estimate:
    return mean_over(differences, statistic=_STATISTIC.format("inputs"), unit="inputs")


def _as_numbers(flags: Floats | np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> Floats:
    return np.asarray(flags, dtype=np.float64)


_MAKERS: Mapping[str, Callable[[Measurement, Measurement, Result], Iterator[tuple[str, Estimate]]]] = {
    "token_divergence": _of_tokens,
    "class_decisions": _of_classes,
    "class_divergence": _of_divergence,
    "tensor_error": _of_tensors,
}
