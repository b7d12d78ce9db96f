"""Tensors by name through the harness: what a suite may say, what a job carries, what is shown, judged, warned of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchharness.device.scenarios.quality.codes import meant_by
from benchharness.errors import SuiteError, Unsupported, UsageError
from benchharness.judge.budgets import judged
from benchharness.judge.choice import choices
from benchharness.judge.derive import derive
from benchharness.metrics.limits import parse
from benchharness.results.result import Job, Result, WarningKind, to_show
from benchharness.suite.tables import load_suite, restore_suite
from tests.unit.made_up import attempt, job, jobs_of, measured
from tests.unit.test_report_quality import cells, lost, metric, quality
from tests.unit.test_terminal import printed

SUITE = """
[models.m]
task = "classifier"
evaluation = "data.npz"
{model}
[models.m.variants]
fp32 = {{ artefact = "fp32.onnx"{fp32} }}
int8 = {{ artefact = "int8.onnx"{int8} }}
[scenarios.quality]
"""
AGAINST = {"variant": "fp32", "configuration": job().configuration.to_json()}
OUTPUTS = (("scores", 90.0, 1.0), ("mask", 90.0, 9.0), ("boxes", 90.0, 0.09))  # signal and noise: 19.5, 10, 30 dB


def jobs(folder: Path, model: str = "", fp32: str = "", int8: str = "") -> list[Job]:
    for name in ("fp32.onnx", "int8.onnx"):
        (folder / name).write_bytes(name.encode())
    np.savez(folder / "data.npz", x=np.zeros((2, 3)), labels=np.zeros(2, int))
    (folder / "s.toml").write_text(SUITE.format(model=model, fp32=fp32, int8=int8))
    return jobs_of(load_suite(folder / "s.toml"))


def test_a_suite_that_says_nothing_leaves_no_trace_in_a_job(tmp_path: Path) -> None:
    (found,) = jobs(tmp_path)
    assert not found.tensors
    assert found.against is not None
    assert found.workload.data is not None
    assert "tensors" not in found.against.to_json()
    assert not {"values", "layouts"} & set(found.workload.data.to_json())


def test_what_a_variant_says_stands_instead_of_what_the_model_says(tmp_path: Path) -> None:
    (found,) = jobs(
        tmp_path,
        'outputs = { scores = "logits" }\ninputs = { x = "ids" }\nvalues = "codes"\ndata_layouts = { ids = "NCHW" }',
        int8=', outputs = { scores = "Identity" }, layouts = { x = "NHWC" }',
    )
    assert found.tensors == {"inputs": {"x": "ids"}, "outputs": {"scores": "Identity"}, "layouts": {"x": "NHWC"}}
    assert found.against is not None
    assert found.workload.data is not None
    assert found.against.tensors == {"inputs": {"x": "ids"}, "outputs": {"scores": "logits"}}
    assert found.workload.data.values == "codes"
    assert found.workload.data.layouts == {"ids": "NCHW"}


@pytest.mark.parametrize(
    "said",
    [
        {"model": 'outputs = { scores = "logits" }'},
        {"model": 'values = "codes"'},
        {"model": 'data_layouts = { x = "NHWC" }'},
        {"int8": ', inputs = { x = "y" }'},
        {"fp32": ', layouts = { x = "NHWC" }'},
    ],
)
def test_every_word_of_it_is_part_of_the_jobs_key(tmp_path: Path, said: dict[str, str]) -> None:
    assert jobs(tmp_path)[0].key != jobs(tmp_path, **said)[0].key


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ('layouts = { x = "nchw" }', "a layout is a letter for each axis"),
        ('layouts = { x = "NCHH" }', "none twice"),
        ('values = "integers"', "values"),
        ('outputs = { a = "x", b = "x" }', "gives the output 'x' two names"),
        ("inputs = { x = 1 }", "inputs"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, model: str, words: str) -> None:
    with pytest.raises(SuiteError, match=words):
        jobs(tmp_path, model)


def test_a_stored_suite_of_before_still_opens() -> None:
    suite = restore_suite('{"name": "old", "models": {"m": {"variants": {"a": {"artefact": "/a.onnx"}}}}}')
    assert suite.models["m"].values == "real"


def compared(*outputs: tuple[str, float, float], of: str = "int8", **effective: Any) -> list[Result]:
    """A tensor model's result: `outputs` with their signal and noise, two samples each."""
    rows = [
        measured("tensor_error", 0.1, [signal, noise, 0.9, 0.1] * 2, parameters={"output": name}, row_length=4)
        for name, signal, noise in outputs
    ]
    made = attempt(0, *rows, effective={"task": "tensor", **effective})
    return derive([(job(variant=of, task="tensor", scenario="quality", against=AGAINST), "")], [made])


