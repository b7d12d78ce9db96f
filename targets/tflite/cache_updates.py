"""How the graphs of a language model write into its cache, read from the file because no runtime tells.

An operator `DYNAMIC_UPDATE_SLICE` copies what it is given and writes a part of it anew, and leaves the copying out
where both are one buffer. So one buffer may stand for a cache tensor's past and present, as LiteRT-LM has it on CPUs,
wherever such an operator is the only one that reads the past, and its result is the present.

Reads the signatures and the operators' inputs of the graphs asked for, nothing else: it is part of every load.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchharness.errors import ModelFailure
from targets.tflite.schema import IDENTIFIER, read_code, read_names
from targets.wire.flatbuffers import Table, Wire, mapped

# Field numbers of schema.fbs.
_MODEL_CODES, _MODEL_GRAPHS, _MODEL_SIGNATURES = 1, 2, 7
_SIGNATURE_INPUTS, _SIGNATURE_OUTPUTS, _SIGNATURE_KEY, _SIGNATURE_GRAPH = 0, 1, 2, 4
_GRAPH_TENSORS, _GRAPH_OPERATORS = 0, 3
_OPERATOR_CODE, _OPERATOR_INPUTS, _OPERATOR_OUTPUTS = 0, 1, 2
_TENSOR_SHAPE = 0

_APPENDING = "DYNAMIC_UPDATE_SLICE"
_MOST_DIMENSIONS, _MOST_INPUTS = 64, 1_000_000


@dataclass(frozen=True)
class Update:
    """How graphs write into a cache tensor."""

    axis: int | None  # the dimension that counts tokens; None: cannot be told
    in_place: bool  # whether one buffer may stand for past and present


def read_updates(model: Path, keys: Collection[str]) -> Mapping[str, Update]:
    """Cache tensors by name, those that each of these signatures writes a part of. Raises `ModelFailure`."""
    try:
        with mapped(model) as wire:
            return _read_model(wire, keys)
    except (ValueError, OSError) as error:
        raise ModelFailure(f"{model}: cannot be read ({error})") from error


def _read_model(wire: Wire, keys: Collection[str]) -> dict[str, Update]:
    model = wire.root(IDENTIFIER)
    codes = [read_code(code)[0] for code in model.children(_MODEL_CODES)]
    graphs, _ = model.vector(_MODEL_GRAPHS, 4)
    found: list[dict[str, Update]] = []
    for entry in model.children(_MODEL_SIGNATURES):
        if entry.text(_SIGNATURE_KEY) in keys:
            place = graphs + 4 * entry.number(_SIGNATURE_GRAPH, "u32")
            found.append(_read_graph(wire, wire.table(wire.follow(place)), entry, codes))
    common = set(found[0]).intersection(*found) if found else set()
    return {
        name: Update(
            axis=next((one[name].axis for one in found if one[name].axis is not None), None),
            in_place=all(one[name].in_place for one in found),
        )
        for name in common
    }


def _read_graph(wire: Wire, graph: Table, entry: Table, codes: list[str]) -> dict[str, Update]:
    """The updates of one graph, of cache tensors that come in and go out under one name."""
    start, tensors = graph.vector(_GRAPH_TENSORS, 4)
    given = read_names(entry, _SIGNATURE_INPUTS, tensors)
    made = read_names(entry, _SIGNATURE_OUTPUTS, tensors)
    held = {number: name for name, number in given.items() if name in made}
    readers: Counter[int] = Counter()
    updates: dict[str, Update] = {}
    for operator in graph.children(_GRAPH_OPERATORS):
        inputs = operator.numbers(_OPERATOR_INPUTS, _MOST_INPUTS)
        readers.update(number for number in inputs if number in held)
        code = operator.number(_OPERATOR_CODE, "u32")
        if code >= len(codes) or codes[code] != _APPENDING or len(inputs) < 2 or inputs[0] not in held:
            continue
        name = held[inputs[0]]
        whole, part = (
            wire.table(wire.follow(start + 4 * number)).numbers(_TENSOR_SHAPE, _MOST_DIMENSIONS)
            for number in _checked(inputs[:2], tensors)
        )
        differing = [axis for axis, (length, share) in enumerate(zip(whole, part)) if length != share]
        updates[name] = Update(
            axis=differing[0] if len(differing) == 1 else None,
            in_place=operator.numbers(_OPERATOR_OUTPUTS, _MOST_INPUTS) == (made[name],),
        )
    return {
        name: Update(update.axis, update.in_place and readers[given[name]] == 1) for name, update in updates.items()
    }


def _checked(numbers: tuple[int, ...], count: int) -> tuple[int, ...]:
    for number in numbers:
        if not 0 <= number < count:
            raise ValueError(f"tensor {number} of {count}")
    return numbers
