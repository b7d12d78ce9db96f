"""The device as a random level: intervals over devices against references, their coverage, and who stands out."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from benchharness.judge.exact_shares import clopper_pearson
from benchharness.judge.intervals import estimate, over_attempts, paired_ratio_over
from benchharness.judge.over_devices import Level, farthest, level_of, over
from benchharness.results.result import AttemptValue, Estimate
from benchmarks.over_devices import World, coverage, false_alarms

TIMES = 1500


def level(value: float, error: float | None = 0.001, count: int = 5) -> Level:
    return Level(mean=math.log(value), error=error, count=count)


def half(found: Estimate) -> float:
    assert found.low is not None
    assert found.high is not None
    return math.log(found.high / found.low) / 2


@pytest.mark.parametrize("values", [(10.0, 11.0), (10.0, 10.5, 12.0), (9.0, 10.0, 10.0, 11.0, 13.0)])
def test_it_is_students_t_over_devices_however_many_attempts_each_had(values: tuple[float, ...]) -> None:
    found = over([level(value, count=5 * at + 2) for at, value in enumerate(values)], statistic="x")
    logs = np.log(values)
    low, high = stats.t.interval(0.95, len(values) - 1, loc=logs.mean(), scale=stats.sem(logs))
    assert found.value == pytest.approx(math.exp(logs.mean()))
    assert found.low == pytest.approx(math.exp(low))
    assert found.high == pytest.approx(math.exp(high))
    assert (found.drawn, found.drawn_unit) == (len(values), "devices")


def test_a_level_has_the_error_of_its_attempts() -> None:
    values = [10.0, 10.2, 9.9, 10.4, 10.1]
    found = level_of(estimate(values, statistic="x"))
    assert found is not None
    assert found.mean == pytest.approx(np.log(values).mean())
    assert found.error == pytest.approx(stats.sem(np.log(values)))
    assert level_of(Estimate(value=None)) is None
    assert level_of(Estimate(value=-1.0, low=-2.0, high=0.0, count=5)) is None
    for odd in (math.inf, math.nan, 0.0):
        assert level_of(Estimate(value=odd, low=1.0, high=2.0, count=5)) is None
    assert level_of(Estimate(value=1.0, low=1e-320, high=math.inf, count=5)) == Level(mean=0.0, error=None, count=5)
    one = level_of(estimate([10.0], statistic="x"))
    assert one is not None
    assert one.error is None


def test_two_devices_that_happen_to_agree_are_no_surer_than_their_attempts() -> None:
    apart = half(over([level(10.0, 0.02), level(10.0000001, 0.02)], statistic="x"))
    # Two means of five attempts each: 8 degrees of freedom.
    assert apart == pytest.approx(stats.t.ppf(0.975, 8) * 0.02 / math.sqrt(2), rel=1e-3)


def test_a_device_with_one_attempt_lifts_no_floor() -> None:
    """Its attempt is taken to be as unsure as the others': three that happen to agree are no surer than attempts."""
    others = [level(10.0, 0.02), level(10.0000001, 0.02)]
    found = half(over([*others, level(10.0, None, count=1)], statistic="x"))
    variances, freedoms = [0.02**2, 0.02**2, 0.02**2 * 5], [4, 4, 4]
    freedom = sum(variances) ** 2 / sum(each**2 / own for each, own in zip(variances, freedoms, strict=True))
    assert found == pytest.approx(stats.t.ppf(0.975, freedom) * math.sqrt(sum(variances)) / 3, rel=1e-3)
    assert found > half(over([*others, level(10.0, 0.02)], statistic="x"))


def test_one_device_has_no_interval_and_says_why() -> None:
    found = over([level(10.0)], statistic="x")
    assert found.value == pytest.approx(10.0)
    assert (found.low, found.high) == (None, None)
    assert found.reason == "one device: what it measured speaks of this unit alone"
    assert over([], statistic="x").value is None


def test_what_is_the_same_everywhere_is_just_that() -> None:
    found = over([Level(mean=math.log(7.0), error=0.0, count=5)] * 3, statistic="x")
    assert found.low == found.high == found.value == pytest.approx(7.0)
    assert farthest([level(7.0)] * 3) is None


def test_an_interval_beyond_what_numbers_hold_is_no_error() -> None:
    found = over([level(1e-300), level(1e300)], statistic="x")
    assert found.low is not None
    assert found.high is not None
    assert 0 <= found.low < 1 < found.high


