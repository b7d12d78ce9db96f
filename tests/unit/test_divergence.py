"""The formulas of quality against independent ones: scipy's, and sums written out in float64."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from scipy import spatial, special, stats

from benchharness.device.scenarios.quality.divergence import (
    cosine,
    divergence,
    log_softmax,
    rank_correlation,
    softened,
    tensor_row,
    token_row,
)
from benchharness.errors import InvalidOutput

RANDOM = np.random.default_rng(7)
VOCABULARY = 4096


def logits(rows: int = 5, scale: float = 4.0) -> np.ndarray:
    return (RANDOM.normal(size=(rows, VOCABULARY)) * scale).astype(np.float32)


@pytest.mark.parametrize("noise", [1e-3, 0.1, 2.0])
def test_divergence_is_that_of_scipy(noise: float) -> None:
    reference = logits()
    variant = reference + RANDOM.normal(size=reference.shape).astype(np.float32) * noise
    ours = divergence(log_softmax(reference, "r"), log_softmax(variant, "v"))
    p = special.softmax(reference.astype(np.float64), axis=-1)
    q = special.softmax(variant.astype(np.float64), axis=-1)
    np.testing.assert_allclose(ours, special.rel_entr(p, q).sum(axis=-1), rtol=1e-9, atol=1e-15)


def test_a_tiny_divergence_keeps_its_digits() -> None:
    reference = np.array([[0.0, 1.0, 2.0]])
    variant = reference + np.array([0.0, 4e-3, -4e-3])
    exact = _exact_divergence(reference[0], variant[0])
    ours = float(divergence(log_softmax(reference, "r"), log_softmax(variant, "v"))[0])
    assert exact == pytest.approx(1e-5, rel=0.9)  # the size that 16-bit log probabilities cannot tell
    assert ours == pytest.approx(exact, rel=1e-9)


def _exact_divergence(reference: np.ndarray, variant: np.ndarray) -> float:
    """By rational arithmetic on the exponentials, one logarithm a class."""
    p, q = ([Fraction(math.exp(value)) for value in values] for values in (reference, variant))
    p, q = [value / sum(p) for value in p], [value / sum(q) for value in q]
    return math.fsum(float(a) * math.log(a / b) for a, b in zip(p, q, strict=True))


def token_rows(reference: np.ndarray, variant: np.ndarray, targets: np.ndarray) -> np.ndarray:
    rows = zip(reference, variant, targets, strict=True)
    return np.array([token_row(softened(one, "r"), softened(other, "v"), target) for one, other, target in rows])


def test_identical_logits_diverge_by_exactly_nothing() -> None:
    found = token_rows(one := logits(), one.copy(), np.arange(5))
    assert (found[:, 2] == 0.0).all()
    assert (found[:, 3] == 1.0).all()
    np.testing.assert_array_equal(found[:, 0], found[:, 1])


def test_negative_log_likelihoods_are_those_of_the_targets() -> None:
    one, other, targets = logits(), logits(), np.array([3, 1, 4, 1, 5])
    rows = token_rows(one, other, targets)
    for column, values in ((0, one), (1, other)):
        expected = -special.log_softmax(values.astype(np.float64), axis=-1)[np.arange(5), targets]
        np.testing.assert_allclose(rows[:, column], expected, rtol=1e-12)


@pytest.mark.parametrize("noise", [1e-4, 5e-3, 0.1, 2.0])
def test_a_tokens_divergence_is_that_of_scipy(noise: float) -> None:
    reference = logits()
    variant = reference + RANDOM.normal(size=reference.shape).astype(np.float32) * noise
    p, q = (special.softmax(rows.astype(np.float64), axis=-1) for rows in (reference, variant))
    expected = special.rel_entr(p, q).sum(axis=-1)
    assert (expected.mean() < 1e-7) == (noise == 1e-4)
    found = token_rows(reference, variant, np.zeros(5, int))[:, 2]
    np.testing.assert_allclose(found, expected, rtol=1e-7)
    np.testing.assert_array_equal(
        token_rows(reference, variant, np.zeros(5, int))[:, 3],
        (reference.argmax(-1) == variant.argmax(-1)).astype(float),
    )


def test_tokens_that_are_masked_or_no_numbers() -> None:
    one, other = np.array([0.0, 1.0, -np.inf], np.float32), np.array([0.0, 1.5, -np.inf], np.float32)
    masked = token_row(softened(one, "r"), softened(other, "v"), 0)
    assert masked[2] == pytest.approx(token_row(softened(one[:2], "r"), softened(other[:2], "v"), 0)[2], rel=1e-12)
    assert masked[2] > 0
    with pytest.raises(InvalidOutput, match="probability 0"):
        token_row(softened(np.zeros(3), "r"), softened(one, "v"), 0)
    with pytest.raises(InvalidOutput, match="perplexity is infinite"):
        token_row(softened(one, "r"), softened(other, "v"), 2)
    for bad in ([np.nan, 1.0], [1.0, np.nan], [np.inf, 1.0], [-np.inf, -np.inf]):
        with pytest.raises(InvalidOutput, match="this variant: NaN or infinite"):
            softened(np.array(bad), "this variant")


def test_a_masked_token_counts_nothing_where_both_mask_it() -> None:
    reference = np.array([[0.0, 1.0, -np.inf]])
    assert np.isfinite(
        divergence(log_softmax(reference, "r"), log_softmax(reference + np.array([0.0, 0.5, 0.0]), "v"))
    ).all()


def test_what_the_variant_thinks_impossible_is_no_number() -> None:
    with pytest.raises(InvalidOutput, match="probability 0"):
        divergence(log_softmax(np.array([[0.0, 1.0]]), "r"), log_softmax(np.array([[0.0, -np.inf]]), "v"))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_logits_that_are_no_numbers_are_named(value: float) -> None:
    broken = logits()
    broken[2, 17] = value
    with pytest.raises(InvalidOutput, match="this variant: NaN or infinite"):
        log_softmax(broken, "this variant")


def test_tensor_rows_give_signal_to_noise_cosine_and_largest_error() -> None:
    one, other = RANDOM.normal(size=(3, 4)), RANDOM.normal(size=(3, 4))
    signal, noise, alike, largest = tensor_row(one, other)
    assert signal == pytest.approx(sum(value**2 for value in one.flat))
    assert noise == pytest.approx(sum((a - b) ** 2 for a, b in zip(one.flat, other.flat, strict=True)))
    assert alike == pytest.approx(1 - float(spatial.distance.cosine(one.ravel(), other.ravel())))
    assert largest == np.abs(one - other).max()
    assert tensor_row(one, one.copy())[1:] == (0.0, 1.0, 0.0)


def test_cosine_of_nothing_is_nothing() -> None:
    assert cosine(np.zeros(3), np.ones(3)) == 0.0


def test_neighbours_are_ranked_as_scipy_ranks_them() -> None:
    one = RANDOM.normal(size=(20, 8))
    other = np.round(one + RANDOM.normal(size=one.shape) * 0.5, 1)
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (one, other)]
    pairs = np.triu_indices(20, k=1)
    expected = stats.spearmanr(*((rows @ rows.T)[pairs] for rows in unit)).statistic
    assert rank_correlation(one, other) == pytest.approx(expected, rel=1e-9)
    assert rank_correlation(one, one.copy()) == 1.0


def test_a_variant_that_tells_no_pair_from_another_has_no_order() -> None:
    reference = RANDOM.normal(size=(6, 3))
    assert rank_correlation(reference, np.zeros((6, 3))) is None
    assert rank_correlation(reference, np.ones((6, 3))) is None
    assert rank_correlation(np.ones((6, 3)), np.ones((6, 3))) == 1.0
