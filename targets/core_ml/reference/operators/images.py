"""Operators on images: resizing, cropping, sampling, and blocks of pixels that become channels and back.

Formulas: https://apple.github.io/coremltools/source/coremltools.converters.mil.mil.ops.defs.html. Where they leave open
which of two pixels is the nearest, the operator is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from targets.core_ml.reference.graph import BEYOND, Call, Table

if TYPE_CHECKING:
    from benchharness.contract import Array

# Resizing.


def _points(mode: str, taken: int, made: int) -> Array:
    """Where each of `made` points lies among `taken` of the input."""
    places = np.arange(made, dtype=np.float64)
    last = taken - 1
    if mode == "STRICT_ALIGN_CORNERS" or (mode == "ALIGN_CORNERS" and made > 1):
        places *= last / max(made - 1, 1)
    elif mode == "ALIGN_CORNERS":
        places += last / 2
    elif mode == "DEFAULT":
        places *= taken / made
    elif mode == "OFFSET_CORNERS":
        places = (places + 0.5) * max(1, last) / made
    elif mode == "UNALIGN_CORNERS":
        places = (places + 0.5) * taken / made - 0.5
    else:
        raise ValueError(f"sampling mode {mode!r}")
    return np.clip(places, 0, last)


def _resized(call: Call, axes: int) -> list[tuple[int, int, int]]:
    """(axis, length, new length) of each of the last `axes` dimensions that change."""
    before, after = call.shape("x"), call.operation.outputs[0].type.shape
    if after is None or len(after) != len(before):
        raise call.refuse("an output of another rank than the input")
    found = []
    for axis in range(len(before) - axes, len(before)):
        taken, made = before[axis], after[axis]
        if taken is None or made is None:
            raise call.refuse("lengths that are not fixed")
        call.indices(max(taken, made))
        found.append((axis, taken, made))
    return found


def _linear(call: Call, mode: str, axes: int = 2) -> str:
    x = call.tensor("x") if call.is_float("x") else call.cast(call.tensor("x"), "float32")
    for axis, taken, made in _resized(call, axes):
        if taken == made and mode != "OFFSET_CORNERS":
            continue
        points = _points(mode, taken, made)
        below = np.floor(points).astype(np.int64)
        above = np.minimum(below + 1, taken - 1)
        share = (points - below).astype(np.float32).reshape(-1, *[1] * (call.rank("x") - 1 - axis))
        low, high = (call.add("Gather", x, call.graph.constant(side), axis=axis) for side in (below, above))
        x = call.add("Add", low, call.add("Mul", call.add("Sub", high, low), call.graph.constant(share)))
    return x


def _nearest(call: Call, axes: int = 2) -> str:
    x = call.tensor("x")
    for axis, taken, made in _resized(call, axes):
        if taken != made:
            x = call.add("Gather", x, call.graph.constant(call.indices(made) * taken // made), axis=axis)
    return x


def _upsample_nearest(call: Call) -> str:
    for (_, taken, made), name in zip(_resized(call, 2), ("scale_factor_height", "scale_factor_width")):
        if abs(taken * call.number(name, 1) - made) > 1e-3:
            raise call.refuse("a scale factor that does not make whole pixels")
    return _nearest(call)


def _upsample_bilinear(call: Call) -> str:
    align = call.number("align_corners", True)
    half_pixels = call.number("half_pixel_centers", not align)
    if align and half_pixels:
        raise call.refuse("aligned corners with centres of half pixels")
    return _linear(call, "STRICT_ALIGN_CORNERS" if align else "UNALIGN_CORNERS" if half_pixels else "DEFAULT")


def _resize(call: Call) -> str:
    axes, mode = call.number("resized_dims"), call.text("sampling_mode", "DEFAULT")
    if call.text("interpolation_mode", "LINEAR") == "LINEAR":
        resized = _linear(call, mode, axes)
        return resized if call.is_float("x") else call.cast(resized, "int32")
    if mode != "DEFAULT":
        raise call.refuse(f"the nearest pixel in sampling mode {mode}")
    return _nearest(call, axes)


def _crop(call: Call) -> str:
    (top, bottom), (left, right) = call.numbers("crop_height"), call.numbers("crop_width")
    ends = [-bottom if bottom else BEYOND, -right if right else BEYOND]
    parts = ([top, left], ends, [call.rank("x") - 2, call.rank("x") - 1])
    return call.add("Slice", call.tensor("x"), *(call.shape_constant(part) for part in parts))


# Sampling at computed places.

_PADDING = {"constant": "zeros", "border": "border", "reflection": "reflection", "symmetric": "reflection"}


def _resample(call: Call) -> str:
    """Places are turned into those of ONNX's GridSample. Its reflection at the outer pixels' centres is 'reflection'
    here, that at their edges 'symmetric'."""
    padding, mode = call.text("padding_mode"), call.text("coordinates_mode")
    align = bool(call.number("align_corners"))
    if padding not in _PADDING or (padding == "constant" and call.number("padding_value", 0.0)):
        raise call.refuse(f"padding {padding} by a number other than zero")
    if mode == "unnormalized" and not align:
        raise call.refuse("coordinates in pixels that are not aligned to corners")
    height, width = call.shape("x")[2:]
    if height is None or width is None:
        raise call.refuse("lengths that are not fixed")
    size = np.array([width, height], np.float32)
    places = call.cast(call.tensor("coordinates"), "float32")
    if mode != "unnormalized":
        if mode == "normalized_minus_one_to_one":
            places = _scaled(call, places, 0.5, 0.5)
        places = _scaled(call, places, size - 1, 0.0) if align else _scaled(call, places, size, -0.5)
    by_edges = padding == "symmetric"
    if by_edges:
        places = _scaled(call, places, 2 / size, 1 / size - 1)
    else:
        places = _scaled(call, places, 2 / np.maximum(size - 1, 1), -1.0)
    return call.add(
        "GridSample",
        call.tensor("x"),
        places,
        mode={"bilinear": "linear", "nearest": "nearest"}[call.text("sampling_mode")],
        padding_mode=_PADDING[padding],
        align_corners=int(not by_edges),
    )


def _scaled(call: Call, value: str, factor: Array | float, shift: Array | float) -> str:
    scaled = call.add("Mul", value, call.graph.constant(np.asarray(factor, np.float32)))
    return call.add("Add", scaled, call.graph.constant(np.asarray(shift, np.float32)))


# Pixels and channels.


def _lengths(call: Call) -> list[int]:
    """The input's lengths, the batch's as -1. Raises `Unsupported` where another is not fixed."""
    lengths = [-1 if length is None else length for length in call.shape("x")]
    if -1 in lengths[1:]:
        raise call.refuse("lengths that are not fixed")
    return [-1, *lengths[1:]]


def _regrouped(call: Call, x: str, split: list[int], order: list[int], joined: list[int]) -> str:
    """Dimensions split, put in another order, and joined."""
    parts = call.add("Reshape", x, call.shape_constant(split))
    return call.add("Reshape", call.add("Transpose", parts, perm=order), call.shape_constant(joined))


def _pixel_unshuffle(call: Call) -> str:
    batch, channels, height, width = _lengths(call)
    factor = call.number("downscale_factor")
    split = [batch, channels, height // factor, factor, width // factor, factor]
    joined = [batch, channels * factor * factor, height // factor, width // factor]
    return _regrouped(call, call.tensor("x"), split, [0, 1, 3, 5, 2, 4], joined)


def _space_to_batch(call: Call) -> str:
    """Zeros are added around the image, and the pixels of a block go to as many images."""
    _, channels, height, width = _lengths(call)
    rows, columns = call.numbers("block_shape")
    top, bottom, left, right = call.numbers("paddings")
    x = call.add("Pad", call.tensor("x"), call.shape_constant([0, 0, top, left, 0, 0, bottom, right]))
    height, width = (height + top + bottom) // rows, (width + left + right) // columns
    split = [-1, channels, height, rows, width, columns]
    return _regrouped(call, x, split, [3, 5, 0, 1, 2, 4], [-1, channels, height, width])


def _batch_to_space(call: Call) -> str:
    _, channels, height, width = _lengths(call)
    rows, columns = call.numbers("block_shape")
    top, bottom, left, right = call.numbers("crops")
    split = [rows, columns, -1, channels, height, width]
    image = _regrouped(
        call, call.tensor("x"), split, [2, 3, 4, 0, 5, 1], [-1, channels, height * rows, width * columns]
    )
    ends = [height * rows - bottom, width * columns - right]
    return call.add("Slice", image, *(call.shape_constant(part) for part in ([top, left], ends, [2, 3])))


IMAGES: Table = {
    "upsample_nearest_neighbor": _upsample_nearest,
    "upsample_bilinear": _upsample_bilinear,
    "resize_nearest_neighbor": _nearest,
    "resize_bilinear": lambda call: _linear(call, call.text("sampling_mode", "DEFAULT")),
    "resize": _resize,
    "crop": _crop,
    "resample": _resample,
    "pixel_shuffle": lambda call: call.add(
        "DepthToSpace", call.tensor("x"), blocksize=call.number("upscale_factor"), mode="CRD"
    ),
    "pixel_unshuffle": _pixel_unshuffle,
    "depth_to_space": lambda call: call.add("DepthToSpace", call.tensor("x"), blocksize=call.number("block_size")),
    "space_to_depth": lambda call: call.add("SpaceToDepth", call.tensor("x"), blocksize=call.number("block_size")),
    "space_to_batch": _space_to_batch,
    "batch_to_space": _batch_to_space,
}
