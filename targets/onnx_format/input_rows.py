"""Which inputs of an .onnx model are ids, and of how many: the rows of the stored tables that they pick from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from targets.onnx_format.contents import Contents, Graph, Node, Tensor, read_contents
from targets.onnx_format.files import is_ort
from targets.wire.protobuf import mapped

#: Operators that pick rows: pairs of (position of the ids, position of the table).
_PICKING: Mapping[str, tuple[tuple[int, int], ...]] = {
    "Gather": ((1, 0),),
    "GatherBlockQuantized": ((1, 0),),
    "EmbedLayerNormalization": ((0, 2), (1, 4)),
    "QEmbedLayerNormalization": ((0, 2), (1, 4)),
}
_AXES = ("axis", "gather_axis")
#: Operators between an input and what picks by it, and between a table and what picks from it, that change no id.
_OF_IDS = frozenset({"Cast", "Identity", "Unsqueeze", "Squeeze", "Reshape", "Flatten", "Expand", "Clip", "Transpose"})
_OF_TABLES = frozenset({"Cast", "Identity", "DequantizeLinear"})
#: Operators in a row that are followed: no exporter writes more between an input and a table.
_MOST_STEPS = 16


def read_input_rows(model: Path) -> dict[str, int]:
    """By input: the rows of the smallest table that its numbers pick from. {} where the file cannot be read."""
    if is_ort(model):
        return {}
    try:
        with mapped(model) as wire:
            contents = read_contents(wire)
    except (OSError, ValueError, RecursionError):
        return {}
    return rows_of(contents)


def rows_of(contents: Contents) -> dict[str, int]:
    """The same of a file that was read."""
    inputs = {spec.name for spec in contents.graphs[0].inputs}
    rows: dict[str, int] = {}
    for graph in contents.graphs:
        for node in graph.nodes:
            for ids, table in _PICKING.get(node.operator, ()):
                name, stored = _input(graph, node, ids, inputs), _table(graph, node, table)
                if name is not None and stored is not None and stored.shape[0] > 0:
                    rows[name] = min(rows.get(name, stored.shape[0]), stored.shape[0])
    return rows


class ToldByFile:
    """What an .onnx file alone tells of a session's tensors, and another file does not: two abilities of sessions."""

    _file: Path
    _last_operators: Mapping[str, str] = {}

    def last_operators(self) -> Mapping[str, str]:
        """By output, the operator that computes it, as the file says."""
        return self._last_operators

    def input_rows(self) -> Mapping[str, int]:
        """By input: the rows of the smallest stored table that its numbers pick from, as the file tells."""
        return read_input_rows(self._file)


def _input(graph: Graph, node: Node, position: int, inputs: set[str]) -> str | None:
    """The model's input that comes to an operator unchanged."""
    name = _name(node, position)
    for _ in range(_MOST_STEPS):
        if name in inputs:
            return name
        maker = maker_of(graph, name)
        if maker is None or maker.operator not in _OF_IDS:
            return None
        name = _name(maker, 0)
    return None


def _table(graph: Graph, node: Node, position: int) -> Tensor | None:
    """The stored table whose first axis an operator picks from."""
    if any(node.attributes.get(axis, 0) for axis in _AXES):
        return None
    name = _name(node, position)
    for _ in range(_MOST_STEPS):
        stored = graph.find(name)
        if stored is not None:
            return stored if stored.shape else None
        maker = maker_of(graph, name)
        if maker is None or maker.operator not in _OF_TABLES:
            return None
        name = _name(maker, 0)
    return None


def _name(node: Node, position: int) -> str:
    return node.inputs[position] if position < len(node.inputs) else ""


def maker_of(graph: Graph, name: str) -> Node | None:
    """The operator that computes a value, in this graph or one around it."""
    within: Graph | None = graph
    while within is not None and name:
        if name in within.makers:
            return within.makers[name]
        within = within.around
    return None
