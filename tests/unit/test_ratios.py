"""Intervals of ratios of sums: whether they hold what they promise, and where there is none."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from benchharness.judge import ratios
from benchharness.judge.ratios import ratio_of_sums


def drawn(count: int, sigma: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return np.exp(sigma * random.standard_normal(count)), np.exp(0.3 * random.standard_normal(count))


@pytest.mark.parametrize(("count", "times"), [(20, 800), (100, 500)])
def test_intervals_of_log_normal_noise_cover_what_they_promise(
    monkeypatch: pytest.MonkeyPatch, count: int, times: int
) -> None:
    """The whole simulation, 500 inputs among it, is `python -m benchmarks coverage`."""
    monkeypatch.setattr(ratios, "_DRAWS", 500)
    true = math.exp(0.5**2 / 2 - 0.3**2 / 2)
    hits = 0
    for seed in range(times):
        found = ratio_of_sums(*drawn(count, 0.5, seed), statistic="")
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= true <= found.high
    assert abs(hits / times - 0.95) <= 0.02 + 2 * math.sqrt(0.95 * 0.05 / times)  # of so few simulations


def test_the_ratio_is_of_sums_and_its_ends_contain_bca_of_scipy() -> None:
    noise, signal = drawn(60, 0.8, 3)
    found = ratio_of_sums(noise, signal, statistic="", through=lambda ratio: -10 * math.log10(ratio))
    assert found.value == pytest.approx(10 * math.log10(signal.sum() / noise.sum()))
    bca = stats.bootstrap(
        (noise, signal),
        lambda one, other, axis: -10 * np.log10(one.sum(axis) / other.sum(axis)),
        paired=True,
        vectorized=True,
        rng=np.random.default_rng(0),
    ).confidence_interval
    assert found.low is not None
    assert found.high is not None
    assert found.low <= bca.low + 0.02
    assert found.high >= bca.high - 0.02
    assert found.high - found.low < 1.6 * (bca.high - bca.low)


def test_pairs_are_drawn_together() -> None:
    """Noise in proportion to its signal: the ratio is the same in every draw, though both sums move."""
    _, signal = drawn(40, 1.0, 4)
    found = ratio_of_sums(signal * 0.01 * (1 + 1e-6 * np.arange(40)), signal, statistic="")
    assert found.low == pytest.approx(0.01, rel=1e-4)
    assert found.high == pytest.approx(0.01, rel=1e-4)


def test_below_twenty_inputs_there_is_none() -> None:
    found = ratio_of_sums(*drawn(19, 0.5, 5), statistic="")
    assert (found.low, found.high) == (None, None)
    assert found.reason == "19 inputs, and an interval needs 20"
    assert ratio_of_sums(*drawn(20, 0.5, 5), statistic="").low is not None


def test_two_noisy_inputs_of_fifty_carry_no_interval() -> None:
    noise = np.zeros(50)
    noise[[3, 17]] = 1.0
    found = ratio_of_sums(noise, None, statistic="")
    assert found.value == pytest.approx(0.04)
    assert found.low is None
    assert found.reason == "it hangs on few inputs: one of 50 carries 50 % of it; more inputs would tell"


def test_a_mean_that_one_input_carries_has_no_interval_instead_of_one_without_bounds() -> None:
    """A classifier that is sure and right but for one picture of fifty: its interval would reach to millions."""
    losses = np.exp(np.random.default_rng(3).normal(-30, 8, 50))
    losses[7] = 4.0
    found = ratio_of_sums(losses, None, statistic="")
    assert found.value == pytest.approx(float(losses.mean()))
    assert (found.low, found.high) == (None, None)
    assert "one of 50 carries 99 % of it" in found.reason


def test_no_loss_at_all_is_exact_and_a_constant_loss_too() -> None:
    for value in (0.0, 0.25):
        found = ratio_of_sums(np.full(30, value), None, statistic="")
        assert (found.value, found.low, found.high) == (value, value, value)


def test_huge_and_tiny_sums_keep_their_ratio() -> None:
    noise, signal = drawn(30, 0.5, 6)
    plain = ratio_of_sums(noise, signal, statistic="")
    scaled = ratio_of_sums(noise * 1e-200, signal * 1e-200, statistic="")
    assert scaled.value == pytest.approx(plain.value)
    assert scaled.low == pytest.approx(plain.low)
