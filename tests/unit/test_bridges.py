"""An old base and a new one, joined by the run that ran both: by how much, how surely, and never by a silent 1."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from benchharness import api
from benchharness.errors import UsageError
from benchharness.judge.joints import SharedError, differences
from benchharness.judge.step_words import bridged_text, remarks
from benchharness.judge.steps import Floats, Series, _clearest, _deviate, difference, find_steps
from benchharness.results.result import Outcome, OutcomeKind
from benchharness.results.store import Store
from benchharness.results.trends import History, Trend
from benchharness.suite.fields import CHECKED_BEFORE
from benchharness.suite.gating import Gate
from tests.unit.history_samples import BASE, CANDIDATE, FIRST, Made, only, told, write

NEWER = replace(BASE, digest="00ee" * 16)
NEW_IS = 1.1  # the new base takes so much longer than the old one
#: The run of both: the old one as base, the new one as candidate.
BRIDGE = Made(
    jobs=(BASE, replace(CANDIDATE, digest="00ee" * 16)),
    scale={"candidate": NEW_IS},
    started=FIRST.replace(hour=1),
    suite="bases",
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(f"sqlite:///{tmp_path / 'store.db'}")
    yield opened
    opened.close()


def rebased(
    old: int = 12, new: int = 12, *, bridge: Made = BRIDGE, candidate: tuple[float, float] = (1, 1)
) -> list[Made]:
    """The run of both as run `night-0000`, then nights beside the old base and, as it no longer runs, the new one."""
    before = Made(scale={"candidate": candidate[0]})
    after = Made(jobs=(NEWER, CANDIDATE), scale={"base": NEW_IS, "candidate": candidate[1]})
    return [bridge, *[before] * old, *[after] * new]


def joined(store: Store, **asked: Any) -> History:
    return told(store, bridges=["night-0000"], **asked)


def by_hand(store: Store, run: str) -> tuple[float, float, int]:
    """Mean and squared standard error of the logarithm of candidate / base over a run's rounds, and how many."""
    values: dict[tuple[str, int], float] = {}
    sides = {job.key: job.side for job, _ in store.jobs(run)}
    for each in store.attempts(run):
        values[sides[each.job], each.round] = each.measurements[0].value
    rounds = {round_ for _, round_ in values}
    logs = np.array([math.log(values["candidate", each] / values["base", each]) for each in rounds])
    return float(logs.mean()), float(logs.var(ddof=1) / len(logs)), len(logs)


def test_ratios_to_the_new_base_are_told_against_the_old_one_with_both_errors(store: Store) -> None:
    write(store, rebased(4, 4))
    trend = only(joined(store))
    assert trend.ratio.nights == list(range(8))  # the run of both is no night
    bridge, its_variance, its_count = by_hand(store, "night-0000")
    for at in range(8):
        mean, variance, count = by_hand(store, f"night-{at + 1:04d}")
        freedom: float = count - 1
        if at >= 4:
            mean, whole = mean + bridge, variance + its_variance
            freedom = whole**2 / (variance**2 / (count - 1) + its_variance**2 / (its_count - 1))
            variance = whole
        half = float(stats.t.ppf(0.975, freedom)) * math.sqrt(variance)
        assert (trend.ratio.values[at], trend.ratio.lows[at], trend.ratio.highs[at]) == pytest.approx(
            (math.exp(mean), math.exp(mean - half), math.exp(mean + half)), rel=1e-9
        )


def test_the_bridge_is_said_with_its_ratio_and_interval(store: Store) -> None:
    write(store, rebased(4, 4))
    history = joined(store)
    trend = only(history)
    bridge, variance, count = by_hand(store, "night-0000")
    half = float(stats.t.ppf(0.975, count - 1)) * math.sqrt(variance)
    (bridged,) = trend.bridged
    assert (bridged.value, bridged.low, bridged.high) == pytest.approx(
        (math.exp(bridge), math.exp(bridge - half), math.exp(bridge + half)), rel=1e-9
    )
    assert (bridged.runs, bridged.nights) == (["night-0000"], [4, 5, 6, 7])
    (line,) = bridged_text(trend)
    assert line.startswith(f"4 nights beside base {bridged.build}, × {bridged.value:.4g} [")
    assert trend.why_no_ratio == ""
    assert any(
        "by bridge run night-0000 (TTFT" in each or "by bridge run night-0000 (" in each for each in remarks(history)
    )


