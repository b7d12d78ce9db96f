"""The few facts of an .onnx file that ONNX Runtime does not tell: opsets, producer, caches, what computes an output.

Reads the protobuf wire format directly, so that the device needs no `onnx` package and no operator has to run: a trial
step at load would warm the session up and hide what the first request really costs. Weights are stepped over, not read.
Format: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from targets.onnx_format.files import is_ort
from targets.wire.protobuf import Wire, mapped

# Field numbers of onnx.proto.
_MODEL_IR_VERSION, _MODEL_PRODUCER, _MODEL_GRAPH, _MODEL_OPSET, _MODEL_FUNCTION = 1, 2, 7, 8, 25
_OPSET_DOMAIN, _OPSET_VERSION = 1, 2
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_INPUT, _GRAPH_OUTPUT, _GRAPH_VALUE = 1, 5, 11, 12, 13
_TENSOR_TYPE = 2
_VALUE_NAME, _VALUE_TYPE, _TYPE_TENSOR, _TENSOR_ELEMENT = 1, 2, 1, 1
_NODE_INPUT, _NODE_OUTPUT, _NODE_OPERATOR, _NODE_ATTRIBUTE = 1, 2, 4, 5
_ATTRIBUTE_NAME, _ATTRIBUTE_NUMBER, _ATTRIBUTE_TENSOR, _ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS = 1, 3, 5, 6, 11
#: Attributes that name the type of what an operator gives, as `Cast` has it.
_TYPE_ATTRIBUTES = frozenset(("to", "dtype", "output_dtype"))
_FLOATS = {1: "float32", 10: "float16", 11: "float64", 16: "bfloat16"}

# com.microsoft.GroupQueryAttention takes (query, key, value, past_key, past_value, ...) and gives (output, present_key,
# present_value). Where past and present are one buffer, it writes the new positions and leaves the others alone.
_APPENDING_OPERATOR = "GroupQueryAttention"
_APPENDED = ((3, 1), (4, 2))  # (position of the past input, position of the present output)

# Operators whose attributes are graphs that read the names of the graph around them.
_NESTING_OPERATORS = frozenset({"If", "Loop", "Scan"})

# Operators that hand on the numbers of their first input, whatever shape, type or scale they give them.
_HANDING_ON = frozenset(
    {"Identity", "Cast", "QuantizeLinear", "DequantizeLinear", "Reshape", "Squeeze", "Unsqueeze", "Flatten"}
)


@dataclass(frozen=True)
class GraphFacts:
    """What an .onnx file says about itself. `appended` holds the (past, present) names that may share one buffer.

    `last_operators` names what computes each output of the graph, operators that only hand numbers on seen through.
    """

    ir_version: int = 0
    producer: str = ""
    opsets: Mapping[str, int] = field(default_factory=dict)  # by domain; ONNX's own is ""
    appended: frozenset[tuple[str, str]] = frozenset()
    last_operators: Mapping[str, str] = field(default_factory=dict)
    # Floating-point types that occur in it; None: not read, or operators are functions of the model's own.
    floats: frozenset[str] | None = None


def read_graph(path: Path) -> GraphFacts:
    """Reads a file that ONNX Runtime has accepted. Raises `ValueError` where it is not protobuf after all."""
    with mapped(path) as wire:
        return _read_model(wire)


def read_graph_facts(model: Path) -> GraphFacts:
    """What the file says of itself; nothing where it is not the plain protobuf that it should be."""
    if is_ort(model):
        return GraphFacts()
    try:
        return read_graph(model)
    except (OSError, ValueError):
        return GraphFacts()


def _read_model(wire: Wire) -> GraphFacts:
    ir_version, producer, opsets = 0, "", {}
    appended: frozenset[tuple[str, str]] = frozenset()
    last: dict[str, str] = {}
    floats: set[str] = set()
    functions = False
    for number, value, end in wire.fields(0, len(wire.content)):
        if number == _MODEL_IR_VERSION:
            ir_version = value
        elif number == _MODEL_PRODUCER:
            producer = wire.text(value, end)
        elif number == _MODEL_OPSET:
            domain, version = read_opset(wire, value, end)
            opsets[domain] = version
        elif number == _MODEL_GRAPH:
            appended, last = _find_appended(wire, value, end), _find_last(wire, value, end)
            floats.update(_floats_of_graph(wire, value, end))
        elif number == _MODEL_FUNCTION:
            functions = True
    return GraphFacts(ir_version, producer, opsets, appended, last, None if functions else frozenset(floats))


def _floats_of_graph(wire: Wire, start: int, stop: int) -> Iterator[str]:
    """The floating-point types of weights, constants, casts and whatever has a type, nested graphs included."""
    for number, value, end in wire.fields(start, stop):
        if number == _GRAPH_INITIALIZER:
            yield from _named(_numbers(wire, value, end, _TENSOR_TYPE))
        elif number in (_GRAPH_INPUT, _GRAPH_OUTPUT, _GRAPH_VALUE):
            yield from _named(_numbers(wire, value, end, _VALUE_TYPE, _TYPE_TENSOR, _TENSOR_ELEMENT))
        elif number == _GRAPH_NODE:
            for part, part_value, part_end in wire.fields(value, end):
                if part == _NODE_ATTRIBUTE:
                    yield from _floats_of_attribute(wire, part_value, part_end)


def _floats_of_attribute(wire: Wire, start: int, stop: int) -> Iterator[str]:
    name = ""
    for number, value, end in wire.fields(start, stop):
        if number == _ATTRIBUTE_NAME:
            name = wire.text(value, end)
        elif number == _ATTRIBUTE_TENSOR:
            yield from _named(_numbers(wire, value, end, _TENSOR_TYPE))
        elif number in (_ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS):
            yield from _floats_of_graph(wire, value, end)
    if name in _TYPE_ATTRIBUTES:
        yield from _named(_numbers(wire, start, stop, _ATTRIBUTE_NUMBER))


def _numbers(wire: Wire, start: int, stop: int, field_number: int, *inside: int) -> Iterator[int]:
    """The values of a field, which lies `inside` others where there are more numbers."""
    for number, value, end in wire.fields(start, stop):
        if number == field_number:
            if inside:
                yield from _numbers(wire, value, end, *inside)
            else:
                yield value


def _named(codes: Iterator[int]) -> Iterator[str]:
    return (_FLOATS[code] for code in codes if code in _FLOATS)


def read_opset(wire: Wire, start: int, stop: int) -> tuple[str, int]:
    """An operator set's domain and version."""
    domain, version = "", 0
    for number, value, end in wire.fields(start, stop):
        if number == _OPSET_DOMAIN:
            domain = wire.text(value, end)
        elif number == _OPSET_VERSION:
            version = value
    return domain, version


