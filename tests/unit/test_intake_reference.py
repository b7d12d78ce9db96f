"""A session that is no evidence of the device's time or memory: a worker that reports some is not believed."""

from __future__ import annotations

from typing import Any

import pytest

from benchharness.execute.received import attempt_from
from benchharness.judge.derive import derive_one
from benchharness.metrics import METRICS, ROWS
from benchharness.results.result import Attempt, OutcomeKind, WarningKind
from tests.unit.made_up import job

FACTS = {"device": "4f2d9c01ab3e"}


def finished(*metrics: str, execution: Any = "reference", outcome: str = "ok") -> dict[str, Any]:
    return {
        "type": "finished",
        "id": "0195a3c2-7b1e-7c44-9d0f-3f6f2f5e8a11",
        "job": job().key,
        "round": 0,
        "outcome": {"kind": outcome, "reason": "as told", "evidence": ""},
        "task": "causal-lm",
        "measurements": [
            {"metric": metric, "parameters": {}, "value": 1e6, "samples": [], "row_length": 0} for metric in metrics
        ],
        "effective": {"accelerators": ["interpreter"], "threads": None, "execution": execution},
        "conditions": {},
        "started_unix_ns": 1_772_600_767_000_000_000,
        "duration_ns": 2_000_000_000,
    }


def taken_in(message: dict[str, Any]) -> Attempt:
    return attempt_from(message, device=FACTS, host="bench", clock_offset_ns=0)


@pytest.mark.parametrize("metric", ["model_ttft", "itl", "decode_rate", "steady_inference", "inference_rate"])
@pytest.mark.parametrize("also", [(), ("peak_memory",)])
def test_a_latency_out_of_a_reference_execution_is_invalid(metric: str, also: tuple[str, ...]) -> None:
    attempt = taken_in(finished(metric, *also))
    assert attempt.outcome.kind is OutcomeKind.INVALID
    assert attempt.outcome.reason == f"{metric} out of a reference execution"


@pytest.mark.parametrize("metric", METRICS)
def test_every_metric_of_time_or_memory_is_refused(metric: str) -> None:
    attempt = taken_in(finished(metric))
    by_unit = METRICS[metric].unit in ("ns", "bytes", "tokens/s", "inferences/s", "J", "%/h", "mAh/h")
    of_device = by_unit or metric in {row.name for row in ROWS}
    refused = attempt.outcome.kind is OutcomeKind.INVALID and "reference execution" in attempt.outcome.reason
    assert refused == of_device


def test_a_metric_that_nobody_knows_is_refused_too() -> None:
    assert taken_in(finished("speed")).outcome.reason == "speed out of a reference execution"


def test_what_was_refused_leaves_no_number_behind() -> None:
    result = derive_one(job(), [taken_in(finished("model_ttft"))], "")
    assert result.outcome.kind is OutcomeKind.INVALID
    assert result.metrics == []


def test_a_reference_execution_without_figures_is_taken_as_what_it_is() -> None:
    attempt = taken_in(finished())
    assert attempt.outcome.ok
    result = derive_one(job(), [attempt], "")
    assert [metric.name for metric in result.metrics] == ["artefact_size", "download_size"]
    assert WarningKind.REFERENCE_EXECUTION in [warning.kind for warning in result.warnings]


@pytest.mark.parametrize("changes", [{"execution": "device"}, {}])
def test_the_same_figures_of_a_device_are_taken(changes: dict[str, Any]) -> None:
    message = finished("model_ttft", **changes)
    if not changes:
        del message["effective"]["execution"]  # a runner older than the word
    attempt = taken_in(message)
    assert attempt.outcome.ok
    result = derive_one(job(), [attempt], "")
    assert "model_ttft" in [metric.name for metric in result.metrics]
    assert WarningKind.REFERENCE_EXECUTION not in [warning.kind for warning in result.warnings]


@pytest.mark.parametrize("execution", ["Reference", "dream", None, 1, ["device"]])
def test_an_execution_that_there_is_not_is_refused(execution: Any) -> None:
    for metrics in ((), ("model_ttft",)):
        attempt = taken_in(finished(*metrics, execution=execution))
        assert attempt.outcome.kind is OutcomeKind.INVALID
        assert "there is no execution" in attempt.outcome.reason


def test_a_failure_keeps_its_own_words() -> None:
    attempt = taken_in(finished("model_ttft", outcome="crashed"))
    assert (attempt.outcome.kind, attempt.outcome.reason) == (OutcomeKind.CRASHED, "as told")
