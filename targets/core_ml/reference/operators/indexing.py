"""Operators that pick or replace numbers by their place: slices, gathering, scattering, sorting, cumulative sums.

Formulas: https://apple.github.io/coremltools/source/coremltools.converters.mil.mil.ops.defs.html.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Union

import numpy as np

from targets.core_ml.reference.graph import BEYOND, Call, Table

if TYPE_CHECKING:
    from benchharness.contract import Array

#: Indices as numbers where the program knows them, else as an ONNX value.
_Indices = Union["Array", str]

# Slices.


def _masks(call: Call) -> tuple[list[bool], list[bool], list[bool]]:
    """begin_mask, end_mask and squeeze_mask: where the slice begins with the dimension, ends with it, is one index."""
    none = [0] * call.rank("x")
    begin, end, squeeze = (
        [bool(mask) for mask in call.numbers(name, none)] for name in ("begin_mask", "end_mask", "squeeze_mask")
    )
    return begin, end, squeeze


def _strides(call: Call) -> list[int]:
    return call.numbers("stride", [1] * call.rank("x"))


def _fixed_slices(call: Call) -> list[tuple[int, int, int] | None]:
    """(start, end, step) of each dimension as ONNX's Slice takes them, None where they are known at run time only."""
    slices: list[tuple[int, int, int] | None] = []
    ends = zip(call.elements("begin"), call.elements("end"), _strides(call), *_masks(call))
    for begin, end, step, from_first, to_last, single in ends:
        first, last = (0, BEYOND) if step > 0 or single else (BEYOND, -BEYOND)
        start, stop = first if from_first else begin, last if to_last else end
        if start is not None and single:
            slices.append((start, BEYOND if start == -1 else start + 1, 1))
        elif start is not None and stop is not None:
            slices.append((start, stop, step))
        else:
            slices.append(None)
    if len(slices) != call.rank("x"):
        raise call.refuse("ends of another number than dimensions")
    return slices


def _moving_ends(call: Call) -> tuple[str, str]:
    """Starts and ends of all dimensions as computed at run time."""
    from_first, to_last, single = (np.array(mask) for mask in _masks(call))
    forwards = np.array(_strides(call)) > 0
    begins, ends = call.int64("begin"), call.int64("end")
    if from_first.any():
        firsts = np.where(forwards | single, 0, BEYOND)
        begins = call.add("Where", _mask(call, from_first), call.graph.constant(firsts, "int64"), begins)
    if to_last.any():
        lasts = np.where(forwards, BEYOND, -BEYOND)
        ends = call.add("Where", _mask(call, to_last), call.graph.constant(lasts, "int64"), ends)
    if single.any():
        last = call.add("Equal", begins, call.graph.constant(-1, "int64"))
        next_ = call.add("Add", begins, call.graph.constant(1, "int64"))
        next_ = call.add("Where", last, call.graph.constant(BEYOND, "int64"), next_)
        ends = call.add("Where", _mask(call, single), next_, ends)
    return begins, ends


def _mask(call: Call, mask: Array) -> str:
    return call.graph.constant(mask)


def _slice_by_index(call: Call) -> str:
    single = [axis for axis, mask in enumerate(_masks(call)[2]) if mask]
    slices, x = _fixed_slices(call), call.tensor("x")
    piece = _piece(call, slices)
    if piece is not None:
        x, slices[0] = call.graph.pieces[x][piece], (0, BEYOND, 1)
    axes = call.shape_constant(range(call.rank("x")))
    fixed = [ends for ends in slices if ends is not None]
    if len(fixed) == len(slices):
        starts, ends, steps = (call.shape_constant(part) for part in zip(*fixed))
    else:
        starts, ends = _moving_ends(call)
        if piece is not None:  # whatever it was, it is the whole of the piece now
            starts, ends = (_with_first(call, part, first) for part, first in ((starts, 0), (ends, BEYOND)))
        steps = call.shape_constant([1 if axis in single else step for axis, step in enumerate(_strides(call))])
    found = call.add("Slice", x, starts, ends, axes, steps)
    return call.add("Squeeze", found, call.shape_constant(single)) if single else found