@pytest.mark.parametrize("devices", [2, 3, 5])
def test_intervals_hold_the_truth_of_units_that_differ(devices: int) -> None:
    """With the Clopper-Pearson interval of so many farms: 94 % is not ruled out, and 92 % is.

    One heap of all attempts, as if there were one device, holds it in less than 60 %.
    """
    world = World(devices=devices, between=0.03, within=0.01)
    hits, _ = coverage(world, 20_260_301, TIMES)
    low, high = clopper_pearson(hits, TIMES)
    assert low > 0.92
    assert high > 0.94
    random = np.random.default_rng(5)
    heaped = 0
    for _ in range(300):
        units = 0.03 * random.standard_normal(devices)
        found = estimate(list(np.exp(np.repeat(units, 5) + 0.01 * random.standard_normal(5 * devices))), statistic="x")
        assert found.low is not None
        assert found.high is not None
        heaped += found.low <= 1 <= found.high
    assert clopper_pearson(heaped, 300)[1] < 0.80


@pytest.mark.parametrize("devices", [3, 5])
def test_ordinary_units_seldom_stand_out(devices: int) -> None:
    alarms = false_alarms(devices, 20_260_301, TIMES)
    assert clopper_pearson(alarms, TIMES)[0] < 0.05


def test_a_unit_that_is_another_kind_is_named() -> None:
    values = [10.0, 10.1, 9.9, 10.05, 12.0]
    found = farthest([level(value) for value in values])
    assert found is not None
    assert (found.at, found.stands_out) == (4, True)
    assert found.factor == pytest.approx(12.0 / np.exp(np.log(values[:4]).mean()))
    assert found.needed is not None
    assert 1 < found.needed < found.factor


def test_the_farthest_is_named_where_none_stands_out_and_of_two_nobody_is_the_odd_one() -> None:
    found = farthest([level(10.0), level(10.3), level(11.0)])
    assert found is not None
    assert (found.at, found.stands_out) == (2, False)
    assert found.needed is not None
    assert found.needed > found.factor
    two = farthest([level(10.0), level(12.0)])
    assert two is not None
    assert (two.at, two.stands_out, two.needed) == (1, False, None)
    assert two.factor == pytest.approx(1.2)
    assert farthest([level(10.0)]) is None


def test_devices_that_agree_by_chance_make_no_ordinary_one_stand_out() -> None:
    """The others' spread is no smaller than their attempts' errors."""
    found = farthest([level(10.0, 0.02), level(10.0001, 0.02), level(9.9999, 0.02), level(10.5, 0.02)])
    assert found is not None
    assert (found.at, found.stands_out) == (3, False)


@pytest.mark.parametrize("error", [0.0, None])
def test_devices_that_agree_to_the_byte_make_no_page_of_memory_stand_out(error: float | None) -> None:
    memory = [100_000_000.0] * 4
    for more, stands_out in ((4096, False), (20_000_000, True)):
        found = farthest([level(value, error) for value in (*memory, memory[0] + more)])
        assert found is not None
        assert (found.at, found.stands_out) == (4, stands_out)


# Attempts of one result


def attempt(value: float, device: str, round_: int) -> AttemptValue:
    return AttemptValue(attempt=f"{device}{round_}", device=device, round=round_, value=value)


def test_attempts_of_several_devices_are_no_heap() -> None:
    here = [attempt(10 + number / 100, "one", number) for number in range(5)]
    there = [attempt(12 + number / 100, "two", number) for number in range(5)]
    alone = over_attempts(here, statistic="x")
    assert alone == estimate([each.value for each in here], statistic="x")
    both = over_attempts([*here, *there], statistic="x")
    heap = estimate([each.value for each in (*here, *there)], statistic="x")
    assert both.value == pytest.approx(heap.value)
    assert half(both) > 8 * half(heap)
    assert both.statistic == "x, the device as a random level"
    assert (both.count, both.drawn) == (10, 0)
    zero = over_attempts([*here, attempt(0.0, "two", 0)], statistic="x")
    assert (zero.value, zero.reason) == (None, "a value of 0")


def test_ratios_of_several_devices_are_each_devices_own() -> None:
    """Units differ by a fifth, and the ratio on each of them by a thousandth: it is as sure as that."""
    pairs = [[(10.0 * at, 5.0 * at * (1 + number / 10_000)) for number in range(5)] for at in (1.0, 1.2, 1.4)]
    found = paired_ratio_over(pairs, statistic="x")
    assert found.value == pytest.approx(2.0, rel=1e-3)
    assert half(found) < 0.001
    assert paired_ratio_over([[], pairs[0]], statistic="x").statistic == "x"
    assert paired_ratio_over([], statistic="x").value is None
