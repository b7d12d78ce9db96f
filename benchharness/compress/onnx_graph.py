"""What an .onnx graph holds, wherever it holds it: in the main graph, in graphs of its operators, in functions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx.external_data_helper import ExternalDataInfo, uses_external_data

from benchharness.compress.parts import Weight, telling
from benchharness.errors import ModelFailure

FLOATS = {onnx.TensorProto.FLOAT: ("float32", 4), onnx.TensorProto.FLOAT16: ("float16", 2)}
_STANDARD_DOMAINS = ("", "ai.onnx")
#: Position of the weights that make an operator worth quantizing.
_WEIGHTS_AT = {
    **dict.fromkeys(("MatMul", "Gemm", "Conv", "ConvTranspose", "LSTM", "GRU", "Attention"), 1),
    **dict.fromkeys(("Gather", "EmbedLayerNormalization"), 0),
}
#: Operators that compute with integers of eight bits or fewer: what is left of a model that is quantized already.
_QUANTIZED = ("DequantizeLinear", "MatMulNBits", "MatMulInteger", "ConvInteger", "GatherBlockQuantized", "QGemm")
#: Graphs in graphs; protobuf's own readers stop not much later.
_DEEPEST = 40


class Scope(NamedTuple):
    """A graph and how deep it is nested: 0 is the model's own."""

    graph: Any  # a GraphProto, or a FunctionProto
    depth: int


def load_graph(path: Path) -> onnx.ModelProto:
    """Reads a model without weights that lie in other files. Raises `ModelFailure`."""
    try:
        return onnx.load(path, load_external_data=False)
    except Exception as error:  # protobuf's own errors share no base class
        raise ModelFailure(f"{path}: not a readable .onnx model ({error}); export or download it again") from error


def graphs_of(model: onnx.ModelProto, *, functions: bool = True) -> Iterator[Scope]:
    """The main graph, the graphs nested in it, then (unless left out) the bodies of functions and what they nest."""
    yield from _nested(model.graph, 0)
    if functions:
        for function in model.functions:
            yield from _nested(function, 0)


def _nested(graph: Any, depth: int) -> Iterator[Scope]:
    yield Scope(graph, depth)
    if depth >= _DEEPEST:
        raise ModelFailure(f"more than {_DEEPEST} graphs inside each other; export the model anew")
    for node in graph.node:
        for inner in graphs_in(node):
            yield from _nested(inner, depth + 1)


def graphs_in(node: Any) -> Iterator[Any]:
    """The graphs that an operator holds in its attributes: branches, a loop's body."""
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            yield attribute.g
        elif attribute.type == onnx.AttributeProto.GRAPHS:
            yield from attribute.graphs


def is_standard(node: Any, operator: str) -> bool:
    """Whether a node is that operator of ONNX's own domain."""
    return node.op_type == operator and node.domain in _STANDARD_DOMAINS


def stored_in(graph: Any) -> Iterator[tuple[str, Any]]:
    """Tensors that one graph stores, by the names under which operators take them; sparse ones by their values."""
    for tensor in getattr(graph, "initializer", ()):  # a function has none
        yield tensor.name, tensor
    for sparse in getattr(graph, "sparse_initializer", ()):
        yield sparse.values.name, sparse.values
    for node in graph.node:
        if is_standard(node, "Constant") and node.output:
            for attribute in node.attribute:
                if attribute.type == onnx.AttributeProto.TENSOR:
                    yield node.output[0], attribute.t
                elif attribute.type == onnx.AttributeProto.SPARSE_TENSOR:
                    yield node.output[0], attribute.sparse_tensor.values


def stored_tensors(model: onnx.ModelProto) -> Iterator[tuple[str, Any]]:
    """Everything that a model stores, each once."""
    for scope in graphs_of(model):
        yield from stored_in(scope.graph)


def external_files(model: onnx.ModelProto) -> list[str]:
    """Files that hold weights, relative to the model's. Raises `ModelFailure` for one outside its folder."""
    names = sorted({ExternalDataInfo(each).location for _, each in stored_tensors(model) if uses_external_data(each)})
    for name in names:
        place = PurePosixPath(name.replace("\\", "/"))
        if not name or place.is_absolute() or ".." in place.parts:
            raise ModelFailure(
                f"weights in {name!r}, outside the model's folder; save the model with its weights beside it"
            )
    return names


def numbers_of(tensor: Any) -> int:
    """How many numbers a stored tensor has."""
    return int(np.prod(tensor.dims, dtype=np.int64))


def float_bytes(model: onnx.ModelProto) -> dict[str, int]:
    """Bytes of stored floats by type."""
    found: Counter[str] = Counter()
    for _, tensor in stored_tensors(model):
        if tensor.data_type in FLOATS:
            dtype, size = FLOATS[tensor.data_type]
            found[dtype] += numbers_of(tensor) * size
    return dict(found)


class Weighted(NamedTuple):
    """How many operators of a kind work with stored float weights: in all, and of these inside other operators."""

    all: Mapping[str, int]
    nested: Mapping[str, int]


def weighted_nodes(model: onnx.ModelProto) -> Iterator[tuple[Any, Any, int]]:
    """Each operator that works with a stored float weight, the weight's tensor, and how deep it is nested.

    A name may be that of several tensors in graphs inside each other: the innermost is the one that is taken.
    """

    def walk(graph: Any, around: Mapping[str, Any], depth: int) -> Iterator[tuple[Any, Any, int]]:
        here = {name: tensor for name, tensor in stored_in(graph) if tensor.data_type in FLOATS and tensor.dims}
        known = {**around, **here}
        for node in graph.node:
            at = _WEIGHTS_AT.get(node.op_type)
            if at is not None and at < len(node.input) and node.input[at] in known:
                yield node, known[node.input[at]], depth
            for inner in graphs_in(node):
                yield from walk(inner, known, depth + 1)

    for graph in (model.graph, *model.functions):
        yield from walk(graph, {}, 0)


def weighted(model: onnx.ModelProto) -> Weighted:
    """Operators whose weights are stored as floats, so that there is something to make smaller."""
    everywhere: Counter[str] = Counter()
    nested: Counter[str] = Counter()
    for node, _, depth in weighted_nodes(model):
        everywhere[node.op_type] += 1
        nested[node.op_type] += depth > 0
    return Weighted(everywhere, +nested)


def weights_of(model: onnx.ModelProto) -> list[Weight]:
    """The stored float weights of the main graph's operators, each once, by the first operator that takes it."""
    found: dict[str, Weight] = {}
    for node, tensor, depth in weighted_nodes(model):
        name = node.input[_WEIGHTS_AT[node.op_type]]
        if not depth and name not in found:
            size = numbers_of(tensor) * FLOATS[tensor.data_type][1]
            found[name] = Weight(name, telling(name, node.name), size)
    return list(found.values())


def taking(model: onnx.ModelProto, names: Collection[str]) -> list[str]:
    """The names of the operators whose weights are these tensors. Nodes have names: see `onnx_normal.name_nodes`."""
    return [
        node.name
        for node, _, depth in weighted_nodes(model)
        if not depth and node.input[_WEIGHTS_AT[node.op_type]] in names
    ]


def operators(model: onnx.ModelProto) -> Counter[str]:
    """Operators by name, wherever they are; `Constant` is none."""
    return Counter(
        node.op_type for scope in graphs_of(model) for node in scope.graph.node if node.op_type != "Constant"
    )


def is_quantized(model: onnx.ModelProto) -> bool:
    """Whether something has quantized the model before."""
    return any(name in _QUANTIZED or name.startswith("QLinear") for name in operators(model))