def _with_first(call: Call, ends: str, first: int) -> str:
    rest = call.add("Slice", ends, call.shape_constant([1]), call.shape_constant([BEYOND]))
    return call.add("Concat", call.shape_constant([first]), rest, axis=0)


def _piece(call: Call, slices: Sequence[tuple[int, int, int] | None]) -> int | None:
    """The only piece of a tensor in pieces that a slice is of; None where it is of several, or there are none."""
    pieces = call.graph.pieces.get(call.tensor("x"), [])
    if not pieces or slices[0] is None:
        return None
    start, end, step = slices[0]
    inside = range(len(pieces))[start : end if end > -BEYOND else None : step]
    return inside[0] if len(inside) == 1 else None


def _slice_by_size(call: Call) -> str:
    """A size of -1 is all that follows; a start below zero counts from the end."""
    zero, beyond = call.graph.constant(0, "int64"), call.graph.constant(BEYOND, "int64")
    starts, sizes = call.int64("begin"), call.int64("size")
    from_end = call.add("Less", starts, zero)
    starts = call.add("Where", from_end, call.add("Add", starts, call.add("Shape", call.tensor("x"))), starts)
    all_that_follows = call.add("Less", sizes, zero)
    ends = call.add("Where", all_that_follows, beyond, call.add("Add", starts, sizes))
    return call.add("Slice", call.tensor("x"), starts, ends, call.shape_constant(range(call.rank("x"))))


def _slice_update(call: Call) -> str:
    """Overwrites a slice by its indices. Of a tensor in pieces only the piece that it lies in is copied."""
    slices, x = _fixed_slices(call), call.tensor("x")
    ranges, piece = _ranges(call, slices), _piece(call, slices)
    update, single = call.tensor("update"), [axis for axis, mask in enumerate(_masks(call)[2]) if mask]
    if call.rank("update") + len(single) != call.rank("x"):
        raise call.refuse("an update of another rank than the slice")
    if single:
        update = call.add("Unsqueeze", update, call.shape_constant(single))
    if piece is not None:
        ranges[0] = (np.zeros(1, np.int64), True)
    covered = [axis for axis, (_, whole) in enumerate(ranges) if not whole]
    before = x if piece is None else call.graph.pieces[x][piece]
    if covered:
        depth = covered[-1] + 1  # dimensions that need an index; those behind are overwritten as a whole
        update = call.graph.overwrite(before, _grid(call, [indices for indices, _ in ranges[:depth]]), update)
    if piece is None:
        return update
    pieces = call.graph.pieces[x]
    return call.graph.join([*pieces[:piece], update, *pieces[piece + 1 :]])


def _ranges(call: Call, slices: Sequence[tuple[int, int, int] | None]) -> list[tuple[_Indices, bool]]:
    """The indices of each dimension, and whether they are all that there are."""
    ranges: list[tuple[_Indices, bool]] = []
    moving = None
    for axis, (length, fixed) in enumerate(zip(call.shape("x"), slices)):
        if fixed is not None and length is not None:
            start, end, step = fixed
            inside = slice(start if start != BEYOND else None, end if end != -BEYOND else None, step)
            indices = call.indices(length)[inside]
            ranges.append((indices, indices.size == length and step == 1))
            continue
        if fixed is not None:
            starts, ends, step = call.shape_constant([fixed[0]]), call.shape_constant([fixed[1]]), fixed[2]
        else:
            moving = moving or _moving_ends(call)
            where, step = call.shape_constant([axis]), 1 if _masks(call)[2][axis] else _strides(call)[axis]
            starts, ends = (call.add("Gather", part, where) for part in moving)
        every = _every_index(call, axis)
        some = call.add("Slice", every, starts, ends, call.shape_constant([0]), call.shape_constant([step]))
        ranges.append((some, fixed == (0, BEYOND, 1)))
    return ranges


