"""Odd and valid ONNX models: outputs that are no tensors, `.ort` files, empty inputs, against ONNX Runtime alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto as T
from onnx import helper as h
from onnx import numpy_helper

from benchharness.contract import Configuration, LanguageSession
from benchharness.device.inputs.requests import tensor_request
from benchharness.device.inputs.states import Carried, States
from benchharness.device.line.orders import Workload
from benchharness.device.outputs import are_zeros, check_outputs
from benchharness.device.scenarios.quality.no_tensors import said_of, tensor_of
from benchharness.errors import ModelFailure, Unsupported
from targets.onnx_runtime import OnnxRuntime
from tests.contract.tiny_models import Variant, build_language_model

X = np.arange(6, dtype=np.float32)[None]
WORKLOAD: Workload = {"dimensions": {}, "values": {}, "seed": 0}


def saved(
    path: Path, nodes: Sequence[Any], outputs: Sequence[Any], inputs: Sequence[Any] = (), stored: Sequence[Any] = ()
) -> Path:
    inputs = inputs or [h.make_tensor_value_info("x", T.FLOAT, [1, 6])]
    graph = h.make_graph(list(nodes), "g", list(inputs), list(outputs), list(stored))
    opsets = [h.make_opsetid("", 17), h.make_opsetid("ai.onnx.ml", 3)]
    onnx.save(h.make_model(graph, opset_imports=opsets, ir_version=9), str(path))
    return path


def zipmap(path: Path, **classes: Any) -> Path:
    maps = h.make_map_type_proto(
        T.STRING if "classlabels_strings" in classes else T.INT64, h.make_tensor_type_proto(T.FLOAT, [])
    )
    return saved(
        path,
        [
            h.make_node("Softmax", ["x"], ["p"]),
            h.make_node("ArgMax", ["p"], ["label"], axis=1, keepdims=0),
            h.make_node("ZipMap", ["p"], ["probs"], domain="ai.onnx.ml", **classes),
        ],
        [h.make_tensor_value_info("label", T.INT64, [1]), h.make_value_info("probs", h.make_sequence_type_proto(maps))],
    )


def answered(path: Path) -> dict[str, Any]:
    with OnnxRuntime().open(path, Configuration("onnxruntime")) as session:
        outputs = dict(session.run({"x": X}))
    check_outputs(outputs)
    assert not are_zeros(outputs)
    return outputs


def test_a_sequence_of_arrays_of_different_shapes_is_handed_out_as_it_is(tmp_path: Path) -> None:
    path = saved(
        tmp_path / "ragged.onnx",
        [h.make_node("SplitToSequence", ["x", "split"], ["seq"], axis=1)],
        [h.make_tensor_sequence_value_info("seq", T.FLOAT, None)],
        stored=[numpy_helper.from_array(np.array([1, 2, 3]), "split")],
    )
    (value,) = answered(path).values()
    (expected,) = onnxruntime.InferenceSession(str(path)).run(None, {"x": X})
    for one, other in zip(value[()], expected, strict=True):
        np.testing.assert_array_equal(one, other)
    assert tensor_of(value) is None
    assert said_of(value) == "a sequence of 3 arrays"


def test_a_zipmap_is_the_row_of_probabilities_that_it_was_made_of(tmp_path: Path) -> None:
    outputs = answered(zipmap(tmp_path / "zipmap.onnx", classlabels_int64s=list(range(6))))
    softmax = np.exp(X - X.max()) / np.exp(X - X.max()).sum()
    np.testing.assert_allclose(np.asarray(tensor_of(outputs["probs"])), softmax, rtol=1e-6)
    np.testing.assert_array_equal(outputs["label"], [5])


@pytest.mark.parametrize(
    "classes", [{"classlabels_strings": list("abcdef")}, {"classlabels_int64s": [3, 5, 7, 1, 2, 4]}]
)
def test_a_zipmap_of_other_classes_is_no_row_by_class(tmp_path: Path, classes: dict[str, Any]) -> None:
    """The largest of the row is at a place that is not its class."""
    assert tensor_of(answered(zipmap(tmp_path / "named.onnx", **classes))["probs"]) is None


def test_optionals_are_their_value_or_none(tmp_path: Path) -> None:
    kind = h.make_optional_type_proto(h.make_tensor_type_proto(T.FLOAT, [1, 6]))
    full = saved(tmp_path / "full.onnx", [h.make_node("Optional", ["x"], ["o"])], [h.make_value_info("o", kind)])
    np.testing.assert_array_equal(tensor_of(answered(full)["o"]), X)
    tensor = h.make_tensor_type_proto(T.FLOAT, [1, 6])
    empty = saved(
        tmp_path / "empty.onnx",
        [h.make_node("Optional", [], ["o"], type=tensor), h.make_node("Identity", ["x"], ["y"])],
        [h.make_value_info("o", kind), h.make_tensor_value_info("y", T.FLOAT, [1, 6])],
    )
    assert said_of(answered(empty)["o"]) == "an optional without a value"


def test_texts_are_texts(tmp_path: Path) -> None:
    text = [h.make_tensor_value_info("s", T.STRING, ["n"])]
    path = saved(
        tmp_path / "text.onnx",
        [h.make_node("Identity", ["s"], ["y"])],
        [h.make_tensor_value_info("y", T.STRING, ["n"])],
        text,
    )
    with OnnxRuntime().open(path, Configuration("onnxruntime")) as session:
        outputs = session.run(tensor_request(session, WORKLOAD).inputs)
    assert tensor_of(outputs["y"]).tolist() == ["a"]  # type: ignore[union-attr]


@pytest.mark.parametrize("length", [0, 3])
def test_a_length_of_zero_is_fixed(tmp_path: Path, length: int) -> None:
    path = saved(
        tmp_path / "past.onnx",
        [h.make_node("Concat", ["x", "extra"], ["y"], axis=1)],
        [h.make_tensor_value_info("y", T.FLOAT, [1, 6 + length])],
        [h.make_tensor_value_info("x", T.FLOAT, [1, 6]), h.make_tensor_value_info("extra", T.FLOAT, [1, length])],
    )
    with OnnxRuntime().open(path, Configuration("onnxruntime")) as session:
        asked = tensor_request(session, WORKLOAD)
        assert asked.inputs["extra"].shape == (1, length)
        assert dict(asked.shapes.assumed) == {}
        np.testing.assert_array_equal(session.run(asked.inputs)["y"][:, :6], asked.inputs["x"])
    assert [tuple(spec.shape) for spec in OnnxRuntime().inspect(path).inputs] == [(1, 6), (1, length)]


def as_ort(model: Path, path: Path) -> Path:
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(path)
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.add_session_config_entry("session.save_model_format", "ORT")
    onnxruntime.InferenceSession(str(model), options)
    return path


def test_an_ort_file_answers_as_the_model_that_it_was_made_from(tmp_path: Path) -> None:
    weights = np.random.default_rng(0).standard_normal((6, 4)).astype(np.float32)
    model = saved(
        tmp_path / "model.onnx",
        [h.make_node("MatMul", ["x", "w"], ["y"])],
        [h.make_tensor_value_info("y", T.FLOAT, [1, 4])],
        stored=[numpy_helper.from_array(weights, "w")],
    )
    folder = tmp_path / "mobile"
    folder.mkdir()
    path = as_ort(model, folder / "model.ort")
    for artefact in (path, folder):
        np.testing.assert_allclose(answered(artefact)["y"], X @ weights, rtol=1e-5)
    listed = OnnxRuntime().files(folder)
    assert (listed.model, tuple(listed.files)) == ("model.ort", ("model.ort",))
    with OnnxRuntime().open(path, Configuration("onnxruntime")) as session:
        assert session.input_rows() == {}
        assert session.effective.precision is None  # nothing is read of the file, and so nothing is claimed
    with pytest.raises(Unsupported, match=r"ONNX Runtime's own format.*inspect the .onnx file"):
        OnnxRuntime().inspect(path)


def test_a_language_model_as_an_ort_file_gives_the_same_logits(tmp_path: Path) -> None:
    model = build_language_model(tmp_path / "onnx", Variant())
    path = as_ort(model.file, tmp_path / "model.ort")
    for name in ("config.json", "genai_config.json"):
        if (model.file.parent / name).is_file():
            (tmp_path / name).write_bytes((model.file.parent / name).read_bytes())
    logits = []
    for artefact in (model.file, path):
        with OnnxRuntime().open(artefact, Configuration("onnxruntime")) as session:
            assert isinstance(session, LanguageSession)
            session.extend([1, 2, 3])
            logits.append(np.array(session.decode(4)))
    np.testing.assert_allclose(logits[1], logits[0], rtol=1e-4, atol=1e-5)


def test_a_broken_ort_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "bad.ort"
    path.write_bytes(b"\x10\0\0\0ORTM" + bytes(100))
    with pytest.raises((ModelFailure, Unsupported), match=r"bad\.ort"), OnnxRuntime().open(path, Configuration("x")):
        pass


def test_an_unknown_operator_is_refused_with_the_option_to_write(tmp_path: Path) -> None:
    graph = h.make_graph(
        [h.make_node("MyOp", ["x"], ["y"], domain="my.ops")],
        "g",
        [h.make_tensor_value_info("x", T.FLOAT, [1, 4])],
        [h.make_tensor_value_info("y", T.FLOAT, [1, 4])],
    )
    path = tmp_path / "custom.onnx"
    onnx.save(h.make_model(graph, opset_imports=[h.make_opsetid("my.ops", 1)], ir_version=9), str(path))
    with (
        pytest.raises(Unsupported, match=r'options = \{ custom_op_libraries = \["…"\] \}.*MyOp'),
        OnnxRuntime().open(path, Configuration("onnxruntime")),
    ):
        pass


def test_a_type_that_numpy_lacks_is_refused_by_name(tmp_path: Path) -> None:
    path = saved(
        tmp_path / "bf16.onnx",
        [h.make_node("Cast", ["x"], ["y"], to=T.FLOAT)],
        [h.make_tensor_value_info("y", T.FLOAT, [1, 4])],
        [h.make_tensor_value_info("x", T.BFLOAT16, [1, 4])],
    )
    with (
        OnnxRuntime().open(path, Configuration("onnxruntime")) as session,
        pytest.raises(Unsupported, match=r"bfloat16.*export"),
    ):
        tensor_request(session, WORKLOAD)


def test_a_recurrent_model_is_run_as_a_loop_around_onnx_runtime_runs_it(tmp_path: Path) -> None:
    """As silero-vad: `state` in, `stateN` out."""
    path = saved(
        tmp_path / "recurrent.onnx",
        [
            h.make_node("MatMul", ["state", "w"], ["kept"]),
            h.make_node("Add", ["kept", "input"], ["sum"]),
            h.make_node("Tanh", ["sum"], ["stateN"]),
            h.make_node("ReduceMean", ["stateN"], ["output"], axes=[1], keepdims=1),
        ],
        [h.make_tensor_value_info("output", T.FLOAT, ["b", 1]), h.make_tensor_value_info("stateN", T.FLOAT, None)],
        [h.make_tensor_value_info("input", T.FLOAT, ["b", 4]), h.make_tensor_value_info("state", T.FLOAT, ["b", 4])],
        [numpy_helper.from_array(np.random.default_rng(0).standard_normal((4, 4)).astype(np.float32), "w")],
    )
    bare, state, expected = onnxruntime.InferenceSession(str(path)), np.zeros((1, 4), np.float32), []
    with OnnxRuntime().open(path, Configuration("onnxruntime")) as session:
        states = States.of(session, None)
        inputs = tensor_request(session, WORKLOAD, states=states.inputs).inputs
        carried = Carried(session, states)
        found = [carried.run(inputs)["output"] for _ in range(5)]
    for _ in range(5):
        output, state = bare.run(["output", "stateN"], {"input": inputs["input"], "state": state})
        expected.append(output)
    np.testing.assert_array_equal(found, expected)
    assert len({float(each[0, 0]) for each in found}) == 5
