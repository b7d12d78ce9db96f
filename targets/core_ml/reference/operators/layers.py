"""Layers of networks: convolution, linear maps, pooling, normalization, attention.

Formulas: https://apple.github.io/coremltools/source/coremltools.converters.mil.mil.ops.defs.html.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from targets.core_ml.reference.graph import Call, Table

_SAME = {"same": "SAME_UPPER", "same_lower": "SAME_LOWER"}


def onnx_pads(pad: list[int]) -> list[int]:
    """MIL gives before and after for each dimension in turn; ONNX all that is before, then all that is after."""
    return [*pad[::2], *pad[1::2]]


def _padding(call: Call, dimensions: int) -> dict[str, Any]:
    """The padding of a convolution or pooling, as ONNX's attributes."""
    kind = call.text("pad_type", "valid")
    if kind in _SAME:
        return {"auto_pad": _SAME[kind]}
    if kind == "valid":
        return {}
    if kind != "custom":
        raise call.refuse(f"padding {kind}")
    return {"pads": onnx_pads(call.numbers("pad", [0] * 2 * dimensions))}


def _conv(call: Call) -> str:
    dimensions = call.rank("x") - 2
    ones = [1] * dimensions
    inputs = [call.tensor("x"), call.tensor("weight")]
    if call.given("bias"):
        inputs.append(call.tensor("bias"))
    return call.add(
        "Conv",
        *inputs,
        strides=call.numbers("strides", ones),
        dilations=call.numbers("dilations", ones),
        group=call.number("groups", 1),
        **_padding(call, dimensions),
    )