def test_a_table_that_shows_one_output_shows_the_worst_and_names_it() -> None:
    text = printed(compared(*OUTPUTS))
    assert "10.0 dB" in text
    assert "of mask" in text
    assert "19.5 dB" not in text


def test_the_worst_is_the_lowest_or_the_highest_as_the_metric_has_it() -> None:
    metrics = [metric("largest_error", value, output=name) for name, value in (("a", 0.1), ("b", 3.0), ("c", 2.0))]
    assert to_show(metrics) == (metrics[1], "b")
    metrics = [metric("sqnr", value, output=name) for name, value in (("a", None), ("b", 30.0), ("c", 20.0))]
    assert to_show(metrics) == (metrics[2], "c")
    assert to_show(metrics[:1]) == (metrics[0], "")
    whole = metric("cosine", 0.5)
    assert to_show([metric("cosine", 0.1, output="a"), whole]) == (whole, "")  # what the model is about


def test_a_choice_reckons_with_the_worst_output_and_names_it() -> None:
    attempts = [attempt(round_, measured("decode_rate", 9.0 + round_), job=job().key) for round_ in range(5)]
    rows = [
        measured("tensor_error", 0.1, [9.0, 1.0, cosine, 0.1] * 2, parameters={"output": name}, row_length=4)
        for name, cosine in (("scores", 0.99), ("mask", 0.7))
    ]
    compared_ = job("q", scenario="quality", against=AGAINST)
    results = derive([(job(), ""), (compared_, "")], [*attempts, attempt(0, *rows, job="q")])
    (choice,) = choices(results)
    figure = choice.candidates[0].figures["quality"]
    assert figure.output == "mask"
    assert figure.estimate.value == pytest.approx(0.7)
    assert "cosine is of the worst output: mask" in printed(results)


def verdicts(**budgets: Any) -> dict[str, list[str]]:
    (found,) = judged(compared(*OUTPUTS), parse(budgets, "suite"))
    told: dict[str, list[str]] = {}
    for verdict in found.verdicts:
        told.setdefault(verdict.budget, []).append(str(verdict.parameters["output"]))
    return told


def test_a_budget_may_name_one_output() -> None:
    assert verdicts(sqnr={"mask": "20 dB"}) == {"sqnr of mask 20 dB": ["mask"]}
    assert verdicts(sqnr="20 dB") == {"sqnr 20 dB": ["scores", "mask", "boxes"]}
    assert verdicts(sqnr={"masks": "20 dB"}) == {}
    with pytest.raises(UsageError, match="has no unit"):
        parse({"sqnr": {"mask": 20}}, "suite")
    with pytest.raises(UsageError, match="kld has no 'mask'"):
        parse({"kld": {"mask": "1 nats"}}, "suite")


def test_a_budget_without_a_name_is_on_what_the_model_is_about() -> None:
    rows = measured("tensor_error", 0.1, [9.0, 1.0, 0.1, 0.1] * 2, parameters={"output": "tokens"}, row_length=4)
    similar = measured("embedding_similarity", 0.99, [0.99, 0.98])
    made = derive([(job(scenario="quality", against=AGAINST), "")], [attempt(0, similar, rows)])
    (found,) = judged(made, parse({"cosine": "0.5"}, "suite"))
    assert [dict(verdict.parameters) for verdict in found.verdicts] == [{}]


