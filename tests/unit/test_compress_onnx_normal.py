"""An ONNX model is brought into the form that quantization tools expect, and computes the same in the bare runtime."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from benchharness.compress.onnx_graph import float_bytes, weighted
from benchharness.compress.onnx_normal import normalised, opset_of, settle_biases

RANDOM = np.random.default_rng(0)
WEIGHTS = RANDOM.normal(size=(16, 16)).astype(np.float32)
OTHER = RANDOM.normal(size=(16, 16)).astype(np.float32)
VALUE, NODE = helper.make_tensor_value_info, helper.make_node


def tensor(array: Any, name: str) -> Any:
    return numpy_helper.from_array(np.asarray(array), name)


def constant(array: Any, name: str) -> Any:
    return NODE("Constant", [], [name], value=tensor(array, f"{name}_value"))


def model_of(
    nodes: Sequence[Any], weights: Sequence[Any] = (), *, opset: int = 17, ir: int = 8, **more: Any
) -> onnx.ModelProto:
    inputs = [VALUE("x", TensorProto.FLOAT, [1, 16]), *more.pop("inputs", [])]
    outputs = [VALUE("y", TensorProto.FLOAT, [1, 16])]
    graph = helper.make_graph(list(nodes), "g", inputs, outputs, list(weights))
    opsets = [helper.make_opsetid("", opset), *more.pop("opsets", [])]
    return helper.make_model(graph, opset_imports=opsets, ir_version=ir, **more)


def branch(name: str, nodes: Sequence[Any], weights: Sequence[Any] = ()) -> Any:
    output = VALUE(nodes[-1].output[0], TensorProto.FLOAT, [1, 16])
    return helper.make_graph(list(nodes), name, [], [output], list(weights))


def weights_in_constants() -> onnx.ModelProto:
    return model_of([constant(WEIGHTS, "w"), NODE("MatMul", ["x", "w"], ["y"])])


def one_name_in_two_branches() -> onnx.ModelProto:
    """Names of one branch are unknown in the other, so both may have a `w`: of silero-vad's two sampling rates."""
    then = branch("then", [constant(WEIGHTS, "w"), NODE("MatMul", ["x", "w"], ["t"])])
    other = branch("else", [NODE("MatMul", ["x", "w"], ["e"])], [tensor(OTHER, "w")])
    nodes = [
        NODE("ReduceSum", ["x"], ["sum"], keepdims=0),
        constant(np.float32(0), "zero"),
        NODE("Greater", ["sum", "zero"], ["positive"]),
        NODE("If", ["positive"], ["y"], then_branch=then, else_branch=other),
    ]
    return model_of(nodes)


def weights_of_the_main_graph_in_a_loop() -> onnx.ModelProto:
    body = helper.make_graph(
        [
            NODE("MatMul", ["state", "w"], ["product"]),
            NODE("Tanh", ["product"], ["next"]),
            NODE("Identity", ["c"], ["d"]),
        ],
        "body",
        [
            VALUE("i", TensorProto.INT64, []),
            VALUE("c", TensorProto.BOOL, []),
            VALUE("state", TensorProto.FLOAT, [1, 16]),
        ],
        [VALUE("d", TensorProto.BOOL, []), VALUE("next", TensorProto.FLOAT, [1, 16])],
    )
    nodes = [NODE("Loop", ["count", "", "x"], ["y"], body=body)]
    return model_of(nodes, [tensor(np.int64(3), "count"), tensor(WEIGHTS, "w")])


def a_function_called_twice() -> onnx.ModelProto:
    nodes = [constant(WEIGHTS, "w"), NODE("MatMul", ["a", "w"], ["c"]), NODE("Tanh", ["c"], ["b"])]
    twice = helper.make_function("own", "Layer", ["a"], ["b"], nodes, [helper.make_opsetid("", 17)])
    calls = [NODE("Layer", ["x"], ["t"], domain="own"), NODE("Layer", ["t"], ["y"], domain="own")]
    return model_of(calls, functions=[twice], opsets=[helper.make_opsetid("own", 1)])


def weights_among_the_inputs() -> onnx.ModelProto:
    inputs = [VALUE("w", TensorProto.FLOAT, [16, 16])]
    return model_of([NODE("MatMul", ["x", "w"], ["y"])], [tensor(WEIGHTS, "w")], opset=8, ir=3, inputs=inputs)


def a_constant_that_a_branch_gives_out() -> onnx.ModelProto:
    then = branch("then", [constant(WEIGHTS[:1], "w")])
    other = branch("else", [NODE("Identity", ["x"], ["e"])])
    nodes = [NODE("If", ["always"], ["y"], then_branch=then, else_branch=other)]
    return model_of(nodes, [tensor(np.bool_(True), "always")])


def an_old_operator_set() -> onnx.ModelProto:
    """Axes of Squeeze and Unsqueeze are attributes up to operator set 12, inputs from 13 on."""
    nodes = [
        constant(WEIGHTS, "w"),
        NODE("MatMul", ["x", "w"], ["p"]),
        NODE("Unsqueeze", ["p"], ["u"], axes=[0]),
        NODE("Squeeze", ["u"], ["s"], axes=[0]),
        NODE("Softmax", ["s"], ["y"], axis=1),
    ]
    return model_of(nodes, opset=11, ir=6)


