"""A classifier's answer of one number: two classes, a threshold, and KLD as the closed form has it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchharness.device.scenarios.quality.chosen import Label, OneScore, Scores
from benchharness.device.scenarios.quality.scores import Decision, Divergences
from benchharness.errors import InvalidOutput, Unsupported

_chance = st.floats(1e-6, 1 - 1e-6)


def one(
    said: str | None = None, *operators: str | None, threshold: float | None = None, classifier: bool = True
) -> OneScore:
    reference, variant = operators or ("Sigmoid", "Sigmoid")
    return OneScore(said, reference, variant, threshold=threshold, classifier=classifier)


def divergence(answers: OneScore, reference: float, variant: float) -> float:
    divergences = Divergences(answers.decision)
    divergences.add(answers.of(np.array([reference]), 0).scores, answers.of(np.array([variant]), 1).scores)
    (found,) = divergences.decided()[1]
    return found.divergence


def bernoulli(p: float, q: float) -> float:
    return p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))


def logit(p: float) -> float:
    return math.log(p) - math.log1p(-p)


@given(_chance, _chance)
def test_kld_is_that_of_two_coins_however_they_are_told(p: float, q: float) -> None:
    expected = pytest.approx(bernoulli(p, q), rel=1e-6, abs=1e-9)
    assert divergence(one(), p, q) == expected
    assert divergence(one("logits"), logit(p), logit(q)) == expected
    assert divergence(one("log-probabilities"), math.log(p), math.log(q)) == expected
    assert divergence(one(None, "Sigmoid", "Gemm"), p, logit(q)) == expected


@given(st.floats(0, 1), st.sampled_from([None, 0.1, 0.3, 0.9]))
def test_a_class_is_meant_above_the_threshold(p: float, threshold: float | None) -> None:
    expected = int(p > (threshold or 0.5))
    assert one(threshold=threshold).of(np.array([p]), 0).chosen == expected
    if 1e-9 < p < 1 - 1e-9 and abs(p - (threshold or 0.5)) > 1e-9:
        assert one("logits", threshold=threshold).of(np.array([logit(p)]), 0).chosen == expected
        assert one("log-probabilities", threshold=threshold).of(np.array([math.log(p)]), 0).chosen == expected


def test_what_one_number_is_has_to_be_known() -> None:
    with pytest.raises(Unsupported, match=r'not known \(ReduceMean\); write scores = "probabilities" or'):
        one(None, "ReduceMean", "ReduceMean")
    with pytest.raises(Unsupported, match=r'may be a logit, or no class at all; .* task = "classifier"'):
        one(None, "Gemm", "Gemm", classifier=False)
    assert one(None, "Gemm", "Gemm").of(np.array([0.2]), 0).chosen == 1
    with pytest.raises(Unsupported, match=r"\(Sigmoid and an operator that does not tell\)"):
        one(None, "Sigmoid", None)  # a logit between 0 and 1 would pass for a probability
    assert one().parameters() == {"classes": 2, "threshold": 0.5}


@pytest.mark.parametrize("value", [-0.1, 1.5])
def test_what_is_no_probability_is_refused(value: float) -> None:
    with pytest.raises(Unsupported, match=r'this variant, taken for one of probabilities .* scores = "logits"'):
        one().of(np.array([value]), 1)
    with pytest.raises(InvalidOutput, match="the reference: NaN"):
        one("logits").of(np.array([np.nan]), 0)


def test_a_probability_that_is_rounded_to_one_is_pooled_and_not_infinite() -> None:
    """The other class is rounded to zero: nothing is known of it."""
    divergences = Divergences(one().decision)
    for p, q in ((0.99, 1.0), (0.25, 0.25)):
        divergences.add(*(one().of(np.array([value]), 0).scores for value in (p, q)))
    first, second = divergences.decided()[1]
    assert (first.pooled, first.divergence < 1) == (1, True)
    assert (second.pooled, second.divergence) == (0, 0.0)


def test_a_threshold_is_for_one_score_alone() -> None:
    with pytest.raises(Unsupported, match=r"threshold = 0\.3: .* this one gives 4"):
        Scores(Decision(None, ""), 4, 0.3)
    with pytest.raises(Unsupported, match=r"threshold = 0\.3: .* gives a label"):
        Label(0.3)


def test_a_label_is_its_own_class() -> None:
    label = Label(None)
    assert label.of(np.array([7]), 0).chosen == 7
    assert "no scores" in label.decision.why_not
