"""The weights of a TFLite model that a recipe can make smaller, and the rules by which the tool leaves some of them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils
from ai_edge_quantizer.utils.tfl_flatbuffer_utils import get_op_scope

from benchharness.compress.parts import Weight, telling
from benchharness.errors import Unsupported

_OPERATORS = schema.BuiltinOperator
#: Position of the weights of the operators that the recipes are about.
_WEIGHTS_AT = {
    _OPERATORS.FULLY_CONNECTED: 1,
    _OPERATORS.CONV_2D: 1,
    _OPERATORS.DEPTHWISE_CONV_2D: 1,
    _OPERATORS.TRANSPOSE_CONV: 1,
    _OPERATORS.EMBEDDING_LOOKUP: 1,
}
_BYTES = {schema.TensorType.FLOAT32: 4, schema.TensorType.FLOAT16: 2}


def weights_of(path: Path) -> list[Weight]:
    """Every stored float weight once: signatures share buffers. Its name is its buffer's number, `buffer 7`."""
    found: dict[str, Weight] = {}
    for graph, operator, tensor in _weighted(flatbuffer_utils.read_model(str(path))):
        size = _BYTES[tensor.type]
        for length in tensor.shape:
            size *= int(length)
        label = telling(_text(tensor.name), _text(graph.tensors[operator.outputs[0]].name))
        found.setdefault(_name(tensor), Weight(_name(tensor), label, size))
    return list(found.values())


def rules_to_leave(source: Path, names: Collection[str]) -> list[dict[str, Any]]:
    """A rule for each operator that takes one of these weights: the tool knows operators by what they give.

    Raises `Unsupported` for weights that no operator takes.
    """
    if not names:
        return []
    scopes = {
        get_op_scope(operator, graph.tensors)
        for graph, operator, tensor in _weighted(flatbuffer_utils.read_model(str(source)))
        if _name(tensor) in names
    }
    if not scopes:
        raise Unsupported(f"nothing can be left as it is: no operator takes {', '.join(sorted(names)[:3])}")
    return [
        {"regex": f"^{re.escape(scope)}$", "operation": "*", "algorithm_key": "no_quantize", "op_config": {}}
        for scope in sorted(scopes)
    ]


def _weighted(model: Any) -> Iterator[tuple[Any, Any, Any]]:
    """Each operator with a stored float weight: its subgraph, itself, the weight's tensor."""
    for graph in model.subgraphs:
        for operator in graph.operators or ():
            code = model.operatorCodes[operator.opcodeIndex]
            at = _WEIGHTS_AT.get(max(code.builtinCode, code.deprecatedBuiltinCode))
            if at is None or at >= len(operator.inputs) or operator.inputs[at] < 0:
                continue
            tensor = graph.tensors[operator.inputs[at]]
            if tensor.type in _BYTES and tensor.shape is not None and _is_stored(model.buffers[tensor.buffer]):
                yield graph, operator, tensor


def _is_stored(buffer: Any) -> bool:
    return buffer.data is not None or bool(buffer.size)  # large models keep weights behind the flatbuffer


def _name(tensor: Any) -> str:
    return f"buffer {tensor.buffer}"


def _text(name: bytes | None) -> str:
    return (name or b"").decode(errors="replace")
