"""What is in an .onnx file: its operators, its stored tensors, its signature. Reads no weights.

The files are not trusted. A reader here raises `ValueError` for whatever cannot be, and never runs long
(`targets.wire.protobuf`).
Format: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from benchharness.contract import TensorSpec
from targets.onnx_format.graph import read_opset
from targets.wire.protobuf import Wire, signed

# Field numbers of onnx.proto.
_MODEL_IR_VERSION, _MODEL_PRODUCER, _MODEL_PRODUCER_VERSION, _MODEL_DOMAIN, _MODEL_VERSION = 1, 2, 3, 4, 5
_MODEL_GRAPH, _MODEL_OPSET, _MODEL_METADATA, _MODEL_FUNCTIONS = 7, 8, 14, 25
_ENTRY_KEY, _ENTRY_VALUE = 1, 2
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_INPUT, _GRAPH_OUTPUT, _GRAPH_SPARSE = 1, 5, 11, 12, 15
_NODE_INPUT, _NODE_OUTPUT, _NODE_OPERATOR, _NODE_ATTRIBUTE, _NODE_DOMAIN = 1, 2, 4, 5, 7
_FUNCTION_NODE = 7
_ATTRIBUTE_NAME, _ATTRIBUTE_NUMBER, _ATTRIBUTE_TENSOR, _ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS = 1, 3, 5, 6, 11
_ATTRIBUTE_SPARSE = 22
_TENSOR_DIMENSION, _TENSOR_TYPE, _TENSOR_NAME, _TENSOR_STRING = 1, 2, 8, 6
_TENSOR_EXTERNAL, _TENSOR_LOCATION = 13, 14
_TENSOR_INT32_DATA, _TENSOR_RAW_DATA = 5, 9
_SPARSE_VALUES, _SPARSE_INDICES = 1, 2
_VALUE_NAME, _VALUE_TYPE = 1, 2
_TYPE_TENSOR = 1
_OTHER_TYPES = {4: "sequence", 5: "map", 8: "sparse tensor", 9: "optional"}
_TENSOR_TYPE_ELEMENT, _TENSOR_TYPE_SHAPE = 1, 2
_SHAPE_DIMENSION, _DIMENSION_LENGTH, _DIMENSION_NAME = 1, 1, 2

#: Element types: numpy's name, or ONNX's where numpy has none, and bits.
_ELEMENTS = {
    1: ("float32", 32),
    2: ("uint8", 8),
    3: ("int8", 8),
    4: ("uint16", 16),
    5: ("int16", 16),
    6: ("int32", 32),
    7: ("int64", 64),
    8: ("str", 0),
    9: ("bool", 8),
    10: ("float16", 16),
    11: ("float64", 64),
    12: ("uint32", 32),
    13: ("uint64", 64),
    14: ("complex64", 64),
    15: ("complex128", 128),
    16: ("bfloat16", 16),
    17: ("float8e4m3fn", 8),
    18: ("float8e4m3fnuz", 8),
    19: ("float8e5m2", 8),
    20: ("float8e5m2fnuz", 8),
    21: ("uint4", 4),
    22: ("int4", 4),
    23: ("float4e2m1", 4),
    24: ("float8e8m0", 8),
    25: ("uint2", 2),
    26: ("int2", 2),
    27: ("float6e2m3", 6),
    28: ("float6e3m2", 6),
}

#: Operators whose attributes are read: the others' may be long lists (tree ensembles) that nothing here asks for.
_NESTING_OPERATORS = frozenset({"If", "Loop", "Scan", "SequenceMap"})
_READ_ATTRIBUTES = _NESTING_OPERATORS | {
    "Constant",
    "DequantizeLinear",
    "Gather",
    "QuantizeLinear",
    "GatherBlockQuantized",
    "MatMulNBits",
    "Attention",
    "MultiHeadAttention",
    "QAttention",
}

#: Graphs in graphs. Protobuf's own readers stop at 100 nested messages, which is 33 of them.
_DEEPEST = 33
#: Bytes above which no tensor is: a petabyte.
_MOST_BYTES = 1 << 50
#: Dimensions above which no tensor has any: numpy's limit.
_MOST_DIMENSIONS = 64
#: Squares smaller than this may be triangular by chance.
_SMALLEST_MASK = 4
#: Zero points longer than this are not looked at.
_LONGEST_ZERO_POINTS_BYTES = 1 << 20


@dataclass(frozen=True, eq=False)
class Tensor:
    """A stored tensor. `bytes` is what its numbers take up, wherever they are; for strings their own length."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    numbers: int
    bytes: int
    location: str | None  # the file that holds the numbers; None: the model itself
    all_zero: bool | None  # None: not looked at; only tensors of whole numbers are, and short ones
    triangular: bool = False  # a square of one number below its diagonal and on it, and another above: a causal mask


