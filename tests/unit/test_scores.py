"""What scores are, decided once, and the divergence of rounded ones: bounds by property, readings against numpy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from benchharness.device.scenarios.quality.divergence import Compared, compare_classes
from benchharness.device.scenarios.quality.scores import Decision, Divergences, decide
from benchharness.errors import InvalidOutput, Unsupported

SAID = Decision("probabilities", "as the suite says")


def probabilities(samples: int, classes: int, sharpness: float, seed: int) -> np.ndarray:
    logits = np.random.default_rng(seed).standard_normal((samples, classes)) * sharpness
    return special.softmax(logits, axis=1)


def rounded(values: np.ndarray, scale: float = 1 / 256) -> np.ndarray:
    """As a uint8 output is: whole steps from 0 to 255."""
    return np.clip(np.round(values / scale), 0, 255) * scale


def compared(reference: np.ndarray, variant: np.ndarray, decision: Decision = SAID) -> tuple[Decision, list[Compared]]:
    kept = Divergences(decision)
    for one, other in zip(reference, variant, strict=True):
        kept.add(one, other)
    return kept.decided()


def mean(rows: list[Compared]) -> float:
    return float(np.mean([row.divergence for row in rows]))


def test_an_8_bit_softmax_of_a_thousand_classes_is_bounded_by_what_it_tells() -> None:
    reference = probabilities(200, 1000, 2.5, 1)
    variant = rounded(reference)
    _, rows = compared(reference, variant)
    expected = []
    for p, q in zip(reference, variant, strict=True):  # the definition written out
        kept = q > 0
        rest = 1 - q[kept].sum()
        expected.append(special.rel_entr(p[kept], q[kept]).sum() + special.rel_entr(p[~kept].sum(), rest))
    assert mean(rows) == pytest.approx(float(np.mean(expected)), rel=1e-9)
    assert mean(rows) < 0.02
    assert [row.pooled for row in rows] == (variant == 0).sum(axis=1).tolist()
    whole = np.abs(reference - variant).sum(axis=1) / 2
    np.testing.assert_allclose([row.total_variation for row in rows], whole)


@settings(max_examples=200, deadline=None)
@given(
    st.integers(2, 40), st.floats(0.1, 8), st.floats(0, 2), st.integers(0, 10_000), st.sampled_from([1 / 256, 1 / 100])
)
def test_the_pooled_figure_is_never_above_any_distribution_behind_the_zeros(
    classes: int, sharpness: float, noise: float, seed: int, scale: float
) -> None:
    random = np.random.default_rng(seed)
    logits = random.standard_normal(classes) * sharpness
    p = special.softmax(logits)
    q = rounded(special.softmax(logits + noise * random.standard_normal(classes)), scale)
    found = compare_classes(p, q)
    zero = q == 0
    if not zero.any():
        assert found.pooled == 0
        return
    behind = random.dirichlet(np.full(int(zero.sum()), 0.5)) + 1e-12
    if (rest := 1 - q.sum()) > 0:  # what may have been rounded away, in any way
        r = q.copy()
        r[zero] = rest * behind / behind.sum()
        truth = special.rel_entr(p, r).sum()
        assert found.with_step(scale).divergence <= truth + 1e-9
        assert found.divergence <= truth + 1e-9
    r = q / q.sum() if q.any() else q  # any mass behind the zeros, the others in proportion
    share = random.uniform(0.001, 0.5)
    r = r * (1 - share)
    r[zero] = share * behind / behind.sum()
    if q.any():
        assert found.divergence <= special.rel_entr(p, r).sum() + 1e-9


def test_the_same_rounded_answers_diverge_by_nothing() -> None:
    variant = rounded(probabilities(50, 300, 2, 2))
    _, rows = compared(variant, variant.copy())
    assert max(row.divergence for row in rows) == 0.0
    assert max(row.total_variation for row in rows) == 0.0


def test_a_float16_that_underflows_is_not_charged_with_its_own_sum() -> None:
    reference = probabilities(50, 1000, 6, 3)
    variant = reference.astype(np.float16).astype(np.float32)
    assert (variant == 0).any()
    assert abs(variant.sum(axis=1, dtype=np.float64) - 1).max() > 1e-5  # which is no mass behind the zeros
    _, rows = compared(reference, variant)
    assert any(row.pooled for row in rows)
    assert mean(rows) < 1e-6


@pytest.mark.parametrize("scale", [1 / 256, 1 / 255, 0.996 / 255, 1 / 250])
def test_what_is_left_below_half_a_step_is_no_mass(scale: float) -> None:
    """255 steps of 0.996 / 255 and one more are 0.9999: KLD with 0.0001 for ten per cent would be that constant."""
    reference = probabilities(300, 60, 3, 4)
    _, rows = compared(reference, rounded(reference, scale).astype(np.float32))
    assert max(row.divergence for row in rows) < 0.2
    assert mean(rows) < 0.02


def test_all_classes_rounded_to_zero_say_nothing() -> None:
    (row,) = compared(np.full((1, 1000), 1e-3), np.zeros((1, 1000)))[1]
    assert (row.divergence, row.pooled) == (0.0, 1000)
    assert row.total_variation == pytest.approx(0.5)


def test_probabilities_above_zero_are_not_pooled() -> None:
    reference, variant = probabilities(20, 10, 1, 5), probabilities(20, 10, 1, 6)
    _, rows = compared(reference, variant)
    expected = special.rel_entr(reference, variant).sum(axis=1)
    np.testing.assert_allclose([row.divergence for row in rows], expected, rtol=1e-9)
    assert not any(row.pooled for row in rows)


def test_a_class_that_both_exclude_is_not_pooled() -> None:
    one, other = np.array([[0.25, 0.75, 0.0]]), np.array([[0.5, 0.5, 0.0]])
    (row,) = compared(one, other)[1]
    assert row.pooled == 0
    assert row.divergence == pytest.approx(special.rel_entr([0.25, 0.75], [0.5, 0.5]).sum())


@pytest.mark.parametrize(
    ("operators", "are"),
    [
        (("Softmax", "Softmax"), "probabilities"),
        (("Softmax", None), "probabilities"),
        ((None, "SOFTMAX"), "probabilities"),
        (("softmax", "Softmax"), "probabilities"),
        (("LogSoftmax", "LOG_SOFTMAX"), "log-probabilities"),
        (("Gemm", "FULLY_CONNECTED"), "logits"),
        (("Add", "Add"), None),  # a sum of logits, or a mean of two softmaxes
        ((None, None), None),
    ],
)
def test_the_last_operator_decides_for_both(operators: tuple[str | None, str | None], are: str | None) -> None:
    assert decide(None, *operators).are == are


def test_the_suite_is_believed_first() -> None:
    assert decide("logits", "Softmax", "Softmax") == Decision("logits", "as the suite says")


def test_graphs_that_end_differently_are_not_compared() -> None:
    decision = decide(None, "Softmax", "Gemm")
    assert "ends in Softmax (probabilities), and this variant's in Gemm (logits)" in decision.why_not
    assert compared(probabilities(2, 3, 1, 7), probabilities(2, 3, 1, 8), decision)[1] == []


def test_sigmoids_of_several_classes_are_no_distribution() -> None:
    assert 'write scores = "probabilities" or "logits"' in decide(None, "Sigmoid", "Sigmoid").why_not


def test_logits_that_add_up_to_one_by_chance_stay_logits() -> None:
    reference = np.array([[0.2, 0.3, 0.5], [2.0, 1.0, -3.0]])
    variant = np.array([[0.25, 0.25, 0.5], [2.5, 1.0, -3.5]])
    decision, rows = compared(reference, variant, decide(None, None, None))
    assert decision == Decision("logits", "by all samples")
    p, q = special.softmax(reference, axis=1), special.softmax(variant, axis=1)
    np.testing.assert_allclose([row.divergence for row in rows], special.rel_entr(p, q).sum(axis=1), rtol=1e-9)


def test_all_samples_adding_up_to_one_are_probabilities() -> None:
    reference = probabilities(40, 100, 2, 9)
    decision, rows = compared(reference, rounded(reference), decide(None, None, None))
    assert decision == Decision("probabilities", "by all samples")
    assert mean(rows) == mean(compared(reference, rounded(reference))[1])


def test_a_variant_that_is_no_distribution_beside_one_has_no_divergence() -> None:
    reference = probabilities(5, 4, 1, 10)
    decision, rows = compared(reference, np.log(reference), decide(None, None, None))
    assert rows == []
    assert "this variant's are no probabilities" in decision.why_not


def test_scores_that_are_not_what_the_suite_says_are_refused() -> None:
    with pytest.raises(
        Unsupported, match="this variant, taken for probabilities as the suite says, are none: one is -1"
    ):
        compared(np.array([[0.5, 0.5]]), np.array([[2.0, -1.0]]))
    with pytest.raises(Unsupported, match="they add up to 5"):
        compared(np.array([[0.5, 0.5]]), np.array([[2.0, 3.0]]))
    with pytest.raises(Unsupported, match="no logarithms of probabilities: one is 3"):
        compared(np.array([[-0.7, -0.7]]), np.array([[3.0, -1.0]]), decide("log-probabilities", None, None))


def test_log_probabilities_are_read_as_such() -> None:
    p, q = probabilities(6, 8, 3, 11), probabilities(6, 8, 3, 12)
    _, rows = compared(np.log(p), np.log(q), decide(None, "LogSoftmax", "LogSoftmax"))
    np.testing.assert_allclose([row.divergence for row in rows], special.rel_entr(p, q).sum(axis=1), rtol=1e-9)


def test_logits_far_apart_keep_the_divergence_that_probabilities_cannot_hold() -> None:
    one, other = np.array([[0.0, -800.0]]), np.array([[-900.0, 0.0]])
    (row,) = compared(one, other, decide("logits", None, None))[1]
    assert row.divergence == pytest.approx(900.0)
    assert row.pooled == 0


def test_a_logit_of_minus_infinity_is_pooled_and_not_refused() -> None:
    one, other = np.array([[0.0, 1.0, 2.0]]), np.array([[0.0, 1.0, -np.inf]])
    (row,) = compared(one, other, decide("logits", None, None))[1]
    assert row.divergence == pytest.approx(0.0, abs=1e-12)
    assert row.pooled == 1
    assert row.total_variation == pytest.approx(special.softmax([0, 1, 2])[2])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_scores_that_are_no_numbers_are_named(bad: float) -> None:
    for decision in (SAID, decide("logits", None, None), decide(None, None, None)):
        with pytest.raises(InvalidOutput, match="this variant: NaN or infinite scores"):
            compared(np.array([[0.5, 0.5]]), np.array([[0.5, bad]]), decision)
