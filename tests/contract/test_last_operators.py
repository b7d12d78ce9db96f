"""What computes an output, through what only hands numbers on: read from files by each adapter."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from benchharness.contract import Configuration, TellsLastOperators
from benchharness.device import adapters
from targets.onnx_format.graph import read_graph
from tests.conftest import ROOT

DIGITS = ROOT / "examples" / "digits" / "artefacts"


def saved(folder: Path, *nodes: onnx.NodeProto, output: int = TensorProto.FLOAT) -> Path:
    weights = [
        numpy_helper.from_array(np.eye(4, dtype=np.float32), "w"),
        numpy_helper.from_array(np.float32(1 / 256), "scale"),
        numpy_helper.from_array(np.uint8(0), "zero"),
        numpy_helper.from_array(np.array([1, -1]), "shape"),
    ]
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["l"]), *nodes],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])],
        [helper.make_tensor_value_info("y", output, [1, 4])],
        weights,
    )
    path = folder / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), str(path))
    return path


def node(operator: str, *names: str, **attributes: int) -> onnx.NodeProto:
    return helper.make_node(operator, list(names[:-1]), [names[-1]], **attributes)


def test_quantized_cast_and_reshaped_is_still_a_softmax(tmp_path: Path) -> None:
    path = saved(
        tmp_path,
        node("Softmax", "l", "p"),
        node("QuantizeLinear", "p", "scale", "zero", "q"),
        node("DequantizeLinear", "q", "scale", "zero", "d"),
        node("Reshape", "d", "shape", "r"),
        node("Cast", "r", "c", to=TensorProto.FLOAT),
        node("Identity", "c", "y"),
    )
    assert read_graph(path).last_operators == {"y": "Softmax"}


@pytest.mark.parametrize(
    ("nodes", "last"),
    [
        ((node("Identity", "l", "y"),), "MatMul"),
        ((node("LogSoftmax", "l", "y"),), "LogSoftmax"),
        ((node("Softmax", "l", "p"), node("Mul", "p", "scale", "y")), "Mul"),
        ((node("Sigmoid", "l", "y"),), "Sigmoid"),
    ],
)
def test_what_computes_is_named(tmp_path: Path, nodes: tuple[onnx.NodeProto, ...], last: str) -> None:
    assert read_graph(saved(tmp_path, *nodes)).last_operators == {"y": last}


def test_an_input_that_is_handed_through_is_left_out(tmp_path: Path) -> None:
    assert read_graph(saved(tmp_path, node("Identity", "x", "y"))).last_operators == {}


@pytest.mark.parametrize(
    ("adapter", "artefact", "accelerator", "last"),
    [
        ("onnxruntime", "fp32.onnx", None, "Gemm"),
        ("onnxruntime", "int8.onnx", None, "Gemm"),
        ("tflite", "fp32.tflite", None, "FULLY_CONNECTED"),
        ("tflite", "int8.tflite", None, "FULLY_CONNECTED"),
        ("coreml", "int8.mlpackage", "reference", "linear"),
    ],
)
def test_the_digits_classifier_ends_alike_in_every_format(
    adapter: str, artefact: str, accelerator: str | None, last: str
) -> None:
    configuration = Configuration(runtime=adapter, accelerator=accelerator)
    with adapters.load(adapter).open(DIGITS / artefact, configuration) as session:
        assert isinstance(session, TellsLastOperators)
        assert dict(session.last_operators()) == {session.outputs[0].name: last}
