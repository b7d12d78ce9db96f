"""Each operator of ML programs, translated and run, against coremltools' own value inference or plain numpy."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.contract.mil_formulas import (
    by_channel,
    convolved,
    largest,
    lstm,
    mean,
    neighbours_normalized,
    normalized,
    pooled,
    resized,
    root_of_squares,
    sigmoid,
    spread,
    written,
)
from tests.contract.mil_programs import Array, Case, ct, infer_all, mb, run_all

IOS15, IOS16, IOS17, IOS18 = ct.target.iOS15, ct.target.iOS16, ct.target.iOS17, ct.target.iOS18

_random = np.random.default_rng(20)


def floats(*shape: int, low: float = -3, high: float = 3) -> Array:
    return _random.uniform(low, high, shape).astype(np.float32)


def ints(*shape: int, low: int = -7, high: int = 8) -> Array:
    return _random.integers(low, high, shape).astype(np.int32)


def truth(value: Any) -> Any:
    """Core ML's models neither take nor give truth values: a program turns them into numbers."""
    return mb.cast(x=value, dtype="int32")


X, Y = floats(2, 3, 4), floats(2, 3, 4)
N, M = ints(2, 3, 4), np.where(ints(2, 3, 4) == 0, 5, ints(2, 3, 4)).astype(np.int32)
M[M == 0] = 3
IMAGE = floats(2, 4, 6, 6)
UNIT = floats(2, 3, 4, low=-0.95, high=0.95)
POSITIVE = floats(2, 3, 4, low=0.2, high=4)
COARSE = np.array([-2.5, -1.5, -0.5, 0.0, 0.5, 1.5, 2.5, 3.0], np.float32)