def _every_index(call: Call, axis: int) -> str:
    """0, 1, ... to the length of a dimension of x."""
    length = call.shape("x")[axis]
    if length is not None:
        return call.graph.constant(call.indices(length))
    whole = call.add("Shape", call.tensor("x"), start=axis, end=axis + 1)
    ends = [call.graph.constant(0, "int64"), call.add("Squeeze", whole), call.graph.constant(1, "int64")]
    return call.add("Range", *ends)


def _grid(call: Call, ranges: list[_Indices]) -> str:
    """Every combination of the indices of several dimensions, in the last dimension of what is returned."""
    known = [indices for indices in ranges if not isinstance(indices, str)]
    if len(known) == len(ranges):
        return call.graph.constant(np.stack(np.meshgrid(*known, indexing="ij"), axis=-1))
    names = [indices if isinstance(indices, str) else call.graph.constant(indices) for indices in ranges]
    shape = call.add("Concat", *(call.add("Shape", name) for name in names), axis=0)
    parts = []
    for axis, name in enumerate(names):
        apart = [other for other in range(len(names) + 1) if other != axis]
        lengths = call.add("Concat", shape, call.shape_constant([1]), axis=0)
        parts.append(call.add("Expand", call.add("Unsqueeze", name, call.shape_constant(apart)), lengths))
    return call.add("Concat", *parts, axis=-1)


# Gathering.


def _gather(call: Call) -> str:
    axis, batch = call.axis("axis", "x", 0), call.number("batch_dims", 0)
    if not batch:
        return call.add("Gather", call.tensor("x"), call.tensor("indices"), axis=axis)
    # GatherND picks along the first dimension behind the batch's: the axis is moved there, and its result back.
    rank, width = call.rank("x"), call.rank("indices") - batch
    order = [*range(batch), axis, *(other for other in range(batch, rank) if other != axis)]
    indices = call.add("Unsqueeze", call.cast(call.tensor("indices"), "int64"), call.shape_constant([-1]))
    moved = call.add("Transpose", call.tensor("x"), perm=order)
    picked = call.add("GatherND", moved, indices, batch_dims=batch)
    before = axis - batch  # dimensions between the batch's and the axis; they stand behind the indices' now
    back = [
        *range(batch),
        *range(batch + width, batch + width + before),
        *range(batch, batch + width),
        *range(batch + width + before, rank - 1 + width),
    ]
    return call.add("Transpose", picked, perm=back)


def _gather_along_axis(call: Call) -> str:
    return call.add("GatherElements", call.tensor("x"), call.tensor("indices"), axis=call.axis("axis", "x", 0))


def _gather_nd(call: Call) -> str:
    indices = call.cast(call.tensor("indices"), "int64")
    return call.add("GatherND", call.tensor("x"), indices, batch_dims=call.number("batch_dims", 0))


# Scattering.

_REDUCTIONS = {"update": "none", "add": "add", "sub": "add", "mul": "mul", "div": "mul", "max": "max", "min": "min"}


def _updates(call: Call) -> tuple[str, str]:
    """What is scattered, and how it joins what is there: subtracting adds the negative, dividing multiplies."""
    mode, updates = call.text("mode", "add"), call.tensor("updates")
    if mode not in _REDUCTIONS or (mode == "div" and not call.is_float("updates")):
        raise call.refuse(f"mode {mode}")
    if mode in ("sub", "div"):
        updates = call.add("Neg" if mode == "sub" else "Reciprocal", updates)
    return updates, _REDUCTIONS[mode]


