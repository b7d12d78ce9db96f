"""Whatever a model does to its worker is a recorded outcome, and the rest goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.conftest import Bench

OUTCOMES = [
    ("load segfault", "crashed", "SIGSEGV in phase load"),
    ("run segfault", "crashed", "SIGSEGV in phase"),
    ("run abort", "crashed", "SIGABRT"),
    ("load exit 3", "crashed", "exit code 3"),
    ("run exit 0", "crashed", "exit code 0"),
    ("load hang", "timeout", "no result within 5 s, last phase load"),
    ("run hang-holding-the-lock", "timeout", "no result within 5 s"),
    ("load raise", "runtime-error", "RuntimeError: a runtime's own error"),
    ("load refuse", "unsupported", "does not feel like it"),
    ("run memory", "out-of-memory", "no room"),
    ("run nan", "invalid", "1 of 32 logits are NaN"),
    ("run zeros", "invalid", "all 32 logits are 0"),
]


@pytest.mark.parametrize(("words", "kind", "reason"), OUTCOMES)
def test_misbehaviour_is_an_outcome_with_a_reason(bench: Bench, words: str, kind: str, reason: str) -> None:
    result = bench.one(bench.model(words), attempts=1, timeout="5 s" if kind == "timeout" else "120 s")
    assert result.outcome.kind == kind
    assert reason in result.outcome.reason
    assert not result.metrics


def test_a_traceback_is_kept_as_evidence(bench: Bench) -> None:
    result = bench.one(bench.model("load raise"), attempts=1)
    assert "awkward_adapter.py" in result.outcome.evidence


def test_a_flood_on_standard_error_is_bounded_and_harmless(bench: Bench) -> None:
    result = bench.one(bench.model("run flood"), attempts=1)
    assert result.outcome.ok


def test_what_a_runtime_prints_does_not_meet_the_protocol(bench: Bench) -> None:
    result = bench.one(bench.model("run print"), attempts=1)
    assert result.outcome.ok
    assert result.metrics


def test_the_other_variants_go_on(bench: Bench) -> None:
    bad, good = bench.model("run segfault", "bad"), bench.model("fine", "good")
    results = bench.run([bad, good], attempts=2)
    assert [result.outcome.kind for result in results] == ["crashed", "crashed", "ok", "ok"]


def test_a_job_that_fails_twice_is_given_up(bench: Bench) -> None:
    result = bench.one(bench.model("run segfault"), attempts=5)
    assert result.outcomes == {"crashed": 2}
    assert "none succeeded" in result.stopped


def test_an_unsupported_job_is_tried_once(bench: Bench) -> None:
    result = bench.one(bench.model("load refuse"), attempts=5)
    assert result.outcomes == {"unsupported": 1}


def test_a_fallback_that_nobody_asked_for_is_a_warning(bench: Bench) -> None:
    result = bench.one(bench.model("run fallback"), attempts=1, accelerator="npu")
    assert any(warning.kind == "fallback" and "something else" in warning.message for warning in result.warnings)


def test_a_prompt_longer_than_the_context_is_unsupported_and_says_by_how_much(bench: Bench) -> None:
    result = bench.one(bench.model("fine"), attempts=1, prompt_tokens=4090)
    assert result.outcome.kind == "unsupported"
    assert "4090 of prompt + 64 of output = 4154, more than the model's context of 4096" in result.outcome.reason


def test_cold_start_phases_add_up(bench: Bench) -> None:
    result = bench.one(bench.model("fine"), attempts=2)
    whole = next(metric for metric in result.metrics if metric.name == "cold_start_ttft")
    phases = [metric for metric in result.metrics if metric.name == "cold_start_phase"]
    assert [phase.parameters["phase"] for phase in phases] == ["start", "import", "load", "first_request"]
    for index, value in enumerate(whole.attempts):
        assert sum(phase.attempts[index].value for phase in phases) == pytest.approx(value.value)


def test_rates_follow_from_what_the_model_does(bench: Bench) -> None:
    """The adapter sleeps 5 ms a call: no gap is shorter, and every figure follows from the same gaps."""
    result = bench.one(bench.model("fine"), attempts=2, scenario="steady", delay_s=0.005)
    found = {metric.name: metric for metric in result.metrics if metric.parameters.get("percentile", 50) == 50}
    for gaps, tpots, rates in zip(*(found[name].attempts for name in ("itl", "tpot", "decode_rate")), strict=True):
        assert min(gaps.samples) >= 5e6
        rows = [gaps.samples[at : at + gaps.row_length] for at in range(0, len(gaps.samples), gaps.row_length)]
        assert [sum(row) / len(row) for row in rows] == pytest.approx(tpots.samples)
        assert [1e9 / tpot for tpot in tpots.samples] == pytest.approx(rates.samples)
    prefill = found["prefill_rate"].estimate.value
    assert prefill is not None
    assert prefill <= 64 / 0.005


def test_nothing_is_left_of_a_finished_run(bench: Bench, tmp_path: Path) -> None:
    bench.one(bench.model("fine"), attempts=1)
    assert [path.name for path in tmp_path.glob("state/runs/*")] == ["libraries.json"]  # for the next run
