"""Tensors by name and data as it was given, through the whole harness, against the bare runtimes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from ai_edge_litert import schema_py_generated as schema
from onnx import TensorProto, helper, numpy_helper

import benchharness
from benchharness.results.result import Result, WarningKind
from tests.contract.tflite_models import ModelFile, Scale, options_of

RANDOM = np.random.default_rng(0)
X = RANDOM.standard_normal((12, 8)).astype(np.float32)
WEIGHTS = {name: RANDOM.standard_normal((8, 6)).astype(np.float32) for name in ("scores", "classes")}


def model(path: Path, outputs: Mapping[str, str], *, dtype: int = TensorProto.FLOAT, noise: float = 0.0) -> Path:
    """A product with a matrix for each output: what an output is called in the file -> whose weights it has."""
    nodes = [helper.make_node("Cast", ["x"], ["real"], to=TensorProto.FLOAT)]
    nodes += [helper.make_node("MatMul", ["real", f"w_{name}"], [name]) for name in outputs]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", dtype, ["batch", 8])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 6]) for name in outputs],
        [numpy_helper.from_array(WEIGHTS[of] + np.float32(noise), f"w_{name}") for name, of in outputs.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), str(path))
    return path


def run(folder: Path, variants: Mapping[str, Any], arrays: Mapping[str, Any], **told: Any) -> dict[str, Result]:
    np.savez(folder / "data.npz", **arrays)
    tables = {name: each if isinstance(each, dict) else {"artefact": str(each)} for name, each in variants.items()}
    runtime = told.pop("runtime", "onnxruntime")
    suite = {
        "models": {"m": {"evaluation": str(folder / "data.npz"), "variants": tables, **told}},
        "configurations": [{"runtime": runtime, "threads": 1}],
        "scenarios": {"quality": {}},
        "attempts": {"timeout": "60 s"},
    }
    found = benchharness.run(suite, store=f"sqlite:///{folder}/store.db")
    return {result.job.variant: result for result in found.results}


def values(result: Result, name: str) -> dict[str, float | None]:
    return {str(each.parameters.get("output", "")): each.estimate.value for each in result.metrics if each.name == name}


def test_a_reordered_and_renamed_copy_is_refused_or_identical_and_noise_is_that_of_numpy(tmp_path: Path) -> None:
    reference = model(tmp_path / "fp32.onnx", {"scores": "scores", "classes": "classes"})
    renamed = model(tmp_path / "renamed.onnx", {"out_0": "classes", "out_1": "scores"})
    mapping = {"scores": "out_1", "classes": "out_0"}
    noisy = model(tmp_path / "noisy.onnx", {"out_0": "classes", "out_1": "scores"}, noise=0.01)
    variants = {
        "fp32": reference,
        "renamed": renamed,
        "noisy": {"artefact": str(noisy), "outputs": mapping},
        "same": {
            "artefact": str(model(tmp_path / "same.onnx", {"a": "scores", "b": "classes"})),
            "outputs": {"scores": "a", "classes": "b"},
        },
    }
    found = run(tmp_path, variants, {"x": X}, task="tensor")
    assert found["renamed"].outcome.kind == "unsupported"
    assert 'outputs = { scores = "…", classes = "…" }' in found["renamed"].outcome.reason
    assert values(found["same"], "largest_error") == {"scores": 0.0, "classes": 0.0}
    theirs, ours = (
        onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(names, {"x": X})
        for path, names in ((reference, ["scores", "classes"]), (noisy, ["out_1", "out_0"]))
    )
    for (name, value), one, other in zip(values(found["noisy"], "sqnr").items(), theirs, ours, strict=True):
        signal, noise = (np.square(each.astype(np.float64)).sum() for each in (one, other.astype(np.float64) - one))
        assert value == pytest.approx(10 * np.log10(signal / noise), rel=1e-6), name
    told = found["noisy"].effective.tensors
    assert told["outputs"][0] == ["scores", "out_1", "mapping", True, "scores"]
    assert told["pairing"] == [["x", "x", "name", True]]
    assert told["conversion"] == {"x": {"how": ["exact"], "saturated": 0, "values": X.size}}


def test_whole_numbers_fit_or_are_refused_and_never_wrap(tmp_path: Path) -> None:
    """Ids as int64 into an int16 input: one that does not fit would be another id."""
    variants = {"wide": model(tmp_path / "wide.onnx", {"y": "scores"}, dtype=TensorProto.INT64)}
    variants["narrow"] = model(tmp_path / "narrow.onnx", {"y": "scores"}, dtype=TensorProto.INT16)
    ids = RANDOM.integers(0, 1000, (4, 8))
    ids[2, 3] = 2**15
    refused = run(tmp_path, variants, {"x": ids}, task="tensor")["narrow"]
    assert refused.outcome.kind == "unsupported"
    assert "takes int16 (-32768 to 32767), and the data holds 32768" in refused.outcome.reason


def tflite(path: Path, *, quantized: bool) -> Path:
    """A product with a matrix behind an input of floats, or of int8 with scale 1 and zero point -128."""
    file = ModelFile()
    graph = file.graph("main")
    operators = schema.BuiltinOperator
    if quantized:
        given = graph.input("x", (1, 8), "int8", scale=Scale([1.0], [-128]))
        real = graph.add(operators.DEQUANTIZE, [given], (1, 8), version=2, options=options_of("DequantizeOptions"))
    else:
        given = real = graph.input("x", (1, 8))
    weights = graph.constant("w", np.ascontiguousarray(WEIGHTS["scores"].T))
    options = options_of("FullyConnectedOptions")
    graph.sign(
        "serving_default",
        {"x": given},
        {"y": graph.add(operators.FULLY_CONNECTED, [real, weights, -1], (1, 6), options=options)},
    )
    return file.write(path)


@pytest.fixture
def pixels(tmp_path: Path) -> dict[str, Path]:
    """One function with an input of floats, and with one of int8."""
    return {name: tflite(tmp_path / f"{name}.tflite", quantized=name == "int8") for name in ("fp32", "int8")}


def test_pixels_and_their_codes_mean_the_same(tmp_path: Path, pixels: dict[str, Path]) -> None:
    given = RANDOM.integers(0, 256, (6, 8)).astype(np.uint8)
    for arrays, told, how in (
        ({"x": given}, {}, "quantized"),
        ({"x": (given.astype(np.int16) - 128).astype(np.int8)}, {"values": "codes"}, "codes"),
    ):
        found = run(tmp_path, pixels, arrays, task="tensor", runtime="tflite", **told)["int8"]
        assert found.outcome.ok, found.outcome
        assert values(found, "largest_error") == {"y": 0.0}
        assert found.effective.tensors["conversion"]["x"]["how"] == [how]
        assert found.effective.reference is not None
        assert found.effective.reference.tensors["conversion"]["x"]["how"] == [
            "exact" if how == "quantized" else "dequantized"
        ]
    beyond = run(tmp_path, pixels, {"x": np.full((2, 8), 300.0)}, task="tensor", runtime="tflite")["int8"]
    assert {warning.kind: warning.message for warning in beyond.warnings}[WarningKind.SATURATED].startswith(
        "16 of 16 numbers"
    )