def _scatter(call: Call) -> str:
    """Whole slices along an axis: each index is spread over the slice that it is for."""
    axis, rank = call.axis("axis", "data", 0), call.rank("data")
    updates, reduction = _updates(call)
    lengths = [1] * rank
    lengths[axis] = -1
    column = call.add("Reshape", call.tensor("indices"), call.shape_constant(lengths))
    indices = call.add("Expand", column, call.add("Shape", updates))
    return call.add("ScatterElements", call.tensor("data"), indices, updates, axis=axis, reduction=reduction)


def _scatter_along_axis(call: Call) -> str:
    updates, reduction = _updates(call)
    axis = call.axis("axis", "data", 0)
    return call.add(
        "ScatterElements", call.tensor("data"), call.tensor("indices"), updates, axis=axis, reduction=reduction
    )


def _scatter_nd(call: Call) -> str:
    updates, reduction = _updates(call)
    indices = call.cast(call.tensor("indices"), "int64")
    return call.add("ScatterND", call.tensor("data"), indices, updates, reduction=reduction)


# Order and place.


def _sorted(call: Call, count: str) -> list[str]:
    values, indices = call.graph.add_many(
        "TopK",
        [call.tensor("x"), count],
        2,
        axis=call.axis("axis", "x", -1),
        largest=int(not call.number("ascending", False)),
    )
    return [values, call.cast(indices, "int32")]


def _length(call: Call, axis: int) -> str:
    return call.add("Shape", call.tensor("x"), start=axis, end=axis + 1)


def _topk(call: Call) -> list[str]:
    every = call.is_known("k") and call.number("k") == -1
    if every:
        count = _length(call, call.axis("axis", "x", -1))
    else:
        count = call.int64("k") if call.given("k") else call.shape_constant([1])
    return _sorted(call, count)


def _argsort(call: Call) -> str:
    return _sorted(call, _length(call, call.axis("axis", "x", -1)))[1]


def _cumulative_sum(call: Call) -> str:
    axis = call.graph.constant(call.axis("axis", "x", 0), "int64")
    flags = {name: int(call.number(name, False)) for name in ("exclusive", "reverse")}
    return call.add("CumSum", call.tensor("x"), axis, **flags)


def _non_zero(call: Call) -> str:
    return call.cast(call.add("Transpose", call.add("NonZero", call.tensor("x")), perm=[1, 0]), "int32")


def _one_hot(call: Call) -> str:
    """`on_value` where an index is, `off_value` elsewhere; an index beyond the size is nowhere."""
    rank = call.rank("indices") + 1
    axis = call.number("axis", -1) % rank
    size = call.tensor("one_hot_vector_size")
    size = call.add("Squeeze", size) if call.rank("one_hot_vector_size") else size
    places = call.add("Range", call.graph.constant(0, "int32"), size, call.graph.constant(1, "int32"))
    lengths = [1] * rank
    lengths[axis] = -1
    places = call.add("Reshape", places, call.shape_constant(lengths))
    indices = call.add("Unsqueeze", call.tensor("indices"), call.shape_constant([axis]))
    there, dtype = call.add("Equal", indices, places), call.output_dtype()
    wide = "float32" if dtype == "float32" else "int32"
    on, off = (call.graph.constant(call.number(f"{name}_value", default), wide) for name, default in _ON_AND_OFF)
    chosen = call.add("Where", there, on, off)
    return chosen if wide == dtype else call.cast(chosen, dtype)


_ON_AND_OFF = (("on", 1), ("off", 0))


INDEXING: Table = {
    "slice_by_index": _slice_by_index,
    "slice_by_size": _slice_by_size,
    "slice_update": _slice_update,
    "gather": _gather,
    "gather_along_axis": _gather_along_axis,
    "gather_nd": _gather_nd,
    "scatter": _scatter,
    "scatter_along_axis": _scatter_along_axis,
    "scatter_nd": _scatter_nd,
    "topk": _topk,
    "argsort": _argsort,
    "cumsum": _cumulative_sum,
    "non_zero": _non_zero,
    "one_hot": _one_hot,
}
