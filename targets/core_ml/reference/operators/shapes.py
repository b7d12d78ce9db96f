"""Operators that rearrange numbers or make new tensors: shapes, order, concatenation, padding, filling.

Formulas: https://apple.github.io/coremltools/source/coremltools.converters.mil.mil.ops.defs.html.
"""

from __future__ import annotations

import numpy as np

from benchharness.errors import ModelFailure
from targets.core_ml.reference.graph import BEYOND, Call, Table
from targets.core_ml.reference.operators.layers import onnx_pads

#: The first version of the operators whose reshape counts zeros from the last dimension.
_ZEROS_FROM_THE_END = 7

#: Numbers above which no constant shape makes a tensor: ONNX Runtime makes it while it loads. 2^28 take a gigabyte.
_MOST_NUMBERS = 1 << 28

_PAD_MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge"}


def _reshape(call: Call) -> str:
    """-1 stands for what is left; 0 for the input's own length, which ONNX has too, counted from the first."""
    shape = call.known("shape")
    if shape is None:
        return call.add("Reshape", call.tensor("x"), call.int64("shape"))
    lengths, rank = [int(length) for length in shape], call.rank("x")
    if 0 not in lengths or len(lengths) == rank or call.scope.opset < _ZEROS_FROM_THE_END:
        return call.add("Reshape", call.tensor("x"), call.shape_constant(lengths))
    own = call.add("Shape", call.tensor("x"))
    parts = []
    for index, length in enumerate(lengths):
        counterpart = index - len(lengths) + rank
        inherited = length == 0 and counterpart >= 0
        parts.append(
            call.add("Gather", own, call.shape_constant([counterpart]))
            if inherited
            else call.shape_constant([length or 1])
        )
    return call.add("Reshape", call.tensor("x"), call.add("Concat", *parts, axis=0))


def _reshape_like(call: Call) -> str:
    """The new shape is made of pieces of other tensors' shapes."""
    names = ("begins", "ends", "end_masks")
    listed = zip(*([call.scope.known(argument) for argument in call.arguments(name)] for name in names))
    parts = []
    for tensor, (begin, end, to_the_end) in zip(call.tensors("ref_tensors"), listed):
        if begin is None or end is None or to_the_end is None:
            raise call.refuse("pieces that are not constant")
        bounds = {} if bool(to_the_end.item()) else {"end": int(end.item())}
        parts.append(call.add("Shape", tensor, start=int(begin.item()), **bounds))
    return call.add("Reshape", call.tensor("x"), call.add("Concat", *parts, axis=0))


def _squeeze(call: Call) -> str:
    if not call.given("axes"):
        return call.add("Squeeze", call.tensor("x"))
    shape = call.shape("x")
    axes = [axis % len(shape) for axis in call.numbers("axes")]
    # An axis that is longer than one stays.
    single = [axis for axis in axes if shape[axis] in (1, None)]
    return call.add("Squeeze", call.tensor("x"), call.shape_constant(single)) if single else call.tensor("x")


def _transpose(call: Call) -> str:
    rank = call.rank("x")
    return call.add("Transpose", call.tensor("x"), perm=[axis % rank for axis in call.numbers("perm")])


def _at_least_vectors(call: Call) -> list[str]:
    """The values to be joined; single numbers as vectors of one."""
    values = call.tensors("values")
    if call.rank("values"):
        return values
    return [call.add("Reshape", value, call.shape_constant([1])) for value in values]


def _note_elements(call: Call) -> None:
    """Remembers which numbers of a list are constants: the ends of slices are put together so."""
    found: list[int | None] = []
    for index, argument in enumerate(call.arguments("values")):
        shape, value = call.type("values", index).shape, call.scope.known(argument)
        if shape is None or len(shape) > 1 or None in shape or (value is not None and value.dtype.kind not in "iu"):
            return
        found += [None] * (shape[0] or 0 if shape else 1) if value is None else [int(n) for n in value.reshape(-1)]
    call.scope.elements[call.operation.outputs[0].name] = found


def _concat(call: Call) -> str:
    values = _at_least_vectors(call)
    _note_elements(call)
    rank = max(call.rank("values"), 1)
    axis = call.number("axis") % rank
    if not call.number("interleave", False):
        return call.add("Concat", *values, axis=axis)
    # One of each in turn: a new dimension behind the axis, and both made one.
    behind = call.shape_constant([axis + 1])
    stacked = call.add("Concat", *(call.add("Unsqueeze", value, behind) for value in values), axis=axis + 1)
    shape = call.add("Shape", values[0])
    lengths = [call.add("Slice", shape, call.shape_constant([0]), call.shape_constant([axis]))]
    lengths.append(call.shape_constant([-1]))
    lengths.append(call.add("Slice", shape, call.shape_constant([axis + 1]), call.shape_constant([BEYOND])))
    return call.add("Reshape", stacked, call.add("Concat", *lengths, axis=0))


def _stack(call: Call) -> str:
    rank = call.rank("values") + 1
    axis = call.number("axis") % rank
    where = call.shape_constant([axis])
    return call.add("Concat", *(call.add("Unsqueeze", value, where) for value in call.tensors("values")), axis=axis)


def _split(call: Call) -> list[str]:
    outputs, axis = len(call.operation.outputs), call.axis("axis", "x")
    if call.given("split_sizes"):
        sizes = call.shape_constant(call.numbers("split_sizes"))
        return call.graph.add_many("Split", [call.tensor("x"), sizes], outputs, axis=axis)
    return call.graph.add_many("Split", [call.tensor("x")], outputs, axis=axis, num_outputs=outputs)


