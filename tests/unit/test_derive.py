"""Attempts -> results: every number stands on attempts, and moves when one of them goes."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchharness.judge.derive import derive, derive_one
from benchharness.results.requested import Opened
from benchharness.results.result import EXACT, Attempt, MetricResult, Outcome, OutcomeKind, Result, WarningKind
from benchharness.results.store import Store
from tests.unit.made_up import attempt, job, measured

INT8 = job()
FP32 = job("fedcba9876543210", variant="fp32")
VALUES = (50e6, 52e6, 49e6, 51e6, 60e6)


def from_attempts(result: Result) -> list[MetricResult]:
    """The metrics that attempts give, without the sizes that are known exactly."""
    return [metric for metric in result.metrics if metric.estimate.statistic != EXACT]


def attempts_of(values: Sequence[float], key: str = INT8.key, device: str = "one") -> list[Attempt]:
    return [
        attempt(round_, measured("model_ttft", value), job=key, device=device) for round_, value in enumerate(values)
    ]


def only(result: Result) -> MetricResult:
    (metric,) = from_attempts(result)
    return metric


def interval(result: Result) -> tuple[float, float, float]:
    estimate = only(result).estimate
    assert estimate.value is not None
    assert estimate.low is not None
    assert estimate.high is not None
    return estimate.low, estimate.value, estimate.high


def ratios(attempts: Sequence[Attempt]) -> MetricResult:
    int8, fp32 = derive([(INT8, ""), (FP32, "")], attempts)
    assert only(fp32).ratio is None
    return only(int8)


def test_taking_an_attempt_away_changes_the_interval() -> None:
    attempts = attempts_of(VALUES)
    whole = interval(derive_one(INT8, attempts, ""))
    for index in range(len(attempts)):
        less = interval(derive_one(INT8, attempts[:index] + attempts[index + 1 :], ""))
        assert all(one != other for one, other in zip(less, whole, strict=True))


def test_taking_an_attempt_out_of_the_store_changes_the_interval(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = Store(f"sqlite:///{path}")
    run = store.create_run(suite="s", digest="d", suite_json="{}", hardware_json="{}", planned=[INT8])
    for each in attempts_of(VALUES):
        store.save_attempt(run, each)
    before = interval(derive(store.jobs(run), store.attempts(run))[0])
    assert before == interval(derive_one(INT8, attempts_of(VALUES), ""))

    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM measurements WHERE attempt_id = (SELECT id FROM attempts WHERE round = 4)")
        assert connection.execute("DELETE FROM attempts WHERE round = 4").rowcount == 1
    connection.close()

    after = interval(derive(store.jobs(run), store.attempts(run))[0])
    store.close()
    assert after == interval(derive_one(INT8, attempts_of(VALUES[:4]), ""))
    assert after[2] - after[0] < before[2] - before[0]  # the outlier is gone


def test_a_metric_names_the_attempts_it_stands_on() -> None:
    attempts = [attempt(0, measured("model_ttft", 5e7, [4e7, 5e7, 6e7]), id="a" * 36, device="d")]
    (value,) = only(derive_one(INT8, attempts, "")).attempts
    assert (value.attempt, value.device, value.round, value.value) == ("a" * 36, "d", 0, 5e7)
    assert value.samples == [4e7, 5e7, 6e7]


def test_a_ratio_pairs_attempts_of_the_same_round() -> None:
    theirs = [40e6, 44e6, 48e6]
    ours = [value * 1.25 for value in theirs]
    shuffled = [*reversed(attempts_of(ours)), *attempts_of(theirs, FP32.key)]
    ratio = ratios(shuffled).ratio
    assert ratio is not None
    assert (ratio.low, ratio.value, ratio.high, ratio.count) == pytest.approx((1.25, 1.25, 1.25, 3))


def test_a_ratio_pairs_attempts_of_the_same_device() -> None:
    attempts = [
        *attempts_of([40e6, 41e6], FP32.key, "slow"),
        *[
            attempt(round_, measured("model_ttft", 10e6), job=FP32.key, device="fast", id=f"f{round_}")
            for round_ in (0, 1)
        ],
        *attempts_of([80e6, 82e6], INT8.key, "slow"),
        *[
            attempt(round_, measured("model_ttft", 20e6), job=INT8.key, device="fast", id=f"g{round_}")
            for round_ in (0, 1)
        ],
        attempt(0, measured("model_ttft", 1e6), job=INT8.key, device="only here", id="h"),
    ]
    ratio = ratios(attempts).ratio
    assert ratio is not None
    assert (ratio.low, ratio.value, ratio.high, ratio.count) == pytest.approx((2, 2, 2, 4))


def test_a_ratio_without_a_common_round_is_unknown() -> None:
    ours = [attempt(3, measured("model_ttft", 5e7))]
    ratio = ratios([*ours, *attempts_of([4e7], FP32.key)]).ratio
    assert ratio is not None
    assert (ratio.value, ratio.reason) == (None, "no round has both")


@pytest.mark.parametrize(
    "changes", [{"scenario": "first-token"}, {"model": "other"}, {"settings": {"warmup": 9}}, {"hardware": "phone"}]
)
def test_only_results_that_differ_in_the_variant_alone_are_compared(changes: dict[str, object]) -> None:
    reference = job(FP32.key, variant="fp32", **changes)
    results = derive([(INT8, ""), (reference, "")], [*attempts_of(VALUES), *attempts_of(VALUES, FP32.key)])
    assert only(results[0]).ratio is None


def test_two_comparisons_with_the_reference_have_no_ratio() -> None:
    """The reference on another accelerator differs by 1e-14, and nothing is a multiple of that."""
    against = Opened(variant="fp32")
    int8, fp32 = (replace(each, scenario="quality", against=against) for each in (INT8, FP32))
    attempts = [
        attempt(0, measured("tensor_error", 0.1, [1.0, noise, 0.9, 0.1] * 2, row_length=4), job=each.key)
        for each, noise in ((int8, 6e-5), (fp32, 6e-14))
    ]
    results = derive([(int8, ""), (fp32, "")], attempts)
    assert [len(from_attempts(result)) for result in results] != [0, 0]
    assert all(metric.ratio is None for result in results for metric in from_attempts(result))


def test_a_job_fails_as_most_of_its_attempts_did() -> None:
    failed = [
        attempt(1, outcome=OutcomeKind.CRASHED),
        attempt(2, outcome=Outcome(kind=OutcomeKind.TIMEOUT, reason="first")),
        attempt(3, outcome=Outcome(kind=OutcomeKind.TIMEOUT, reason="last", evidence="its words")),
    ]
    result = derive_one(INT8, [*attempts_of(VALUES[:1]), *failed], "")
    assert result.outcome == Outcome(kind=OutcomeKind.TIMEOUT, reason="last", evidence="its words")
    assert result.outcomes == {"ok": 1, "crashed": 1, "timeout": 2}


def test_half_of_the_attempts_failing_is_no_success() -> None:
    result = derive_one(INT8, [*attempts_of(VALUES[:1]), attempt(1, outcome=OutcomeKind.CRASHED)], "")
    assert result.outcome.kind is OutcomeKind.CRASHED


def test_a_few_failed_attempts_leave_a_result_with_a_warning() -> None:
    result = derive_one(INT8, [*attempts_of(VALUES), attempt(5, outcome=OutcomeKind.CRASHED)], "")
    assert result.outcome == Outcome(kind=OutcomeKind.OK)
    assert only(result).estimate.count == 5
    (warning,) = result.warnings
    assert warning.kind is WarningKind.SOME_FAILED
    assert "1 crashed beside 5 good attempts" in warning.message


def test_failed_attempts_give_no_numbers() -> None:
    bad = attempt(5, measured("model_ttft", 9e9), outcome=OutcomeKind.INVALID)
    assert only(derive_one(INT8, [*attempts_of(VALUES), bad], "")).estimate.count == 5


def test_a_job_without_attempts_has_a_result_too() -> None:
    (result,) = derive([(INT8, "time budget ended")], [])
    assert result.outcome.kind is OutcomeKind.TIMEOUT
    assert "no attempt was made" in result.outcome.reason
    assert (result.metrics, result.devices, result.outcomes) == ([], [], {})
    assert result.stopped == "time budget ended"


def test_every_job_yields_a_result_in_the_suites_order() -> None:
    jobs = [(INT8, "one"), (FP32, "two"), (job("0" * 16, scenario="first-token"), "three")]
    results = derive(jobs, attempts_of(VALUES, FP32.key))
    assert [(result.job, result.stopped) for result in results] == jobs


def test_percentiles_are_taken_in_each_attempt() -> None:
    samples = np.random.default_rng(0).gamma(4, 1e6, 662)
    attempts = [attempt(round_, measured("itl", 4e6, (samples * (1 + round_ / 10)).tolist())) for round_ in range(3)]
    found = {metric.parameters["percentile"]: metric for metric in from_attempts(derive_one(INT8, attempts, ""))}
    assert list(found) == [50, 90, 95, 99]
    for percentile, metric in found.items():
        first = float(np.percentile(samples, float(percentile)))
        assert [value.value for value in metric.attempts] == pytest.approx([first, first * 1.1, first * 1.2])
        assert metric.estimate.value == pytest.approx(first * (1.1 * 1.2) ** (1 / 3))


def test_a_percentile_that_the_samples_cannot_carry_is_unknown_with_the_reason() -> None:
    attempts = [attempt(0, measured("itl", 1e6, [1e6] * 662)), attempt(1, measured("itl", 1e6, [1e6] * 64))]
    found = {metric.parameters["percentile"]: metric for metric in from_attempts(derive_one(INT8, attempts, ""))}
    assert found[50].estimate.value == pytest.approx(1e6)
    assert found[90].estimate.value == pytest.approx(1e6)
    assert found[99].estimate.value is None
    assert found[99].estimate.reason == "64 samples an attempt, and p99 needs 662"
    assert found[99].attempts == ()


def test_measurements_of_other_parameters_are_kept_apart() -> None:
    measurements = [measured("prefill_rate", rate, parameters={"prompt_tokens": rate}) for rate in (16, 128)]
    metrics = from_attempts(derive_one(INT8, [attempt(0, *measurements)], ""))
    assert [metric.parameters for metric in metrics] == [{"prompt_tokens": 16}, {"prompt_tokens": 128}]
    assert [metric.estimate.value for metric in metrics] == pytest.approx([16, 128])