#: What coremltools infers from constants.
INFERRED: dict[str, Case] = {
    **{
        name: (lambda x, name=name: getattr(mb, name)(x=x), {"x": X})
        for name in (
            *("abs", "atan", "ceil", "cos", "cosh", "erf", "exp", "exp2", "floor", "identity", "sign", "sin", "sinh"),
            *("square", "tan", "tanh", "relu", "relu6", "sigmoid", "softplus", "softsign", "gelu"),
        )
    },
    **{name: (lambda x, name=name: getattr(mb, name)(x=x), {"x": UNIT}) for name in ("acos", "asin", "atanh")},
    **{
        name: (lambda x, name=name: getattr(mb, name)(x=x), {"x": POSITIVE})
        for name in ("sqrt", "rsqrt", "log", "inverse")
    },
    "round halves": (lambda x: mb.round(x=x), {"x": COARSE}),
    "rsqrt with epsilon": (lambda x: mb.rsqrt(x=x, epsilon=0.5), {"x": POSITIVE}),
    "log with epsilon": (lambda x: mb.log(x=x, epsilon=0.5), {"x": POSITIVE}),
    "inverse with epsilon": (lambda x: mb.inverse(x=x, epsilon=0.5), {"x": POSITIVE}),
    "abs of integers": (lambda x: mb.abs(x=x), {"x": N}),
    "sign of integers": (lambda x: mb.sign(x=x), {"x": N}),
    "square of integers": (lambda x: mb.square(x=x), {"x": N}),
    "clip": (lambda x: mb.clip(x=x, alpha=-1.0, beta=0.5), {"x": X}),
    "threshold": (lambda x: mb.threshold(x=x, alpha=0.25), {"x": X}),
    "threshold of integers": (lambda x: mb.threshold(x=x, alpha=2), {"x": N}),
    "logical_not": (lambda x: truth(mb.logical_not(x=mb.cast(x=x, dtype="bool"))), {"x": ints(5, low=0, high=2)}),
    **{
        f"cast to {dtype}": (lambda x, dtype=dtype: mb.cast(x=mb.cast(x=x, dtype=dtype), dtype="fp32"), {"x": X})
        for dtype in ("int32", "bool", "int8", "int16", "fp32")
    },
    "cast wraps around": (
        lambda x: mb.cast(x=mb.cast(x=x, dtype="uint8"), dtype="int32"),
        {"x": np.array([-1, 255, 256, 300, -300], np.int32)},
    ),
    # Two tensors.
    **{
        name: (lambda x, y, name=name: getattr(mb, name)(x=x, y=y), {"x": X, "y": Y})
        for name in ("add", "sub", "mul", "real_div", "floor_div", "mod", "maximum", "minimum")
    },
    **{
        f"{name} of integers": (lambda x, y, name=name: getattr(mb, name)(x=x, y=y), {"x": N, "y": M})
        for name in ("add", "sub", "mul", "floor_div", "mod", "maximum", "minimum")
    },
    "add broadcast": (lambda x, y: mb.add(x=x, y=y), {"x": X, "y": floats(3, 1)}),
    "sub of a constant": (lambda x: mb.sub(x=1.5, y=x), {"x": X}),
    "pow": (lambda x, y: mb.pow(x=x, y=y), {"x": POSITIVE, "y": Y}),
    "pow of integers": (lambda x, y: mb.pow(x=x, y=y), {"x": N, "y": ints(2, 3, 4, low=0, high=4)}),
    **{
        f"{name}{what}": (lambda x, y, name=name: truth(getattr(mb, name)(x=x, y=y)), {"x": x, "y": y})
        for name in ("equal", "not_equal", "greater", "greater_equal", "less", "less_equal")
        for what, x, y in (("", COARSE, COARSE[::-1].copy()), (" of integers", N, ints(2, 3, 4)))
    },
    **{
        name: (
            lambda x, y, name=name: truth(
                getattr(mb, name)(x=mb.cast(x=x, dtype="bool"), y=mb.cast(x=y, dtype="bool"))
            ),
            {"x": np.array([0, 0, 1, 1], np.int32), "y": np.array([0, 1, 0, 1], np.int32)},
        )
        for name in ("logical_and", "logical_or", "logical_xor")
    },
    "select": (
        lambda x, y: mb.select(cond=mb.greater(x=x, y=0.0), a=x, b=y),
        {"x": X, "y": Y},
    ),
    "select of integers, broadcast": (
        lambda x, y: mb.select(cond=mb.greater(x=x, y=0.0), a=y, b=mb.const(val=np.int32(9))),
        {"x": X, "y": ints(3, 4)},
    ),
    "select of truth values": (
        lambda x, y: truth(mb.select(cond=mb.less(x=x, y=y), a=mb.less(x=x, y=0.0), b=mb.less(x=y, y=0.0))),
        {"x": X, "y": Y},
    ),
    # Activations.
    **{
        f"gelu {mode}": (lambda x, mode=mode: mb.gelu(x=x, mode=mode), {"x": X})
        for mode in ("EXACT", "TANH_APPROXIMATION", "SIGMOID_APPROXIMATION")
    },
    "clamped_relu": (lambda x: mb.clamped_relu(x=x, alpha=0.3, beta=1.5), {"x": X}),
    "elu": (lambda x: mb.elu(x=x, alpha=0.7), {"x": X}),
    "leaky_relu": (lambda x: mb.leaky_relu(x=x, alpha=0.1), {"x": X}),
    "linear_activation": (lambda x: mb.linear_activation(x=x, alpha=0.5, beta=-2.0), {"x": X}),
    "prelu": (lambda x: mb.prelu(x=x, alpha=np.array([0.1, 0.2, 0.3, 0.4], np.float32)), {"x": IMAGE}),
    "scaled_tanh": (lambda x: mb.scaled_tanh(x=x, alpha=1.7, beta=0.6), {"x": X}),
    "sigmoid_hard": (lambda x: mb.sigmoid_hard(x=x, alpha=0.3, beta=0.4), {"x": X}),
    "softplus_parametric": (
        lambda x: mb.softplus_parametric(
            x=x, alpha=np.array([1, 2, 3, 4], np.float32), beta=np.array([0.5, 1, 1.5, 2], np.float32)
        ),
        {"x": IMAGE},
    ),
    "thresholded_relu": (lambda x: mb.thresholded_relu(x=x, alpha=0.5), {"x": COARSE}),
    "softmax": (lambda x: mb.softmax(x=x), {"x": X}),
    "softmax along 1": (lambda x: mb.softmax(x=x, axis=1), {"x": X}),
    # Linear maps.
    "linear": (lambda x: mb.linear(x=x, weight=floats_of(5, 4), bias=floats_of(5)), {"x": X}),
    "linear without bias": (lambda x: mb.linear(x=x, weight=floats_of(5, 4)), {"x": X}),
    **{
        f"matmul {a} {b}": (
            lambda x, y, a=a, b=b: mb.matmul(x=x, y=y, transpose_x=a, transpose_y=b),
            {"x": floats(2, *((4, 3) if a else (3, 4))), "y": floats(2, *((5, 4) if b else (4, 5)))},
        )
        for a, b in product((False, True), repeat=2)
    },
    "matmul broadcast": (lambda x, y: mb.matmul(x=x, y=y), {"x": floats(3, 1, 2, 4), "y": floats(2, 4, 5)}),
    "matmul by a constant": (lambda x: mb.matmul(x=x, y=floats_of(5, 4), transpose_y=True), {"x": X}),
    "matmul of integers": (lambda x, y: mb.matmul(x=x, y=y), {"x": ints(3, 4), "y": ints(4, 2)}),
    "matmul of vectors": (lambda x, y: mb.matmul(x=x, y=y), {"x": floats(4), "y": floats(4, 3)}),
    "einsum": (
        lambda x, y: mb.einsum(values=(x, y), equation="nchw,nwhu->nchu"),
        {"x": floats(2, 3, 4, 5), "y": floats(2, 5, 4, 6)},
    ),
    "einsum broadcast": (
        lambda x, y: mb.einsum(values=(x, y), equation="nchw,nwhu->nchu"),
        {"x": floats(2, 3, 1, 5), "y": floats(1, 5, 4, 6)},
    ),
    "einsum of three": (
        lambda x, y: mb.einsum(values=(x, y), equation="chw,whr->chr"),
        {"x": floats(3, 4, 5), "y": floats(5, 4, 6)},
    ),
    # Norms.
    "l2_norm": (lambda x: mb.l2_norm(x=x, epsilon=0.1), {"x": IMAGE}),
    "l2_norm of three dimensions": (lambda x: mb.l2_norm(x=x), {"x": X}),
    "layer_norm": (
        lambda x: mb.layer_norm(x=x, axes=[2], gamma=floats_of(4), beta=floats_of(4), epsilon=1e-3),
        {"x": X},
    ),
    "layer_norm in the middle": (lambda x: mb.layer_norm(x=x, axes=[1], gamma=floats_of(3)), {"x": X}),
    "layer_norm of two axes": (
        lambda x: mb.layer_norm(x=x, axes=[-2, -1], gamma=floats_of(3, 4), beta=floats_of(3, 4)),
        {"x": X},
    ),
    # Reductions.
    **{
        f"{name} {axes} {keep}": (
            lambda x, name=name, axes=axes, keep=keep: getattr(mb, name)(x=x, axes=axes, keep_dims=keep),
            {"x": POSITIVE},
        )
        for name in (
            *("reduce_sum", "reduce_max", "reduce_min", "reduce_prod", "reduce_mean", "reduce_l1_norm"),
            *("reduce_l2_norm", "reduce_log_sum", "reduce_log_sum_exp", "reduce_sum_square"),
        )
        for axes, keep in (([1], True), ([0, -1], False))
    },
    **{  # numbers that a float32 would round
        f"{name} of large integers": (
            lambda x, name=name: getattr(mb, name)(x=x, axes=[0]),
            {"x": np.array([[1 << 30, 3], [5, (1 << 24) + 1]], np.int32)},
        )
        for name in ("reduce_sum", "reduce_max")
    },
    "reduce_sum of all": (lambda x: mb.reduce_sum(x=x), {"x": X}),
    **{
        f"{name} of integers": (lambda x, name=name: getattr(mb, name)(x=x, axes=[1]), {"x": N})
        for name in ("reduce_sum", "reduce_max", "reduce_min", "reduce_prod", "reduce_mean", "reduce_sum_square")
    },
    **{
        f"{name} {axis} {keep}": (
            lambda x, name=name, axis=axis, keep=keep: getattr(mb, name)(x=x, axis=axis, keep_dims=keep),
            {"x": X},
        )
        for name in ("reduce_argmax", "reduce_argmin")
        for axis, keep in ((-1, False), (1, True))
    },
    # Shapes.
    "concat": (lambda x, y: mb.concat(values=(x, y), axis=1), {"x": X, "y": floats(2, 2, 4)}),
    "stack": (lambda x, y: mb.stack(values=(x, y), axis=-1), {"x": X, "y": Y}),
    "split": (lambda x: mb.split(x=x, num_splits=2, axis=2), {"x": X}),
    "split to sizes": (lambda x: mb.split(x=x, split_sizes=[1, 3], axis=-1), {"x": X}),
    "tile": (lambda x: mb.tile(x=x, reps=[1, 3, 2]), {"x": X}),
    "reshape": (lambda x: mb.reshape(x=x, shape=[4, -1]), {"x": X}),
    "reshape keeping lengths": (lambda x: mb.reshape(x=x, shape=[0, -1, 2]), {"x": X}),
    "reshape zeros from the end": (lambda x: mb.reshape(x=x, shape=[1, 0, -1, 0]), {"x": floats(2, 50)}),
    "expand_dims": (lambda x: mb.expand_dims(x=x, axes=[0, -1]), {"x": X}),
    "squeeze": (lambda x: mb.squeeze(x=x, axes=[0, 2]), {"x": floats(1, 3, 1, 4)}),
    "squeeze all": (lambda x: mb.squeeze(x=x), {"x": floats(1, 3, 1, 4)}),
    "transpose": (lambda x: mb.transpose(x=x, perm=[-1, 0, 1]), {"x": X}),
    "transpose of integers": (lambda x: mb.transpose(x=x, perm=[1, 2, 0]), {"x": N}),
    "flatten2d": (lambda x: mb.flatten2d(x=x, axis=2), {"x": X}),
    "flatten2d from the end": (lambda x: mb.flatten2d(x=x, axis=-1), {"x": X}),
    "shape": (lambda x: mb.shape(x=x), {"x": X}),
    "fill": (lambda x: mb.add(x=mb.fill(shape=[2, 3, 4], value=1.5), y=x), {"x": X}),
    "fill_like": (lambda x: mb.fill_like(ref_tensor=x, value=2.5), {"x": X}),
    "range_1d": (lambda x: mb.add(x=mb.range_1d(start=1.0, end=3.0, step=0.5), y=x), {"x": floats(4)}),
    **{
        f"band_part {lower} {upper}": (
            lambda x, lower=lower, upper=upper: mb.band_part(x=x, lower=lower, upper=upper),
            {"x": floats(2, 4, 5)},
        )
        for lower, upper in ((0, -1), (-1, 0), (0, 0), (1, 2), (-1, -1))
    },
    "band_part of integers": (lambda x: mb.band_part(x=x, lower=1, upper=0), {"x": ints(4, 5)}),
    "reverse": (lambda x: mb.reverse(x=x, axes=[0, -1]), {"x": X}),
    "reverse all": (lambda x: mb.reverse(x=x), {"x": X}),
    **{
        f"pad {mode}": (
            lambda x, mode=mode: mb.pad(x=x, pad=[1, 2, 2, 1], mode=mode, constant_val=0.5),
            {"x": X},
        )
        for mode in ("constant", "reflect", "replicate")
    },
    "pad every dimension": (lambda x: mb.pad(x=x, pad=[0, 1, 1, 0, 2, 2]), {"x": X}),
    # Slices.
    **{
        f"slice_by_index {number}": (lambda x, arguments=arguments: mb.slice_by_index(x=x, **arguments), {"x": SLICED})
        for SLICED in (floats(4, 5, 6),)
        for number, arguments in enumerate(
            (
                {"begin": [1, 0, 2], "end": [3, 5, 4]},
                {"begin": [0, -3, -2], "end": [-1, -1, 6]},
                {"begin": [1, 1, 1], "end": [2, 2, 2], "begin_mask": [True, False, True]},
                {"begin": [1, 1, 1], "end": [2, 2, 2], "end_mask": [True, False, True]},
                {"begin": [3, 4, 5], "end": [0, 0, 1], "stride": [-1, -2, -3]},
                {"begin": [3, 4, 5], "end": [0, 0, 1], "stride": [-1, -2, -3], "end_mask": [True, True, False]},
                {
                    "begin": [0, 0, 0],
                    "end": [1, 1, 1],
                    "stride": [-1, 2, -1],
                    "begin_mask": [True, False, True],
                    "end_mask": [True, True, True],
                },
                {"begin": [-1, 2, 0], "end": [0, 0, 3], "squeeze_mask": [True, True, False]},
                {"begin": [0, 0, 0], "end": [9, 9, 9], "stride": [2, 3, 4]},
            )
        )
    },
    "real_div of integers": (lambda x: mb.real_div(x=x, y=np.int32(2)), {"x": np.array([4, -6, 8], np.int32)}),
    "slice_by_size": (lambda x: mb.slice_by_size(x=x, begin=[0, 1, -2], size=[2, -1, 1]), {"x": X}),
    # Picking.
    "gather": (lambda x: mb.gather(x=x, indices=np.array([2, 0, -1], np.int32), axis=1), {"x": X}),
    "gather one": (lambda x: mb.gather(x=x, indices=np.int32(1), axis=2), {"x": X}),
    "gather by a table": (lambda x, y: mb.gather(x=x, indices=y, axis=0), {"x": X, "y": ints(2, 2, low=-2, high=2)}),
    "gather of integers": (lambda x: mb.gather(x=x, indices=np.array([1, 1], np.int32), axis=2), {"x": N}),
    "gather in batches": (
        lambda x, y: mb.gather(x=x, indices=y, axis=1, batch_dims=1),
        {"x": X, "y": ints(2, 2, low=0, high=3)},
    ),
    "gather in batches along a later axis": (
        lambda x, y: mb.gather(x=x, indices=y, axis=3, batch_dims=1),
        {"x": floats(2, 3, 4, 5), "y": ints(2, 2, 3, low=0, high=5)},
    ),
    "gather_along_axis": (
        lambda x, y: mb.gather_along_axis(x=x, indices=y, axis=1),
        {"x": X, "y": ints(2, 5, 4, low=-3, high=3)},
    ),
    "scatter_along_axis": (
        lambda x, y: mb.scatter_along_axis(
            data=x, indices=np.array([[2, 0]] * 3, np.int32), updates=y, axis=1, mode="update"
        ),
        {"x": floats(3, 4), "y": floats(3, 2)},
    ),
    "non_zero": (lambda x: mb.non_zero(x=x), {"x": ints(3, 4, low=0, high=2)}),
    # Order.
    **{
        f"topk {ascending}": (lambda x, ascending=ascending: mb.topk(x=x, k=2, axis=1, ascending=ascending), {"x": X})
        for ascending in (False, True)
    },
    "argsort": (lambda x: mb.argsort(x=x, axis=1), {"x": X}),
    "argsort ascending": (lambda x: mb.argsort(x=x, ascending=True), {"x": X}),
    "cumsum": (lambda x: mb.cumsum(x=x, axis=1), {"x": X}),
    "cumsum reversed": (lambda x: mb.cumsum(x=x, axis=-1, reverse=True), {"x": X}),
    "cumsum of integers": (lambda x: mb.cumsum(x=x, axis=0), {"x": N}),
    # Quantized activations.
    **{
        f"quantize {dtype}": (
            lambda x, dtype=dtype: mb.cast(
                x=mb.quantize(input=x, scale=0.02, zero_point=getattr(np, dtype)(3), output_dtype=dtype), dtype="int32"
            ),
            {"x": X},
        )
        for dtype in ("int8", "uint8")
    },
    "quantize channels": (
        lambda x: mb.cast(
            x=mb.quantize(input=x, scale=np.array([0.1, 0.2, 0.3], np.float32), axis=1, output_dtype="int8"),
            dtype="int32",
        ),
        {"x": X},
    ),
}