@dataclass(frozen=True, eq=False)
class Node:
    """One operator of a graph."""

    domain: str  # "ai.onnx" also where the file leaves it empty, as most do
    operator: str
    inputs: tuple[str, ...]  # an empty name: an optional input left out
    attributes: Mapping[str, int] = field(default_factory=dict)  # whole numbers, of the operators that are asked for


@dataclass(eq=False)
class Graph:
    """One graph. Names that it does not know are those of the graph around it."""

    around: Graph | None
    nodes: list[Node] = field(default_factory=list)
    initializers: list[Tensor] = field(default_factory=list)
    constants: list[Tensor] = field(default_factory=list)  # of `Constant` operators
    inputs: list[TensorSpec] = field(default_factory=list)
    outputs: list[TensorSpec] = field(default_factory=list)
    stored: dict[str, Tensor] = field(default_factory=dict)  # initializers and constants by name
    makers: dict[str, Node] = field(default_factory=dict)  # the operator that computes a value, by the value's name

    def find(self, name: str) -> Tensor | None:
        """The stored tensor of that name, None where it is computed."""
        graph: Graph | None = self
        while graph is not None:
            if name in graph.stored:
                return graph.stored[name]
            graph = graph.around
        return None


@dataclass
class Contents:
    """A whole file. The first graph is the model's own; those nested in it follow.

    The bodies of functions, each with what is nested in it, stand apart: a function is written once, and called as
    often as a graph likes.
    """

    graphs: list[Graph] = field(default_factory=list)
    bodies: list[Graph] = field(default_factory=list)
    ir_version: int = 0
    producer: str = ""
    producer_version: str = ""
    domain: str = ""
    model_version: int = 0
    opsets: dict[str, int] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    functions: int = 0

    @property
    def everywhere(self) -> list[Graph]:
        """All graphs that operators and tensors are written in."""
        return [*self.graphs, *self.bodies]


def read_contents(wire: Wire) -> Contents:
    """Reads a whole file. Raises `ValueError` where it is no ONNX model."""
    contents = Contents()
    texts = {_MODEL_PRODUCER: "producer", _MODEL_PRODUCER_VERSION: "producer_version", _MODEL_DOMAIN: "domain"}
    for number, value, end in wire.fields(0, len(wire.content)):
        if number in texts:
            setattr(contents, texts[number], wire.text(value, end))
        elif number == _MODEL_IR_VERSION:
            contents.ir_version = signed(value)
        elif number == _MODEL_VERSION:
            contents.model_version = signed(value)
        elif number == _MODEL_OPSET:
            domain, version = read_opset(wire, value, end)
            contents.opsets[domain or "ai.onnx"] = signed(version)
        elif number == _MODEL_METADATA:
            key, text = _read_entry(wire, value, end)
            contents.metadata[key] = text
        elif number == _MODEL_FUNCTIONS:
            contents.functions += 1
            _read_function(wire, value, end, contents.bodies)
        elif number == _MODEL_GRAPH:
            _read_graph(wire, value, end, None, contents.graphs)
    if not contents.graphs:
        raise ValueError("it holds no graph")
    return contents


