"""Which inputs of a `.tflite` model are ids, and of how many: the rows of the stored tables that they pick from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from targets.tflite.contents import LEFT_OUT, Contents, Graph, Operator, read_contents
from targets.wire.flatbuffers import mapped

#: Operators that pick rows: (position of the ids, position of the table).
_PICKING = {"GATHER": (1, 0), "EMBEDDING_LOOKUP": (0, 1)}
#: Operators between an input and what picks by it that change no id.
_UNCHANGED = frozenset({"CAST", "RESHAPE", "EXPAND_DIMS", "SQUEEZE"})
_TABLE_AXES = 2
_MOST_STEPS = 16


def read_input_rows(model: Path, key: str, indices: Mapping[str, int]) -> dict[str, int]:
    """By input of a signature: the rows of the smallest table that its numbers pick from.

    `indices` are the numbers of its tensors in the first graph, where the file declares no signature of that key. {}
    where the file cannot be read.
    """
    try:
        with mapped(model) as wire:
            contents = read_contents(wire)
    except (OSError, ValueError, RecursionError):
        return {}
    graph, inputs = _graph(contents, key, indices)
    makers = {number: operator for operator in graph.operators for number in operator.outputs}
    names = {number: name for name, number in inputs.items()}
    rows: dict[str, int] = {}
    for operator in graph.operators:
        ids, table = _PICKING.get(operator.name, (LEFT_OUT, LEFT_OUT))
        name, count = _input(operator, ids, makers, names), _rows(graph, operator, table)
        if name is not None and count:
            rows[name] = min(rows.get(name, count), count)
    return rows


def _graph(contents: Contents, key: str, indices: Mapping[str, int]) -> tuple[Graph, Mapping[str, int]]:
    for entry in contents.signatures:
        if key and entry.key == key:
            return contents.graphs[entry.graph], entry.inputs
    return contents.graphs[0], indices


def _input(operator: Operator, position: int, makers: Mapping[int, Operator], names: Mapping[int, str]) -> str | None:
    """The input that comes to an operator unchanged."""
    number = _number(operator, position)
    for _ in range(_MOST_STEPS):
        if number in names:
            return names[number]
        maker = makers.get(number)
        if maker is None or maker.name not in _UNCHANGED:
            return None
        number = _number(maker, 0)
    return None


def _rows(graph: Graph, operator: Operator, position: int) -> int:
    """How many rows the stored table has that an operator picks from; 0 where it picks from something else."""
    number = _number(operator, position)
    tensor = graph.tensors[number] if number != LEFT_OUT else None
    return tensor.shape[0] if tensor is not None and tensor.stored and len(tensor.shape) == _TABLE_AXES else 0


def _number(operator: Operator, position: int) -> int:
    return operator.inputs[position] if 0 <= position < len(operator.inputs) else LEFT_OUT