MODELS: Sequence[Callable[[], onnx.ModelProto]] = (
    weights_in_constants,
    one_name_in_two_branches,
    weights_of_the_main_graph_in_a_loop,
    a_function_called_twice,
    weights_among_the_inputs,
    a_constant_that_a_branch_gives_out,
    an_old_operator_set,
)


def computed(model: onnx.ModelProto | Path, x: Any) -> Any:
    content = str(model) if isinstance(model, Path) else model.SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    assert [each.name for each in session.get_inputs()] == ["x"]
    return session.run(None, {"x": x})[0]


def initializer_names(graph: Any) -> list[str]:
    nested = [each.g for node in graph.node for each in node.attribute if each.type == onnx.AttributeProto.GRAPH]
    return [tensor.name for tensor in graph.initializer] + [name for each in nested for name in initializer_names(each)]


@pytest.mark.parametrize("least_opset", [1, 13])
@pytest.mark.parametrize("build", MODELS, ids=lambda build: build.__name__)
def test_what_it_computes_is_the_same(build: Callable[[], onnx.ModelProto], least_opset: int, tmp_path: Path) -> None:
    model = build()
    onnx.save(model, tmp_path / "model.onnx")
    found = normalised(tmp_path / "model.onnx", least_opset, external=False)
    assert found != tmp_path / "model.onnx"
    for sign in (1, -1):
        x = sign * np.abs(RANDOM.normal(size=(1, 16))).astype(np.float32)
        np.testing.assert_array_equal(computed(found, x), computed(model, x))
    after = onnx.load(found)
    assert opset_of(after) >= least_opset
    assert not after.functions
    names = initializer_names(after.graph)
    assert len(set(names)) == len(names), "the float16 converter tells weights by their names"


def test_weights_become_initializers_of_the_graph_that_uses_them(tmp_path: Path) -> None:
    for build, nested in ((one_name_in_two_branches, 2), (weights_of_the_main_graph_in_a_loop, 1)):
        onnx.save(build(), tmp_path / "model.onnx")
        after = onnx.load(normalised(tmp_path / "model.onnx", 1, external=False))
        assert weighted(after) == ({"MatMul": nested}, {"MatMul": nested})
        own = {tensor.name for tensor in after.graph.initializer if len(tensor.dims) == 2}
        assert not own


def test_weights_of_a_function_are_stored_once_for_all_its_calls(tmp_path: Path) -> None:
    onnx.save(a_function_called_twice(), tmp_path / "model.onnx")
    after = onnx.load(normalised(tmp_path / "model.onnx", 1, external=False))
    assert float_bytes(after) == float_bytes(a_function_called_twice()) == {"float32": WEIGHTS.nbytes}
    assert weighted(after).all == {"MatMul": 2}


def test_a_model_that_tools_take_as_it_is_stays_as_it_is(tmp_path: Path) -> None:
    onnx.save(model_of([NODE("MatMul", ["x", "w"], ["y"])], [tensor(WEIGHTS, "w")]), tmp_path / "model.onnx")
    assert normalised(tmp_path / "model.onnx", 13, external=False) == tmp_path / "model.onnx"


@settings(max_examples=25, deadline=None)
@given(
    shape=st.sampled_from([(), (1,), (1, 1), (16,), (1, 16), (4, 1), (4, 16)]),
    beta=st.sampled_from([1.0, 0.5]),
    transposed=st.booleans(),
)
def test_biases_of_any_shape_are_flattened(shape: tuple[int, ...], beta: float, transposed: bool) -> None:
    bias = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    columns = 16
    weights = OTHER[:8] if not transposed else OTHER[:, :8].copy()
    graph = helper.make_graph(
        [NODE("Gemm", ["x", "w", "b"], ["y"], name="gemm", beta=beta, transB=int(transposed))],
        "g",
        [VALUE("x", TensorProto.FLOAT, [4, 8])],
        [VALUE("y", TensorProto.FLOAT, [4, columns])],
        [tensor(weights, "w"), tensor(bias, "b")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    x = np.random.default_rng(2).normal(size=(4, 8)).astype(np.float32)
    before = computed(model, x)
    assert settle_biases(model) == (bias.shape != (columns,))
    np.testing.assert_allclose(computed(model, x), before, rtol=1e-6, atol=1e-6)
    for node in model.graph.node:
        if node.op_type == "Gemm" and len(node.input) > 2:
            (flat,) = (each for each in model.graph.initializer if each.name == node.input[2])
            assert list(flat.dims) == [columns]


def test_layers_that_share_a_bias_get_one_each_under_a_name_that_is_free() -> None:
    """quantize_static calls the copies `b1`, `b2` ..., whatever else is called so: basic-pitch's static variant did not
    load."""
    model = model_of(
        [
            NODE("Gemm", ["x", "w", "b"], ["b1"], name="first"),
            NODE("Gemm", ["b1", "w", "b"], ["b.1"], name="second"),
            NODE("Tanh", ["b.1"], ["y"]),
        ],
        [tensor(WEIGHTS, "w"), tensor(OTHER[0], "b")],
    )
    x = RANDOM.normal(size=(1, 16)).astype(np.float32)
    before = computed(model, x)
    assert settle_biases(model)
    np.testing.assert_array_equal(computed(model, x), before)
    biases = [node.input[2] for node in model.graph.node if node.op_type == "Gemm"]
    assert len(set(biases)) == 2
    assert not {"b1", "b.1"} & set(biases)
    assert not settle_biases(model)
