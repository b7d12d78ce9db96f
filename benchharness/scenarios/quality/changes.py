"""What quality lost from one build to the next: differences input by input, so that hard ones cancel. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import numpy as np

from benchharness.judge.compare import identity
from benchharness.judge.means import mean_over
from benchharness.judge.paired import OF_SHARES, difference_of_shares
from benchharness.results.result import Estimate, Measurement, MetricResult, Parameters, Result
from benchharness.scenarios.quality.rows import Floats, Tokens, columns_of
from benchharness.scenarios.quality.students import bits_changed, losses_of

Change = tuple[str, Parameters, Estimate]
Results = tuple[Result, Result]  # base, candidate

_OF_STUDENTS = ("token_divergence", "scored_chunks", "tempered_divergence")
#: What the text's tokens were, and prompts made of them.
_BY_TOKEN = ("token_divergence", "answers_alike")
_OTHERWISE = "the two read other stretches of the text: their tokens end elsewhere"
_OTHER_TOKENS = "the two read the text in other tokens: no token of one is a token of the other"
_STATISTIC = "mean of candidate less base, input by input"


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
        apart = metric.name in _BY_TOKEN and _in_other_tokens(base, candidate)
        for name, found in maker(*pair, (base, candidate)):
            yield name, metric.parameters, Estimate(value=None, reason=_OTHER_TOKENS) if apart else found
    yield from _of_texts(base, candidate)
    yield from _of_distillation(base, candidate)


def _in_other_tokens(base: Result, candidate: Result) -> bool:
    """Whether the two are known to have been fed other tokens, be there as many of them or not."""
    told = [result.effective.evaluated.get("ids") for result in (base, candidate)]
    return None not in told and told[0] != told[1]


def _of_texts(base: Result, candidate: Result) -> Iterator[Change]:
    """Bits per byte, stretch by stretch: of other tokenizers, too, where they leave the same stretches."""
    sides = [
        each
        for result in (base, candidate)
        for each in result.metrics
        if each.name == "scored_texts" and each.attempts and each.attempts[-1].samples
    ]
    if len(sides) == 2:
        theirs, ours = (columns_of(_measurement(side)) for side in sides)
        found = bits_changed(theirs, ours, _STATISTIC) or Estimate(value=None, reason=_OTHERWISE)
        yield "bits_per_byte", sides[1].parameters, found


def _of_distillation(base: Result, candidate: Result) -> Iterator[Change]:
    """The loss that students are trained with, by alpha, token by token."""
    sides = [
        {each.name: _measurement(each) for each in result.metrics if each.name in _OF_STUDENTS and each.attempts}
        for result in (base, candidate)
    ]
    if any("token_divergence" not in side or not side["token_divergence"].samples for side in sides):
        return
    theirs = {identity(metric) for metric in base.metrics}
    tokens = Tokens(sides[1]["token_divergence"], sides[1].get("scored_chunks"))
    columns = [columns_of(side["token_divergence"]) for side in sides]
    for metric in candidate.metrics:
        if metric.name != "distillation_loss" or identity(metric) not in theirs:
            continue
        alpha = float(metric.parameters["alpha"])
        losses = [
            losses_of(of, side.get("tempered_divergence"), alpha) for of, side in zip(columns, sides, strict=True)
        ]
        if losses[0] is not None and losses[1] is not None and losses[0].shape == losses[1].shape:
            found = tokens.mean(losses[1] - losses[0], statistic=_STATISTIC, exactly=_same_rows(*columns))
            apart = _in_other_tokens(base, candidate)
            yield metric.name, metric.parameters, Estimate(value=None, reason=_OTHER_TOKENS) if apart else found


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


def _of_tokens(base: Measurement, candidate: Measurement, of: Results) -> Iterator[tuple[str, Estimate]]:
    chunks = next((_measurement(each) for each in of[1].metrics if each.name == "scored_chunks"), None)
    tokens, theirs = Tokens(candidate, chunks), columns_of(base)
    same = _same_rows(tokens.columns, theirs)
    for name, column in (("kld", "kld"), ("log_perplexity_ratio", "nll_variant")):
        yield name, tokens.mean(tokens.columns[column] - theirs[column], statistic=_STATISTIC, exactly=same)
    changed = tokens.columns["same_top"] - theirs["same_top"]
    yield "same_top_token", tokens.change(changed, statistic=_STATISTIC, exactly=same)


def _of_answers(base: Measurement, candidate: Measurement, of: Results) -> Iterator[tuple[str, Estimate]]:
    ours, theirs = columns_of(candidate), columns_of(base)
    if np.array_equal(ours["characters"], theirs["characters"]):  # else the reference's answers are others
        exactly = any(_same_samples(*of, metric) for metric in ("token_divergence", "scored_texts"))
        for name, column in (("same_answer", "exact"), ("same_answer_normalised", "normalised")):
            yield name, _share(ours[column] - theirs[column], "prompts", exactly=exactly)


def _of_classes(base: Measurement, candidate: Measurement, of: Results) -> Iterator[tuple[str, Estimate]]:
    ours, theirs = columns_of(candidate), columns_of(base)
    if not np.array_equal(ours["label"], theirs["label"]):
        return
    same = _as_numbers(ours["reference"] == ours["variant"]) - _as_numbers(theirs["reference"] == theirs["variant"])
    exactly = _same_samples(*of, "class_divergence")
    yield "agreement", _share(same, "inputs", exactly=exactly)
    labelled = ours["label"] >= 0
    if labelled.any():
        right = [_as_numbers(each["variant"] == each["label"])[labelled] for each in (ours, theirs)]
        yield "accuracy", _share(right[0] - right[1], "inputs", exactly=exactly)


def _of_divergence(base: Measurement, candidate: Measurement, _: Results) -> Iterator[tuple[str, Estimate]]:
    ours, theirs = columns_of(candidate), columns_of(base)
    if not (ours["pooled"] > 0).any() and not (theirs["pooled"] > 0).any():  # else both are lower bounds
        yield "kld", _mean(ours["kld"] - theirs["kld"])
    yield "total_variation", _mean(ours["total_variation"] - theirs["total_variation"])


def _of_tensors(base: Measurement, candidate: Measurement, _: Results) -> Iterator[tuple[str, Estimate]]:
    yield "cosine", _mean(columns_of(candidate)["cosine"] - columns_of(base)["cosine"])


def _mean(differences: Floats) -> Estimate:
    """Of numbers with many digits: where all are the same, so were the outputs."""
    found = mean_over(differences, statistic=_STATISTIC, unit="inputs")
    return found if differences.any() else replace(found, low=found.value, high=found.value, reason="")


def _share(differences: Floats, unit: str, *, exactly: bool) -> Estimate:
    """Of yes and no: candidate less base as a share, -1, 0 or 1 for each input.

    Where no input differs it is none, `exactly` so where that is known of more than these answers; else as far as so
    many inputs can tell.
    """
    gained, lost, asked = int((differences > 0).sum()), int((differences < 0).sum()), len(differences)
    if not asked:
        return Estimate(value=None, reason=f"no {unit}")
    ends = (0.0, 0.0) if exactly and not gained + lost else difference_of_shares(gained, lost, asked)
    return Estimate(
        value=(gained - lost) / asked,
        low=ends[0],
        high=ends[1],
        count=1,
        statistic=f"candidate less base, paired: {gained} gained and {lost} lost of {asked}, {OF_SHARES}",
        drawn=asked,
        drawn_unit=unit,
    )


def _same_rows(ours: Mapping[str, Floats], theirs: Mapping[str, Floats]) -> bool:
    """Whether the two gave every token the same numbers: then they compute the same."""
    return all(np.array_equal(ours[column], theirs[column]) for column in ours)


def _same_samples(base: Result, candidate: Result, metric: str) -> bool:
    """Whether the two gave all inputs the same numbers of many digits: then they compute the same."""
    sides = [
        [each.attempts[-1].samples for each in result.metrics if each.name == metric and each.attempts]
        for result in (base, candidate)
    ]
    told = len(sides[0]) == len(sides[1]) == 1 and len(sides[0][0]) > 0
    return told and np.array_equal(sides[0][0], sides[1][0])


def _as_numbers(flags: Floats | np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> Floats:
    return np.asarray(flags, dtype=np.float64)


_MAKERS: Mapping[str, Callable[[Measurement, Measurement, Results], Iterator[tuple[str, Estimate]]]] = {
    "token_divergence": _of_tokens,
    "answers_alike": _of_answers,
    "class_decisions": _of_classes,
    "class_divergence": _of_divergence,
    "tensor_error": _of_tensors,
}
