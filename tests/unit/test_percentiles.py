"""Percentiles with a budget: what is sampled so that they can be told, what is said before, and what is shown."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchharness.device.timing import goes_on
from benchharness.errors import UsageError
from benchharness.judge.budgets import judged
from benchharness.judge.derive import derive_one
from benchharness.metrics.limits import parse
from benchharness.results.result import Result, VerdictKind
from benchharness.scenarios import SCENARIOS
from benchharness.suite.hardware import load_hardware
from benchharness.suite.sampling import samples_wanted, sampling_notes
from benchharness.suite.tables import Suite, check_suite
from tests.unit.made_up import attempt, job, measured

RANDOM = np.random.default_rng(0)
HARDWARE = load_hardware("this-machine")
JOB = job("fp32")


def result(metric: str, counts: list[int]) -> Result:
    made = []
    for round_, count in enumerate(counts):
        samples = [float(each) for each in RANDOM.lognormal(15, 0.1, count)]
        made.append(attempt(round_, measured(metric, float(np.median(samples)), samples)))
    return derive_one(JOB, made, "")


def suite(scenarios: dict[str, Any] | None = None, attempts: dict[str, Any] | None = None, **budgets: Any) -> Suite:
    table: dict[str, Any] = {"name": "s", "models": {"m": {"variants": {"a": {"artefact": "m.onnx"}}}}}
    table |= {"budgets": budgets, **({"scenarios": scenarios} if scenarios else {})}
    return check_suite({**table, **({"attempts": attempts} if attempts else {})}, where="a test")


def percentiles(found: Result, name: str) -> dict[Any, Any]:
    return {each.parameters.get("percentile"): each for each in found.metrics if each.name == name}


def test_a_latency_has_the_percentiles_that_every_attempts_samples_carry() -> None:
    assert list(percentiles(result("model_ttft", [130, 129]), "model_ttft")) == [None, 90]
    assert list(percentiles(result("model_ttft", [700, 662]), "model_ttft")) == [None, 90, 95, 99]
    assert list(percentiles(result("model_ttft", [5, 700]), "model_ttft")) == [None]


def test_a_percentile_is_of_each_attempts_own_samples() -> None:
    found = percentiles(result("model_ttft", [200, 200]), "model_ttft")[95]
    own = [float(np.percentile(each.samples, 95)) for each in found.attempts]
    assert [each.value for each in found.attempts] == own
    assert found.estimate.value == pytest.approx(float(np.sqrt(own[0] * own[1])))


def test_a_budget_on_a_percentile_that_samples_do_not_carry_says_what_they_would_take() -> None:
    budgets = parse({"model_ttft": {"p95": "40 ms"}}, "suite")
    (found,) = judged([result("model_ttft", [20, 30])], budgets)
    (verdict,) = found.verdicts
    assert (verdict.kind, verdict.reason) == (VerdictKind.UNDECIDED, "20 samples an attempt, and p95 needs 130")


def test_a_plain_budget_on_a_latency_with_percentiles_is_still_of_its_own_value() -> None:
    budgets = parse({"model_ttft": "1 h", "request_ttft": {"p90": "1 h"}}, "suite")
    (found,) = judged([result("model_ttft", [700, 700])], budgets)
    assert [(each.metric, dict(each.parameters), each.kind) for each in found.verdicts] == [
        ("model_ttft", {}, VerdictKind.PASS)
    ]


def test_the_error_says_how_a_percentile_is_named() -> None:
    with pytest.raises(UsageError, match=r'steady_inference.*--budget "steady_inference.p95=40 ms"'):
        parse({"steady_inference": "40 ms"}, "the command line")


def test_scenarios_take_as_many_samples_as_the_percentiles_need() -> None:
    made = suite(steady_inference={"p95": "40 ms", "p50": "30 ms"}, itl={"p99": "40 ms"}, model_ttft={"p90": "1 s"})
    assert samples_wanted(made, HARDWARE, SCENARIOS["steady"])["samples"] == {"steady_inference": 130, "itl": 662}
    assert samples_wanted(made, HARDWARE, SCENARIOS["first-token"])["samples"] == {"model_ttft": 64}
    assert samples_wanted(made, HARDWARE, SCENARIOS["first-token"])["samples_time_ns"] == 300 * 10**9
    assert samples_wanted(suite(peak_memory="1 GiB"), HARDWARE, SCENARIOS["steady"]) == {}


def test_what_it_takes_is_said_before_the_run() -> None:
    (told,) = sampling_notes(suite(steady_inference={"p99": "40 ms"}), HARDWARE)
    assert "steady_inference p99 40 ms: takes 662 samples in each attempt, 300 s at most" in told
    assert "longer than 0.45 s" in told
    (told,) = sampling_notes(suite({"first-token": {}}, steady_inference={"p99": "40 ms"}), HARDWARE)
    assert told.endswith("of scenario steady, which is not run: it will stay undecided")
    once = {"at_least": 1, "at_most": 1}
    (told,) = sampling_notes(suite(attempts=once, steady_inference={"p99": "40 ms"}), HARDWARE)
    assert told.endswith("ask for 2 attempts or more")
    assert not list(sampling_notes(suite(model_ttft="1 s"), HARDWARE))


@pytest.mark.parametrize(
    ("taken", "ago_ns", "on"), [(4, 10**9, True), (129, 10**9, True), (130, 10**9, False), (100, 10**12, False)]
)
def test_samples_for_a_percentile_are_taken_until_there_are_enough_or_it_took_too_long(
    taken: int, ago_ns: int, on: bool
) -> None:
    limits = {"at_least": 5, "at_most": 50, "min_time_ns": 1000}
    started = time.perf_counter_ns() - ago_ns
    assert goes_on(taken, started, **limits, wanted=130, longest_ns=10**11) is on


def test_a_model_is_sampled_as_often_as_its_budget_asks(tmp_path: Path) -> None:
    import benchharness

    (tmp_path / "m.null").write_bytes(b"")
    found = benchharness.run(
        [tmp_path / "m.null"],
        runtime="null",
        budgets={"model_ttft": {"p95": "1 s"}},
        store=f"sqlite:///{tmp_path / 'store.db'}",
        attempts=2,
        scenarios=["first-token"],
    )
    (verdict,) = found.results[0].verdicts
    assert verdict.kind is VerdictKind.PASS
    assert verdict.unit == "s"