def _pad(call: Call) -> str:
    """The last dimensions are padded, by numbers before and after each in turn."""
    mode = _PAD_MODES.get(call.text("mode", "constant"))
    if mode is None:
        raise call.refuse(f"mode {call.text('mode')}")
    rank, pad = call.rank("x"), call.known("pad")
    if pad is None:
        pairs = call.add("Reshape", call.int64("pad"), call.shape_constant([-1, 2]))
        pads = call.add("Reshape", call.add("Transpose", pairs, perm=[1, 0]), call.shape_constant([-1]))
    else:
        every = [0] * (2 * rank - pad.size) + [int(count) for count in pad.reshape(-1)]
        pads = call.shape_constant(onnx_pads(every))
    inputs = [call.tensor("x"), pads]
    if mode == "constant":
        inputs.append(call.scalar(call.number("constant_val", 0.0)))
    return call.add("Pad", *inputs, mode=mode)


def _check_numbers(call: Call, lengths: list[int]) -> None:
    count = 1
    for length in lengths:
        count *= max(length, 1)
        if count > _MOST_NUMBERS:
            raise ModelFailure(f"the operator {call.operation.kind} makes more than {_MOST_NUMBERS} numbers")


def _fill(call: Call) -> str:
    if call.is_known("shape"):
        _check_numbers(call, call.numbers("shape"))
    return call.add("Expand", call.scalar(call.number("value", 0.0)), call.int64("shape"))


def _fill_like(call: Call) -> str:
    value = call.scalar(call.number("value", 0.0))
    return call.add("Expand", value, call.add("Shape", call.tensor("ref_tensor")))


def _tile(call: Call) -> str:
    if call.is_known("reps"):
        _check_numbers(call, call.numbers("reps"))
    return call.add("Tile", call.tensor("x"), call.int64("reps"))


def _range(call: Call) -> str:
    ends = []
    for name in ("start", "end", "step"):
        value = call.tensor(name)
        ends.append(call.add("Squeeze", value) if call.rank(name) else value)
    known = [call.known(name) for name in ("start", "end", "step")]
    if all(value is not None for value in known):
        start, end, step = (float(value.item()) for value in known if value is not None)
        _check_numbers(call, [int(abs((end - start) / step))])
    return call.add("Range", *(call.cast(end, call.output_dtype()) for end in ends))


def _band_part(call: Call) -> str:
    """What lies within `lower` diagonals below the main one and `upper` above it; below zero: all of them."""
    dtype, lower, upper = call.output_dtype(), call.number("lower", -1), call.number("upper", -1)
    band = call.tensor("x") if dtype == "float32" else call.cast(call.tensor("x"), "int64")
    if lower >= 0:
        band = call.add("Trilu", band, call.graph.constant(-lower, "int64"), upper=1)
    if upper >= 0:
        band = call.add("Trilu", band, call.graph.constant(upper, "int64"), upper=0)
    return band if dtype == "float32" else call.cast(band, dtype)


def _reverse(call: Call) -> str:
    rank = call.rank("x")
    axes = call.numbers("axes", list(range(rank)))
    ends = ([-1] * len(axes), [-BEYOND] * len(axes), axes, [-1] * len(axes))
    return call.add("Slice", call.tensor("x"), *(call.shape_constant(end) for end in ends))


def _reverse_sequence(call: Call) -> str:
    """ONNX knows the first two dimensions only, as the sequence's and the batch's."""
    rank, sequence, batch = call.rank("x"), call.axis("seq_axis", "x", 0), call.axis("batch_axis", "x", 0)
    if sequence == batch:
        raise call.refuse("a sequence along the batch's own axis")
    order = [sequence, batch, *(axis for axis in range(rank) if axis not in (sequence, batch))]
    moved = call.add("Transpose", call.tensor("x"), perm=order)
    turned = call.add("ReverseSequence", moved, call.int64("lengths"), time_axis=0, batch_axis=1)
    return call.add("Transpose", turned, perm=[order.index(axis) for axis in range(rank)])


def _sliding_windows(call: Call) -> str:
    axis, size, stride = call.axis("axis", "x"), call.number("size"), call.number("stride", 1)
    length = call.shape("x")[axis]
    if length is None:
        raise call.refuse("of a length that is not fixed")
    starts = call.indices(length)[: max(length - size + 1, 0) : stride]
    return call.add("Gather", call.tensor("x"), call.graph.constant(starts[:, None] + np.arange(size)), axis=axis)


SHAPES: Table = {
    "reshape": _reshape,
    "reshape_like": _reshape_like,
    "expand_dims": lambda call: call.add("Unsqueeze", call.tensor("x"), call.shape_constant(call.numbers("axes"))),
    "squeeze": _squeeze,
    "transpose": _transpose,
    "concat": _concat,
    "stack": _stack,
    "split": _split,
    "tile": _tile,
    "pad": _pad,
    "fill": _fill,
    "fill_like": _fill_like,
    "range_1d": _range,
    "shape": lambda call: call.cast(call.add("Shape", call.tensor("x")), "int32"),
    "flatten2d": lambda call: call.add("Flatten", call.tensor("x"), axis=call.number("axis", 1)),
    "band_part": _band_part,
    "reverse": _reverse,
    "reverse_sequence": _reverse_sequence,
    "sliding_windows": _sliding_windows,
}
