"""What artefacts weigh over the nights: exact, so that any other value is a step, and no chance is in it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from benchharness.judge.step_words import figure_text, interval_text, size_text, whose_text
from benchharness.metrics.limits import parse
from benchharness.results.store import Store
from benchharness.results.trends import Cause, Certainty, History, Trend
from tests.unit.history_samples import ALONE, BASE, CANDIDATE, CRASH, Made, only, told, write

SMALL, LARGE = 1_000_000, 1_000_512


def weighed(size: int, digest: str = "ab12" * 16, **changes: Any) -> Made:
    return Made(jobs=(replace(ALONE, artefact_bytes=size, digest=digest, **changes),))


def history_of(nights: list[Made], **asked: Any) -> History:
    return told(write(Store("sqlite://"), nights), **asked)


def size(history: History) -> Trend:
    return only(history, metric="artefact_size")


def test_half_a_kilobyte_more_is_a_confirmed_step_on_that_very_night_with_its_artefact() -> None:
    history = history_of([weighed(SMALL)] * 2 + [weighed(LARGE, "cd34" * 16)])
    trend = size(history)
    assert trend.absolute.values == [SMALL, SMALL, LARGE]
    assert trend.absolute.lows == trend.absolute.highs == trend.absolute.values
    ((_, step),) = history.steps()
    assert (step.night, step.first, step.last, step.certainty, step.worse) == (2, 2, 2, Certainty.CONFIRMED, True)
    assert step.size == pytest.approx(5.12e-4)
    assert (size_text(step, trend.unit), interval_text(step)) == ("+0.0512 %", "")
    assert step.causes == (Cause(what="artefact", before="ab12ab12ab12", after="cd34cd34cd34"),)
    assert (figure_text(trend), whose_text(trend)) == ("size", "int8")


def test_one_that_changes_every_night_has_a_step_every_night_and_is_in_no_family() -> None:
    history = history_of([weighed(SMALL - 10 * night, f"{night:04d}" * 16) for night in range(8)])
    assert [step.size for step in size(history).steps] == pytest.approx([-1e-5] * 7, rel=1e-3)
    assert {step.worse for step in size(history).steps} == {False}
    assert history.tested == 1  # the time that was measured


def test_one_artefact_that_another_compressor_packs_is_no_step() -> None:
    nights = [weighed(SMALL, download_bytes=700)] * 2 + [weighed(SMALL, download_bytes=705)]
    history = history_of([*nights, weighed(SMALL, "cd34" * 16, download_bytes=710)])
    trend = only(history, metric="download_size")
    assert trend.absolute.values == [700, 700, 705, 710]
    (step,) = trend.steps
    assert step.night == 3
    assert step.size == pytest.approx(710 / 705 - 1)


def test_a_variant_has_one_size_whatever_runs_it_and_what_failed_has_one_too() -> None:
    other = replace(ALONE, key="e" * 16, scenario="first-token", artefact_bytes=SMALL)
    night = Made(jobs=(*weighed(SMALL).jobs, other))
    history = history_of([night] * 3 + [replace(night, scale={"int8": None})])
    assert size(history).absolute.nights == [0, 1, 2]
    assert {trend.metric for trend in history.missing} == {"model_ttft"}


def test_what_is_not_known_is_no_size() -> None:
    history = history_of([weighed(SMALL), weighed(0), weighed(SMALL, files={"unknown": "not to be read"})])
    assert size(history).absolute.nights == [0]
    assert size(history).steps == []
    assert not [trend for trend in history.trends if trend.metric == "download_size"]


def test_its_ratio_is_to_the_base_that_was_named() -> None:
    old = (replace(BASE, artefact_bytes=2 * SMALL), replace(CANDIDATE, artefact_bytes=SMALL))
    new = (replace(BASE, artefact_bytes=4 * SMALL, digest="00ee" * 16), old[1])
    nights = [*[Made(jobs=old)] * 2, *[Made(jobs=new)] * 3]
    newest, named = size(history_of(nights)), size(history_of(nights, pinned=("00ff",)))
    assert (newest.ratio.nights, newest.ratio.values) == ([2, 3, 4], [0.25] * 3)
    assert (named.ratio.nights, named.ratio.values, named.base.values) == ([0, 1], [0.5] * 2, [2 * SMALL] * 2)
    assert named.why_no_ratio.startswith("3 of 5 nights ran beside another base build: ")
    harness = [Made(jobs=old), Made(jobs=old, version="0.2.0")]
    assert size(history_of(harness, pinned=("00ff",))).ratio.nights == [0, 1]


def test_a_night_on_which_the_base_failed_is_no_other_base() -> None:
    jobs = (replace(BASE, artefact_bytes=2 * SMALL), replace(CANDIDATE, artefact_bytes=SMALL))
    trend = size(history_of([Made(jobs=jobs)] * 3 + [Made(jobs=jobs, scale={"base": CRASH}, runtimes={"base": ""})]))
    assert (trend.absolute.nights, trend.ratio.nights, trend.why_no_ratio) == ([0, 1, 2, 3], [0, 1, 2], "")


def test_it_has_a_ratio_to_the_base_a_budget_and_can_be_asked_for() -> None:
    jobs = (replace(BASE, artefact_bytes=2 * SMALL), replace(CANDIDATE, artefact_bytes=SMALL, download_bytes=700))
    budgets = {("phones", "this-machine"): parse({"artefact_size": "2 MB"}, "suite")}
    history = history_of([Made(jobs=jobs)] * 3, budgets=budgets)
    trend = size(history)
    assert (trend.ratio.values, trend.base.values, trend.limit) == ([0.5] * 3, [2 * SMALL] * 3, 2e6)
    assert {each.metric for each in history.trends} == {"model_ttft", "artefact_size", "download_size"}
    alone = history_of([Made(jobs=jobs)] * 3, metric="artefact_size")
    assert {each.metric for each in alone.trends} == {"artefact_size"}
