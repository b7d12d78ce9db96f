"""Operators over time: recurrent layers, loops, conditions, and the lists that loops fill.

A list is a tensor whose first dimension counts its elements; it does not grow.
Formulas: https://apple.github.io/coremltools/source/coremltools.converters.mil.mil.ops.defs.html.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from targets.core_ml.program import TensorType
from targets.core_ml.reference.graph import Call, OnnxGraph, Table, working_dtype

if TYPE_CHECKING:
    from benchharness.contract import Array

# Recurrent layers.

_ACTIVATIONS = {"sigmoid": "Sigmoid", "tanh": "Tanh", "relu": "Relu"}
_DIRECTIONS = ("forward", "reverse", "bidirectional")
#: MIL's order of gates is input, forget, output, cell; ONNX's is input, output, forget, cell.
_LSTM_GATES, _LSTM_PEEPHOLES = (0, 2, 1, 3), (0, 2, 1)


def _activation(call: Call, name: str, default: str) -> str:
    activation = call.text(name, default)
    if activation not in _ACTIVATIONS:
        raise call.refuse(f"activation {activation}")
    return _ACTIVATIONS[activation]


def _direction(call: Call) -> str:
    direction = call.text("direction", "forward")
    if direction not in _DIRECTIONS:
        raise call.refuse(f"direction {direction}")
    return direction


def _reordered(weights: Array, gates: tuple[int, ...]) -> Array:
    parts = np.split(weights.astype(np.float32), len(gates))
    return np.concatenate([parts[gate] for gate in gates])


def _by_direction(call: Call, name: str, gates: tuple[int, ...], directions: int) -> str:
    """The weights of each direction, stacked as ONNX wants them."""
    names = [name, f"{name}_back"][:directions]
    return call.graph.constant(np.stack([_reordered(call.constant(each), gates) for each in names]))


def _biases(call: Call, gates: tuple[int, ...], directions: int, hidden: int) -> str:
    """ONNX has two biases where MIL has their sum."""
    found = []
    for name in ("bias", "bias_back")[:directions]:
        bias = _reordered(call.constant(name), gates) if call.given(name) else np.zeros(len(gates) * hidden, np.float32)
        found.append(np.concatenate([bias, np.zeros_like(bias)]))
    return call.graph.constant(np.stack(found))


def _state_in(call: Call, name: str, directions: int, hidden: int) -> str:
    """(batch, directions * hidden) to (directions, batch, hidden)."""
    apart = call.add("Reshape", call.tensor(name), call.shape_constant([-1, directions, hidden]))
    return call.add("Transpose", apart, perm=[1, 0, 2])


def _state_out(call: Call, value: str, directions: int, hidden: int) -> str:
    joined = call.add("Transpose", value, perm=[1, 0, 2])
    return call.add("Reshape", joined, call.shape_constant([-1, directions * hidden]))


def _steps_out(call: Call, steps: str, last: str, directions: int, hidden: int) -> str:
    """The hidden states of every step, or of the last one alone, with the directions side by side."""
    if not call.number("output_sequence", False):
        return call.add("Unsqueeze", last, call.shape_constant([0]))
    moved = call.add("Transpose", steps, perm=[0, 2, 1, 3])
    return call.add("Reshape", moved, call.shape_constant([0, 0, directions * hidden]))


def _lstm(call: Call) -> list[str]:
    if call.given("clip"):
        raise call.refuse("clipped gates")
    direction, hidden = _direction(call), call.constant("weight_hh").shape[1]
    directions = 2 if direction == "bidirectional" else 1
    activations = [
        _activation(call, name, default)
        for name, default in (("recurrent_activation", "sigmoid"), ("cell_activation", "tanh"), ("activation", "tanh"))
    ]
    inputs = [
        call.tensor("x"),
        _by_direction(call, "weight_ih", _LSTM_GATES, directions),
        _by_direction(call, "weight_hh", _LSTM_GATES, directions),
        _biases(call, _LSTM_GATES, directions, hidden),
        "",
        _state_in(call, "initial_h", directions, hidden),
        _state_in(call, "initial_c", directions, hidden),
    ]
    if call.given("peephole"):
        inputs.append(_by_direction(call, "peephole", _LSTM_PEEPHOLES, directions))
    steps, last, cell = call.graph.add_many(
        "LSTM", inputs, 3, hidden_size=hidden, direction=direction, activations=activations * directions
    )
    last, cell = (_state_out(call, value, directions, hidden) for value in (last, cell))
    return [_steps_out(call, steps, last, directions, hidden), last, cell]


def _rnn(call: Call) -> list[str]:
    direction, hidden = _direction(call), call.constant("weight_hh").shape[1]
    if direction == "bidirectional":
        raise call.refuse("both directions")
    inputs = [
        call.tensor("x"),
        _by_direction(call, "weight_ih", (0,), 1),
        _by_direction(call, "weight_hh", (0,), 1),
        _biases(call, (0,), 1, hidden),
        "",
        _state_in(call, "initial_h", 1, hidden),
    ]
    activation = _activation(call, "activation", "tanh")
    steps, last = call.graph.add_many(
        "RNN", inputs, 2, hidden_size=hidden, direction=direction, activations=[activation]
    )
    last = _state_out(call, last, 1, hidden)
    return [_steps_out(call, steps, last, 1, hidden), last]


# Conditions and loops.


def _graph(inside: OnnxGraph, name: str, inputs: list[Any], outputs: list[tuple[str, TensorType]]) -> Any:
    """A graph inside an operator. Its outputs must be made in it, and under names of their own."""
    from onnx import helper

    made = []
    for value, type_ in outputs:
        made.append(_typed(inside.add("Identity", value), type_))
    return helper.make_graph(inside.nodes, name, inputs, made)


def _typed(name: str, type_: TensorType) -> Any:
    """A value's name and type. Its shape may change from one turn of a loop to the next."""
    from onnx import helper

    dtype = np.dtype(working_dtype(type_.dtype))
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(dtype), None)


