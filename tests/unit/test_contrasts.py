"""A result against one that is not its reference: the same precision elsewhere, the same variant unaccelerated."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from benchharness.judge.derive import derive
from benchharness.results.export import to_json
from benchharness.results.result import Attempt, Basis, Contrast, Job, OutcomeKind, Result
from tests.unit.made_up import attempt, job, measured, run

RUN = run()


def configuration(runtime: str, accelerator: str | None = None, **changes: Any) -> Mapping[str, Any]:
    facts: dict[str, Any] = {
        "runtime": runtime,
        "accelerator": accelerator,
        "threads": 2,
        "options": {},
        "python": None,
    }
    return {**facts, **changes, "name": f"{runtime} {accelerator or ''} {changes or ''}"}


def made(key: str, runtime: str, accelerator: str | None = None, asks: Any = None, **changes: Any) -> Job:
    return job(key * 16, configuration=configuration(runtime, accelerator, **(asks or {})), **changes)


def attempts_of(made_job: Job, values: Sequence[float], rounds: Sequence[int] | None = None) -> list[Attempt]:
    numbered = zip(rounds or range(len(values)), values, strict=True)
    return [attempt(round_, measured("model_ttft", value), job=made_job.key) for round_, value in numbered]


def derived(jobs: Sequence[Job], *attempts: Sequence[Attempt]) -> list[Result]:
    return derive([(each, "") for each in jobs], [one for several in attempts for one in several])


def ratio(contrast: Contrast, metric: str = "model_ttft") -> Any:
    (found,) = [estimate for name, _, estimate in contrast.ratios if name == metric]
    return found


def test_a_program_is_held_against_a_worker_in_what_is_not_its_process() -> None:
    """Python and numpy are in a worker's start and peak, whichever runtime it has."""
    worker, program = (made(key, name, precision="fp32") for key, name in (("b", "llama-cpp"), ("d", "native-program")))
    told: dict[str, Any] = {"effective": {"accelerators": ["cpu"], "threads": 2, "facts": {"program_sha256": "ab"}}}
    rows = [
        [
            attempt(
                number,
                *(measured(name, (number + 1) * 1e6) for name in ("model_ttft", "cold_start_ttft", "peak_memory")),
                job=each.key,
                **facts,
            )
            for number in range(3)
        ]
        for each, facts in ((worker, {}), (program, told))
    ]
    (contrast,) = derived([worker, program], *rows)[1].contrasts
    assert ratio(contrast).value == pytest.approx(1)
    for metric in ("cold_start_ttft", "peak_memory"):
        assert (ratio(contrast, metric).value, ratio(contrast, metric).reason) == (
            None,
            "one is of a program, the other of a worker with Python in it",
        )
    other = made("a", "onnxruntime", precision="fp32")
    again = [[replace(each, job=other.key) for each in rows[0]], rows[0]]
    (contrast,) = derived([other, worker], *again)[1].contrasts
    assert ratio(contrast, "peak_memory").value == pytest.approx(1)


CPU, NPU = made("c", "litert"), made("a", "litert", "npu")


def test_a_result_on_an_accelerator_is_held_against_the_same_without() -> None:
    without, on_it = derived([CPU, NPU], attempts_of(CPU, [40e6, 44e6, 48e6]), attempts_of(NPU, [10e6, 11e6, 12e6]))
    assert without.contrasts == []
    (contrast,) = on_it.contrasts
    assert (contrast.basis, contrast.other, contrast.title) == (Basis.ACCELERATOR, CPU.key, CPU.title)
    found = ratio(contrast)
    assert (found.low, found.value, found.high) == pytest.approx((0.25, 0.25, 0.25))
    assert found.statistic == "geometric mean of this / other, round by round"
    assert ratio(contrast, "artefact_size").value == 1


def test_attempts_are_paired_by_round_whatever_their_order() -> None:
    theirs = [40e6, 20e6, 10e6]
    _, on_it = derived(
        [CPU, NPU],
        attempts_of(CPU, theirs),
        attempts_of(NPU, [value * 2 for value in reversed(theirs)], rounds=[2, 1, 0]),
    )
    found = ratio(on_it.contrasts[0])
    assert (found.low, found.value, found.high, found.count) == pytest.approx((2, 2, 2, 3))


def test_the_order_of_the_suite_does_not_matter_for_an_accelerator() -> None:
    on_it, without = derived([NPU, CPU], attempts_of(CPU, [40e6]), attempts_of(NPU, [10e6]))
    assert [contrast.other for contrast in on_it.contrasts] == [CPU.key]
    assert without.contrasts == []


@pytest.mark.parametrize("asks", [{"accelerator_options": {"precision": "low"}}, {"fallback": "allow"}])
def test_what_is_said_about_the_accelerator_alone_does_not_keep_results_apart(asks: dict[str, Any]) -> None:
    on_it = made("a", "litert", "npu", asks)
    _, result = derived([CPU, on_it], attempts_of(CPU, [40e6]), attempts_of(on_it, [10e6]))
    assert [contrast.other for contrast in result.contrasts] == [CPU.key]