def test_a_report_has_a_row_for_what_a_classifier_is_about_and_one_for_each_other_output() -> None:
    found = quality(
        lost(metrics=[metric("kld", 0.01), metric("accuracy", 0.9), metric("sqnr", 12.0, output="embedding")])
    )
    assert [row.output for row in found.tables[0].rows] == ["", "embedding"]
    assert set(cells(found, 0)) == {"KLD", "accuracy"}
    assert set(cells(found, 1)) == {"SQNR"}


def test_the_finding_of_a_report_names_the_worst_output() -> None:
    found = quality(lost(metrics=[metric("sqnr", 40.0, output="boxes"), metric("sqnr", 12.0, output="mask")]))
    assert "SQNR 12.0 dB of mask, the worst output" in found.finding


def warned(**tensors: Any) -> dict[WarningKind, str]:
    (found,) = compared(("scores", 9.0, 1.0), tensors=tensors)
    return {warning.kind: warning.message for warning in found.warnings}


def test_what_was_done_to_the_data_and_what_was_not_compared_is_doubted() -> None:
    quiet = {"how": ["quantized"], "saturated": 0, "values": 100}
    pairs = [["x", "arr_0", "shape", True]]
    assert warned(conversion={"x": quiet}, pairing=pairs, outputs=[], not_compared={}) == {}
    told = warned(conversion={"x": {**quiet, "saturated": 7}}, not_compared={"hidden": "no partner"})
    assert told[WarningKind.SATURATED].startswith("7 of 100 numbers fed to input x are beyond its range")
    assert told[WarningKind.NOT_COMPARED] == "outputs not compared: hidden: no partner"
    told = warned(outputs=[["out_0", "out_0", "name", False, "out_0"]])
    assert "out_0 with out_0" in told[WarningKind.UNSURE_PAIRING]


@pytest.mark.parametrize("nonsense", [3, "x", [1], {"conversion": 1, "outputs": "ab", "not_compared": [1]}, None])
def test_a_device_that_tells_nonsense_raises_nothing(nonsense: Any) -> None:
    (found,) = compared(("scores", 9.0, 1.0), tensors=nonsense, reference={"tensors": nonsense})
    assert not found.warnings


class ScorerProcess:
    """A scorer as far as `meant_by` knows it."""

    def __init__(self, scale: float | None) -> None:
        facts = {} if scale is None else {"quantization": {"x": {"scale": [scale], "zero_point": [0]}}}
        self.opened = {
            "inputs": [["x", "float32" if scale is None else "int8", [None, 3]]],
            "effective": {"facts": facts},
        }
        self.tensors: dict[str, Any] = {}


class Pass:
    """A pass as far as `meant_by` knows it."""

    def __init__(self, reference: float | None, **variants: float | None) -> None:
        self.reference = ScorerProcess(reference)
        self.variants = {name: ScorerProcess(scale) for name, scale in variants.items()}
        self.left: dict[str, Exception] = {}

    def leave(self, attempt_: str, error: Exception) -> None:
        self.left[attempt_] = error
        del self.variants[attempt_]


def meaning(
    folder: Path, values: str | None, reference: float | None, **variants: float | None
) -> tuple[Any, set[str]]:
    np.savez(folder / "data.npz", x=np.zeros((2, 3), np.int8))
    made: Any = Pass(reference, **variants)
    found = meant_by(made, folder / "data.npz", values)
    return {name: each["scale"] for name, each in found.items()}, set(made.left)


def test_codes_mean_one_thing_to_everybody(tmp_path: Path) -> None:
    assert meaning(tmp_path, None, None, a=0.5, b=0.25) == ({}, set())
    assert meaning(tmp_path, "codes", None, a=0.5, b=None) == ({"x": [0.5]}, set())
    assert meaning(tmp_path, "codes", 0.5, a=0.5, b=0.25, c=None) == ({"x": [0.5]}, {"b"})
    assert meaning(tmp_path, "codes", None, a=None) == ({}, set())
    with pytest.raises(Unsupported, match="of another variant's input"):
        meaning(tmp_path, "codes", None, a=0.5, b=0.25)
