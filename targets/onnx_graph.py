"""The few facts of an .onnx file that ONNX Runtime does not tell: opsets, producer, and who appends to which cache.

Reads the protobuf wire format directly, so that the device needs no `onnx` package and no operator has to run: a trial
step at load would warm the session up and hide what the first request really costs. Weights are stepped over, not read.
Format: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto and https://protobuf.dev/programming-guides/encoding/.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Union

Buffer = Union[bytes, mmap.mmap]

# Field numbers of onnx.proto.
_MODEL_IR_VERSION, _MODEL_PRODUCER, _MODEL_GRAPH, _MODEL_OPSET = 1, 2, 7, 8
_OPSET_DOMAIN, _OPSET_VERSION = 1, 2
_GRAPH_NODE = 1
_NODE_INPUT, _NODE_OUTPUT, _NODE_OPERATOR, _NODE_ATTRIBUTE = 1, 2, 4, 5
_ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS = 6, 11
# Wire types of protobuf.
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5

# com.microsoft.GroupQueryAttention takes (query, key, value, past_key, past_value, ...) and gives (output, present_key,
# present_value). Where past and present are one buffer, it writes the new positions and leaves the others alone.
_APPENDING_OPERATOR = "GroupQueryAttention"
_APPENDED = ((3, 1), (4, 2))  # (position of the past input, position of the present output)

# Operators whose attributes are graphs that read the names of the graph around them.
_NESTING_OPERATORS = frozenset({"If", "Loop", "Scan"})


@dataclass(frozen=True)
class GraphFacts:
    """What an .onnx file says about itself. `appended` holds the (past, present) names that may share one buffer."""

    ir_version: int = 0
    producer: str = ""
    opsets: Mapping[str, int] = field(default_factory=dict)  # by domain; ONNX's own is ""
    appended: frozenset[tuple[str, str]] = frozenset()


def read_graph(path: Path) -> GraphFacts:
    """Reads a file that ONNX Runtime has accepted. Raises `ValueError` where it is not protobuf after all."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return _read_model(content)


def _read_model(content: mmap.mmap) -> GraphFacts:
    ir_version, producer, opsets = 0, "", {}
    appended: frozenset[tuple[str, str]] = frozenset()
    for number, value, end in _fields(content, 0, len(content)):
        if number == _MODEL_IR_VERSION:
            ir_version = value
        elif number == _MODEL_PRODUCER:
            producer = _text(content, value, end)
        elif number == _MODEL_OPSET:
            domain, version = _read_opset(content, value, end)
            opsets[domain] = version
        elif number == _MODEL_GRAPH:
            appended = _find_appended(content, value, end)
    return GraphFacts(ir_version, producer, opsets, appended)


def _read_opset(content: Buffer, start: int, stop: int) -> tuple[str, int]:
    domain, version = "", 0
    for number, value, end in _fields(content, start, stop):
        if number == _OPSET_DOMAIN:
            domain = _text(content, value, end)
        elif number == _OPSET_VERSION:
            version = value
    return domain, version


def _find_appended(content: Buffer, start: int, stop: int) -> frozenset[tuple[str, str]]:
    """Pairs that one appending operator joins, and whose past no other operator looks at.

    Another reader of the past would see the length of the whole buffer where it expects the number of tokens.
    """
    pairs: set[tuple[str, str]] = set()
    readers: dict[str, int] = {}
    for operator, inputs, outputs in _nodes(content, start, stop):
        for name in inputs:
            readers[name] = readers.get(name, 0) + 1
        if operator == _APPENDING_OPERATOR:
            pairs.update(
                (inputs[past], outputs[present])
                for past, present in _APPENDED
                if past < len(inputs) and present < len(outputs)
            )
    return frozenset(pair for pair in pairs if readers[pair[0]] == 1)


def _nodes(content: Buffer, start: int, stop: int) -> Iterator[tuple[str, list[str], list[str]]]:
    """(operator, inputs, outputs) of every node, those of nested graphs included."""
    for number, value, end in _fields(content, start, stop):
        if number == _GRAPH_NODE:
            operator, inputs, outputs, attributes = "", [], [], []
            for part, part_value, part_end in _fields(content, value, end):
                if part == _NODE_INPUT:
                    inputs.append(_text(content, part_value, part_end))
                elif part == _NODE_OUTPUT:
                    outputs.append(_text(content, part_value, part_end))
                elif part == _NODE_OPERATOR:
                    operator = _text(content, part_value, part_end)
                elif part == _NODE_ATTRIBUTE:
                    attributes.append((part_value, part_end))
            yield operator, inputs, outputs
            if operator in _NESTING_OPERATORS:
                for attribute in attributes:
                    for part, part_value, part_end in _fields(content, *attribute):
                        if part in (_ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS):
                            yield from _nodes(content, part_value, part_end)


def _fields(content: Buffer, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
    """(field number, value, 0) of each number and (field number, first byte, end) of each nested message or string."""
    at = start
    while at < stop:
        key, at = _varint(content, at)
        number, wire_type = key >> 3, key & 7
        if wire_type == _LENGTH:
            length, at = _varint(content, at)
            if at + length > stop:
                raise ValueError(f"field {number} at byte {at} is longer than what holds it")
            yield number, at, at + length
            at += length
        elif wire_type == _VARINT:
            value, at = _varint(content, at)
            yield number, value, 0
        elif wire_type in (_FIXED64, _FIXED32):
            at += 8 if wire_type == _FIXED64 else 4
        else:
            raise ValueError(f"wire type {wire_type} at byte {at} is not protobuf")


def _varint(content: Buffer, at: int) -> tuple[int, int]:
    """The number at `at`, seven bits a byte, lowest first; and where the next field starts."""
    value = shift = 0
    while at < len(content) and shift < 70:
        byte = content[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise ValueError(f"no number ends at byte {at}")


def _text(content: Buffer, start: int, end: int) -> str:
    return content[start:end].decode("utf-8", "replace")
