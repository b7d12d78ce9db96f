"""The typed warnings: each fires where its rule says, and not before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean, stdev
from typing import Any

import pytest

from benchharness.contract import PLACE_NOT_TOLD
from benchharness.device.rules import RULES
from benchharness.judge.derive import derive_one
from benchharness.judge.trust import Trust
from benchharness.judge.unsure_samples import SHORTEST_TIMED_NS
from benchharness.results.result import Attempt, Measurement, OutcomeKind, ResultWarning, WarningKind
from benchharness.results.told import Conditions, Effective
from tests.unit.made_up import attempt, job, measured

LONG = 1e7


def warnings_of(attempts: Sequence[Attempt], stopped: str = "", **changes: Any) -> list[ResultWarning]:
    return list(derive_one(job(**changes), attempts, stopped).warnings)


def kinds(attempts: Sequence[Attempt], stopped: str = "", **changes: Any) -> set[WarningKind]:
    return {warning.kind for warning in warnings_of(attempts, stopped, **changes)}


def five(*measurements: Measurement) -> list[Attempt]:
    return [attempt(round_, *measurements) for round_ in range(5)]


def test_quiet_attempts_raise_no_doubt() -> None:
    assert kinds(five(measured("model_ttft", LONG, [LONG] * 6))) == set()


def test_fewer_than_five_attempts_are_too_few() -> None:
    attempts = five(measured("model_ttft", LONG))
    assert kinds(attempts[:4]) == {WarningKind.TOO_FEW_SAMPLES}
    assert kinds(attempts) == set()


def test_only_good_attempts_count_towards_enough() -> None:
    failed = attempt(4, outcome=OutcomeKind.CRASHED)
    assert WarningKind.TOO_FEW_SAMPLES in kinds([*five(measured("model_ttft", LONG))[:4], failed])


def test_an_interval_that_was_not_reached_is_told() -> None:
    attempts = five(measured("model_ttft", LONG))
    stopped = "30 attempts, the most allowed; interval not reached: ± 3.0 % where ± 2.0 % was asked for"
    (warning,) = warnings_of(attempts, stopped)
    assert warning.kind is WarningKind.NO_INTERVAL
    assert warning.message == stopped
    assert kinds(attempts, "intervals within 2.0 % after 7 attempts") == set()


def test_one_failed_attempt_beside_good_ones_is_told() -> None:
    attempts = five(measured("model_ttft", LONG))
    assert kinds([*attempts, attempt(5, outcome=OutcomeKind.CRASHED)]) == {WarningKind.SOME_FAILED}
    assert WarningKind.SOME_FAILED not in kinds(
        [attempt(0, outcome=OutcomeKind.CRASHED)]
    )  # there are no numbers to doubt


@pytest.mark.parametrize(("spread", "expected"), [(0.099, set()), (0.101, {WarningKind.UNSTABLE})])
def test_attempts_that_spread_by_more_than_a_tenth_are_unstable(spread: float, expected: set[WarningKind]) -> None:
    shape = [-2.0, -1.0, 0.0, 1.0, 2.0]
    values = [LONG * (1 + spread * step / stdev(shape)) for step in shape]
    assert stdev(values) / fmean(values) == pytest.approx(spread)
    attempts = [attempt(round_, measured("model_ttft", value)) for round_, value in enumerate(values)]
    assert kinds(attempts) == expected


def test_processes_left_running_are_told_of_failed_attempts_too() -> None:
    left = [{"telemetry": 2}, {"telemetry": 1, "python -m helper": 1}]
    quiet = five(measured("model_ttft", LONG))
    attempts = [
        replace(each, conditions=Conditions.from_json({"left_running": found}))
        for each, found in zip(quiet, left, strict=False)
    ]
    failed = replace(
        attempt(5, outcome=OutcomeKind.CRASHED), conditions=Conditions.from_json({"left_running": {"telemetry": 1}})
    )
    (warning,) = [
        each for each in warnings_of([*attempts, *quiet[2:], failed]) if each.kind is WarningKind.LEFT_RUNNING
    ]
    assert warning.message == (
        "3 of 6 attempts left processes running, which were ended: 4 × telemetry, 1 × python -m helper"
    )


@pytest.mark.parametrize("told", [{}, {"unknown": "no orphans come to us"}, ["x"], "x", {"a": True}, None])
def test_what_tells_of_no_process_is_no_leftover(told: object) -> None:
    """Also what a device says that breaks its word, and attempts of before."""
    attempts = [
        replace(each, conditions=Conditions.from_json({"left_running": told}))
        for each in five(measured("model_ttft", LONG))
    ]
    assert kinds(attempts) == set()


def test_a_metric_that_is_no_headline_may_spread() -> None:
    attempts = [attempt(round_, measured("request_ttft", LONG * (1 + round_))) for round_ in range(5)]
    assert kinds(attempts) == set()


@pytest.mark.parametrize(
    ("shortest", "expected"),
    [(SHORTEST_TIMED_NS, set()), (SHORTEST_TIMED_NS - 1, {WarningKind.BELOW_TIMER_RESOLUTION})],
)
def test_a_sample_that_is_mostly_clock_is_told_once(shortest: float, expected: set[WarningKind]) -> None:
    assert kinds(five(measured("model_ttft", LONG, [LONG, shortest, LONG]))) == expected
    of_percentiles = warnings_of(five(measured("steady_inference", LONG, [LONG] * 700 + [shortest])))
    assert [warning.kind for warning in of_percentiles] == list(expected)


def test_a_rate_is_no_duration() -> None:
    assert kinds(five(measured("decode_rate", 20.0, [20.0, 20.0]))) == set()


def first_slower_by(scores: float) -> Measurement:
    """Samples whose median is LONG and whose median deviation is 1000, the first `scores` deviations above."""
    rest = [LONG - 1000, LONG - 1000, LONG, LONG, LONG + 1000, LONG + 1000]
    return measured("model_ttft", LONG, [LONG + 1000 * scores, *rest])


@pytest.mark.parametrize(("scores", "expected"), [(14.7, set()), (14.9, {WarningKind.SLOW_FIRST_ITERATION})])
def test_a_first_sample_far_off_is_told(scores: float, expected: set[WarningKind]) -> None:
    assert kinds(five(first_slower_by(scores))) == expected


def test_a_fast_first_sample_is_no_warm_up() -> None:
    assert kinds(five(first_slower_by(-100))) == set()


@pytest.mark.parametrize(("slow", "expected"), [(2, set()), (3, {WarningKind.SLOW_FIRST_ITERATION})])
def test_a_slow_first_sample_is_told_where_most_attempts_have_one(slow: int, expected: set[WarningKind]) -> None:
    measurements = [first_slower_by(100)] * slow + [first_slower_by(0)] * (5 - slow)
    assert kinds([attempt(round_, each) for round_, each in enumerate(measurements)]) == expected


def test_the_first_gap_of_an_answer_may_be_slow() -> None:
    samples = first_slower_by(100).samples
    assert kinds(five(measured("itl", LONG, samples, row_length=len(samples)))) == set()
    assert kinds(five(measured("itl", LONG, samples))) == {WarningKind.SLOW_FIRST_ITERATION}


def requested(**changes: Any) -> dict[str, Any]:
    return {"configuration": {**job().configuration.to_json(), **changes}}


def test_another_accelerator_than_the_one_requested_is_told() -> None:
    attempts = five(measured("model_ttft", LONG))  # on "cpu", with 2 threads
    (warning,) = warnings_of(attempts, **requested(accelerator="npu"))
    assert warning.kind is WarningKind.NOT_APPLIED
    assert warning.message == "npu was requested and the runtime used cpu"
    assert kinds(attempts, **requested(accelerator="cpu")) == set()
    silent: dict[str, Any] = {"effective": {"accelerators": [PLACE_NOT_TOLD], "threads": 2}}
    nowhere = [attempt(round_, measured("model_ttft", LONG), **silent) for round_ in range(5)]
    assert kinds(nowhere, **requested(accelerator="npu")) == set()


def test_another_number_of_threads_than_requested_is_told() -> None:
    attempts = five(measured("model_ttft", LONG))
    (warning,) = warnings_of(attempts, **requested(threads=4))
    assert warning.kind is WarningKind.NOT_APPLIED
    assert warning.message == "4 threads were requested and the runtime used 2"
    assert kinds(attempts, **requested(threads=2)) == set()
    silent = [
        attempt(round_, measured("model_ttft", LONG), effective={"threads": None, "rules": RULES})
        for round_ in range(5)
    ]
    assert kinds(silent, **requested(threads=4)) == set()


def test_the_devices_own_warnings_are_kept_and_not_repeated() -> None:
    said = ResultWarning(kind=WarningKind.BINDING_COPIES, message="the binding copies the cache")
    attempts = [attempt(round_, measured("model_ttft", LONG), warnings=[said]) for round_ in range(5)]
    assert warnings_of(attempts) == [said]


FELL_BACK = {"summary": "3 of 8 operators do not run on npu", "lost_ns": None, "operators": 8, "operators_elsewhere": 3}
ON_NPU = {"name": "x", "runtime": "r", "accelerator": "npu", "threads": None}


def in_turn(*fallbacks: Any) -> list[Attempt]:
    effective = [{"accelerators": ["npu"], **({"fallback": each} if each else {})} for each in fallbacks]
    return [attempt(round_, measured("model_ttft", LONG), effective=each) for round_, each in enumerate(effective * 5)]


@pytest.mark.parametrize(("fallback", "expected"), [("warn", [FELL_BACK["summary"]]), ("allow", [])])
def test_a_fallback_is_told_unless_it_is_allowed(fallback: str, expected: list[str]) -> None:
    warnings = warnings_of(in_turn(FELL_BACK), configuration={**ON_NPU, "fallback": fallback})
    assert [warning.message for warning in warnings if warning.kind is WarningKind.FALLBACK] == expected


@pytest.mark.parametrize("fallback", ["warn", "allow"])
@pytest.mark.parametrize("other", [None, {**FELL_BACK, "operators_elsewhere": 8}])
@pytest.mark.parametrize("order", [1, -1])
def test_attempts_that_fell_back_differently_are_told_whatever_is_allowed(
    fallback: str, other: dict[str, Any] | None, order: int
) -> None:
    attempts = in_turn(*(FELL_BACK, other)[::order])
    warnings = warnings_of(attempts, configuration={**ON_NPU, "fallback": fallback})
    (message,) = [warning.message for warning in warnings if warning.kind is WarningKind.FALLBACK]
    assert message.startswith(f"in {10 if other else 5} of 10 attempts, and not alike in all: ")


def test_one_reference_execution_among_attempts_is_told() -> None:
    attempts = [attempt(0, effective={"execution": "reference"}), attempt(1, measured("model_ttft", LONG))]
    assert WarningKind.REFERENCE_EXECUTION in kinds(attempts)
    assert WarningKind.REFERENCE_EXECUTION not in kinds(attempts[1:])


def test_what_another_device_computed_is_told() -> None:
    told = {"facts": {"computed_on": "the phone 0A041FDD4003EA, by its own browser"}}
    attempts = [attempt(0, effective=told)]
    assert WarningKind.OTHER_DEVICE in kinds(attempts)
    assert WarningKind.OTHER_DEVICE not in kinds([attempt(1, measured("model_ttft", LONG))])


def invented(**inputs: Any) -> list[ResultWarning]:
    attempts = [
        replace(each, effective=Effective.from_json({"invented_inputs": inputs}))
        for each in five(measured("model_ttft", LONG))
    ]
    return [warning for warning in warnings_of(attempts) if warning.kind is WarningKind.UNEXPLAINED_INPUT]


def test_an_input_that_nothing_explains_is_doubted_with_the_line_to_write() -> None:
    said = {"by": "length of axis 2 of x", "value": "3000", "explained": True}
    guess = {"by": "a guess", "value": "random, 0 to 9", "explained": False}
    assert invented(length=said) == []
    (warning,) = invented(length=said, **{"what is": guess})
    assert "what is = random, 0 to 9 (a guess)" in warning.message
    assert 'values = { "what is" = … }, or inputs = "real.npz"' in warning.hint


def test_what_a_device_tells_of_invented_inputs_is_not_trusted() -> None:
    assert invented(x="so", y=3, z=None) == []


def test_a_part_of_a_pipeline_is_named_with_the_others() -> None:
    files = {"model": "encoder_model.onnx", "part": "encoder", "pipeline": ["decoder_model.onnx"], "files": {}}
    (found,) = warnings_of(five(), files=files)
    assert found.kind is WarningKind.PART_OF_PIPELINE
    assert "encoder_model.onnx is the encoder" in found.message
    assert "decoder_model.onnx" in found.hint
    assert kinds(five(), files={**files, "part": "", "pipeline": []}) == kinds(five(), files={}) == set()


def test_a_bundles_unpacked_model_is_not_evicted_and_that_is_said() -> None:
    bundled = [attempt(round_, effective={"threads": 2, "facts": {"bundle": "chat.litertlm"}}) for round_ in range(5)]
    assert kinds(bundled, settings={"page_cache": "evicted"}) == {WarningKind.NOT_APPLIED}
    assert kinds(bundled, settings={"page_cache": "warm"}) == kinds(five(), settings={"page_cache": "evicted"}) == set()


def test_token_ids_without_the_token_that_goes_before_a_text_are_told() -> None:
    rows = measured("token_divergence", 0.1, [1.0] * 8, parameters={"scored": 2, "chunks": 1}, row_length=4)
    told = {"documents_without_them": 2, "leading_tokens": "1 <bos> in 1 of 3 documents"}
    asked: dict[str, Any] = {"scenario": "quality", "against": {"variant": "fp32"}}
    assert WarningKind.LEADING_TOKEN in kinds([attempt(0, rows, effective={"evaluated": told})], **asked)
    for fine in ({"evaluated": {**told, "documents_without_them": 0}}, {"evaluated": "odd"}, {}):
        assert WarningKind.LEADING_TOKEN not in kinds([attempt(0, rows, effective=fine)], **asked)


def test_waiting_for_a_core_is_told_of_what_was_timed_and_in_the_singular_of_one() -> None:
    waited = {"waiting_share": 0.374}
    several = [attempt(round_, measured("model_ttft", LONG), conditions=waited) for round_ in range(5)]
    told = [each.message for each in warnings_of(several) if each.kind is WarningKind.CONTENDED]
    assert told == ["5 of 5 attempts waited for a core, up to 37 % of their time"]
    told = [each.message for each in warnings_of(several[:1]) if each.kind is WarningKind.CONTENDED]
    assert told == ["its one attempt waited for a core 37 % of its time"]
    weights_only = attempt(conditions=waited, effective={"execution": "reference"})
    assert WarningKind.CONTENDED not in kinds([weights_only])


def test_every_kind_of_warning_has_words_for_many_and_for_one() -> None:
    for kind in WarningKind:
        for jobs in (1, 2):
            assert Trust(kind=kind, jobs=jobs, of=2, details=()).finding.startswith(f"{jobs} of 2 jobs ")


def test_a_runtime_whose_python_does_not_ship_is_warned_of_where_it_is_in_the_figure() -> None:
    brought = Effective.from_json({"facts": {"python_runtime": "it brings torch"}})
    for metric, told in (("cold_start_ttft", True), ("peak_memory", True), ("decode_rate", False)):
        attempts = [replace(each, effective=brought) for each in five(measured(metric, LONG))]
        found = [each for each in warnings_of(attempts) if each.kind is WarningKind.NOT_SHIPPED]
        assert [each.message.endswith("it brings torch") for each in found] == [True] * told
        assert WarningKind.NOT_SHIPPED not in kinds(five(measured(metric, LONG)))


def test_memory_of_an_accelerator_is_said_to_be_in_no_figure() -> None:
    """A model on a GPU of 139 GiB read 699 MiB of peak memory: its process's, which holds none of the weights."""
    told = Effective.from_json({"facts": {"memory_elsewhere": "cuda"}})
    for metric, expected in (("peak_memory", 1), ("model_memory", 1), ("model_ttft", 0)):
        attempts = [replace(each, effective=told) for each in five(measured(metric, LONG))]
        found = [each for each in warnings_of(attempts) if each.kind is WarningKind.MEMORY_ELSEWHERE]
        assert len(found) == expected
        assert all("cuda" in each.message for each in found)
