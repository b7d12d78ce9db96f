"""Which files beside an .onnx file hold its numbers: read from the file, before any runtime follows it.

Tensors lie in the main graph, in graphs inside operators, in functions, and in attributes, dense and sparse. The walk
steps over what cannot name a file: a name is stored as it is, under the key `location`.
Format: https://github.com/onnx/onnx/blob/main/docs/ExternalData.md.
"""

from __future__ import annotations

from pathlib import Path

from benchharness.errors import ModelFailure
from targets.model_files import checked, named_in
from targets.wire.protobuf import LONGEST_TEXT, Limit, Wire, mapped

# Field numbers of onnx.proto.
_MODEL_GRAPH, _MODEL_TRAINING, _MODEL_FUNCTIONS = 7, 20, 25
_TRAINING_GRAPHS = (1, 2)
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_INPUT, _GRAPH_SPARSE = 1, 5, 11, 15
_FUNCTION_NODE, _FUNCTION_ATTRIBUTE = 7, 11
_NODE_ATTRIBUTE = 5
_ATTRIBUTE_TENSORS, _ATTRIBUTE_GRAPHS, _ATTRIBUTE_SPARSE = (5, 10), (6, 11), (22, 23)
_SPARSE_TENSORS = (1, 2)
_TENSOR_EXTERNAL, _TENSOR_LOCATION = 13, 14
_ENTRY_KEY, _ENTRY_VALUE = 1, 2
_KEY = b"location"
#: A longer operator or attribute is walked at once: searching it would read weights that lie in it.
_LONGEST_SEARCHED = 64 * 1024
#: Graphs in graphs. Protobuf's own readers stop at 100 nested messages, which is 33 of them.
_DEEPEST = 33


def external_files(model: Path, root: Path) -> list[Path]:
    """The files that hold a model's tensors, apart from itself. Nothing where it is no ONNX model: a runtime will say.

    Raises `ModelFailure` for a file that is missing, a path that a model must not name, and a model that has too much
    in it for this to be known.
    """
    if model.suffix in (".ort", ".sealed"):  # all in one file: another format, or what is told when it is opened
        return []
    try:
        with mapped(model) as wire:
            names = read_locations(wire)
    except Limit as error:
        raise ModelFailure(f"{model}: which files it names cannot be told ({error})") from error
    except (OSError, ValueError):
        return []
    files = [checked(named_in(model, name, model.parent), root) for name in sorted(names)]
    missing = [file for file in files if not file.is_file()]
    if missing:
        told = ", ".join(file.relative_to(model.parent).as_posix() for file in missing[:5])
        raise ModelFailure(f"{model}: has weights outside it that are missing ({told}); copy the whole folder")
    return files


def read_locations(wire: Wire) -> set[str]:
    """The paths under which tensors are stored, as written. Raises `ValueError`."""
    found: set[str] = set()
    for number, value, end in wire.fields(0, len(wire.content)):
        if not end:
            continue
        if number == _MODEL_GRAPH:
            _read_graph(wire, value, end, found, 1)
        elif number == _MODEL_FUNCTIONS:
            for part, part_value, part_end in wire.fields(value, end):
                if part == _FUNCTION_NODE:
                    _read_node(wire, part_value, part_end, found, 1)
                elif part == _FUNCTION_ATTRIBUTE:
                    _read_attribute(wire, part_value, part_end, found, 1)
        elif number == _MODEL_TRAINING:
            for part, part_value, part_end in wire.fields(value, end):
                if part in _TRAINING_GRAPHS and part_end:
                    _read_graph(wire, part_value, part_end, found, 1)
    return found


def input_names(wire: Wire) -> set[str]:
    """What the inputs of the main graph are called. Raises `ValueError`."""
    found: set[str] = set()
    for number, value, end in wire.fields(0, len(wire.content)):
        if number == _MODEL_GRAPH and end:
            for part, part_value, part_end in wire.fields(value, end):
                if part == _GRAPH_INPUT and part_end:
                    found.update(wire.text(*each) for field, *each in wire.fields(part_value, part_end) if field == 1)
    return found


def _read_graph(wire: Wire, start: int, stop: int, found: set[str], depth: int) -> None:
    if depth > _DEEPEST:
        raise Limit(f"more than {_DEEPEST} graphs inside each other at byte {start}")
    for number, value, end in wire.fields(start, stop):
        if number == _GRAPH_NODE:
            _read_node(wire, value, end, found, depth)
        elif number == _GRAPH_INITIALIZER:
            _read_tensor(wire, value, end, found)
        elif number == _GRAPH_SPARSE:
            _read_sparse(wire, value, end, found)


def _read_node(wire: Wire, start: int, stop: int, found: set[str], depth: int) -> None:
    if _names_nothing(wire, start, stop):
        return
    for number, value, end in wire.fields(start, stop):
        if number == _NODE_ATTRIBUTE:
            _read_attribute(wire, value, end, found, depth)


def _read_attribute(wire: Wire, start: int, stop: int, found: set[str], depth: int) -> None:
    if _names_nothing(wire, start, stop):
        return
    for number, value, end in wire.fields(start, stop):
        if number in _ATTRIBUTE_TENSORS:
            _read_tensor(wire, value, end, found)
        elif number in _ATTRIBUTE_SPARSE:
            _read_sparse(wire, value, end, found)
        elif number in _ATTRIBUTE_GRAPHS:
            _read_graph(wire, value, end, found, depth + 1)


def _read_sparse(wire: Wire, start: int, stop: int, found: set[str]) -> None:
    for number, value, end in wire.fields(start, stop):
        if number in _SPARSE_TENSORS:
            _read_tensor(wire, value, end, found)


def _read_tensor(wire: Wire, start: int, stop: int, found: set[str]) -> None:
    external, entries = False, []
    for number, value, end in wire.fields(start, stop):
        if number == _TENSOR_LOCATION:
            external = value == 1
        elif number == _TENSOR_EXTERNAL:
            entries.append((value, end))
    for entry in entries if external else ():
        key, text = "", ""
        for number, value, end in wire.fields(*entry):
            if number == _ENTRY_KEY:
                key = wire.text(value, end)
            elif number == _ENTRY_VALUE:
                if end - value >= LONGEST_TEXT:
                    raise Limit(f"a path of {end - value} bytes at byte {value}")
                text = wire.text(value, end)
        if key == _KEY.decode():
            found.add(text)


def _names_nothing(wire: Wire, start: int, stop: int) -> bool:
    return stop - start <= _LONGEST_SEARCHED and wire.content.find(_KEY, start, stop) < 0
