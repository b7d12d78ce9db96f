"""Intervals, paired ratios, and the percentiles that a number of samples can carry."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from benchharness.judge import student
from benchharness.judge.intervals import estimate, independent_ratio, paired_ratio
from benchharness.metrics.percentiles import samples_for_percentile

#: 97.5 % quantiles of Student's t by degrees of freedom, from printed tables.
T_QUANTILES = {1: 12.7062, 2: 4.3027, 4: 2.7764, 9: 2.2622, 19: 2.0930, 99: 1.9842}
SIMULATIONS = 2000
#: All of the table, what is beyond it, and what stands between.
FREEDOMS = (*range(1, 70), 2.5, 59.999, 250, 999)
POSITIVE = st.floats(min_value=1e-3, max_value=1e12)


@pytest.mark.parametrize("freedom", FREEDOMS)
def test_the_table_of_students_t_is_scipys(freedom: float) -> None:
    assert student.quantile(freedom) == pytest.approx(float(special.stdtrit(freedom, 0.975)), rel=1e-14)


@pytest.mark.parametrize(("freedom", "quantile"), T_QUANTILES.items())
def test_the_interval_is_students_t_of_the_logarithms(freedom: int, quantile: float) -> None:
    values = [100.0 + 7 * (index % 5) + index for index in range(freedom + 1)]
    logarithms = [math.log(value) for value in values]
    mean = math.fsum(logarithms) / len(values)
    variance = math.fsum((logarithm - mean) ** 2 for logarithm in logarithms) / freedom
    half = quantile * math.sqrt(variance / len(values))

    found = estimate(values, statistic="some")

    assert found.value == pytest.approx(math.exp(mean), rel=1e-12)
    assert found.low is not None
    assert found.high is not None
    assert math.log(found.high / found.low) / 2 == pytest.approx(half, rel=2e-5)  # the tables have five digits
    assert found.low * found.high == pytest.approx(math.exp(mean) ** 2, rel=1e-12)
    assert (found.count, found.statistic, found.reason) == (freedom + 1, "some", "")


def test_an_interval_covers_the_truth_as_often_as_it_says() -> None:
    generator = np.random.default_rng(20260304)
    draws = generator.lognormal(mean=math.log(5e7), sigma=0.08, size=(SIMULATIONS, 5))
    covered = 0
    for draw in draws:
        found = estimate(draw.tolist(), statistic="")
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 5e7 <= found.high
    fewest, most = stats.binom.interval(0.9999, SIMULATIONS, 0.95)
    assert fewest <= covered <= most


def test_a_paired_ratio_covers_the_truth_as_often_as_it_says() -> None:
    generator = np.random.default_rng(7)
    covered = 0
    for _ in range(SIMULATIONS):
        level = generator.lognormal(0, 0.3, 5)  # common to both of a pair
        pairs = list(zip(1.05 * level * generator.lognormal(0, 0.02, 5), level, strict=True))
        found = paired_ratio(pairs, statistic="")
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 1.05 <= found.high
    fewest, most = stats.binom.interval(0.9999, SIMULATIONS, 0.95)
    assert fewest <= covered <= most


def test_a_paired_ratio_cancels_a_common_drift() -> None:
    drift = np.linspace(1.0, 1.3, 10)
    noise = np.random.default_rng(1).lognormal(0, 0.002, (10, 2))
    pairs = [
        (1.05 * 40 * level * first, 40 * level * second) for level, (first, second) in zip(drift, noise, strict=True)
    ]

    paired = paired_ratio(pairs, statistic="")
    alone = estimate([first for first, _ in pairs], statistic="")

    assert paired.value == pytest.approx(1.05, rel=0.003)
    assert paired.relative_half_width is not None
    assert paired.relative_half_width < 0.005
    assert alone.relative_half_width is not None
    assert alone.relative_half_width > 0.05


@settings(deadline=None)  # a busy machine is no failure
@given(st.lists(st.tuples(POSITIVE, POSITIVE), min_size=2, max_size=20))
def test_the_ratio_the_other_way_round_is_the_reciprocal(pairs: list[tuple[float, float]]) -> None:
    one = paired_ratio(pairs, statistic="")
    other = paired_ratio([(second, first) for first, second in pairs], statistic="")
    assert one.value is not None
    assert other.value is not None
    assert one.value * other.value == pytest.approx(1, rel=1e-9)


@settings(deadline=None)  # a busy machine is no failure
@given(st.lists(POSITIVE, min_size=2, max_size=20))
def test_a_value_lies_within_its_interval_and_its_data(values: list[float]) -> None:
    found = estimate(values, statistic="")
    assert found.value is not None
    assert found.low is not None
    assert found.high is not None
    slack = 1 + 1e-9
    assert found.low <= found.value * slack
    assert found.value <= found.high * slack
    assert min(values) / slack <= found.value <= max(values) * slack


def test_one_attempt_has_a_value_and_no_interval_and_says_why() -> None:
    for found in (estimate([3.0], statistic=""), paired_ratio([(6.0, 2.0)], statistic="")):
        assert found.value == pytest.approx(3)
        assert (found.low, found.high, found.relative_half_width) == (None, None, None)
        assert found.count == 1
        assert "one attempt" in found.reason


def test_nothing_is_unknown_and_says_why() -> None:
    assert estimate([], statistic="").value is None
    assert estimate([], statistic="").reason == "no attempt has a value"
    assert paired_ratio([], statistic="").value is None
    assert paired_ratio([], statistic="").reason == "no round has both"


@pytest.mark.parametrize("bad", [0.0, -2.0])
def test_a_value_without_a_logarithm_makes_the_estimate_unknown(bad: float) -> None:
    found = estimate([1.0, bad, 3.0], statistic="")
    assert (found.value, found.low, found.high, found.count) == (None, None, None, 3)
    assert f"{bad:g}" in found.reason
    for pair in ((bad, 1.0), (1.0, bad)):
        ratio = paired_ratio([(1.0, 1.0), pair], statistic="")
        assert (ratio.value, ratio.low, ratio.high) == (None, None, None)
        assert ratio.reason == "a value is not positive"


@pytest.mark.parametrize(("percentile", "samples"), [(1, 1), (50, 1), (90, 64), (99, 662)])
def test_percentiles_need_as_many_samples_as_mlperf_asks_for(percentile: int, samples: int) -> None:
    assert samples_for_percentile(percentile) == samples


@pytest.mark.parametrize("percentile", [75, 90, 95, 99])
def test_one_sample_fewer_would_not_carry_a_percentile(percentile: int) -> None:
    above = 1 - percentile / 100

    def chance_of_at_most_one_above(count: int) -> float:
        return (1 - above) ** count + count * above * (1 - above) ** (count - 1)

    needed = samples_for_percentile(percentile)
    assert chance_of_at_most_one_above(needed) <= 0.01 < chance_of_at_most_one_above(needed - 1)


@given(st.floats(1e-3, 1e15), st.integers(1, 30))
def test_a_value_that_all_attempts_share_is_that_value_exactly(value: float, count: int) -> None:
    found = estimate([value] * count, statistic="")
    assert found.value == value
    assert (found.low, found.high) == ((value, value) if count > 1 else (None, None))


@given(st.lists(st.floats(1e-3, 1e15), min_size=1, max_size=30))
def test_a_mean_lies_within_its_values(values: list[float]) -> None:
    found = estimate(values, statistic="")
    assert found.value is not None
    assert min(values) <= found.value <= max(values)


@given(st.floats(1e-3, 1e15), st.floats(1e-3, 1e15), st.integers(2, 10))
def test_a_ratio_that_all_rounds_share_is_that_ratio_exactly(first: float, second: float, count: int) -> None:
    paired = paired_ratio([(first, second)] * count, statistic="")
    unpaired = independent_ratio([first] * count, [second] * (count + 1), statistic="")
    for found in (paired, unpaired):
        assert (found.value, found.low, found.high) == (first / second,) * 3


def test_bytes_read_as_they_were_measured() -> None:
    assert estimate([57872384.0] * 5, statistic="").value == 57872384.0
