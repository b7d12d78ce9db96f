"""Steps in series of nights: found where they are, and hardly ever where there is none."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from benchharness.judge.steps import LEAST_NIGHTS, Floats, Found, Series, _chance, _clearest, difference, find_steps
from tests.unit.history_samples import wandering


def noise(count: int, seed: int, spread: float = 0.012) -> Floats:
    """Ratios of a night to its base, in the logarithm, as twenty pairs leave them."""
    return np.random.default_rng(seed).normal(0, spread, count)


def steps_of(values: Floats, *, wanders: bool = False, beside: int = 0) -> list[Found]:
    """The steps of a series in a family with `beside` quiet ones."""
    others = [Series(values=noise(len(values), 1000 + seed), wanders=False) for seed in range(beside)]
    return find_steps([Series(values=values, wanders=wanders), *others])[0]


def with_step(values: Floats, at: int, size: float) -> Floats:
    return values + np.where(np.arange(len(values)) >= at, np.log1p(size), 0.0)


@pytest.mark.parametrize("at", [5, 12, 20, 30, 36])
def test_a_step_is_found_where_it_is_with_its_size(at: int) -> None:
    (found,) = steps_of(with_step(noise(40, at), at, 0.05), beside=29)
    assert found.first <= at <= found.last
    assert abs(found.at - at) <= 1
    assert found.low < np.log(1.05) < found.high
    assert found.p < 1e-4


def test_series_of_noise_have_no_steps() -> None:
    """A family of 50 has any false step in 5 % of nights at most: of 20 nights, in 20 x 5 % + 3 sigma."""
    false = 0
    for night in range(20):
        family = [Series(values=noise(60, 100 * night + each), wanders=False) for each in range(50)]
        false += any(find_steps(family))
    assert false <= 4


def test_a_machine_that_wanders_has_no_steps_and_would_were_it_taken_for_noise() -> None:
    moved = [np.array(wandering(120, seed=seed)) for seed in range(30)]
    assert sum(map(len, find_steps([Series(values=each, wanders=True) for each in moved]))) == 0
    assert sum(map(len, find_steps([Series(values=each, wanders=False) for each in moved]))) > 0


def test_a_large_step_is_found_although_the_machine_wanders() -> None:
    values = with_step(np.array(wandering(60, seed=4)), 30, 0.6)
    (found,) = steps_of(values, wanders=True)
    assert abs(found.at - 30) <= 1


def test_steps_that_would_move_each_other_for_ever_come_to_rest() -> None:
    """A random walk, nearly, taken for noise: two neighbours whose best places depend on each other's."""
    drawn = np.random.default_rng((67, 120, 9))
    values = [drawn.normal(0, 0.04)]
    for _ in range(119):
        values.append(0.9 * values[-1] + drawn.normal(0, 0.04 * np.sqrt(1 - 0.9**2)))
    found = steps_of(np.array(values))
    assert len({each.at for each in found}) == len(found) > 0


def test_what_came_and_went_within_a_long_series_is_two_steps() -> None:
    values = with_step(with_step(noise(365, 7), 200, 0.05), 215, 1 / 1.05 - 1)
    first, last = steps_of(values, beside=20)
    assert (abs(first.at - 200) <= 1, abs(last.at - 215) <= 1) == (True, True)
    assert first.size > 0 > last.size


def test_a_change_below_a_hundredth_is_none_however_sure_it_is() -> None:
    assert steps_of(with_step(noise(200, 3, 0.001), 100, 0.008)) == []
    assert len(steps_of(with_step(noise(200, 3, 0.001), 100, 0.012))) == 1


def test_what_is_exact_changes_at_once_and_without_doubt() -> None:
    (found,) = steps_of(np.log([100.0] * 12 + [103.0]))
    assert (found.at, found.first, found.last, found.p) == (12, 12, 12, 0.0)
    assert found.low == found.size == found.high
    assert np.expm1(found.size) == pytest.approx(0.03)


@pytest.mark.parametrize("values", [[], [1.0], [1.0, 2.0], [0.0] * 3, [1.0, 2.0, 1.0, 2.0, 1.0], [5.0] * 40])
def test_few_nights_and_still_ones_have_no_steps(values: list[float]) -> None:
    assert steps_of(np.array(values)) == []
    assert steps_of(np.array(values), wanders=True) == []


def test_the_larger_the_family_the_surer_a_step_must_be() -> None:
    values = with_step(noise(40, 11, 0.02), 20, 0.026)
    assert len(steps_of(values)) == 1
    assert steps_of(values, beside=2000) == []


@pytest.mark.parametrize("count", [8, 12, 24, 200])
def test_the_clearest_cut_is_where_students_t_is_largest_and_its_chance_no_smaller(count: int) -> None:
    """Against scipy; the chance is Wallace's, which may be larger by half where a twentieth of it decides nothing."""
    values = with_step(noise(count, 5), count // 2, 0.03)
    places = range(LEAST_NIGHTS, count - LEAST_NIGHTS + 1)
    known = [stats.ttest_ind(values[:at], values[at:]).pvalue for at in places]
    (at,), (deviate,) = _clearest(values[None], np.zeros(1))
    assert at == LEAST_NIGHTS + int(np.argmin(known))
    assert 0.9 * min(known) < _chance(float(deviate)) < 1.5 * min(known)


def test_the_interval_of_a_difference_is_students() -> None:
    values = np.concatenate([noise(20, 1), noise(15, 2) + 0.05])
    size, low, high = difference(values, 20)
    known = stats.ttest_ind(values[20:], values[:20]).confidence_interval()
    assert size == pytest.approx(values[20:].mean() - values[:20].mean())
    assert (low, high) == pytest.approx((known.low, known.high), rel=1e-6)


def test_an_interval_of_a_series_that_wanders_is_wider() -> None:
    values = np.concatenate([noise(20, 1), noise(15, 2) + 0.05])
    (_, low, high), (_, lower, higher) = difference(values, 20), difference(values, 20, wanders=True)
    assert lower < low < high < higher