def floats_of(*shape: int) -> Array:
    """Weights inside a program: the same whenever it is built."""
    return np.random.default_rng(math.prod(shape)).uniform(-1, 1, shape).astype(np.float32)


#: Operators that are converted and run in one program.
TOGETHER = 25


def in_groups(cases: dict[str, Any]) -> list[Any]:
    """Groups of cases, each with the names of its cases for the test's own name."""
    names = list(cases)
    groups = [names[start : start + TOGETHER] for start in range(0, len(names), TOGETHER)]
    return [pytest.param(group, id=f"{group[0]} to {group[-1]}") for group in groups]


def compare(found: dict[str, list[Array]], expected: dict[str, list[Array]]) -> None:
    """Every case of a group; all that are wrong are named at once."""
    wrong = [f"{name}: {reason}" for name in expected for reason in differences(found[name], expected[name])]
    assert not wrong, "\n".join(wrong)


def differences(found: list[Array], expected: list[Array]) -> Iterator[str]:
    if len(found) != len(expected):
        yield f"{len(found)} outputs, not {len(expected)}"
    for ours, theirs in zip(found, expected, strict=False):
        if ours.shape != theirs.shape:
            yield f"shape {ours.shape}, not {theirs.shape}"
        elif (ours.dtype.kind == "f") != (theirs.dtype.kind == "f"):
            yield f"{ours.dtype}, not {theirs.dtype}"
        elif not np.allclose(ours, theirs, rtol=2e-5, atol=2e-6, equal_nan=True):
            yield f"off by {np.abs(ours - theirs).max()}:\n{ours}\nnot\n{theirs}"


@pytest.mark.parametrize("names", in_groups(INFERRED))
def test_as_coremltools_infers_it(names: list[str], tmp_path: Path) -> None:
    cases = {name: INFERRED[name] for name in names}
    found, expected = run_all(cases, tmp_path, opset=IOS17), infer_all(cases, opset=IOS17)
    compare(found, expected)


# What coremltools does not infer, against formulas in numpy.