def _condition(call: Call) -> list[str]:
    types = [output.type for output in call.operation.outputs]
    branches = {}
    for name, block in zip(("then_branch", "else_branch"), call.operation.blocks):
        inside, outputs = call.scope.inner(block, [])
        branches[name] = _graph(inside, name, [], list(zip(outputs, types)))
    return call.graph.add_many("If", [call.tensor("pred")], len(types), **branches)


def _loop(call: Call) -> list[str]:
    """The condition is computed before the loop and at the end of each turn, as ONNX's Loop wants it."""
    from onnx import TensorProto, helper

    condition, body = call.operation.blocks
    start = call.tensors("loop_vars")
    types = [call.scope.type_of(argument) for argument in call.arguments("loop_vars")]
    before, (goes_on,) = call.scope.inner(condition, start)
    call.graph.nodes.extend(before.nodes)
    taken = [call.graph.name("turn") for _ in start]
    inside, after = call.scope.inner(body, taken)
    again, (goes_on_again,) = call.scope.inner(condition, after)
    inside.nodes.extend(again.nodes)
    inputs = [
        helper.make_tensor_value_info(call.graph.name("count"), TensorProto.INT64, []),
        helper.make_tensor_value_info(call.graph.name("goes_on"), TensorProto.BOOL, []),
        *(_typed(name, type_) for name, type_ in zip(taken, types)),
    ]
    outputs = [(goes_on_again, TensorType("bool", ())), *zip(after, types)]
    graph = _graph(inside, "body", inputs, outputs)
    return call.graph.add_many("Loop", ["", goes_on, *start], len(start), body=graph)


# Lists.

_LIST_DTYPES = {"fp16": "float32", "fp32": "float32", "int32": "int32", "bool": "bool"}


def _make_list(call: Call) -> str:
    lengths = [call.int64("init_length")]
    for argument in call.arguments("elem_shape"):
        length = call.scope.known(argument)
        if length is None or length.dtype.kind not in "iu":
            raise call.refuse("elements of a shape that is not fixed")
        lengths.append(call.shape_constant([int(length.item())]))
    zero = call.graph.constant(0, _LIST_DTYPES[call.text("dtype", "fp32")])
    return call.add("Expand", zero, call.add("Concat", *lengths, axis=0))


def _list_write(call: Call) -> str:
    index = call.add("Reshape", call.int64("index"), call.shape_constant([1, 1]))
    element = call.add("Unsqueeze", call.tensor("value"), call.shape_constant([0]))
    return call.add("ScatterND", call.tensor("ls"), index, element)


def _list_scatter(call: Call) -> str:
    indices = call.add("Unsqueeze", call.int64("indices"), call.shape_constant([1]))
    return call.add("ScatterND", call.tensor("ls"), indices, call.tensor("value"))


def _list_length(call: Call) -> str:
    length = call.add("Squeeze", call.add("Shape", call.tensor("ls"), start=0, end=1))
    return call.cast(length, "int32")


CONTROL: Table = {
    "lstm": _lstm,
    "rnn": _rnn,
    "cond": _condition,
    "while_loop": _loop,
    "make_list": _make_list,
    "list_write": _list_write,
    "list_read": lambda call: call.add("Gather", call.tensor("ls"), call.tensor("index"), axis=0),
    "list_gather": lambda call: call.add("Gather", call.tensor("ls"), call.tensor("indices"), axis=0),
    "list_scatter": _list_scatter,
    "list_length": _list_length,
}
