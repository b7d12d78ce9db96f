"""Formulas of networks' layers in plain numpy, one window and one step at a time: to hold a runtime against."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


def convolved(
    x: Array, weight: Array, bias: Array | None = None, *, pads: Any = None, strides: Any = None, dilations: Any = None,
    groups: int = 1,
) -> Array:  # fmt: skip
    """A convolution one window at a time. `pads` are (before, after) for each dimension."""
    rank = x.ndim - 2
    strides, dilations, pads = strides or [1] * rank, dilations or [1] * rank, pads or [(0, 0)] * rank
    x = np.pad(x.astype(np.float64), [(0, 0), (0, 0), *pads])
    spans = [(size - 1) * step + 1 for size, step in zip(weight.shape[2:], dilations, strict=True)]
    lengths = [(size - span) // stride + 1 for size, span, stride in zip(x.shape[2:], spans, strides, strict=True)]
    made = np.zeros((x.shape[0], weight.shape[0], *lengths))
    inside, outside = weight.shape[1], weight.shape[0] // groups
    for place in np.ndindex(*lengths):
        window = x[
            (
                slice(None),
                slice(None),
                *(
                    slice(at * stride, at * stride + span, step)
                    for at, stride, span, step in zip(place, strides, spans, dilations, strict=True)
                ),
            )
        ]
        for channel in range(weight.shape[0]):
            first = channel // outside * inside
            part = window[:, first : first + inside] * weight[channel]
            made[(slice(None), channel, *place)] = part.reshape(len(x), -1).sum(1)
    if bias is not None:
        made += bias.reshape(-1, *[1] * rank)
    return made.astype(np.float32)


def spread(
    x: Array, weight: Array, *, cut: Any, lengths: Any, strides: Any, dilations: Any = None, groups: int = 1
) -> Array:
    """A transposed convolution: each number of x adds its kernel to the full result, from which a part is cut."""
    rank = x.ndim - 2
    dilations = dilations or [1] * rank
    full = [
        (size - 1) * stride + (kernel - 1) * step + 1
        for size, stride, kernel, step in zip(x.shape[2:], strides, weight.shape[2:], dilations, strict=True)
    ]
    room = [max(size, start + length) for size, start, length in zip(full, cut, lengths, strict=True)]
    made = np.zeros((x.shape[0], weight.shape[1] * groups, *room))
    taken = x.shape[1] // groups
    for place in np.ndindex(*x.shape[2:]):
        where = tuple(
            slice(at * stride, at * stride + (kernel - 1) * step + 1, step)
            for at, stride, kernel, step in zip(place, strides, weight.shape[2:], dilations, strict=True)
        )
        for channel in range(x.shape[1]):
            first = channel // taken * weight.shape[1]
            numbers = x[(slice(None), channel, *place)].reshape(-1, *[1] * (rank + 1))
            made[(slice(None), slice(first, first + weight.shape[1]), *where)] += numbers * weight[channel]
    window = tuple(slice(start, start + length) for start, length in zip(cut, lengths, strict=True))
    return made[(slice(None), slice(None), *window)].astype(np.float32)


def pooled(
    x: Array,
    kernel: Any,
    strides: Any,
    pads: Any,
    function: Callable[[Array], Any],
    *,
    outside: float,
    ceil: bool = False,
) -> Array:
    """A pooling one window at a time; numbers outside the image are `outside`, and NaN what `ceil` adds behind it."""
    rank = x.ndim - 2
    padded = np.pad(x.astype(np.float64), [(0, 0), (0, 0), *pads], constant_values=outside)
    lengths = []
    for axis in range(rank):
        size, left = padded.shape[2 + axis] - kernel[axis], 0
        count = (-(-size // strides[axis]) if ceil else size // strides[axis]) + 1
        if ceil and (count - 1) * strides[axis] >= x.shape[2 + axis] + pads[axis][0] and sum(pads[axis]) > 0:
            count -= 1
        left = max((count - 1) * strides[axis] + kernel[axis] - padded.shape[2 + axis], 0)
        width = [(0, 0)] * padded.ndim
        width[2 + axis] = (0, left)
        padded = np.pad(padded, width, constant_values=np.nan)
        lengths.append(count)
    made = np.zeros((*x.shape[:2], *lengths))
    for place in np.ndindex(*lengths):
        where = tuple(
            slice(at * stride, at * stride + size) for at, stride, size in zip(place, strides, kernel, strict=True)
        )
        window = padded[(slice(None), slice(None), *where)]
        made[(slice(None), slice(None), *place)] = function(window.reshape(*x.shape[:2], -1))
    return made.astype(np.float32)


def mean(window: Array) -> Any:
    return np.nanmean(window, axis=-1)


def largest(window: Array) -> Any:
    return np.nanmax(window, axis=-1)


def root_of_squares(window: Array) -> Any:
    return np.sqrt(np.nansum(window**2, axis=-1))


def interpolated(x: Array, points: Array, axis: int) -> Array:
    below = np.floor(points).astype(int)
    above = np.minimum(below + 1, x.shape[axis] - 1)
    share = (points - below).reshape(-1, *[1] * (x.ndim - 1 - axis))
    return np.asarray(x.take(below, axis) * (1 - share) + x.take(above, axis) * share, np.float32)


def resized(x: Array, rows: Any, columns: Any) -> Array:
    return interpolated(interpolated(x, np.array(rows, float), x.ndim - 2), np.array(columns, float), x.ndim - 1)


def sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x.astype(np.float64))))


def lstm(x: Array, h: Array, c: Array, weight_ih: Array, weight_hh: Array, bias: Array, peephole: Any = 0) -> Any:
    steps = []
    p = np.zeros((3, h.shape[1])) if isinstance(peephole, int) else peephole.reshape(3, -1)
    for step in x:
        gates = step @ weight_ih.T + h @ weight_hh.T + bias
        i, f, o, z = np.split(gates, 4, axis=1)
        i, f, z = sigmoid(i + p[0] * c), sigmoid(f + p[1] * c), np.tanh(z)
        c = f * c + i * z
        h = sigmoid(o + p[2] * c) * np.tanh(c)
        steps.append(h)
    return np.array(steps), h, c


def normalized(x: Array, axes: tuple[int, ...]) -> Array:
    return np.asarray((x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + 1e-5))


def by_channel(values: Array) -> Array:
    return values.reshape(-1, 1, 1)


def neighbours_normalized(x: Array, size: int, alpha: float, beta: float, k: float) -> Array:
    made = np.zeros_like(x)
    for channel in range(x.shape[1]):
        first, last = max(0, channel - (size - 1) // 2), channel + size // 2 + 1
        made[:, channel] = x[:, channel] / (k + alpha / size * (x[:, first:last] ** 2).sum(1)) ** beta
    return made


def written(target: Array, where: Any, update: Array) -> Array:
    made = target.copy()
    made[where] = update
    return made