def _conv_transpose(call: Call) -> str:
    """ONNX counts what is cut off the full result at both ends, and what is added to it at the far end."""
    dimensions = call.rank("x") - 2
    ones = [1] * dimensions
    strides, dilations = call.numbers("strides", ones), call.numbers("dilations", ones)
    kernel, kind = call.shape("weight")[2:], call.text("pad_type", "valid")
    wanted = call.numbers("output_shape")[2:] if call.given("output_shape") else None
    before, after, added = [], [], []
    for axis in range(dimensions):
        length, size = call.shape("x")[2 + axis], kernel[axis]
        if size is None or (wanted and length is None):
            raise call.refuse("of lengths that are not fixed")
        span = (size - 1) * dilations[axis] + 1
        if kind == "same":
            excess = span - strides[axis]  # for an output of stride times the input
            if wanted and length is not None:
                excess = (length - 1) * strides[axis] + span - wanted[axis]
            cut = (max(excess, 0) // 2, max(excess, 0) - max(excess, 0) // 2)
            extra = max(-excess, 0)
        else:
            pad = call.numbers("pad", [0] * 2 * dimensions) if kind == "custom" else [0] * 2 * dimensions
            cut = (pad[2 * axis], pad[2 * axis + 1])
            extra = 0
            if wanted and length is not None:
                extra = wanted[axis] - ((length - 1) * strides[axis] + span - sum(cut))
            if extra < 0:
                cut, extra = (cut[0], cut[1] - extra), 0
        before.append(cut[0])
        after.append(cut[1])
        added.append(extra)
    inputs = [call.tensor("x"), call.tensor("weight")]
    if call.given("bias"):
        inputs.append(call.tensor("bias"))
    return call.add(
        "ConvTranspose",
        *inputs,
        strides=strides,
        dilations=dilations,
        group=call.number("groups", 1),
        pads=[*before, *after],
        output_padding=added,
    )


def _transposed(call: Call, name: str) -> str:
    """The last two dimensions swapped; a constant is swapped here, so that nothing is left to do at run time."""
    if call.is_known(name):
        return call.graph.constant(np.swapaxes(call.constant(name), -1, -2), _dtype(call, name))
    rank = call.rank(name)
    return call.add("Transpose", call.tensor(name), perm=[*range(rank - 2), rank - 1, rank - 2])


def _dtype(call: Call, name: str) -> str:
    return "float32" if call.is_float(name) else "int32"


def _linear(call: Call) -> str:
    """x times the weight's transpose, and the bias."""
    product = call.add("MatMul", call.tensor("x"), _transposed(call, "weight"))
    return call.add("Add", product, call.tensor("bias")) if call.given("bias") else product


def _matmul(call: Call) -> str:
    sides = [
        _transposed(call, name) if swap and call.rank(name) > 1 else call.tensor(name)
        for name in ("x", "y")
        for swap in [call.number(f"transpose_{name}", False)]
    ]
    return call.add("MatMul", *sides)


def _einsum(call: Call) -> str:
    return call.add("Einsum", *call.tensors("values"), equation=call.text("equation").replace(" ", ""))


def _pooling(call: Call) -> dict[str, Any]:
    kernel = call.numbers("kernel_sizes")
    return {"kernel_shape": kernel, "strides": call.numbers("strides", [1] * len(kernel))}


def _ceil_padding(call: Call) -> list[int] | None:
    """Padding behind the input that makes the whole windows of `ceil_mode`, by dimension; None where it is off.

    A window that would begin behind the input and its padding is left out.
    """
    if not call.number("ceil_mode", False) or call.text("pad_type") in _SAME:
        return None
    kernel, dimensions = call.numbers("kernel_sizes"), call.rank("x") - 2
    strides = call.numbers("strides", [1] * dimensions)
    pad = call.numbers("pad", [0] * 2 * dimensions) if call.text("pad_type") == "custom" else [0] * 2 * dimensions
    behind = []
    for axis, length in enumerate(call.shape("x")[2:]):
        if length is None:
            raise call.refuse("ceil_mode with lengths that are not fixed")
        before, after = pad[2 * axis], pad[2 * axis + 1]
        windows = -(-(length + before + after - kernel[axis]) // strides[axis]) + 1
        if (windows - 1) * strides[axis] >= length + before and before + after > 0:
            windows -= 1
        behind.append(max((windows - 1) * strides[axis] + kernel[axis] - (length + before + after), 0))
    return behind


def _max_pool(call: Call) -> str:
    dimensions = call.rank("x") - 2
    padding = _padding(call, dimensions)
    behind = _ceil_padding(call)
    if behind is not None:
        pads = padding.get("pads", [0] * 2 * dimensions)
        padding = {"pads": [*pads[:dimensions], *(a + b for a, b in zip(pads[dimensions:], behind))]}
    return call.add("MaxPool", call.tensor("x"), **_pooling(call), **padding)


def _avg_pool(call: Call) -> str:
    """Padding counts as zeros unless it is excluded; what `ceil_mode` adds behind it never counts."""
    dimensions = call.rank("x") - 2
    padding, behind, x = _padding(call, dimensions), _ceil_padding(call), call.tensor("x")
    counts_padding = not call.number("exclude_padding_from_average", False)
    if behind is not None:
        pads = padding.get("pads", [0] * 2 * dimensions)
        if counts_padding:
            none = [0, 0]
            x = call.add("Pad", x, call.shape_constant([*none, *pads[:dimensions], *none, *pads[dimensions:]]))
            pads = [0] * 2 * dimensions
        padding = {"pads": [*pads[:dimensions], *(a + b for a, b in zip(pads[dimensions:], behind))]}
        counts_padding = False
    return call.add("AveragePool", x, **_pooling(call), **padding, count_include_pad=int(counts_padding))


def _l2_pool(call: Call) -> str:
    return call.add("LpPool", call.tensor("x"), p=2, **_pooling(call), **_padding(call, call.rank("x") - 2))


def _channel_vector(call: Call, name: str, default: float) -> str:
    """A number for each channel. Raises `Unsupported` where their count is needed and not fixed."""
    if call.given(name):
        return call.tensor(name)
    channels = call.shape("x")[1]
    if channels is None:
        raise call.refuse("a number of channels that is not fixed")
    return call.graph.constant(np.full(channels, default, np.float32))


def _batch_norm(call: Call) -> str:
    return call.add(
        "BatchNormalization",
        call.tensor("x"),
        _channel_vector(call, "gamma", 1.0),
        _channel_vector(call, "beta", 0.0),
        call.tensor("mean"),
        call.tensor("variance"),
        epsilon=call.number("epsilon", 1e-5),
    )


def _instance_norm(call: Call) -> str:
    scale, shift = _channel_vector(call, "gamma", 1.0), _channel_vector(call, "beta", 0.0)
    return call.add("InstanceNormalization", call.tensor("x"), scale, shift, epsilon=call.number("epsilon", 1e-5))


def _layer_norm(call: Call) -> str:
    """gamma * (x - mean) / sqrt(variance + epsilon) + beta, over any axes."""
    rank, x = call.rank("x"), call.tensor("x")
    axes = sorted(axis % rank for axis in call.numbers("axes", list(range(rank))))
    over = call.shape_constant(axes)
    centred = call.add("Sub", x, call.add("ReduceMean", x, over, keepdims=1))
    variance = call.add("ReduceMean", call.add("Mul", centred, centred), over, keepdims=1)
    spread = call.add("Sqrt", call.add("Add", variance, call.scalar(call.number("epsilon", 1e-5))))
    normal = call.add("Div", centred, spread)
    for operator, name in (("Mul", "gamma"), ("Add", "beta")):
        if call.given(name):
            lengths = iter(call.shape(name))
            shape = [next(lengths) if axis in axes else 1 for axis in range(rank)]
            if None in shape:
                raise call.refuse(f"{name!r} of a length that is not fixed")
            factors = call.add("Reshape", call.tensor(name), call.shape_constant([n or 0 for n in shape]))
            normal = call.add(operator, normal, factors)
    return normal


def _l2_norm(call: Call) -> str:
    """x / sqrt(sum of squares + epsilon), over the last three dimensions."""
    x = call.tensor("x")
    total = call.add("ReduceSumSquare", x, call.shape_constant([-3, -2, -1]), keepdims=1)
    return call.add("Div", x, call.add("Sqrt", call.add("Add", total, call.scalar(call.number("epsilon", 1e-6)))))


def _local_response_norm(call: Call) -> str:
    flat = call.rank("x") == 3
    if not call.number("size") % 2:
        raise call.refuse("an even number of channels: on which side the odd one lies is not said")
    x = call.add("Unsqueeze", call.tensor("x"), call.shape_constant([3])) if flat else call.tensor("x")
    normal = call.add(
        "LRN",
        x,
        size=call.number("size"),
        alpha=call.number("alpha", 1e-4),
        beta=call.number("beta", 0.75),
        bias=call.number("k", 1.0),
    )
    return call.add("Squeeze", normal, call.shape_constant([3])) if flat else normal


def _attention(call: Call) -> str:
    """softmax(query @ key.T / sqrt(E) + mask) @ value; where a mask of truth values is false nothing is looked at."""
    width = call.shape("query")[-1]
    if width is None:
        raise call.refuse("a width that is not fixed")
    scores = call.add("MatMul", call.tensor("query"), _transposed(call, "key"))
    scores = call.add("Mul", scores, call.scalar(1 / math.sqrt(width)))
    if call.given("attn_mask"):
        if call.is_float("attn_mask"):
            scores = call.add("Add", scores, call.tensor("attn_mask"))
        else:
            scores = call.add("Where", call.tensor("attn_mask"), scores, call.scalar(-math.inf))
    return call.add("MatMul", call.add("Softmax", scores, axis=-1), call.tensor("value"))


LAYERS: Table = {
    "conv": _conv,
    "conv_transpose": _conv_transpose,
    "linear": _linear,
    "matmul": _matmul,
    "einsum": _einsum,
    "max_pool": _max_pool,
    "avg_pool": _avg_pool,
    "l2_pool": _l2_pool,
    "batch_norm": _batch_norm,
    "instance_norm": _instance_norm,
    "layer_norm": _layer_norm,
    "l2_norm": _l2_norm,
    "local_response_norm": _local_response_norm,
    "softmax": lambda call: call.add("Softmax", call.tensor("x"), axis=call.number("axis", -1)),
    "scaled_dot_product_attention": _attention,
}