def test_the_bases_own_values_are_brought_to_the_old_one_so_that_no_change_of_base_is_drift(store: Store) -> None:
    write(store, rebased(12, 12), noise=0.001)
    base = only(joined(store)).base
    assert base.values == pytest.approx([1e7] * 24, rel=0.01)


def test_a_base_that_is_another_invents_no_step(store: Store) -> None:
    write(store, rebased(20, 20), rounds=20)
    assert joined(store).steps() == []


def test_an_imprecise_bridge_invents_no_step(store: Store, tmp_path: Path) -> None:
    """Three pairs that say 6 % too much: the nights are far surer than that, and the bridge's own error covers it."""
    unsure = replace(BRIDGE, scale={"candidate": NEW_IS * 1.06})
    write(store, rebased(20, 20, bridge=unsure), rounds=20, noise=0.002)
    assert len(joined(store).steps()) == 1  # by a bridge that seems as sure as the nights, it would be one
    other = Store(f"sqlite:///{tmp_path / 'other.db'}")
    write(other, [unsure], rounds=3, noise=0.05, seed=5)
    write_rest(other, rebased(20, 20)[1:])
    history = joined(other)
    (bridged,) = only(history).bridged
    assert abs(bridged.value / NEW_IS - 1) > 0.02  # it is wrong indeed
    assert history.steps() == []
    other.close()


def write_rest(store: Store, nights: list[Made]) -> None:
    """Nights after the one that is there."""
    from tests.unit import history_samples

    drawn = np.random.default_rng(3)
    for number, made in enumerate(nights, start=1):
        history_samples._write(store, number, made, 20, lambda: float(drawn.normal(0, 0.002)))


def test_a_step_on_the_very_night_is_not_hidden(store: Store) -> None:
    write(store, rebased(20, 20, candidate=(1, 1.05)), rounds=20)
    ((_, step),) = joined(store).steps()
    assert step.first <= 20 <= step.last
    assert step.size == pytest.approx(0.05, abs=0.02)
    assert step.low < 0.05 < step.high


def test_a_step_after_it_is_where_it_is(store: Store) -> None:
    nights = rebased(20, 5) + [Made(jobs=(NEWER, CANDIDATE), scale={"base": NEW_IS, "candidate": 1.05})] * 20
    ((_, step),) = joined(write(store, nights, rounds=20)).steps()
    assert (step.first <= 25 <= step.last, step.first > 20) == (True, True)


def test_without_the_bridge_only_the_newest_base_is_told_and_how_to_join_them(store: Store) -> None:
    write(store, rebased(4, 4)[1:])
    history = told(store)
    trend = only(history)
    assert trend.ratio.nights == [4, 5, 6, 7]
    assert "4 of 8 nights ran beside another base build" in trend.why_no_ratio
    assert any("history --bridge RUN" in each for each in remarks(history))


def test_what_the_bridge_did_not_measure_has_a_gap_with_the_reason(store: Store) -> None:
    both = ("model_ttft", "peak_memory")
    nights = [replace(each, metrics=both) for each in rebased(4, 4)]
    nights[0] = replace(nights[0], metrics=("model_ttft",))
    history = joined(write(store, nights))
    assert only(history, metric="model_ttft").ratio.nights == list(range(8))
    lacking = only(history, metric="peak_memory")
    assert lacking.ratio.nights == [4, 5, 6, 7]
    assert lacking.bridged == []
    assert lacking.why_no_ratio.endswith("; bridge run night-0000 did not measure this figure of both")


def test_percentiles_are_joined_as_the_figures_that_they_are(store: Store) -> None:
    write(store, [replace(each, metrics=("itl",)) for each in rebased(3, 3)])
    trend = only(joined(store))
    assert (trend.metric, dict(trend.parameters)) == ("itl", {"percentile": 50})
    assert trend.ratio.nights == list(range(6))
    assert trend.ratio.values == pytest.approx([1] * 6, abs=0.05)


