"""How sure a share and a quantile are, against other ways to compute the same, and on fleets of known truth."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from fractions import Fraction

import numpy as np
import pytest
from scipy.stats import binom, binomtest, dlaplace

from benchharness.device.tally import HISTOGRAMS
from benchharness.judge.exact_shares import clopper_pearson
from benchharness.telemetry.figures import devices_of, figures_of
from benchharness.telemetry.noise import noisy
from benchharness.telemetry.shares import Range, noise_beyond, quantile, share
from benchharness.telemetry.votes import Counted, Noise
from benchmarks.field import simulated
from tests.unit.field_samples import discrete_laplace

EDGES = HISTOGRAMS["model_ttft"].edges


@pytest.mark.parametrize(("scale", "error"), list(itertools.product([0.3, 2.0, 40.0], [0.025, 0.005])))
def test_noise_of_one_bin_is_scipys_discrete_laplace(scale: float, error: float) -> None:
    beyond = noise_beyond(1, scale, error)
    assert dlaplace.sf(beyond, 1 / scale) <= error
    assert beyond == 0 or dlaplace.sf(beyond - 1, 1 / scale) > error


@pytest.mark.parametrize("bins", [2, 9, 82])
def test_noise_of_several_bins_is_as_wide_as_it_is_drawn(bins: int) -> None:
    drawn = np.random.default_rng(bins)
    sums = np.array([discrete_laplace(drawn, 3.0, 20_000) for _ in range(bins)]).sum(axis=0)
    beyond = noise_beyond(bins, 3.0, 0.025)
    low, high = clopper_pearson(int((sums > beyond).sum()), len(sums))
    assert low <= 0.025
    assert clopper_pearson(int((sums > beyond - 1).sum()), len(sums))[1] >= 0.025
    assert high < 0.04
    assert noise_beyond(bins, 0.0) == 0


@pytest.mark.parametrize(("part", "rest"), [(0, 9), (3, 17), (50, 50), (9, 0)])
def test_without_noise_a_share_has_clopper_and_pearsons_interval(part: int, rest: int) -> None:
    found = share(part, 3, rest, 5, 0.0)
    expected = binomtest(part, part + rest).proportion_ci(0.95, "exact")
    assert found.value == pytest.approx(part / (part + rest))
    assert found.low == pytest.approx(expected.low, abs=1e-9)
    assert found.high == pytest.approx(expected.high, abs=1e-9)


def test_without_noise_a_quantile_has_the_interval_of_order_statistics() -> None:
    """The edges around it are those around the values whose ranks the binomial gives."""
    drawn = np.random.default_rng(7)
    values = np.sort(np.exp(math.log(1e8) + 0.6 * drawn.standard_normal(200)))
    counts = np.bincount(np.searchsorted(EDGES, values), minlength=len(EDGES) + 1)
    found = quantile(counts.tolist(), EDGES, 50, 0.0)
    assert found.low is not None
    assert found.high is not None
    ranks = [rank for rank in range(201) if binomtest(rank, 200).pvalue > 0.05]
    assert found.low <= values[ranks[0]] <= values[ranks[-1] - 1] <= found.high
    assert found.high / found.low < 1.19**3.1 * values[ranks[-1]] / values[ranks[0]]


@pytest.mark.parametrize("percent", [50, 95])
def test_noise_next_to_none_changes_no_quantile(percent: int) -> None:
    """The transform of votes and noise, against the binomial that has none."""
    for seed in range(5):
        drawn = np.random.default_rng(seed)
        values = np.exp(math.log(1e8) + 0.6 * drawn.standard_normal(int(drawn.integers(20, 900))))
        counts = np.bincount(np.searchsorted(EDGES, values), minlength=len(EDGES) + 1).tolist()
        with_noise, without = quantile(counts, EDGES, percent, 0.03), quantile(counts, EDGES, percent, 0.0)
        for one, other in ((with_noise.low, without.low), (with_noise.high, without.high)):
            assert (one is None) == (other is None)
            assert one is None or other is None or 1 / 1.2 < one / other < 1.2, "an edge apart at most"


def test_a_quantile_in_a_bin_without_an_end_is_no_number() -> None:
    low, high = [100_000] + [0] * (len(EDGES)), [0] * len(EDGES) + [100_000]
    assert quantile(low, EDGES, 50, 0.0) == quantile(low, EDGES, 95, 2.0)
    assert (quantile(low, EDGES, 50, 0.0).value, quantile(low, EDGES, 50, 0.0).high) == (None, EDGES[0])
    assert (quantile(high, EDGES, 50, 0.0).value, quantile(high, EDGES, 50, 0.0).low) == (None, EDGES[-1])


def test_few_devices_leave_ends_open_and_none_says_nothing() -> None:
    counts = [0] * (len(EDGES) + 1)
    assert quantile(counts, EDGES, 50, 0.0) == quantile(counts, EDGES, 95, 5.0)
    counts[30] = 20
    found = quantile(counts, EDGES, 95, 0.0)
    assert (found.low, found.high) == (EDGES[29], None), "20 devices say nothing of the slowest 5 %"
    assert share(0, 1, 0, 7, 0.0).value is None


@pytest.mark.parametrize("seed", range(20))
def test_empty_bins_that_noise_made_negative_make_no_share_below_none(seed: int) -> None:
    drawn = np.random.default_rng(seed)
    counts = discrete_laplace(drawn, 10.0, 8)
    for at, count in enumerate(counts):
        found = share(count, 1, sum(counts) - count, 7, 10.0)
        assert found.low is not None
        assert found.high is not None
        assert 0 <= found.low <= found.high <= 1, at
        assert found.value is None or found.low <= found.value <= found.high
    times = discrete_laplace(drawn, 10.0, len(EDGES) + 1)
    assert quantile(times, EDGES, 50, 10.0).value is None, "of noise alone nothing is told"


@pytest.mark.parametrize("epsilon", [None, 1.0])
def test_intervals_hold_the_truth_as_often_as_they_say(epsilon: float | None) -> None:
    for figure, (hits, times) in simulated(300, epsilon, 20_261_129, 80).items():
        assert clopper_pearson(hits, times)[1] >= 0.95, f"{figure}: {hits} of {times}"


def test_and_would_not_if_they_did_not_know_of_the_noise() -> None:
    found = simulated(300, 0.25, 20_261_129, 60, told=False)
    assert any(clopper_pearson(hits, times)[1] < 0.9 for hits, times in found.values())


#: Shares of bins: where a quantile is the end of a bin, where all tie, where the last bin has no end, two humps.
SHAPES = {
    "all tie": {40: 1.0},
    "95 and 5": {30: 0.95, 50: 0.05},
    "94 and 6": {30: 0.94, 50: 0.06},
    "half and half": {30: 0.5, 50: 0.5},
    "all in the last": {81: 1.0},
    "some in the last": {40: 0.9, 81: 0.1},
    "in the first": {0: 0.6, 40: 0.4},
    "humps": {20: 0.2, 21: 0.3, 22: 0.1, 60: 0.1, 61: 0.2, 62: 0.1},
}


def holds(found: Range, shape: Mapping[int, float], percent: int) -> bool:
    """Whether the bin in which the quantile truly is lies between both ends."""
    below = np.cumsum([shape.get(at, 0.0) for at in range(len(EDGES) + 1)])
    at = int(np.argmax(below >= percent / 100 - 1e-12))
    above_low = found.low is None or (at > 0 and found.low <= EDGES[at - 1])
    return above_low and (found.high is None or (at < len(EDGES) and found.high >= EDGES[at]))


@pytest.mark.parametrize("shape", [name for name, bins in SHAPES.items() if len(bins) < 3])
@pytest.mark.parametrize("devices", [1, 3, 12, 60])
def test_ties_and_open_bins_are_held_as_often_as_stated_summed_over_every_fleet(shape: str, devices: int) -> None:
    """No simulation: all counts that a fleet may have of two bins, each with its probability."""
    first, *second = SHAPES[shape].items()
    for percent in (50, 95):
        held = 0.0
        for count, chance in enumerate(binom.pmf(np.arange(devices + 1), devices, first[1])):
            counts = [0] * (len(EDGES) + 1)
            counts[first[0]] = count
            if second:
                counts[second[0][0]] = devices - count
            held += chance * holds(quantile(counts, EDGES, percent, 0.0), SHAPES[shape], percent)
        assert held >= 0.95 - 1e-9, (percent, held)


@pytest.mark.parametrize("shape", SHAPES)
def test_ties_and_open_bins_are_held_as_often_as_stated_with_noise(shape: str) -> None:
    drawn = np.random.default_rng(len(shape))
    shares = [SHAPES[shape].get(at, 0.0) for at in range(len(EDGES) + 1)]
    for devices, scale, percent in itertools.product((25, 300), (1.0, 8.0), (50, 95)):
        hits = 0
        for _ in range(40):
            counts = drawn.multinomial(devices, shares) + discrete_laplace(drawn, scale, len(shares))
            hits += holds(quantile(counts.tolist(), EDGES, percent, scale), SHAPES[shape], percent)
        assert clopper_pearson(hits, 40)[1] >= 0.95, f"{devices} devices, scale {scale}, p{percent}: {hits} of 40"


def test_how_many_devices_there_were_is_told_as_noise_leaves_it() -> None:
    place = ("pixel-8", "int4", "session_end")
    exact = Counted(period="2026-10", model="chat", counts={place: [90, 0, 0, 10, 0, 0, 0, 0]})
    (told,) = devices_of(exact)
    assert (told.count.low, told.count.high, told.noise) == (100, 100, 0)
    noise = Noise(scale=5.0, epsilon="1", by="x")
    (told,) = devices_of(Counted(period="2026-10", model="chat", counts=exact.counts, noise=noise))
    assert (told.count.low, told.count.high) == (100 - told.noise, 100 + told.noise)
    assert told.noise > 0
    assert {each.what: each.field.value for each in figures_of(exact)}["killed"] == pytest.approx(0.1)


# OpenDP


def test_opendp_adds_the_noise_that_its_own_map_says_suffices() -> None:
    dp = pytest.importorskip("opendp.prelude", reason="OpenDP, 265 MB, is not installed")
    for moved, epsilon in ((1, Fraction(1)), (3, Fraction(1, 10)), (2, Fraction("0.7"))):
        found = noisy([0] * 3000, moved, epsilon)
        space = dp.vector_domain(dp.atom_domain(T="i64")), dp.l1_distance(T="i64")
        assert Fraction((space >> dp.m.then_laplace(scale=found.scale)).map(moved)) <= epsilon
        assert found.scale == pytest.approx(float(moved / epsilon), rel=1e-9)
        spread = dlaplace.std(1 / found.scale)
        assert abs(np.mean(found.counts)) < 6 * spread / math.sqrt(3000)
        assert np.std(found.counts) == pytest.approx(spread, rel=0.2)
        assert found.by.startswith("OpenDP ")
    assert noisy([10**12], 1, Fraction(20)).counts[0] == pytest.approx(10**12, abs=100), "no overflow of 32 bits"
