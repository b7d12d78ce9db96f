"""Recognises how a `.tflite` model is quantized, by the types that its operators are given.

The schemes are those that TensorFlow's converter and LiteRT's quantizer write.
"""

from __future__ import annotations

from collections import Counter
from typing import Optional

from benchharness.contract import Quantization
from targets.tflite.contents import LEFT_OUT, Contents, Graph, Operator, Quantized, Tensor

#: Operators that multiply with their weights, by the positions that weights may have. Given floats and quantized
#: weights, they quantize the floats at each run.
_WEIGHTS = {
    "FULLY_CONNECTED": (1,),
    "CONV_2D": (1,),
    "DEPTHWISE_CONV_2D": (1,),
    "TRANSPOSE_CONV": (1,),
    "CONV_3D": (1,),
    "BATCH_MATMUL": (0, 1),
    "SVDF": (1, 2),
    "RNN": (1, 2),
    "LSTM": tuple(range(1, 9)),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": tuple(range(1, 9)),
    "UNIDIRECTIONAL_SEQUENCE_RNN": (1, 2),
    "BIDIRECTIONAL_SEQUENCE_LSTM": tuple(range(1, 9)),
}
#: Operators that turn stored numbers back into floats, or pick some of them and do: (position of the weights).
_RESTORING = {"DEQUANTIZE": 0, "EMBEDDING_LOOKUP": 1, "GATHER": 0, "CAST": 0}

_HALF = ("float16", "bfloat16")
_Scheme = tuple[str, str, str, Optional[bool]]  # method, dtype, granularity, symmetric


def find_quantization(contents: Contents) -> list[Quantization]:
    """Every scheme met in a file, the one with most operators first; empty for a file of full precision."""
    found: dict[_Scheme, Counter[str]] = {}
    for graph in contents.graphs:
        for operator in graph.operators:
            for scheme in dict.fromkeys(_schemes(graph, operator)):
                found.setdefault(scheme, Counter())[operator.name] += 1
        scales = {tensor.quantized.scales_tensor for tensor in graph.tensors if tensor.quantized is not None}
        for number, tensor in enumerate(graph.tensors):
            if tensor.stored and tensor.dtype in _HALF and tensor.shape and number not in scales:
                found.setdefault(("half precision", tensor.dtype, "none", None), Counter())
    schemes = [
        Quantization(method=method, dtype=dtype, operators=dict(counts), granularity=granularity, symmetric=symmetric)
        for (method, dtype, granularity, symmetric), counts in found.items()
    ]
    return sorted(schemes, key=lambda scheme: -sum(scheme.operators.values()))


def _schemes(graph: Graph, operator: Operator) -> list[_Scheme]:
    found = []
    for position in _WEIGHTS.get(operator.name, ()):
        weights = stored_input(graph, operator, position)
        if weights is not None and weights.quantized is not None:
            found.append(_weights_scheme(graph, operator, weights, weights.quantized))
    weights = stored_input(graph, operator, _RESTORING.get(operator.name, LEFT_OUT))
    if weights is not None and weights.quantized is not None and _gives_floats(graph, operator):
        found.append(_scheme("static weights", weights, weights.quantized))
    for number in operator.outputs:
        tensor = graph.tensors[number] if number != LEFT_OUT else None
        if tensor is not None and tensor.quantized is not None and not tensor.stored and _whole(tensor):
            found.append(_scheme("static activations", tensor, tensor.quantized))
    return found


def _weights_scheme(graph: Graph, operator: Operator, weights: Tensor, quantized: Quantized) -> _Scheme:
    if quantized.block:
        return _scheme("block-wise weights", weights, quantized)
    floats = any(
        graph.tensors[number].dtype.startswith("float") and not graph.tensors[number].stored
        for number in operator.inputs
        if number != LEFT_OUT
    )
    return _scheme("dynamic weights" if floats else "static weights", weights, quantized)


def _scheme(method: str, tensor: Tensor, quantized: Quantized) -> _Scheme:
    if quantized.block:
        granularity = f"blocks of {quantized.block}"
    else:
        granularity = "per-tensor" if quantized.scales == 1 else "per-channel"
    return (method, tensor.dtype, granularity, quantized.symmetric)


def stored_input(graph: Graph, operator: Operator, position: int) -> Tensor | None:
    """The stored tensor at an input, None where it is computed or left out."""
    if not 0 <= position < len(operator.inputs) or operator.inputs[position] == LEFT_OUT:
        return None
    tensor = graph.tensors[operator.inputs[position]]
    return tensor if tensor.stored else None


def _gives_floats(graph: Graph, operator: Operator) -> bool:
    return any(graph.tensors[number].dtype.startswith("float") for number in operator.outputs if number != LEFT_OUT)


def _whole(tensor: Tensor) -> bool:
    return "int" in tensor.dtype