def test_one_pair_is_no_bridge(store: Store) -> None:
    write(store, rebased(4, 4), rounds=1)
    trend = only(joined(store))
    assert trend.ratio.nights == [4, 5, 6, 7]
    assert "gives no ratio with an interval: one attempt says nothing about spread" in trend.why_no_ratio


@pytest.mark.parametrize("changed", [{"device": "000000000002"}, {"runtime": "1.21"}, {"version": "0.2.0"}])
def test_a_bridge_of_another_device_runtime_or_harness_joins_nothing_and_is_told(
    store: Store, changed: dict[str, str]
) -> None:
    write(store, rebased(4, 4, bridge=replace(BRIDGE, **changed)))  # type: ignore[arg-type]
    history = joined(store)
    assert only(history, suite="phones").ratio.nights == [5, 6, 7, 8]
    assert only(history, suite="bases").ratio.nights == [0]  # as any other comparison
    assert any(
        each.startswith("bridge run night-0000 joins no bases of these figures: it ran") for each in history.told
    )


def test_an_ordinary_night_that_is_named_as_a_bridge_stays_a_night(store: Store) -> None:
    write(store, rebased(4, 4))
    history = told(store, bridges=["night-0000", "night-0008"])
    assert only(history).ratio.nights == list(range(8))
    assert [each.run for each in history.nights] == [f"night-{at:04d}" for at in range(1, 9)]
    left_out = [each for each in history.told if "left out" in each]
    assert left_out == ["left out of the nights, as both builds ran as bases: bridge run night-0000"]


def test_of_a_bridge_run_only_pairs_of_two_bases_are_no_part_of_the_nights(store: Store) -> None:
    more = (
        replace(BASE, key="e" * 16, pair="q", variant="fp32"),
        replace(CANDIDATE, key="f" * 16, pair="q", variant="fp32", digest="0123" * 16),
    )
    history = joined(write(store, rebased(4, 4, bridge=replace(BRIDGE, jobs=(*BRIDGE.jobs, *more)))))
    assert only(history, suite="phones").ratio.nights == list(range(1, 9))
    assert only(history, variant="fp32").ratio.nights == [0]
    assert any(each.endswith("as bases: bridge run night-0000 (1 of its 2 pairs)") for each in history.told)


def test_bridges_lead_on_to_bridges_and_errors_add_up(store: Store) -> None:
    newest = replace(BASE, digest="00dd" * 16)
    second = Made(
        jobs=(NEWER, replace(CANDIDATE, digest="00dd" * 16)),
        scale={"base": NEW_IS, "candidate": NEW_IS * 1.2},
        started=FIRST.replace(hour=1, minute=30),
        suite="bases",
    )
    last = [Made(jobs=(newest, CANDIDATE), scale={"base": NEW_IS * 1.2})] * 3
    nights = [BRIDGE, second, *rebased(3, 3)[1:], *last]
    write(store, nights)
    trend = only(told(store, bridges=["night-0000", "night-0001"]))
    assert trend.ratio.nights == list(range(9))
    assert trend.ratio.values == pytest.approx([1] * 9, abs=0.06)
    over_both = next(each for each in trend.bridged if len(each.runs) == 2)
    (first, variance_1, _), (then, variance_2, _) = by_hand(store, "night-0000"), by_hand(store, "night-0001")
    assert math.log(over_both.value) == pytest.approx(first + then)
    half = math.log(over_both.high / over_both.low) / 2
    assert half > stats.norm.ppf(0.975) * math.sqrt(variance_1 + variance_2)


def test_of_two_bridges_the_newer_counts_whichever_base_it_calls_the_old_one(store: Store) -> None:
    back = Made(
        jobs=(NEWER, replace(CANDIDATE, digest=BASE.digest)),
        scale={"candidate": 1 / (2 * NEW_IS)},  # the first bridge says half as much
        started=FIRST.replace(hour=1, minute=30),
        suite="bases",
    )
    write(store, [BRIDGE, back, *rebased(3, 3)[1:]])
    (bridged,) = only(told(store, bridges=["night-0000", "night-0001"])).bridged
    assert bridged.runs == ["night-0001"]
    assert bridged.value == pytest.approx(2 * NEW_IS, rel=0.05)