def _find_appended(wire: Wire, start: int, stop: int) -> frozenset[tuple[str, str]]:
    """Pairs that one appending operator joins, and whose past no other operator looks at.

    Another reader of the past would see the length of the whole buffer where it expects the number of tokens.
    """
    pairs: set[tuple[str, str]] = set()
    readers: dict[str, int] = {}
    for operator, inputs, outputs in _nodes(wire, start, stop):
        for name in inputs:
            readers[name] = readers.get(name, 0) + 1
        if operator == _APPENDING_OPERATOR:
            pairs.update(
                (inputs[past], outputs[present])
                for past, present in _APPENDED
                if past < len(inputs) and present < len(outputs)
            )
    return frozenset(pair for pair in pairs if readers[pair[0]] == 1)


def _find_last(wire: Wire, start: int, stop: int) -> dict[str, str]:
    """By the graph's outputs, the operator that computes each."""
    makers: dict[str, tuple[str, str]] = {}
    for operator, inputs, outputs in _nodes(wire, start, stop, nested=False):
        makers.update((name, (operator, inputs[0] if inputs else "")) for name in outputs)
    found = {}
    for number, value, end in wire.fields(start, stop):
        if number == _GRAPH_OUTPUT:
            name = next((wire.text(*each) for part, *each in wire.fields(value, end) if part == _VALUE_NAME), "")
            operator, before = makers.get(name, ("", ""))
            seen = {name}
            while operator in _HANDING_ON and before not in seen:
                seen.add(before)
                operator, before = makers.get(before, ("", ""))
            if operator:
                found[name] = operator
    return found


def _nodes(wire: Wire, start: int, stop: int, *, nested: bool = True) -> Iterator[tuple[str, list[str], list[str]]]:
    """(operator, inputs, outputs) of every node, those of nested graphs included where that is wanted."""
    for number, value, end in wire.fields(start, stop):
        if number == _GRAPH_NODE:
            operator, inputs, outputs, attributes = "", [], [], []
            for part, part_value, part_end in wire.fields(value, end):
                if part == _NODE_INPUT:
                    inputs.append(wire.text(part_value, part_end))
                elif part == _NODE_OUTPUT:
                    outputs.append(wire.text(part_value, part_end))
                elif part == _NODE_OPERATOR:
                    operator = wire.text(part_value, part_end)
                elif part == _NODE_ATTRIBUTE:
                    attributes.append((part_value, part_end))
            yield operator, inputs, outputs
            if nested and operator in _NESTING_OPERATORS:
                for attribute in attributes:
                    for part, part_value, part_end in wire.fields(*attribute):
                        if part in (_ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS):
                            yield from _nodes(wire, part_value, part_end)