def _read_graph(wire: Wire, start: int, stop: int, around: Graph | None, found: list[Graph]) -> None:
    depth, outer = 1, around
    while outer is not None:
        depth, outer = depth + 1, outer.around
    if depth > _DEEPEST:
        raise ValueError(f"more than {_DEEPEST} graphs inside each other at byte {start}")
    graph = Graph(around)
    found.append(graph)
    for number, value, end in wire.fields(start, stop):
        if number == _GRAPH_NODE:
            _read_node(wire, value, end, graph, found)
        elif number == _GRAPH_INITIALIZER:
            graph.initializers.append(_read_tensor(wire, value, end))
        elif number == _GRAPH_SPARSE:
            graph.initializers.extend(_read_sparse(wire, value, end))
        elif number == _GRAPH_INPUT:
            graph.inputs.append(_read_value(wire, value, end))
        elif number == _GRAPH_OUTPUT:
            graph.outputs.append(_read_value(wire, value, end))
    for tensor in graph.initializers:
        graph.stored[tensor.name] = tensor
    # Up to IR version 3 initializers were inputs too; for whoever runs the model they are none.
    graph.inputs = [spec for spec in graph.inputs if spec.name not in graph.stored]


def _read_function(wire: Wire, start: int, stop: int, found: list[Graph]) -> None:
    """The body of a function: it stores nothing but constants, and sees nothing of the graph that calls it."""
    graph = Graph(None)
    found.append(graph)
    for number, value, end in wire.fields(start, stop):
        if number == _FUNCTION_NODE:
            _read_node(wire, value, end, graph, found)


def _read_node(wire: Wire, start: int, stop: int, graph: Graph, found: list[Graph]) -> None:
    domain, operator = "", ""
    inputs: list[str] = []
    outputs: list[str] = []
    attributes: list[tuple[int, int]] = []
    for number, value, end in wire.fields(start, stop):
        if number == _NODE_INPUT:
            inputs.append(wire.text(value, end))
        elif number == _NODE_OUTPUT:
            outputs.append(wire.text(value, end))
        elif number == _NODE_OPERATOR:
            operator = wire.text(value, end)
        elif number == _NODE_DOMAIN:
            domain = wire.text(value, end)
        elif number == _NODE_ATTRIBUTE:
            attributes.append((value, end))
    numbers: dict[str, int] = {}
    if operator in _READ_ATTRIBUTES:
        for attribute in attributes:
            numbers.update(_read_attribute(wire, *attribute, operator, outputs, graph, found))
    node = Node(domain or "ai.onnx", operator, tuple(inputs), numbers)
    graph.nodes.append(node)
    graph.makers.update(dict.fromkeys(outputs, node))


def _read_attribute(
    wire: Wire, start: int, stop: int, operator: str, outputs: list[str], graph: Graph, found: list[Graph]
) -> dict[str, int]:
    """An attribute that is a whole number, by its name. Tensors and graphs go where they belong."""
    name, integer = "", None
    for number, value, end in wire.fields(start, stop):
        if number == _ATTRIBUTE_NAME:
            name = wire.text(value, end)
        elif number == _ATTRIBUTE_NUMBER:
            integer = signed(value)
        elif number == _ATTRIBUTE_TENSOR and operator == "Constant" and outputs:
            tensor = _read_tensor(wire, value, end)
            graph.constants.append(tensor)
            graph.stored[outputs[0]] = tensor
        elif number == _ATTRIBUTE_SPARSE and operator == "Constant" and outputs:
            tensors = list(_read_sparse(wire, value, end))
            graph.constants.extend(tensors)
            graph.stored.update((outputs[0], each) for each in tensors[:1])
        elif number in (_ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS) and operator in _NESTING_OPERATORS:
            _read_graph(wire, value, end, graph, found)
    return {} if integer is None else {name: integer}