def test_builds_that_differ_in_the_harness_alone_are_one_where_both_are_named_and_that_is_said(store: Store) -> None:
    write(store, [*[Made()] * 3, *[Made(version="0.2.0")] * 3])
    assert only(told(store)).ratio.nights == [3, 4, 5]
    history = told(store, pinned=("00ff",))  # both begin so
    trend = only(history)
    assert trend.ratio.nights == list(range(6))
    assert [(each.value, each.low, each.high, each.runs) for each in trend.bridged] == [(1.0, 1.0, 1.0, [])]
    assert any(
        "with a factor of 1, as --base named both: they differ in the harness alone" in each
        for each in remarks(history)
    )


# Steps of joined series


def stretches(shift: float, *, seed: int = 1, spread: float = 0.004, each: int = 20) -> Floats:
    moved: Floats = np.random.default_rng(seed).normal(0, spread, 2 * each) + np.repeat([0.0, shift], each)
    return moved


def joint(error: float, each: int = 20, freedom: float = 9.0) -> SharedError:
    return SharedError(of=np.repeat([0.0, 1.0], each), variance=error**2, freedom=freedom)


def test_the_error_of_a_joint_is_in_the_test_as_by_hand() -> None:
    values, error = stretches(0.03), joint(0.01)
    at, deviates = _clearest(values[None], np.zeros(1), [[error]])
    assert at[0] == 20
    before, after = values[:20], values[20:]
    own = float(((before - before.mean()) ** 2).sum() + ((after - after.mean()) ** 2).sum()) / 37 * (2 / 20)
    freedom = (own + 1e-4) ** 2 / (own**2 / 37 + 1e-8 / 9)
    squared = (after.mean() - before.mean()) ** 2 / (own + 1e-4)
    assert deviates[0] == pytest.approx(float(_deviate(np.array([squared]), np.array([freedom]))[0]), rel=1e-3)
    size, low, high = difference(values, 20, errors=[error])
    assert size == pytest.approx(float(after.mean() - before.mean()))
    assert high - low == pytest.approx(2 * stats.t.ppf(0.975, int(freedom)) * math.sqrt(own + 1e-4), rel=1e-2)


def test_differences_of_joined_nights_are_those_of_generalised_least_squares() -> None:
    values = stretches(0.03, seed=4, each=15)
    errors = [joint(0.01, each=15), SharedError(of=np.repeat([0.0, 1.0], [22, 8]), variance=4e-4, freedom=5.0)]
    cuts = np.array([5, 14, 15, 19, 26])
    for at in cuts:
        found = differences(values[None], np.array([at]), [errors], np.ones(1), np.array([27.0]))
        step = (np.arange(30) >= at).astype(float)
        design = np.column_stack((np.ones(30), step))
        free = np.column_stack((design, *(each.of for each in errors)))
        left = values - free @ np.linalg.lstsq(free, values)[0]
        scatter = float(left @ left) / (30 - 2 - 2)
        covariance = scatter * np.eye(30) + sum(each.variance * np.outer(each.of, each.of) for each in errors)
        inverse = np.linalg.inv(covariance)
        variances = np.linalg.inv(design.T @ inverse @ design)
        size = (variances @ design.T @ inverse @ values)[1]
        assert (found.sizes[0, 0], found.variances[0, 0]) == pytest.approx((size, variances[1, 1]), rel=1e-6)


def test_a_level_beside_joints_has_the_freedom_of_its_variance_and_no_more() -> None:
    """With all errors far below the scatter, what is left is that of as many parameters as were free."""
    errors = [joint(1e-6, each=6), SharedError(of=np.repeat([0.0, 1.0], [8, 4]), variance=1e-12, freedom=5.0)]
    found = differences(stretches(0, each=6)[None], np.array([4]), [errors], np.ones(1), np.array([12.0 - 2]))
    assert found.freedoms[0, 0] == pytest.approx(12 - 2 - 2, rel=1e-3)


