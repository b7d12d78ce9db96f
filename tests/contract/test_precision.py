"""What adapters read back of the type that floating-point operators are computed in; unknown where nobody tells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchharness.contract import Configuration
from benchharness.device import adapters

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

MATRIX = (np.arange(64, dtype=np.float64).reshape(8, 8) + 1) / 3
BFLOAT16 = "mlas.enable_gemm_fastmath_arm64_bfloat16"


def write(path: Path, kind: int, dtype: Any, cast: int | None = None) -> Path:
    """`y = x @ w`; with `cast` both are cast for the product only."""
    make = onnx.helper
    inner = [make.make_node("MatMul", ["x", "w"], ["y"])]
    if cast:
        inner = [
            make.make_node("Cast", ["x"], ["a"], to=cast),
            make.make_node("Cast", ["w"], ["b"], to=cast),
            make.make_node("MatMul", ["a", "b"], ["c"]),
            make.make_node("Cast", ["c"], ["y"], to=kind),
        ]
    graph = make.make_graph(
        inner,
        "g",
        [make.make_tensor_value_info("x", kind, [1, 8])],
        [make.make_tensor_value_info("y", kind, [1, 8])],
        [onnx.numpy_helper.from_array(MATRIX.astype(dtype), "w")],
    )
    onnx.save(make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=9), path)
    return path


def opened(path: Path, options: dict[str, Any] | None = None) -> tuple[Any, Any]:
    configuration = Configuration(runtime="onnxruntime", options=options or {})
    with adapters.load("onnxruntime").open(path, configuration) as session:
        kind = session.inputs[0].dtype
        return session.effective, session.run({"x": np.ones((1, 8), kind)})["y"]


@pytest.mark.parametrize(("kind", "dtype"), [("FLOAT", "float32"), ("DOUBLE", "float64")])
def test_onnxruntime_computes_these_as_the_graph_says(tmp_path: Path, kind: str, dtype: str) -> None:
    """The error against float64 is that of the type it tells, and not of one that keeps less."""
    effective, answer = opened(write(tmp_path / "m.onnx", getattr(onnx.TensorProto, kind), dtype))
    assert (effective.precision, effective.model_precision) == (dtype, dtype)
    assert "precision_unknown" not in effective.facts
    error = np.abs(answer - MATRIX.sum(0)).max() / MATRIX.sum(0).max()
    assert error < 8 * np.finfo(dtype).eps


def test_onnxruntime_does_not_tell_where_it_casts_float16(tmp_path: Path) -> None:
    effective, _ = opened(write(tmp_path / "m.onnx", onnx.TensorProto.FLOAT16, "float16"))
    assert (effective.precision, effective.model_precision) == (None, "float16")
    assert "no kernel for float16" in effective.facts["precision_unknown"]


def test_a_cast_inside_the_graph_is_seen(tmp_path: Path) -> None:
    """Inputs, outputs and weights are all float32, and the product is not."""
    path = write(tmp_path / "m.onnx", onnx.TensorProto.FLOAT, "float32", cast=onnx.TensorProto.FLOAT16)
    effective, _ = opened(path)
    assert (effective.precision, effective.model_precision) == (None, "float16+float32")


def test_an_option_that_allows_less_makes_it_unknown(tmp_path: Path) -> None:
    path = write(tmp_path / "m.onnx", onnx.TensorProto.FLOAT, "float32")
    effective, _ = opened(path, {"session_config": {BFLOAT16: "1"}})
    assert effective.precision is None
    assert BFLOAT16 in effective.facts["precision_unknown"]
    assert opened(path, {"session_config": {BFLOAT16: "0"}})[0].precision == "float32"


@pytest.mark.parametrize(
    ("parts", "reduced", "computed"),
    [
        (("XNNPACK", "CPU"), False, "float32"),
        (("CPU",), False, "float32"),
        (("CPU",), True, "float32"),  # the built-in kernels do not look at it
        (("XNNPACK", "CPU"), True, None),
        (("/lib/delegate.so", "CPU"), False, None),
    ],
)
def test_tflite_computes_in_float32_but_where_less_is_allowed(
    tmp_path: Path, parts: tuple[str, ...], reduced: bool, computed: str | None
) -> None:
    pytest.importorskip("ai_edge_litert")
    from targets.tflite.precision import read_precision

    path = tmp_path / "m.tflite"
    path.write_bytes(tflite(reduced=reduced))
    found = read_precision(path, parts)
    assert (found.computed, found.of_model, bool(found.unknown)) == (computed, "float32", computed is None)


def tflite(*, reduced: bool) -> bytes:
    """A file of two float32 tensors and no operator, with or without XNNPACK's metadata."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model, graph = schema.ModelT(), schema.SubGraphT()
    model.version, model.buffers, model.subgraphs, graph.operators = 3, [schema.BufferT()], [graph], []
    graph.tensors = [schema.TensorT() for _ in range(2)]
    for tensor in graph.tensors:
        tensor.type, tensor.shape, tensor.buffer = schema.TensorType.FLOAT32, [1], 0
    graph.inputs, graph.outputs = [0], [1]
    if reduced:
        entry = schema.MetadataT()
        entry.name, entry.buffer = b"reduced_precision_support", 0
        model.metadata = [entry]
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