CONV_X, CONV_W, CONV_B = floats(2, 4, 7, 6), floats(6, 4, 3, 2), floats(6)
VECTOR_W, VOLUME_X, VOLUME_W = floats(5, 3, 3), floats(1, 2, 4, 5, 3), floats(3, 2, 2, 2, 2)
GROUPED_W, SPREAD_W, SPREAD_GROUPED = floats(4, 2, 3, 3), floats(4, 3, 3, 2), floats(4, 2, 3, 3)
POOL_X = floats(2, 3, 7, 6)
LSTM_X, LSTM_H, LSTM_C = floats(5, 2, 3), floats(2, 4), floats(2, 4)
LSTM_WEIGHTS = [floats(16, 3), floats(16, 4), floats(16)]
LSTM_BACK = [floats(16, 3), floats(16, 4), floats(16)]
PEEPHOLE = floats(12)
MEANS, VARIANCES, GAMMA, BETA = floats(4), floats(4, low=0.5, high=2), floats(4), floats(4)
QUERY, KEY, VALUE = floats(2, 3, 5, 4), floats(2, 3, 6, 4), floats(2, 3, 6, 7)
MASK = np.where(ints(5, 6) > 0, 1, 0).astype(np.int32)
MASK[:, 0] = 1
BEGIN, END = np.array([1, 0, 2], np.int32), np.array([3, -1, 5], np.int32)
SOURCE = floats(4, 5, 6)


def attended(mask: Array | float) -> Array:
    scores = QUERY.astype(np.float64) @ KEY.swapaxes(-1, -2) / 2 + mask
    shares = np.exp(scores - scores.max(-1, keepdims=True))
    return np.asarray(shares / shares.sum(-1, keepdims=True) @ VALUE, np.float32)


def counting(x: Any) -> Any:
    """A loop that adds x until the sum of it is large."""

    def goes_on(turn: Any, total: Any) -> Any:
        return mb.less(x=turn, y=4)

    def turn(turn: Any, total: Any) -> Any:
        return mb.add(x=turn, y=1), mb.add(x=total, y=x)

    return mb.while_loop(_cond=goes_on, _body=turn, loop_vars=(mb.const(val=np.int32(0)), mb.mul(x=x, y=0.0)))[1]


def listed(x: Any) -> Any:
    """A list filled by a loop, as recurrent layers are written without an operator of their own."""
    squares = mb.make_list(init_length=4, dynamic_length=False, elem_shape=(2,), dtype="fp32")

    def goes_on(turn: Any, found: Any) -> Any:
        return mb.less(x=turn, y=4)

    def turn(turn: Any, found: Any) -> Any:
        row = mb.gather(x=x, indices=turn, axis=0)
        return mb.add(x=turn, y=1), mb.list_write(ls=found, index=turn, value=mb.mul(x=row, y=row))

    _, found = mb.while_loop(_cond=goes_on, _body=turn, loop_vars=(mb.const(val=np.int32(0)), squares))
    swapped = mb.list_scatter(
        ls=found, indices=np.array([0, 1], np.int32), value=mb.list_gather(ls=found, indices=[1, 0])
    )
    return (
        mb.list_gather(ls=swapped, indices=np.array([3, 1], np.int32)),
        mb.list_read(ls=found, index=np.int32(2)),
        mb.list_length(ls=found),
    )


