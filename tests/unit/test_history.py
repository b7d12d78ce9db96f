"""What the nights of a store say together: trends, steps and their likely causes, gaps, and clocks that went wrong."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from benchharness import api
from benchharness.errors import StoreError, UsageError
from benchharness.judge.derive import derive
from benchharness.judge.intervals import paired_ratio
from benchharness.judge.step_words import cause_text, gap_text, without_base
from benchharness.judge.tracks import NO_BASE
from benchharness.metrics.limits import parse
from benchharness.results.result import Job, Outcome, OutcomeKind
from benchharness.results.store import Store
from benchharness.results.trends import Cause, Certainty, History, Step
from benchharness.terminal.history import history_markdown
from tests.unit.history_samples import ALONE, BASE, CANDIDATE, FIRST, Made, only, told, wandering, write

CRASH = Outcome(kind=OutcomeKind.CRASHED, reason="signal 11")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(f"sqlite:///{tmp_path / 'store.db'}")
    yield opened
    opened.close()


def paired(count: int = 40, at: int = 25, size: float = 0.05, **after: Any) -> list[Made]:
    """Nights of base and candidate on a machine that wanders; from night `at` on the candidate has another level."""
    moved = wandering(count)
    before = [Made(drift=moved[night]) for night in range(at)]
    return before + [Made(drift=moved[night], scale={"candidate": 1 + size}, **after) for night in range(at, count)]


def rebuilt(digest: str = "cd34" * 16) -> tuple[Job, Job]:
    return BASE, replace(CANDIDATE, digest=digest)


def the_step(history: History) -> Step:
    ((_, step),) = history.steps()
    return step


# Steps and their causes


@pytest.mark.parametrize(
    ("changed", "cause"),
    [
        ({"jobs": rebuilt()}, Cause(what="artefact", before="ab12ab12ab12", after="cd34cd34cd34")),
        ({"runtimes": {"candidate": "1.21"}}, Cause(what="runtime", before="1.20", after="1.21")),
        ({"system": "Debian 13"}, Cause(what="OS", before="Debian 12", after="Debian 13")),
        ({"suite_digest": "66" * 32}, Cause(what="suite", before="5f5f5f5f5f5f", after="666666666666")),
        ({"jobs": rebuilt("ab12" * 16)}, None),
    ],
)
def test_a_step_of_the_ratio_is_confirmed_and_named_with_what_changed(
    store: Store, changed: dict[str, Any], cause: Cause | None
) -> None:
    history = told(write(store, paired(**changed), rounds=20))
    step = the_step(history)
    assert (step.certainty, step.worse) == (Certainty.CONFIRMED, True)
    assert step.first <= 25 <= step.last
    assert step.size == pytest.approx(0.05, abs=0.01)
    assert step.low < step.size < step.high
    assert step.causes == ((cause,) if cause else ())
    assert cause is None or step.night == 25


def test_a_faster_candidate_is_better_and_a_slower_rate_is_worse(store: Store, tmp_path: Path) -> None:
    nights = [replace(each, metrics=("model_ttft", "decode_rate")) for each in paired(size=-0.08)]
    history = told(write(store, nights, rounds=20))
    assert {trend.metric: step.worse for trend, step in history.steps()} == {"model_ttft": False, "decode_rate": True}


def test_where_the_base_moved_along_it_is_the_machines_drift(store: Store) -> None:
    nights = [Made(drift=0.0 if night < 30 else 0.7) for night in range(60)]
    step = the_step(told(write(store, nights)))
    assert step.certainty is Certainty.DRIFT
    assert step.base_size == pytest.approx(math.exp(0.7) - 1, abs=0.05)
    assert "the machine's drift: the base moved too" in cause_text(step)


def test_without_a_base_a_step_is_likely_and_its_absence_is_told(store: Store) -> None:
    nights = [Made(jobs=(ALONE,), scale={"int8": 1.0 if night < 30 else 1.8}) for night in range(60)]
    nights[30:] = [replace(each, system="Debian 13") for each in nights[30:]]
    history = told(write(store, nights))
    trend = only(history)
    assert (trend.ratio.nights, trend.base.nights, trend.why_no_ratio) == ((), (), NO_BASE)
    step = the_step(history)
    assert (step.certainty, step.night, step.base_size) == (Certainty.LIKELY, 30, None)
    assert cause_text(step) == "OS Debian 12 → Debian 13"


def test_what_nobody_could_read_is_no_change(store: Store) -> None:
    nights = [replace(each, runtimes={"candidate": ""}) for each in paired()[:25]] + paired()[25:]
    assert the_step(told(write(store, nights, rounds=20))).causes == ()


def test_a_machine_that_wanders_makes_no_step(store: Store) -> None:
    history = told(write(store, paired(size=0.0), rounds=20))
    assert history.steps() == []
    assert history.tested == 2


# Figures


def test_absolute_values_are_the_estimates_of_their_runs_and_ratios_those_of_pairs(store: Store) -> None:
    write(store, paired(6, at=3))
    trend = only(told(store))
    for at, night in enumerate(trend.absolute.nights):
        run = f"night-{night:04d}"
        results = {each.job.side: each for each in derive(store.jobs(run), store.attempts(run))}
        here, there = (
            next(each for each in results[side].metrics if each.name == "model_ttft") for side in ("candidate", "base")
        )
        known = here.estimate
        assert (trend.absolute.values[at], trend.absolute.lows[at], trend.absolute.highs[at]) == pytest.approx(
            (known.value, known.low, known.high), rel=1e-9
        )
        pairs = [(one.value, other.value) for one, other in zip(here.attempts, there.attempts, strict=True)]
        ratio = paired_ratio(pairs, statistic="")
        assert (trend.ratio.values[at], trend.ratio.lows[at], trend.ratio.highs[at]) == pytest.approx(
            (ratio.value, ratio.low, ratio.high), rel=1e-9
        )
        assert trend.base.values[at] == pytest.approx(there.estimate.value, rel=1e-9)


def test_one_attempt_has_no_interval_and_percentiles_are_figures_of_their_own(store: Store) -> None:
    write(store, [Made(jobs=(ALONE,), metrics=("itl", "model_ttft"))] * 3, rounds=1)
    history = told(store)
    assert [(each.metric, dict(each.parameters)) for each in history.trends] == [
        ("model_ttft", {}),
        ("itl", {"percentile": 50}),
    ]
    assert set(history.trends[0].absolute.lows) == {None}


def test_a_base_of_another_build_is_not_compared_with_even_where_both_are_named(store: Store) -> None:
    newer = replace(BASE, digest="00ee" * 16)
    nights = [Made() if night < 6 else Made(jobs=(newer, CANDIDATE)) for night in range(10)]
    write(store, nights)
    assert only(told(store)).ratio.nights == [6, 7, 8, 9]
    assert only(told(store, pinned=("00ff",))).ratio.nights == [0, 1, 2, 3, 4, 5]
    both = only(told(store, pinned=("00ff", "00ee")))
    assert both.ratio.nights == [6, 7, 8, 9]
    assert both.why_no_ratio.startswith("6 of 10 nights ran beside another base build: ")
    assert both.why_no_ratio.endswith("; no bridge joins them")
    lost = only(told(store, pinned=("nothing",)))
    assert not lost.ratio
    assert "no base build with this figure begins with nothing" in lost.why_no_ratio
    build = only(told(store)).base_build
    assert only(told(store, pinned=(build[:6],))).ratio.nights == [6, 7, 8, 9]


def test_a_base_with_another_runtime_or_harness_is_another_build(store: Store) -> None:
    nights = [Made(), Made(runtime="1.21"), Made(runtime="1.21", version="0.2.0")]
    write(store, nights)
    assert only(told(store)).ratio.nights == [2]


def test_a_night_on_which_the_base_failed_is_no_other_base(store: Store) -> None:
    nights = [Made()] * 5 + [Made(scale={"base": CRASH}, runtimes={"base": ""})]
    history = told(write(store, nights))
    trend = only(history)
    assert (trend.absolute.nights, trend.ratio.nights) == ([0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4])
    assert trend.why_no_ratio == ""


def test_a_newer_base_takes_no_ratios_from_a_figure_that_it_did_not_measure(store: Store) -> None:
    both = ("model_ttft", "peak_memory")
    newer = Made(jobs=(replace(BASE, digest="00ee" * 16), CANDIDATE), metrics=both, metrics_of={"base": both[:1]})
    history = told(write(store, [Made(metrics=both)] * 5 + [newer]))
    lacking = only(history, metric="peak_memory")
    assert (lacking.ratio.nights, lacking.why_no_ratio) == ([0, 1, 2, 3, 4], "")
    assert only(history, metric="model_ttft").ratio.nights == [5]


def test_only_what_was_asked_for_is_told(store: Store) -> None:
    other = replace(ALONE, hardware="pixel-6", key="d" * 16)
    other = Job.from_json(other.to_json())
    nights = [Made(jobs=(ALONE, other), metrics=("model_ttft", "tpot"), suite=name) for name in ("one", "two", "two")]
    write(store, nights)
    assert len(told(store).trends) == 8
    assert {each.suite for each in told(store, suite="two").trends} == {"two"}
    assert {each.hardware for each in told(store, hardware="pixel-6").trends} == {"pixel-6"}
    assert {each.metric for each in told(store, metric="tpot").trends} == {"tpot"}
    assert len(told(store, since=FIRST + timedelta(days=2)).nights) == 1
    assert told(store, suite="nothing").trends == []


def test_a_budget_stands_on_its_figure(store: Store) -> None:
    write(store, [Made(jobs=(ALONE,))] * 3)
    budgets = {("phones", "this-machine"): parse({"model_ttft": "12 ms"}, "suite")}
    assert only(told(store, budgets=budgets)).limit == 12e6
    assert only(told(store)).limit is None


# What stopped reporting


def test_what_no_longer_runs_is_missing_and_never_fine(store: Store) -> None:
    other = Job.from_json({**ALONE.to_json(), "key": "d" * 16, "variant": "fp32"})
    nights = [Made(jobs=(ALONE, other))] * 7 + [Made(jobs=(ALONE,))] * 3
    history = told(write(store, nights))
    assert [each.variant for each in history.missing] == ["fp32"]
    gap = only(history, variant="fp32").gap
    assert gap is not None
    assert gap_text(gap) == "missing for 3 nights, since 2026-03-07"
    assert only(history, variant="int8").gap is None


def test_what_fails_is_told_with_how_it_ended(store: Store) -> None:
    nights = [Made(jobs=(ALONE,))] * 5 + [Made(jobs=(ALONE,), scale={"int8": CRASH})] * 2
    gap = only(told(write(store, nights))).gap
    assert gap is not None
    assert gap_text(gap) == "failed for 2 nights, since 2026-03-05: crashed: signal 11"


def test_a_job_without_an_attempt_failed_and_one_without_the_figure_is_missing(store: Store) -> None:
    nights = [Made(jobs=(ALONE,), metrics=("model_ttft", "tpot"))] * 4
    write(store, [*nights, Made(jobs=(ALONE,), metrics=("tpot",))])
    without = only(told(store), metric="model_ttft").gap
    assert without is not None
    assert gap_text(without).endswith("told no such figure")
    other = Store("sqlite://")
    write(other, [*nights, Made(jobs=(ALONE,), scale={"int8": None})])
    gap = only(told(other), metric="tpot").gap
    assert gap is not None
    assert (gap.failed, gap.reason) == (True, "no attempt was made")


@pytest.mark.parametrize("state", ["running", "interrupted"])
def test_a_run_under_way_lacks_nothing_yet_and_one_that_was_killed_does(store: Store, state: str) -> None:
    begun = Made(jobs=(ALONE,), scale={"int8": None}, state=state)
    write(store, [*[Made(jobs=(ALONE,))] * 4, begun])
    history = told(store)
    assert history.missing == []
    assert history.told == ["not finished, so that what they lack so far is not missing: night-0004"]
    (killed,) = told(store, now=FIRST + timedelta(days=5, hours=1)).missing
    assert killed.gap is not None
    assert killed.gap.reason == "no attempt was made"


def test_figures_of_one_job_that_are_missing_alike_are_a_line(store: Store) -> None:
    nights = [Made(jobs=(ALONE,), metrics=("model_ttft", "tpot"))] * 5
    history = told(write(store, [*nights, Made(jobs=(ALONE,), scale={"int8": CRASH})]))
    assert len(history.missing) == 2
    (line,) = [each for each in history_markdown(history).splitlines() if each.startswith("- ")]
    assert "2 figures: failed for 1 night" in line


def test_another_device_is_another_trend_and_the_first_one_says_which_runs_since(store: Store) -> None:
    nights = [Made(jobs=(ALONE,))] * 4 + [Made(jobs=(ALONE,), device="000000000002")] * 2
    history = told(write(store, nights))
    gap = only(history, device="4f2d9c01ab3e").gap
    assert gap is not None
    assert gap_text(gap) == "missing for 2 nights, since 2026-03-04: another device runs it since: 000000000002"
    assert only(history, device="000000000002").gap is None


def test_several_runs_of_one_day_are_one_night_to_be_missing_in(store: Store) -> None:
    nights = [Made(jobs=(ALONE,)), *(Made(jobs=(), started=FIRST + timedelta(days=1, hours=at)) for at in range(4))]
    nights[1:] = [replace(each, jobs=(BASE,), scale={"base": None}) for each in nights[1:]]
    gap = only(told(write(store, nights)), variant="int8").gap
    assert gap is not None
    assert gap.nights == 1


def test_a_suite_that_stopped_altogether_is_told(store: Store) -> None:
    history = told(write(store, [Made(jobs=(ALONE,))] * 5), now=FIRST + timedelta(days=14))
    assert history.told == ["no night of phones for 10 days, since 2026-03-05"]


# Clocks


def test_nights_stand_in_the_order_of_their_clocks_however_they_were_stored(store: Store) -> None:
    days = [3, 0, 2, 1]
    write(store, [Made(jobs=(ALONE,), started=FIRST + timedelta(days=day)) for day in days])
    history = told(store)
    assert [night.run for night in history.nights] == ["night-0001", "night-0003", "night-0002", "night-0000"]
    assert only(history).absolute.nights == [0, 1, 2, 3]


def test_clocks_that_went_back_or_stood_still_are_told(store: Store) -> None:
    nights = [Made(jobs=(ALONE,))] * 4
    nights.append(Made(jobs=(ALONE,), started=FIRST + timedelta(days=3)))
    nights.append(Made(jobs=(ALONE,), finished=FIRST))
    history = told(write(store, nights))
    assert len(only(history).absolute.nights) == 6
    same, back = history.told
    assert "started at the same moment" in same
    assert "night-0003, night-0004" in same
    assert back == "the clock went back while they ran: night-0005"


def test_a_night_later_than_now_is_left_out_and_told(store: Store) -> None:
    nights = [Made(jobs=(ALONE,))] * 4 + [Made(jobs=(ALONE,), started=FIRST + timedelta(days=900))]
    history = told(write(store, nights), now=FIRST + timedelta(days=3, hours=9))
    assert len(history.nights) == 4
    assert only(history).absolute.nights == [0, 1, 2, 3]
    assert "start later than now: night-0004" in history.told[0]


def test_only_nights_of_the_future(store: Store) -> None:
    history = told(write(store, [Made(jobs=(ALONE,))] * 2), now=FIRST - timedelta(days=1))
    assert (list(history.nights), history.trends) == ([], [])
    assert len(history.told) == 1


# From Python


def test_from_python_it_is_plain_data_and_a_frame(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    write(Store(url), [replace(each, hardware_json="{}") for each in paired(12, at=6)]).close()
    history = api.history(store=url)
    frame = history.frame()
    assert set(frame["sort"]) == {"absolute", "ratio", "base"}
    assert len(frame) == 36
    assert frame[frame["sort"] == "ratio"]["value"].between(0.9, 1.2).all()
    assert any("no night of phones" in each for each in history.told)
    assert any("budgets of phones on this-machine are unknown" in each for each in history.told)
    assert api.history(store=url, since="1d").trends == []


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"metric": "model_tft"}, "did you mean 'model_ttft'"),
        ({"since": "90"}, "is not an age"),
        ({"since": "99999999999w"}, "longer ago"),
    ],
)
def test_what_means_nothing_is_refused(tmp_path: Path, asked: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        api.history(store=f"sqlite:///{tmp_path / 'store.db'}", **asked)


def test_an_empty_store_has_no_history(store: Store) -> None:
    history = told(store)
    assert (list(history.nights), history.trends, list(history.told)) == ([], [], [])


def test_a_damaged_store_is_told(store: Store) -> None:
    write(store, [Made(jobs=(ALONE,))])
    with store.writing() as connection:
        connection.exec_driver_sql("UPDATE jobs SET job_json = '{'")
    with pytest.raises(StoreError, match="cannot be read"):
        told(store)


def test_values_that_are_none_are_left_out(store: Store) -> None:
    write(store, [Made(jobs=(ALONE,))] * 3)
    with store.writing() as connection:
        connection.exec_driver_sql("UPDATE measurements SET value = 9e999 WHERE attempt_id LIKE '0001-%'")
    assert only(told(store)).absolute.nights == [0, 2]


def test_a_base_that_nobody_has_is_told_as_that(store: Store) -> None:
    """Bases ran: it is the one that was asked for which did not."""
    write(store, paired(8, at=4))
    told_of = without_base(told(store, pinned=("splendid",)))
    assert "no base build with this figure begins with splendid; the newest is " in told_of
    assert without_base(told(store)) == ""