def test_false_steps_of_joined_series_are_as_rare_as_of_others() -> None:
    """The joint is off by its own error, drawn: taken for known, it makes steps everywhere."""
    drawn = np.random.default_rng(7)
    shifts = drawn.normal(0, 0.02, 60)
    values = [stretches(float(shift), seed=seed) for seed, shift in enumerate(shifts)]
    known = [len(find_steps([Series(values=each, wanders=False)])[0]) > 0 for each in values]
    told_of = [
        len(find_steps([Series(values=each, wanders=False, errors=[joint(0.02, freedom=30)])])[0]) > 0
        for each in values
    ]
    assert sum(known) > 30
    assert sum(told_of) <= 8  # 5 % of 60 is 3, and three sigma


def test_what_is_exact_and_joined_by_what_is_not_changes_where_it_does() -> None:
    values = np.repeat([0.0, 0.03, 0.13], 10)
    error = SharedError(of=np.repeat([0.0, 1.0, 1.0], 10), variance=0.02**2, freedom=9.0)
    (found,) = find_steps([Series(values=values, wanders=False, errors=[error])])[0]
    assert found.at == 20
    assert found.size == pytest.approx(0.1)


def test_joints_of_exact_series_are_of_the_family() -> None:
    """2.5 standard errors at one joint are rare; at one of forty they are no news."""

    def joined_exactly(size: float) -> Series:
        error = SharedError(of=np.repeat([0.0, 1.0], 10), variance=0.01**2, freedom=1e6)
        return Series(values=np.repeat([0.0, size], 10), wanders=False, errors=[error])

    family = [joined_exactly(0.025), *[joined_exactly(0.0)] * 39]
    assert [len(each) for each in find_steps(family[:1])] == [1]
    assert [len(each) for each in find_steps(family)] == [0] * 40


# From the command's side


def test_a_run_that_compares_nothing_is_no_bridge(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    store = Store(url)
    crashed = Outcome(kind=OutcomeKind.CRASHED, reason="signal 11")
    write(store, [*rebased(3, 3), replace(BRIDGE, scale={"base": crashed}), Made(suite="later")])
    store.close()
    found: Trend = only(api.history(store=url, suite="phones", bridge=["night-0000"]))
    assert len(found.ratio.nights) == 6
    with pytest.raises(UsageError, match=r"night-0007 bridges no bases: it has no pair .* compare OLD NEW"):
        api.history(store=url, bridge=["night-0007"])
    with pytest.raises(UsageError):
        api.history(store=url, bridge=["nothing"])


@pytest.mark.parametrize(
    ("looks", "stopped", "early"),
    [
        ([5, 10], "decided after 5 pairs", True),
        ([5], "decided after 5 pairs", False),
        ([5, 10], "5 pairs, and the time is over", False),
    ],
)
def test_a_bridge_that_ended_when_it_had_decided_is_told(
    tmp_path: Path, looks: list[int], stopped: str, early: bool
) -> None:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    store = Store(url)
    compared = {"compared": {"base_told": "v1", "candidate_told": "v2"}, "gate": {"looks": looks}}
    write(store, rebased(3, 3, bridge=replace(BRIDGE, suite_json=json.dumps(compared))))
    for each in BRIDGE.jobs:
        store.stop_job("night-0000", each.key, stopped)
    store.close()
    history = api.history(store=url, bridge=["night-0000"])
    told_so = [each for each in history.told if "seems surer than it is" in each]
    assert len(told_so) == early
    assert (
        not early or "night-0000 ended when its pairs had decided (decided after 5 pairs, of 10 at most)" in told_so[0]
    )


def test_a_suite_names_its_bridge_and_one_that_is_not_here_is_told(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    store = Store(url)
    nights = rebased(3, 3)
    nights[-1] = replace(nights[-1], suite_json='{"gate": {"bridge": ["night-0000", "gone", "latest"]}}')
    write(store, nights)
    store.close()
    history = api.history(store=url)
    assert len(only(history).ratio.nights) == 6
    unused = [each for each in history.told if each.startswith("bridge of [gate] is not used: ")]
    assert ["gone" in unused[0], "'latest' is another run every night" in unused[1]] == [True, True]


def test_a_suite_may_not_call_the_newest_run_a_bridge() -> None:
    with pytest.raises(ValueError, match="'latest' is another run every night; name the bridge run by its id"):
        Gate(bridge=("latest",))
    assert Gate.model_validate({"bridge": "latest"}, context=CHECKED_BEFORE).bridge == ("latest",)  # it is told then
