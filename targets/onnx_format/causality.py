"""Whether an .onnx model predicts the next token: what its graph shows, where no file beside it says so.

A model that sees only what is before a token has a causal mask, an operator that masks by itself, or a recurrence. The
mask is a stored triangle, is cut by `Trilu`, or compares positions with positions. Nothing is run: a trial step would
warm the session up and hide what the first request costs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from targets.onnx_format.contents import Contents, Graph, Node, read_contents
from targets.onnx_format.input_rows import maker_of, rows_of
from targets.wire.protobuf import mapped

#: Operators that see the past alone, whatever mask they get.
_CAUSAL = frozenset(
    {"GroupQueryAttention", "SparseAttention", "PagedAttention", "DecoderMaskedSelfAttention"}
    | {"DecoderMaskedMultiHeadAttention", "Trilu", "Scan"}
)
#: Attributes that make an attention see the past alone: of Microsoft's operators, and of ONNX's own.
_ONE_WAY = ("unidirectional", "is_causal")
#: Networks whose weights count the directions first.
_RECURRENT = frozenset({"LSTM", "GRU", "RNN"})
_COMPARING = frozenset({"Less", "LessOrEqual", "Greater", "GreaterOrEqual"})
#: What counts positions, and what hands on counted ones.
_COUNTING = frozenset({"Range", "CumSum"})
_HANDING_ON = frozenset(
    {"Add", "Cast", "Concat", "Expand", "Flatten", "Gather", "Identity", "Reshape", "Slice", "Squeeze", "Sub", "Tile"}
    | {"Transpose", "Unsqueeze"}
)
_POSITIONS = ("position_ids", "cache_position")
#: Operators behind a comparison that are looked at.
_MOST_STEPS = 64


@dataclass(frozen=True)
class Evidence:
    """What a graph shows. `words` say what was looked for where it shows no causality."""

    causal: bool = False
    words: str = "the graph holds no causal mask, no one-way attention and no recurrence"
    rows: Mapping[str, int] = field(default_factory=dict)  # of the smallest table that an input picks from


def read_evidence(model: Path) -> Evidence:
    """The evidence of a file that a runtime has accepted."""
    try:
        with mapped(model) as wire:
            return evidence_of(read_contents(wire))
    except (OSError, ValueError, RecursionError) as error:
        return Evidence(words=f"the graph cannot be read here for a causal mask ({error})")


def evidence_of(contents: Contents) -> Evidence:
    """The evidence of what was read."""
    rows = rows_of(contents)
    stored = (each for graph in contents.graphs for each in (*graph.initializers, *graph.constants))
    nodes = ((graph, node) for graph in contents.graphs for node in graph.nodes)
    if any(each.triangular for each in stored) or any(_is_causal(graph, node) for graph, node in nodes):
        return Evidence(causal=True, rows=rows)
    if contents.functions:
        return Evidence(words="the graph's functions are not looked into for a causal mask", rows=rows)
    return Evidence(rows=rows)


def _is_causal(graph: Graph, node: Node) -> bool:
    if node.operator in _CAUSAL or any(node.attributes.get(name) == 1 for name in _ONE_WAY):
        return True
    if node.operator in _RECURRENT and len(node.inputs) > 1:
        weights = graph.find(node.inputs[1])
        return weights is not None and weights.shape[:1] == (1,)
    return node.operator in _COMPARING and all(_counts(graph, name) for name in node.inputs[:2])


def _counts(graph: Graph, name: str) -> bool:
    """Whether a value is made of positions: counted, given, or stored as whole numbers in a row."""
    todo, seen = [name], {name}
    while todo and len(seen) < _MOST_STEPS:
        name = todo.pop()
        stored, maker = graph.find(name), maker_of(graph, name)
        if name in _POSITIONS or (maker is not None and maker.operator in _COUNTING):
            return True
        if stored is not None and stored.dtype in ("int64", "int32") and stored.numbers >= _MOST_STEPS:
            return True
        if maker is not None and maker.operator in _HANDING_ON:
            wanted = maker.inputs if maker.operator in ("Add", "Concat", "Sub") else maker.inputs[:1]
            todo += [each for each in wanted if each not in seen]
            seen.update(wanted)
    return False