def _read_tensor(wire: Wire, start: int, stop: int) -> Tensor:
    name, kind, external, location = "", 0, False, ""
    shape: list[int] = []
    payload, strings = (0, 0), 0
    for number, value, end in wire.fields(start, stop):
        if number == _TENSOR_DIMENSION:
            shape.extend(signed(length) for length in wire.numbers(value, end))
        elif number == _TENSOR_TYPE:
            kind = value
        elif number == _TENSOR_NAME:
            name = wire.text(value, end)
        elif number == _TENSOR_STRING:
            strings += end - value
        elif number in (_TENSOR_RAW_DATA, _TENSOR_INT32_DATA):
            payload = (value, end)
        elif number == _TENSOR_LOCATION:
            external = value == 1
        elif number == _TENSOR_EXTERNAL:
            key, text = _read_entry(wire, value, end)
            location = text if key == "location" else location
    dtype, bits = _ELEMENTS.get(kind, (f"type {kind}", 0))
    numbers = _count(name, shape)
    return Tensor(
        name=name,
        dtype=dtype,
        shape=tuple(shape),
        numbers=numbers,
        bytes=(numbers * bits + 7) // 8 if dtype != "str" else max(strings, 0),
        location=location if external else None,
        all_zero=_all_zero(wire, dtype, payload),
        triangular=_is_triangular(wire, shape, bits // 8, payload),
    )


def _count(name: str, shape: list[int]) -> int:
    if len(shape) > _MOST_DIMENSIONS:
        raise ValueError(f"tensor {name!r} has {len(shape)} dimensions")
    numbers = 1
    for length in shape:
        if length < 0:
            raise ValueError(f"tensor {name!r} has a dimension of {length}")
        numbers *= length
        if numbers > _MOST_BYTES:
            raise ValueError(f"tensor {name!r} says that it holds more than {_MOST_BYTES} numbers")
    return numbers


def _all_zero(wire: Wire, dtype: str, payload: tuple[int, int]) -> bool | None:
    """Whether a short tensor of whole numbers is zero: raw or packed, zeros are bytes of zero."""
    start, end = payload
    if not 0 < end - start <= _LONGEST_ZERO_POINTS_BYTES or "int" not in dtype:
        return None
    return not any(wire.content[start:end])


def _is_triangular(wire: Wire, shape: list[int], width: int, payload: tuple[int, int]) -> bool:
    """Whether raw numbers are a causal mask; of a square of weights no more than a row is read."""
    start, end = payload
    side = shape[-1] if shape else 0
    if len(shape) < 2 or shape[-2] != side or side < _SMALLEST_MASK or end - start != side * side * width or not width:
        return False
    first, second = bytes(wire.content[start : start + width]), bytes(wire.content[start + width : start + 2 * width])
    row = side * width
    return first != second and all(
        wire.content[start + at * row : start + (at + 1) * row] == first * (at + 1) + second * (side - at - 1)
        for at in range(side)
    )


def _read_sparse(wire: Wire, start: int, stop: int) -> Iterator[Tensor]:
    """A sparse tensor's values and its indices."""
    for number, value, end in wire.fields(start, stop):
        if number in (_SPARSE_VALUES, _SPARSE_INDICES):
            yield _read_tensor(wire, value, end)


def _read_entry(wire: Wire, start: int, stop: int) -> tuple[str, str]:
    key, text = "", ""
    for number, value, end in wire.fields(start, stop):
        if number == _ENTRY_KEY:
            key = wire.text(value, end)
        elif number == _ENTRY_VALUE:
            text = wire.text(value, end)
    return key, text


def _read_value(wire: Wire, start: int, stop: int) -> TensorSpec:
    """An input or output: its name, type and shape."""
    name, dtype = "", "unknown"
    shape: tuple[int | str | None, ...] = ()
    for number, value, end in wire.fields(start, stop):
        if number == _VALUE_NAME:
            name = wire.text(value, end)
        elif number == _VALUE_TYPE:
            for kind, kind_value, kind_end in wire.fields(value, end):
                if kind == _TYPE_TENSOR:
                    dtype, shape = _read_tensor_type(wire, kind_value, kind_end)
                elif kind in _OTHER_TYPES:
                    dtype = _OTHER_TYPES[kind]
    return TensorSpec(name, dtype, shape)


def _read_tensor_type(wire: Wire, start: int, stop: int) -> tuple[str, tuple[int | str | None, ...]]:
    dtype = "unknown"
    shape: list[int | str | None] = []
    for number, value, end in wire.fields(start, stop):
        if number == _TENSOR_TYPE_ELEMENT:
            dtype = _ELEMENTS.get(value, (f"type {value}", 0))[0]
        elif number == _TENSOR_TYPE_SHAPE:
            for part, part_value, part_end in wire.fields(value, end):
                if part == _SHAPE_DIMENSION:
                    shape.append(_read_dimension(wire, part_value, part_end))
    return dtype, tuple(shape)


def _read_dimension(wire: Wire, start: int, stop: int) -> int | str | None:
    for number, value, end in wire.fields(start, stop):
        if number == _DIMENSION_LENGTH and not end:
            return signed(value)
        if number == _DIMENSION_NAME and end:
            return wire.text(value, end) or None
    return None
