"""Recognises how an ONNX model is quantized, by the operators that quantize and what they are given.

The schemes are those that onnxruntime.quantization, its MatMulNBits tool and float16 converters write.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from benchharness.contract import Quantization
from targets.onnx_format.contents import Contents, Graph, Node, Tensor

#: Inputs of an operator that are scales, zero points or group indices, by position.
#: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md and the operators' pages on onnx.ai.
_SCALE_INPUTS = {
    "DequantizeLinear": (1, 2),
    "QuantizeLinear": (1, 2),
    "MatMulNBits": (2, 3, 4),
    "GatherBlockQuantized": (2, 3),
    "MatMulInteger": (2, 3),
    "ConvInteger": (2, 3),
    "MatMulIntegerToFloat": (2, 3, 4, 5),
    "DynamicQuantizeMatMul": (2, 3),
    "DynamicQuantizeLSTM": (8, 9, 10, 11),
    "QLinearConv": (1, 2, 4, 5, 6, 7),
    "QLinearMatMul": (1, 2, 4, 5, 6, 7),
    "QGemm": (1, 2, 4, 5, 7, 8),
    "QLinearAdd": (1, 2, 4, 5, 6, 7),
    "QLinearMul": (1, 2, 4, 5, 6, 7),
    "QLinearAveragePool": (1, 2, 3, 4),
    "QLinearGlobalAveragePool": (1, 2, 3, 4),
    "QLinearLeakyRelu": (1, 2, 3, 4),
    "QLinearReduceMean": (1, 2, 3, 4),
    "QLinearSigmoid": (1, 2, 3, 4),
    "QLinearSoftmax": (1, 2, 3, 4),
}

#: Operators whose weights are quantized in blocks along one axis: (position of the weights, of their zero points).
_BLOCK_WISE = {"MatMulNBits": (1, 3), "GatherBlockQuantized": (0, 3)}
#: What these operators assume where the attribute is left out.
_DEFAULT_BITS, _DEFAULT_BLOCK = 4, {"GatherBlockQuantized": 128}

#: Integer operators with scales fixed before: (position of the weights, of their scale, of their zero point).
_STATIC = {"QLinearConv": (3, 4, 5), "QLinearMatMul": (3, 4, 5), "QGemm": (3, 4, 5)}
#: ... and with the activations' scale found at each run. -1: the scale is applied by another operator.
_DYNAMIC = {
    "MatMulInteger": (1, -1, 3),
    "ConvInteger": (1, -1, 3),
    "MatMulIntegerToFloat": (1, 3, 5),
    "DynamicQuantizeMatMul": (1, 2, 3),
    "DynamicQuantizeLSTM": (1, 8, 9),
}

#: Operators that only pick or rearrange quantized weights between where they are stored and their DequantizeLinear.
_REARRANGING = frozenset({"Gather", "Identity", "Reshape", "Transpose"})

_HALF = ("float16", "bfloat16")
_UNKNOWN = "unknown"

_Scheme = tuple[str, str, str, "bool | None"]  # method, dtype, granularity, symmetric


def find_quantization(contents: Contents) -> list[Quantization]:
    """Every scheme met in a file, the one with most operators first; empty for a file of full precision."""
    found: dict[_Scheme, Counter[str]] = {}
    scales = scale_tensors(contents)
    for graph in contents.everywhere:
        for node in graph.nodes:
            scheme = _scheme(graph, node)
            if scheme is not None:
                found.setdefault(scheme, Counter())[node.operator] += 1
        for tensor in (*graph.initializers, *graph.constants):
            if tensor.dtype in _HALF and tensor.shape and tensor not in scales:
                found.setdefault(("half precision", tensor.dtype, "none", None), Counter())
    schemes = [
        Quantization(method=method, dtype=dtype, operators=dict(counts), granularity=granularity, symmetric=symmetric)
        for (method, dtype, granularity, symmetric), counts in found.items()
    ]
    return sorted(schemes, key=lambda scheme: -sum(scheme.operators.values()))


def packed_weights(contents: Contents) -> dict[Tensor, tuple[str, int]]:
    """Weights that share bytes of another type: their real type and how many they are, padding not counted."""
    found = {}
    for graph, node in _nodes(contents):
        if node.operator not in _BLOCK_WISE:
            continue
        weights = _input(graph, node, _BLOCK_WISE[node.operator][0])
        bits = node.attributes.get("bits", _DEFAULT_BITS)
        if weights is None or weights.dtype != "uint8" or bits not in (2, 4):
            continue
        numbers = weights.numbers * 8 // bits
        if node.operator == "MatMulNBits":
            numbers = min(numbers, max(node.attributes.get("K", 0), 0) * max(node.attributes.get("N", 0), 0)) or numbers
        found[weights] = (f"uint{bits}", numbers)
    return found


def scale_tensors(contents: Contents) -> set[Tensor]:
    """Stored tensors that quantization added: scales, zero points, group indices."""
    found = set()
    for graph, node in _nodes(contents):
        for position in _SCALE_INPUTS.get(node.operator, ()):
            tensor = _input(graph, node, position)
            if tensor is not None:
                found.add(tensor)
    return found


def _nodes(contents: Contents) -> Iterator[tuple[Graph, Node]]:
    for graph in contents.everywhere:
        for node in graph.nodes:
            yield graph, node


def _scheme(graph: Graph, node: Node) -> _Scheme | None:
    operator = node.operator
    if operator in _BLOCK_WISE:
        return _block_wise(graph, node)
    if operator in ("DequantizeLinear", "QuantizeLinear"):
        return _linear(graph, node)
    if operator == "DynamicQuantizeLinear":
        return ("dynamic activations", "uint8", "per-tensor", False)
    for table, method in ((_STATIC, "static weights"), (_DYNAMIC, "dynamic weights")):
        if operator in table:
            position, *scaling = table[operator]
            weights = _input(graph, node, position)
            return (method, weights.dtype if weights is not None else _UNKNOWN, *_scaled(graph, node, *scaling))
    return ("static activations", _UNKNOWN, _UNKNOWN, None) if operator.startswith("QLinear") else None


def _linear(graph: Graph, node: Node) -> _Scheme | None:
    if node.operator == "DequantizeLinear":
        weights = _rearranged(graph, node)
        # A value that the graph computes was quantized by a QuantizeLinear, which is counted.
        return None if weights is None else ("static weights", weights.dtype, *_scaled(graph, node, 1, 2))
    zero_point = _input(graph, node, 2)
    dtype = zero_point.dtype if zero_point is not None else "uint8"
    # Weights that are stored as floats and quantized by the graph count as quantized: they compute like that.
    method = "static activations" if _input(graph, node, 0) is None else "static weights"
    return (method, dtype, *_scaled(graph, node, 1, 2))


def _block_wise(graph: Graph, node: Node) -> _Scheme:
    weights_position, zero_points = _BLOCK_WISE[node.operator]
    bits = node.attributes.get("bits", _DEFAULT_BITS)
    block = node.attributes.get("block_size", _DEFAULT_BLOCK.get(node.operator, 0))
    weights = _input(graph, node, weights_position)
    named = weights is not None and weights.dtype != "uint8"
    dtype = weights.dtype if weights is not None and named else f"uint{bits}"
    # Without zero points the middle of the range stands for zero.
    return ("block-wise weights", dtype, f"blocks of {block}", not _has_input(node, zero_points))


def _rearranged(graph: Graph, node: Node) -> Tensor | None:
    """The stored tensor whose numbers, or some of them, are an operator's first input."""
    for _ in range(len(_REARRANGING)):
        stored = _input(graph, node, 0)
        before = graph.makers.get(node.inputs[0]) if _has_input(node, 0) else None
        if stored is not None or before is None or before.operator not in _REARRANGING:
            return stored
        node = before
    return None


def _scaled(graph: Graph, node: Node, scale_position: int, zero_point_position: int) -> tuple[str, bool | None]:
    """What shares a scale, and whether zero stands for zero."""
    scale = _input(graph, node, scale_position) if scale_position >= 0 else None
    zero_point = _input(graph, node, zero_point_position)
    if not _has_input(node, zero_point_position):
        symmetric: bool | None = True
    else:
        symmetric = zero_point.all_zero if zero_point is not None else None
    block = node.attributes.get("block_size", 0)
    shared_by = scale if scale is not None else zero_point
    if block > 0:
        granularity = f"blocks of {block}"
    elif shared_by is None:
        granularity = _UNKNOWN
    else:
        granularity = "per-tensor" if shared_by.numbers == 1 else "per-channel"
    return granularity, symmetric


def _has_input(node: Node, position: int) -> bool:
    return 0 <= position < len(node.inputs) and bool(node.inputs[position])


def _input(graph: Graph, node: Node, position: int) -> Tensor | None:
    """The stored tensor at an input, None where it is computed or left out."""
    return graph.find(node.inputs[position]) if _has_input(node, position) else None