#: Operators, their inputs, and what they must give.
COMPUTED: dict[str, tuple[Callable[..., Any], dict[str, Array], Callable[[], Any]]] = {
    "silu": (lambda x: mb.silu(x=x), {"x": X}, lambda: (X * sigmoid(X)).astype(np.float32)),
    # Convolution.
    "conv": (
        lambda x: mb.conv(x=x, weight=CONV_W, bias=CONV_B, pad_type="valid"),
        {"x": CONV_X},
        lambda: convolved(CONV_X, CONV_W, CONV_B),
    ),
    "conv strides, dilations and its own padding": (
        lambda x: mb.conv(x=x, weight=CONV_W, strides=[2, 1], dilations=[1, 2], pad_type="custom", pad=[1, 0, 2, 1]),
        {"x": CONV_X},
        lambda: convolved(CONV_X, CONV_W, pads=[(1, 0), (2, 1)], strides=[2, 1], dilations=[1, 2]),
    ),
    "conv same": (
        lambda x: mb.conv(x=x, weight=CONV_W, strides=[2, 3], pad_type="same"),
        {"x": CONV_X},
        lambda: convolved(CONV_X, CONV_W, pads=[(1, 1), (0, 0)], strides=[2, 3]),
    ),
    "conv same with an odd number of padding": (
        lambda x: mb.conv(x=x, weight=CONV_W, pad_type="same"),
        {"x": CONV_X},
        lambda: convolved(CONV_X, CONV_W, pads=[(1, 1), (0, 1)]),
    ),
    "conv same_lower": (
        lambda x: mb.conv(x=x, weight=CONV_W, pad_type="same_lower"),
        {"x": CONV_X},
        lambda: convolved(CONV_X, CONV_W, pads=[(1, 1), (1, 0)]),
    ),
    "conv in groups": (
        lambda x: mb.conv(x=x, weight=GROUPED_W, groups=2, pad_type="valid"),
        {"x": CONV_X},
        lambda: convolved(CONV_X, GROUPED_W, groups=2),
    ),
    "conv of each channel": (
        lambda x: mb.conv(x=x, weight=GROUPED_W[:, :1], groups=4, pad_type="same"),
        {"x": CONV_X},
        lambda: convolved(CONV_X, GROUPED_W[:, :1], pads=[(1, 1), (1, 1)], groups=4),
    ),
    "conv of sequences": (
        lambda x: mb.conv(x=x, weight=VECTOR_W, strides=[2], pad_type="custom", pad=[1, 2]),
        {"x": POOL_X[:, :, :, 0].copy()},
        lambda: convolved(POOL_X[:, :, :, 0], VECTOR_W, pads=[(1, 2)], strides=[2]),
    ),
    "conv of volumes": (
        lambda x: mb.conv(x=x, weight=VOLUME_W, pad_type="valid"),
        {"x": VOLUME_X},
        lambda: convolved(VOLUME_X, VOLUME_W),
    ),
    "conv with computed weights": (
        lambda x, w: mb.conv(x=x, weight=mb.mul(x=w, y=2.0), pad_type="valid"),
        {"x": CONV_X, "w": CONV_W},
        lambda: convolved(CONV_X, 2 * CONV_W),
    ),
    "conv_transpose": (
        lambda x: mb.conv_transpose(x=x, weight=SPREAD_W, strides=[2, 3], pad_type="valid"),
        {"x": CONV_X},
        lambda: spread(CONV_X, SPREAD_W, cut=[0, 0], lengths=[15, 17], strides=[2, 3]),
    ),
    "conv_transpose with its own padding and bias": (
        lambda x: mb.conv_transpose(
            x=x, weight=SPREAD_W, bias=CONV_B[:3], strides=[2, 3], pad_type="custom", pad=[1, 0, 2, 1]
        ),
        {"x": CONV_X},
        lambda: spread(CONV_X, SPREAD_W, cut=[1, 2], lengths=[14, 14], strides=[2, 3]) + by_channel(CONV_B[:3]),
    ),
    "conv_transpose same": (
        lambda x: mb.conv_transpose(x=x, weight=SPREAD_W, strides=[2, 2], pad_type="same"),
        {"x": CONV_X},
        lambda: spread(CONV_X, SPREAD_W, cut=[0, 0], lengths=[14, 12], strides=[2, 2]),
    ),
    "conv_transpose dilated, in groups": (
        lambda x: mb.conv_transpose(x=x, weight=SPREAD_GROUPED, groups=2, dilations=[2, 1], pad_type="valid"),
        {"x": CONV_X},
        lambda: spread(CONV_X, SPREAD_GROUPED, cut=[0, 0], lengths=[11, 8], strides=[1, 1], dilations=[2, 1], groups=2),
    ),
    "conv_transpose to a shape": (
        lambda x: mb.conv_transpose(x=x, weight=SPREAD_W, strides=[2, 2], pad_type="same", output_shape=[2, 3, 13, 11]),
        {"x": CONV_X},
        lambda: spread(CONV_X, SPREAD_W, cut=[1, 0], lengths=[13, 11], strides=[2, 2]),
    ),
    # Pooling.
    "max_pool": (
        lambda x: mb.max_pool(x=x, kernel_sizes=[2, 3], strides=[2, 1], pad_type="valid"),
        {"x": POOL_X},
        lambda: pooled(POOL_X, [2, 3], [2, 1], [(0, 0), (0, 0)], largest, outside=-np.inf),
    ),
    "max_pool with its own padding": (
        lambda x: mb.max_pool(x=x, kernel_sizes=[3, 3], strides=[2, 2], pad_type="custom", pad=[1, 0, 1, 1]),
        {"x": POOL_X},
        lambda: pooled(POOL_X, [3, 3], [2, 2], [(1, 0), (1, 1)], largest, outside=-np.inf),
    ),
    "max_pool same": (
        lambda x: mb.max_pool(x=x, kernel_sizes=[2, 2], strides=[2, 2], pad_type="same"),
        {"x": POOL_X},
        lambda: pooled(POOL_X, [2, 2], [2, 2], [(0, 1), (0, 0)], largest, outside=-np.inf),
    ),
    "max_pool of part windows": (
        lambda x: mb.max_pool(
            x=x, kernel_sizes=[3, 3], strides=[3, 2], pad_type="custom", pad=[1, 1, 0, 0], ceil_mode=True
        ),
        {"x": POOL_X},
        lambda: pooled(POOL_X, [3, 3], [3, 2], [(1, 1), (0, 0)], largest, outside=-np.inf, ceil=True),
    ),
    "max_pool of sequences": (
        lambda x: mb.max_pool(x=x, kernel_sizes=[3], strides=[2], pad_type="valid"),
        {"x": POOL_X[:, :, :, 0].copy()},
        lambda: pooled(POOL_X[:, :, :, 0], [3], [2], [(0, 0)], largest, outside=-np.inf),
    ),
    "max_pool of volumes": (
        lambda x: mb.max_pool(x=x, kernel_sizes=[2, 2, 2], strides=[1, 2, 1], pad_type="valid"),
        {"x": VOLUME_X},
        lambda: pooled(VOLUME_X, [2, 2, 2], [1, 2, 1], [(0, 0)] * 3, largest, outside=-np.inf),
    ),
    "avg_pool": (
        lambda x: mb.avg_pool(x=x, kernel_sizes=[2, 3], pad_type="valid"),
        {"x": POOL_X},
        lambda: pooled(POOL_X, [2, 3], [1, 1], [(0, 0), (0, 0)], mean, outside=0),
    ),
    "avg_pool of padding": (
        lambda x: mb.avg_pool(x=x, kernel_sizes=[3, 3], strides=[2, 2], pad_type="custom", pad=[1, 1, 1, 0]),
        {"x": POOL_X},
        lambda: pooled(POOL_X, [3, 3], [2, 2], [(1, 1), (1, 0)], mean, outside=0),
    ),
    "avg_pool without padding": (
        lambda x: mb.avg_pool(
            x=x,
            kernel_sizes=[3, 3],
            strides=[2, 2],
            pad_type="custom",
            pad=[1, 1, 1, 0],
            exclude_padding_from_average=True,
        ),
        {"x": POOL_X},
        lambda: pooled(POOL_X, [3, 3], [2, 2], [(1, 1), (1, 0)], mean, outside=np.nan),
    ),
    "avg_pool same": (
        lambda x: mb.avg_pool(
            x=x, kernel_sizes=[2, 2], strides=[2, 2], pad_type="same", exclude_padding_from_average=True
        ),
        {"x": POOL_X},
        lambda: pooled(POOL_X, [2, 2], [2, 2], [(0, 1), (0, 0)], mean, outside=np.nan),
    ),
    "avg_pool same, of padding": (
        lambda x: mb.avg_pool(x=x, kernel_sizes=[2, 2], strides=[2, 2], pad_type="same"),
        {"x": POOL_X},
        lambda: pooled(POOL_X, [2, 2], [2, 2], [(0, 1), (0, 0)], mean, outside=0),
    ),
    **{
        f"avg_pool of part windows {exclude}": (
            lambda x, exclude=exclude: mb.avg_pool(
                x=x,
                kernel_sizes=[3, 3],
                strides=[3, 2],
                pad_type="custom",
                pad=[1, 1, 0, 0],
                ceil_mode=True,
                exclude_padding_from_average=exclude,
            ),
            {"x": POOL_X},
            lambda exclude=exclude: pooled(  # type: ignore[misc]
                POOL_X, [3, 3], [3, 2], [(1, 1), (0, 0)], mean, outside=np.nan if exclude else 0, ceil=True
            ),
        )
        for exclude in (False, True)
    },
    "l2_pool": (
        lambda x: mb.l2_pool(x=x, kernel_sizes=[2, 3], strides=[2, 1], pad_type="valid"),
        {"x": POOL_X},
        lambda: pooled(POOL_X, [2, 3], [2, 1], [(0, 0), (0, 0)], root_of_squares, outside=0),
    ),
    # Norms.
    "batch_norm": (
        lambda x: mb.batch_norm(x=x, mean=MEANS, variance=VARIANCES, gamma=GAMMA, beta=BETA, epsilon=0.01),
        {"x": CONV_X},
        lambda: (
            (CONV_X - by_channel(MEANS)) / np.sqrt(by_channel(VARIANCES) + 0.01) * by_channel(GAMMA) + by_channel(BETA)
        ),
    ),
    "batch_norm alone": (
        lambda x: mb.batch_norm(x=x, mean=MEANS, variance=VARIANCES),
        {"x": CONV_X},
        lambda: (CONV_X - by_channel(MEANS)) / np.sqrt(by_channel(VARIANCES) + 1e-5),
    ),
    "instance_norm": (
        lambda x: mb.instance_norm(x=x, gamma=GAMMA, beta=BETA),
        {"x": CONV_X},
        lambda: normalized(CONV_X, (2, 3)) * by_channel(GAMMA) + by_channel(BETA),
    ),
    "instance_norm of sequences": (
        lambda x: mb.instance_norm(x=x),
        {"x": X},
        lambda: normalized(X, (2,)),
    ),
    "layer_norm of all": (lambda x: mb.layer_norm(x=x, axes=[0, 1, 2]), {"x": X}, lambda: normalized(X, (0, 1, 2))),
    "local_response_norm": (
        lambda x: mb.local_response_norm(x=x, size=3, alpha=0.5, beta=0.6, k=1.2),
        {"x": CONV_X},
        lambda: neighbours_normalized(CONV_X, 3, 0.5, 0.6, 1.2),
    ),
    "local_response_norm of sequences": (
        lambda x: mb.local_response_norm(x=x, size=5, alpha=0.5),
        {"x": X},
        lambda: neighbours_normalized(X, 5, 0.5, 0.75, 1.0),
    ),
    # Attention; the operator is iOS 18's.
    "attention": (
        lambda q, k, v: mb.scaled_dot_product_attention(query=q, key=k, value=v),
        {"q": QUERY, "k": KEY, "v": VALUE},
        lambda: attended(0.0),
    ),
    "attention with a mask": (
        lambda q, k, v, m: mb.scaled_dot_product_attention(query=q, key=k, value=v, attn_mask=m),
        {"q": QUERY, "k": KEY, "v": VALUE, "m": MASK.astype(np.float32)},
        lambda: attended(MASK.astype(np.float32)),
    ),
    "attention with a mask of truth values": (
        lambda q, k, v, m: mb.scaled_dot_product_attention(
            query=q, key=k, value=v, attn_mask=mb.cast(x=m, dtype="bool")
        ),
        {"q": QUERY, "k": KEY, "v": VALUE, "m": MASK},
        lambda: attended(np.where(MASK, 0.0, -np.inf)),
    ),
    # Shapes.
    "concat interleaved": (
        lambda x, y: mb.concat(values=(x, y), axis=1, interleave=True),
        {"x": X, "y": Y},
        lambda: np.stack([X, Y], axis=2).reshape(2, 6, 4),
    ),
    "reshape_like": (
        lambda x, y: mb.reshape_like(x=x, ref_tensors=(y, y), begins=(0, 1), ends=(1, 0), end_masks=(False, True)),
        {"x": X, "y": floats(4, 2, 3)},
        lambda: X.reshape(4, 2, 3),
    ),
    "reverse_sequence": (
        lambda x: mb.reverse_sequence(x=x, lengths=np.array([2, 3], np.int32), seq_axis=1, batch_axis=0),
        {"x": X},
        lambda: np.stack([X[0, [1, 0, 2]], X[1, [2, 1, 0]]]),
    ),
    "reverse_sequence of later axes": (
        lambda x: mb.reverse_sequence(x=x, lengths=np.array([1, 4, 2], np.int32), seq_axis=2, batch_axis=1),
        {"x": X},
        lambda: np.stack([X[:, 0], X[:, 1, ::-1], X[:, 2][:, [1, 0, 2, 3]]], axis=1),
    ),
    "sliding_windows": (
        lambda x: mb.sliding_windows(x=x, axis=2, size=3, stride=2),
        {"x": SOURCE},
        lambda: np.stack([SOURCE[:, :, 0:3], SOURCE[:, :, 2:5]], axis=2),
    ),
    "fill to a computed shape": (
        lambda x: mb.fill(shape=mb.shape(x=x), value=3.0),
        {"x": X},
        lambda: np.full(X.shape, 3.0, np.float32),
    ),
    "fill with integers": (lambda x: mb.add(x=mb.fill(shape=[4], value=np.int32(3)), y=x), {"x": N}, lambda: N + 3),
    "reshape to a computed shape": (
        lambda x, s: mb.reshape(x=x, shape=s),
        {"x": X, "s": np.array([4, 6], np.int32)},
        lambda: X.reshape(4, 6),
    ),
    "tile by computed counts": (
        lambda x, s: mb.tile(x=x, reps=s),
        {"x": X, "s": np.array([1, 2, 3], np.int32)},
        lambda: np.tile(X, (1, 2, 3)),
    ),
    "pad by computed counts": (
        lambda x, s: mb.pad(x=x, pad=s, constant_val=2.0),
        {"x": X, "s": np.array([0, 1, 2, 0, 1, 1], np.int32)},
        lambda: np.pad(X, [(0, 1), (2, 0), (1, 1)], constant_values=2.0),
    ),
    "range of computed ends": (
        lambda s: mb.range_1d(start=0, end=mb.squeeze(x=s), step=2),
        {"s": np.array([7], np.int32)},
        lambda: np.arange(0, 7, 2, dtype=np.int32),
    ),
    # Slices.
    "slice between computed ends": (
        lambda x, b, e: mb.slice_by_index(x=x, begin=b, end=e),
        {"x": SOURCE, "b": BEGIN, "e": END},
        lambda: SOURCE[1:3, 0:-1, 2:5],
    ),
    "slice between computed ends with masks": (
        lambda x, b, e: mb.slice_by_index(
            x=x, begin=b, end=e, stride=[1, 2, -1], begin_mask=[True, False, True], end_mask=[False, True, False]
        ),
        {"x": SOURCE, "b": BEGIN, "e": np.array([3, -1, 2], np.int32)},
        lambda: SOURCE[:3, 0::2, :2:-1],
    ),
    "one index, computed": (
        lambda x, b: mb.slice_by_index(
            x=x,
            begin=b,
            end=b,
            squeeze_mask=[True, True, False],
            begin_mask=[False, False, True],
            end_mask=[False, False, True],
        ),
        {"x": SOURCE, "b": np.array([-1, 2, 0], np.int32)},
        lambda: SOURCE[-1, 2],
    ),
    "slice_by_size from a computed place": (
        lambda x, b: mb.slice_by_size(x=x, begin=b, size=[2, -1, 3]),
        {"x": SOURCE, "b": np.array([1, 2, -3], np.int32)},
        lambda: SOURCE[1:3, 2:, -3:],
    ),
    # Overwriting; the operator is iOS 18's.
    "slice_update": (
        lambda x, u: mb.slice_update(x=x, update=u, begin=[1, 0, 2], end=[3, 5, 4]),
        {"x": SOURCE, "u": SOURCE[:2, :, :2] + 9},
        lambda: written(SOURCE, np.s_[1:3, :, 2:4], SOURCE[:2, :, :2] + 9),
    ),
    "slice_update of leading dimensions": (
        lambda x, u: mb.slice_update(
            x=x,
            update=u,
            begin=[2, 1, 0],
            end=[0, 3, 0],
            squeeze_mask=[True, False, False],
            end_mask=[False, False, True],
            begin_mask=[False, False, True],
        ),
        {"x": SOURCE, "u": SOURCE[0, :2] + 9},
        lambda: written(SOURCE, np.s_[2, 1:3], SOURCE[0, :2] + 9),
    ),
    "slice_update in steps, backwards": (
        lambda x, u: mb.slice_update(x=x, update=u, begin=[0, 4, 5], end=[4, 0, 0], stride=[2, -2, -3]),
        {"x": SOURCE, "u": SOURCE[:2, :2, :2] + 9},
        lambda: written(SOURCE, np.s_[0:4:2, 4:0:-2, 5:0:-3], SOURCE[:2, :2, :2] + 9),
    ),
    "slice_update at computed places": (
        lambda x, u, b, e: mb.slice_update(
            x=x, update=u, begin=b, end=e, end_mask=[False, False, True], squeeze_mask=[True, False, False]
        ),
        {
            "x": SOURCE,
            "u": SOURCE[0, :3, 2:] + 9,
            "b": np.array([-1, 1, 2], np.int32),
            "e": np.array([0, 4, 0], np.int32),
        },
        lambda: written(SOURCE, np.s_[-1, 1:4, 2:], SOURCE[0, :3, 2:] + 9),
    ),
    "slice_update of everything": (
        lambda x, u: mb.slice_update(x=x, update=u, begin=[0, 0, 0], end=[4, 5, 6]),
        {"x": SOURCE, "u": SOURCE + 9},
        lambda: SOURCE + 9,
    ),
    # Picking and placing.
    "gather_nd": (
        lambda x, i: mb.gather_nd(x=x, indices=i),
        {"x": SOURCE, "i": np.array([[0, 1], [-1, 4], [2, 0]], np.int32)},
        lambda: SOURCE[[0, -1, 2], [1, 4, 0]],
    ),
    "gather_nd in batches": (
        lambda x, i: mb.gather_nd(x=x, indices=i, batch_dims=1),
        {"x": SOURCE[:2], "i": np.array([[[3], [1]], [[0], [4]]], np.int32)},
        lambda: np.stack([SOURCE[0, [3, 1]], SOURCE[1, [0, 4]]]),
    ),
    **{
        f"scatter {mode}": (
            lambda x, u, mode=mode: mb.scatter(
                data=x, indices=np.array([2, 0], np.int32), updates=u, axis=1, mode=mode
            ),
            {"x": POSITIVE, "u": POSITIVE[:, :2] + 1},
            lambda function=function: np.stack(  # type: ignore[misc]
                [
                    function(POSITIVE[:, 0], POSITIVE[:, 1] + 1),
                    POSITIVE[:, 1],
                    function(POSITIVE[:, 2], POSITIVE[:, 0] + 1),
                ],
                axis=1,
            ),
        )
        for mode, function in (
            ("update", lambda old, new: new),
            ("add", np.add),
            ("sub", np.subtract),
            ("mul", np.multiply),
            ("div", np.divide),
            ("max", np.maximum),
            ("min", np.minimum),
        )
    },
    "scatter_nd": (
        lambda x, u: mb.scatter_nd(data=x, indices=np.array([[1, 0], [0, 2]], np.int32), updates=u, mode="add"),
        {"x": SOURCE, "u": SOURCE[:2, 0] + 1},
        lambda: written(SOURCE, np.s_[[1, 0], [0, 2]], SOURCE[[1, 0], [0, 2]] + SOURCE[:2, 0] + 1),
    ),
    "one_hot": (
        lambda i: mb.one_hot(indices=i, one_hot_vector_size=4, on_value=2.0, off_value=-1.0),
        {"i": np.array([[1, 3], [0, 9]], np.int32)},
        lambda: np.where(np.arange(4) == np.array([[[1], [3]], [[0], [9]]]), 2.0, -1.0).astype(np.float32),
    ),
    "one_hot of integers along 0": (
        lambda i: mb.one_hot(indices=i, one_hot_vector_size=3, axis=0),
        {"i": np.array([2, 0], np.int32)},
        lambda: np.array([[0, 1], [0, 0], [1, 0]], np.int32),
    ),
    "topk values alone": (
        lambda x: mb.topk(x=x, k=1, axis=-1, return_indices=False),
        {"x": X},
        lambda: X.max(-1, keepdims=True),
    ),
    "cumsum without the number itself": (
        lambda x: mb.cumsum(x=x, axis=1, exclusive=True),
        {"x": X},
        lambda: np.cumsum(X, axis=1) - X,
    ),
    "dequantize": (
        lambda x: mb.dequantize(
            input=mb.quantize(input=x, scale=np.float32(0.1), zero_point=np.int8(4), output_dtype="int8"),
            scale=np.array([0.1, 0.2, 0.3], np.float32),
            zero_point=np.array([1, 2, 3], np.int8),
            axis=1,
        ),
        {"x": X},
        lambda: (
            (np.clip(np.round(X / np.float32(0.1)) + 4, -128, 127) - np.array([[1], [2], [3]], np.float32))
            * np.array([[0.1], [0.2], [0.3]], np.float32)
        ),
    ),
    # Images.
    "upsample_nearest_neighbor": (
        lambda x: mb.upsample_nearest_neighbor(x=x, scale_factor_height=2, scale_factor_width=3),
        {"x": IMAGE},
        lambda: IMAGE.repeat(2, 2).repeat(3, 3),
    ),
    "upsample_nearest_neighbor by a half": (
        lambda x: mb.upsample_nearest_neighbor(x=x, scale_factor_height=1.5, scale_factor_width=0.5),
        {"x": IMAGE},
        lambda: IMAGE.take([0, 0, 1, 2, 2, 3, 4, 4, 5], 2).take([0, 2, 4], 3),
    ),
    "resize_nearest_neighbor": (
        lambda x: mb.resize_nearest_neighbor(x=x, target_size_height=4, target_size_width=9),
        {"x": IMAGE},
        lambda: IMAGE.take([0, 1, 3, 4], 2).take([0, 0, 1, 2, 2, 3, 4, 4, 5], 3),
    ),
    "upsample_bilinear": (
        lambda x: mb.upsample_bilinear(x=x, scale_factor_height=2, scale_factor_width=2, align_corners=True),
        {"x": IMAGE},
        lambda: resized(IMAGE, np.linspace(0, 5, 12), np.linspace(0, 5, 12)),
    ),
    "upsample_bilinear of half pixels": (
        lambda x: mb.upsample_bilinear(x=x, scale_factor_height=2, scale_factor_width=1, align_corners=False),
        {"x": IMAGE},
        lambda: resized(IMAGE, np.clip((np.arange(12) + 0.5) / 2 - 0.5, 0, 5), np.arange(6)),
    ),
    # The rows of the operator's own table: two pixels made into five, and into six.
    **{
        f"resize_bilinear {mode} to {len(points)}": (
            lambda x, mode=mode, points=points: mb.resize_bilinear(
                x=x, target_size_height=len(points), target_size_width=2, sampling_mode=mode
            ),
            {"x": IMAGE[:, :, :2, :2].copy()},
            lambda points=points, columns=columns: resized(  # type: ignore[misc]
                IMAGE[:, :, :2, :2], points, columns
            ),
        )
        for mode, points, columns in (
            ("UNALIGN_CORNERS", [0, 0.1, 0.5, 0.9, 1], [0, 1]),
            ("STRICT_ALIGN_CORNERS", [0, 0.25, 0.5, 0.75, 1], [0, 1]),
            ("ALIGN_CORNERS", [0, 0.2, 0.4, 0.6, 0.8, 1], [0, 1]),
            ("DEFAULT", [0, 0.4, 0.8, 1, 1], [0, 1]),
            ("DEFAULT", [0, 1 / 3, 2 / 3, 1, 1, 1], [0, 1]),
            ("OFFSET_CORNERS", [0.1, 0.3, 0.5, 0.7, 0.9], [0.25, 0.75]),
        )
    },
    "resize": (
        lambda x: mb.resize(
            x=x,
            shape=[12, 0],
            resized_dims=np.uint32(2),
            interpolation_mode="LINEAR",
            sampling_mode="UNALIGN_CORNERS",
        ),
        {"x": IMAGE},
        lambda: resized(IMAGE, np.clip((np.arange(12) + 0.5) / 2 - 0.5, 0, 5), np.arange(6)),
    ),
    "crop": (lambda x: mb.crop(x=x, crop_height=[1, 2], crop_width=[0, 1]), {"x": IMAGE}, lambda: IMAGE[:, :, 1:4, :5]),
    "resample": (
        lambda x, c: mb.resample(
            x=x,
            coordinates=c,
            sampling_mode="bilinear",
            padding_mode="border",
            padding_value=0.0,
            coordinates_mode="unnormalized",
            align_corners=True,
        ),
        {"x": IMAGE, "c": np.array([[[[1.5, 2.0]]], [[[9.0, -3.0]]]], np.float32)},
        lambda: np.stack([(IMAGE[0, :, 2, 1] + IMAGE[0, :, 2, 2]) / 2, IMAGE[1, :, 0, 5]])[:, :, None, None],
    ),
    **{
        f"resample by {padding}": (
            lambda x, c, padding=padding: mb.resample(
                x=x,
                coordinates=c,
                sampling_mode="bilinear",
                padding_mode=padding,
                padding_value=0.0,
                coordinates_mode="normalized_zero_to_one",
                align_corners=True,
            ),
            {"x": IMAGE, "c": np.array([[[[-0.3, 1.2]]], [[[0.5, 1.1]]]], np.float32)},
            lambda columns=columns, rows=rows: np.stack(  # type: ignore[misc]
                [resized(IMAGE[number : number + 1], [rows[number]], [columns[number]])[0] for number in range(2)]
            ),
        )
        # Pixels -1.5 and 6, 2.5 and 5.5 of six, at the last pixel's centre or its edge.
        for padding, columns, rows in (("reflection", (1.5, 2.5), (4, 4.5)), ("symmetric", (0.5, 2.5), (5, 5)))
    },
    "resample by shares of the width": (
        lambda x, c: mb.resample(
            x=x,
            coordinates=c,
            sampling_mode="nearest",
            padding_mode="constant",
            padding_value=0.0,
            coordinates_mode="normalized_minus_one_to_one",
            align_corners=False,
        ),
        {"x": IMAGE, "c": np.array([[[[-0.8, 0.9]]], [[[2.0, 0.0]]]], np.float32)},
        lambda: np.stack([IMAGE[0, :, 5, 0], np.zeros(4, np.float32)])[:, :, None, None],
    ),
    "pixel_shuffle": (
        lambda x: mb.pixel_shuffle(x=x, upscale_factor=2),
        {"x": IMAGE},
        lambda: IMAGE.reshape(2, 1, 2, 2, 6, 6).transpose(0, 1, 4, 2, 5, 3).reshape(2, 1, 12, 12),
    ),
    "pixel_unshuffle": (
        lambda x: mb.pixel_unshuffle(x=x, downscale_factor=np.uint32(2)),
        {"x": IMAGE},
        lambda: IMAGE.reshape(2, 4, 3, 2, 3, 2).transpose(0, 1, 3, 5, 2, 4).reshape(2, 16, 3, 3),
    ),
    "depth_to_space": (
        lambda x: mb.depth_to_space(x=x, block_size=2),
        {"x": IMAGE},
        lambda: IMAGE.reshape(2, 2, 2, 1, 6, 6).transpose(0, 3, 4, 1, 5, 2).reshape(2, 1, 12, 12),
    ),
    "space_to_depth": (
        lambda x: mb.space_to_depth(x=x, block_size=2),
        {"x": IMAGE},
        lambda: IMAGE.reshape(2, 4, 3, 2, 3, 2).transpose(0, 3, 5, 1, 2, 4).reshape(2, 16, 3, 3),
    ),
    "space_to_batch": (
        lambda x: mb.space_to_batch(x=x, block_shape=[2, 3], paddings=[[1, 1], [0, 3]]),
        {"x": IMAGE},
        lambda: np.concatenate(
            [np.pad(IMAGE, [(0, 0), (0, 0), (1, 1), (0, 3)])[:, :, r::2, c::3] for r in range(2) for c in range(3)]
        ),
    ),
    "batch_to_space": (
        lambda x: mb.batch_to_space(x=x, block_shape=[1, 2], crops=[[1, 0], [0, 1]]),
        {"x": IMAGE},
        lambda: np.stack([IMAGE[:1], IMAGE[1:]], axis=-1).reshape(1, 4, 6, 12)[:, :, 1:, :-1],
    ),
    # Over time.
    "lstm": (
        lambda x, h, c: mb.lstm(
            x=x,
            initial_h=h,
            initial_c=c,
            weight_ih=LSTM_WEIGHTS[0],
            weight_hh=LSTM_WEIGHTS[1],
            bias=LSTM_WEIGHTS[2],
            output_sequence=True,
        ),
        {"x": LSTM_X, "h": LSTM_H, "c": LSTM_C},
        lambda: lstm(LSTM_X, LSTM_H, LSTM_C, *LSTM_WEIGHTS),
    ),
    "lstm with a peephole, the last step": (
        lambda x, h, c: mb.lstm(
            x=x,
            initial_h=h,
            initial_c=c,
            weight_ih=LSTM_WEIGHTS[0],
            weight_hh=LSTM_WEIGHTS[1],
            peephole=PEEPHOLE,
        ),
        {"x": LSTM_X, "h": LSTM_H, "c": LSTM_C},
        lambda: [
            value[-1:] if value.ndim == 3 else value
            for value in lstm(LSTM_X, LSTM_H, LSTM_C, LSTM_WEIGHTS[0], LSTM_WEIGHTS[1], np.zeros(16), PEEPHOLE)
        ],
    ),
    "lstm backwards": (
        lambda x, h, c: mb.lstm(
            x=x,
            initial_h=h,
            initial_c=c,
            weight_ih=LSTM_WEIGHTS[0],
            weight_hh=LSTM_WEIGHTS[1],
            bias=LSTM_WEIGHTS[2],
            output_sequence=True,
            direction="reverse",
        ),
        {"x": LSTM_X, "h": LSTM_H, "c": LSTM_C},
        lambda: [
            value[::-1] if value.ndim == 3 else value for value in lstm(LSTM_X[::-1], LSTM_H, LSTM_C, *LSTM_WEIGHTS)
        ],
    ),
    "lstm both ways": (
        lambda x, h, c: mb.lstm(
            x=x,
            initial_h=mb.concat(values=(h, h), axis=1),
            initial_c=mb.concat(values=(c, c), axis=1),
            weight_ih=LSTM_WEIGHTS[0],
            weight_hh=LSTM_WEIGHTS[1],
            bias=LSTM_WEIGHTS[2],
            weight_ih_back=LSTM_BACK[0],
            weight_hh_back=LSTM_BACK[1],
            bias_back=LSTM_BACK[2],
            output_sequence=True,
            direction="bidirectional",
        ),
        {"x": LSTM_X, "h": LSTM_H, "c": LSTM_C},
        lambda: [
            np.concatenate([there, back[::-1] if back.ndim == 3 else back], axis=-1)
            for there, back in zip(
                lstm(LSTM_X, LSTM_H, LSTM_C, *LSTM_WEIGHTS),
                lstm(LSTM_X[::-1], LSTM_H, LSTM_C, *LSTM_BACK),
                strict=True,
            )
        ],
    ),
    "rnn": (
        lambda x, h: mb.rnn(
            x=x,
            initial_h=h,
            weight_ih=LSTM_WEIGHTS[0][:4],
            weight_hh=LSTM_WEIGHTS[1][:4],
            bias=LSTM_WEIGHTS[2][:4],
            activation="relu",
        ),
        {"x": LSTM_X[:1], "h": LSTM_H},
        lambda: [
            last
            for h in [LSTM_X[0] @ LSTM_WEIGHTS[0][:4].T + LSTM_H @ LSTM_WEIGHTS[1][:4].T + LSTM_WEIGHTS[2][:4]]
            for last in (np.maximum(h, 0)[None], np.maximum(h, 0))
        ],
    ),
    "cond": (
        lambda x, y: mb.cond(
            pred=mb.greater(x=mb.reduce_sum(x=y), y=0.0),
            _true_fn=lambda: mb.add(x=x, y=1.0),
            _false_fn=lambda: mb.mul(x=mb.relu(x=x), y=2.0),
        ),
        {"x": X, "y": -np.ones(3, np.float32)},
        lambda: np.maximum(X, 0) * 2,
    ),
    "while_loop": (counting, {"x": X}, lambda: X * 4),
    "lists": (listed, {"x": floats(4, 2)}, lambda: None),
}
ROWS = COMPUTED["lists"][1]["x"]
COMPUTED["lists"] = (listed, {"x": ROWS}, lambda: [ROWS[[3, 0]] ** 2, ROWS[2] ** 2, np.int32(4)])


@pytest.mark.parametrize("names", in_groups(COMPUTED))
def test_as_its_formula_says(names: list[str], tmp_path: Path) -> None:
    found = run_all({name: COMPUTED[name][:2] for name in names}, tmp_path, opset=IOS18)
    expected = {}
    for name in names:
        value = COMPUTED[name][2]()
        expected[name] = [np.asarray(each) for each in (value if isinstance(value, (list, tuple)) else [value])]
    compare(found, expected)