DIFFERENT = {
    "runtime": made("c", "onnxruntime"),
    "threads": made("c", "litert", asks={"threads": 1}),
    "options": made("c", "litert", asks={"options": {"level": 1}}),
    "python": made("c", "litert", asks={"python": "/other/bin/python"}),
    "accelerator": made("c", "litert", "gpu"),
    "variant": made("c", "litert", variant="fp32"),
    "model": made("c", "litert", model="other"),
    "scenario": made("c", "litert", scenario="first-token"),
    "workload": made("c", "litert", workload={"name": "longer", "prompt": {"length": 512, "seed": 0}}),
    "settings": made("c", "litert", settings={"warmup": 9}),
    "hardware": made("c", "litert", hardware="phone"),
}


@pytest.mark.parametrize("what", DIFFERENT)
def test_whatever_else_differs_makes_it_no_contrast(what: str) -> None:
    other = DIFFERENT[what]
    _, on_it = derived([other, NPU], attempts_of(other, [40e6]), attempts_of(NPU, [10e6]))
    assert on_it.contrasts == []


ONNX = made("1", "onnxruntime", variant="int8", precision="int8")
LITERT = made("2", "litert", variant="int8.tflite", precision="int8")
CORE_ML = made("3", "coreml", variant="int8.mlpackage", precision="int8")


def test_the_same_precision_is_held_against_the_suites_first_runtime() -> None:
    first, second, third = derived(
        [ONNX, LITERT, CORE_ML],
        attempts_of(ONNX, [10e6, 12e6]),
        attempts_of(LITERT, [20e6, 24e6]),
        attempts_of(CORE_ML, [30e6, 36e6]),
    )
    assert first.contrasts == []
    for result, expected in ((second, 2), (third, 3)):
        (contrast,) = result.contrasts
        assert (contrast.basis, contrast.other) == (Basis.RUNTIME, ONNX.key)
        assert ratio(contrast).value == pytest.approx(expected)


@pytest.mark.parametrize(
    "other",
    [
        made("2", "litert", precision="int4"),
        made("2", "litert", precision=None),
        made("2", "litert", precision="int8", model="other"),
        made("2", "litert", asks={"threads": 1}, precision="int8"),
        made("2", "litert", precision="int8", scenario="first-token"),
    ],
    ids=["precision", "no precision", "model", "threads", "scenario"],
)
def test_only_what_was_asked_alike_is_held_against_another_runtime(other: Job) -> None:
    _, result = derived([ONNX, other], attempts_of(ONNX, [10e6]), attempts_of(other, [20e6]))
    assert result.contrasts == []


def test_the_same_runtime_with_an_accelerator_is_no_other_runtime() -> None:
    on_it = made("2", "onnxruntime", "npu", variant="int8", precision="int8")
    _, result = derived([ONNX, on_it], attempts_of(ONNX, [10e6]), attempts_of(on_it, [20e6]))
    assert [contrast.basis for contrast in result.contrasts] == [Basis.ACCELERATOR]


def test_sizes_stand_where_nothing_was_measured() -> None:
    """As for a format that only another runtime could compute here."""
    smaller = made("2", "coreml", precision="int8", artefact_bytes=500)
    _, result = derived([ONNX, smaller], attempts_of(ONNX, [10e6]), [attempt(0, job=smaller.key)])
    (contrast,) = result.contrasts
    assert [name for name, _, _ in contrast.ratios] == ["artefact_size", "download_size"]
    assert ratio(contrast, "artefact_size").value == 0.5


def test_a_metric_with_other_parameters_is_another() -> None:
    ours = [attempt(0, measured("prefill_rate", 100.0, parameters={"prompt_tokens": 64}), job=NPU.key)]
    theirs = [attempt(0, measured("prefill_rate", 50.0, parameters={"prompt_tokens": 16}), job=CPU.key)]
    _, on_it = derived([CPU, NPU], theirs, ours)
    found = ratio(on_it.contrasts[0], "prefill_rate")
    assert (found.value, found.reason) == (None, "64 prompt tokens against 16")


def test_failed_results_give_no_ratio() -> None:
    failed = [attempt(0, measured("model_ttft", 1e6), job=NPU.key, outcome=OutcomeKind.UNSUPPORTED)]
    _, on_it = derived([CPU, NPU], attempts_of(CPU, [40e6]), failed)
    assert [estimate for contrast in on_it.contrasts for _, _, estimate in contrast.ratios] == []


def test_contrasts_are_exported_by_metric_with_their_intervals() -> None:
    results = derived([CPU, NPU], attempts_of(CPU, [40e6, 44e6]), attempts_of(NPU, [10e6, 11e6]))
    without, on_it = json.loads(to_json(RUN, results))["results"]
    assert without["contrasts"] == []
    (contrast,) = on_it["contrasts"]
    assert (contrast["basis"], contrast["other"]) == ("accelerator", CPU.title)
    exported = next(each for each in contrast["ratios"] if each["name"] == "model_ttft")
    assert exported["parameters"] == {}
    assert (exported["low"], exported["value"], exported["high"]) == pytest.approx((0.25, 0.25, 0.25))
