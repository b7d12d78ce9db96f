"""The values that a program knows before it runs: what it states, and what its `constexpr_` operators decompress.

The decompressed numbers are those that coremltools computes, bit for bit. It repeats lookup tables for every number of
a tensor, which takes gigabytes for an embedding, so the computation is done here.
Operators: https://apple.github.io/coremltools/source/coremltools.converters.mil.mil.ops.defs.html.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from benchharness.errors import ModelFailure, Unsupported
from targets.core_ml.program import Argument, Constant, Operation
from targets.core_ml.weights import Weights
from targets.wire.packed import unpack

if TYPE_CHECKING:
    from benchharness.contract import Array

#: Compressed constants inside each other. Pruned and palettized and quantized weights are three deep.
_DEEPEST = 16
#: Numbers that one byte of weights can stand for: a bit each, in vectors of 64.
_MOST_NUMBERS_PER_BYTE = 512


class Constants:
    """Every constant of the operators given, by the name of its value."""

    def __init__(self, operations: Iterable[Operation], weights: Weights) -> None:
        self._weights = weights
        self._makers: dict[str, tuple[Operation, int]] = {}
        for operation in operations:
            if operation.is_constant:
                for index, output in enumerate(operation.outputs):
                    self._makers[output.name] = (operation, index)

    def __contains__(self, name: str) -> bool:
        return name in self._makers

    def maker(self, name: str) -> Operation:
        """The operator that states or decompresses a constant."""
        return self._makers[name][0]

    def value(self, argument: Argument) -> Array:
        """A constant's numbers, decompressed. Raises `ModelFailure` where they cannot be, `Unsupported`."""
        try:
            return self._value(argument, {}, _DEEPEST)
        except (ValueError, IndexError, KeyError, TypeError, OverflowError, AttributeError) as error:
            name = argument if isinstance(argument, str) else "a constant"
            raise ModelFailure(f"{name} cannot be decompressed: {error}; save the model again") from error

    def _value(self, argument: Argument, known: dict[Operation, tuple[Array, ...]], depth: int) -> Array:
        if isinstance(argument, Constant):
            return self._weights.read(argument)
        operation, index = self._makers[argument]
        if operation.kind not in _DECOMPRESSORS:
            raise Unsupported(f"weights compressed by {operation.kind}, which is not known here")
        if depth == 0:
            raise ValueError(f"more than {_DEEPEST} constants are made of one another")
        if operation not in known:
            given = {
                name: self._value(arguments[0], known, depth - 1)
                for name, arguments in operation.inputs.items()
                if arguments
            }
            if operation.kind != "const":
                _check_size(operation, given)
            known[operation] = _DECOMPRESSORS[operation.kind](given)
        return known[operation][index]


def _check_size(operation: Operation, given: Mapping[str, Array]) -> None:
    """A compressed constant stands for so many numbers and no more, however large the shape that it claims."""
    held = sum(value.nbytes for value in given.values())
    for output in operation.outputs:
        if (output.type.numbers or 0) > max(held, 1) * _MOST_NUMBERS_PER_BYTE:
            raise ValueError(f"{output.type.numbers} numbers are said to be in {held} bytes")


def _affine_dequantize(given: Mapping[str, Array]) -> tuple[Array, ...]:
    data, scale, zero_point = given["quantized_data"], given["scale"], given["zero_point"]
    shape = [1] * data.ndim
    if scale.ndim or zero_point.ndim:
        shape[int(given["axis"])] = -1
    numbers = data.astype(np.float32)
    numbers -= zero_point.astype(np.float32).reshape(shape if zero_point.ndim else ())
    numbers *= scale.reshape(shape if scale.ndim else ())
    return (numbers.astype(scale.dtype),)


def _blockwise_shift_scale(given: Mapping[str, Array]) -> tuple[Array, ...]:
    """scale * (data - offset), each scale for a block of `data.shape / scale.shape` numbers."""
    data, scale, offset = given["data"], given["scale"], given.get("offset")
    if data.ndim != scale.ndim or (offset is not None and offset.shape != scale.shape):
        raise ValueError(f"data of shape {data.shape}, scales of {scale.shape}: their dimensions differ")
    numbers = data.astype(scale.dtype)
    # A view with each dimension split into blocks and their inside, so that no scale has to be repeated.
    split, spread = [], []
    for length, count in zip(data.shape, scale.shape):
        if count == 0 or length % count:
            raise ValueError(f"{length} numbers do not make {count} blocks")
        split += [count, length // count]
        spread += [count, 1]
    blocks = numbers.reshape(split)
    if offset is not None:
        blocks -= offset.reshape(spread).astype(scale.dtype)
    blocks *= scale.reshape(spread)
    return (numbers,)


def _lut_to_dense(given: Mapping[str, Array]) -> tuple[Array, ...]:
    """Of iOS 16 one table of bits and a shape; since iOS 18 tables for blocks, which may hold vectors."""
    indices, lut = given["indices"], given["lut"]
    if "shape" in given:
        shape = [int(length) for length in given["shape"]]
        bits = int(lut.size).bit_length() - 1
        count = int(np.prod(shape, dtype=np.int64))
        if lut.ndim != 1 or lut.size != 1 << bits or not 1 <= bits <= 8 or indices.size != (count * bits + 7) // 8:
            raise ValueError(f"{indices.size} bytes of indices into {lut.size} values do not make the shape {shape}")
        return (lut[unpack(indices, bits, count, signed=False)].reshape(shape),)
    if lut.ndim != indices.ndim + 2:
        raise ValueError(f"indices of shape {indices.shape} and tables of {lut.shape}: their dimensions differ")
    *counts, palette, vector = lut.shape
    if vector > 1:
        return (_vectors(indices, lut, int(given["vector_axis"])),)
    if int(indices.max(initial=0)) >= palette:
        raise ValueError(f"an index beyond a table of {palette} values")
    return (_look_up(indices, lut.reshape(*counts, palette)),)


def _look_up(indices: Array, tables: Array) -> Array:
    """Each index's value in the table of its block. Shapes: (*d), (*blocks, values)."""
    counts = tables.shape[:-1]
    for length, count in zip(indices.shape, counts):
        if count == 0 or length % count:
            raise ValueError(f"{length} indices do not make {count} blocks")
    values = np.empty(indices.shape, tables.dtype)
    for block in np.ndindex(*counts):
        inside = tuple(
            slice(at * (length // count), (at + 1) * (length // count))
            for at, length, count in zip(block, indices.shape, counts)
        )
        values[inside] = tables[block][indices[inside]]
    return values


def _vectors(indices: Array, lut: Array, axis: int) -> Array:
    """Each index stands for a vector that lies along `axis`."""
    axis %= indices.ndim
    if int(indices.max(initial=0)) >= lut.shape[-2]:
        raise ValueError(f"an index beyond a table of {lut.shape[-2]} vectors")
    parts = [_look_up(indices, lut[..., position]) for position in range(lut.shape[-1])]
    shape = list(indices.shape)
    shape[axis] *= lut.shape[-1]
    return np.stack(parts, axis=axis + 1).reshape(shape)


def _sparse_to_dense(given: Mapping[str, Array]) -> tuple[Array, ...]:
    """Of iOS 16 a mask of bits and a shape; since iOS 18 the mask has the shape itself."""
    values, mask = given["nonzero_data"], given["mask"]
    if "shape" in given:
        shape = [int(length) for length in given["shape"]]
        count = int(np.prod(shape, dtype=np.int64))
        if mask.size != (count + 7) // 8:
            raise ValueError(f"{mask.size} bytes of mask do not make the shape {shape}")
        mask = unpack(mask, 1, count, signed=False).reshape(shape)
    return (_spread(values, mask),)


def _spread(values: Array, mask: Array) -> Array:
    """The values one after another where the mask is not zero, and zeros elsewhere."""
    dense = np.zeros(mask.shape, values.dtype)
    if values.ndim != 1 or np.count_nonzero(mask) != values.size:
        raise ValueError(f"{values.size} values for {np.count_nonzero(mask)} places")
    dense[mask != 0] = values
    return dense


def _lut_to_sparse(given: Mapping[str, Array]) -> tuple[Array, ...]:
    mask, lut = given["indices_mask"], given["lut"]
    dense_given = {"indices": _spread(given["indices_nonzero_data"], mask), "lut": lut}
    if "vector_axis" in given:
        dense_given["vector_axis"] = given["vector_axis"]
        mask = np.repeat(mask, lut.shape[-1], axis=int(given["vector_axis"]))
    (dense,) = _lut_to_dense(dense_given)
    return mask, dense[mask != 0]


def _sparse_blockwise_shift_scale(given: Mapping[str, Array]) -> tuple[Array, ...]:
    mask = given["data_mask"]
    dense_given = {"data": _spread(given["nonzero_data"], mask), "scale": given["scale"]}
    if "offset" in given:
        dense_given["offset"] = given["offset"]
    (dense,) = _blockwise_shift_scale(dense_given)
    return mask, dense[mask != 0]


def _cast(given: Mapping[str, Array]) -> tuple[Array, ...]:
    return (given["source_val"].astype({"fp32": np.float32, "fp16": np.float16}[str(given["output_dtype"])]),)


_DECOMPRESSORS: Mapping[str, Callable[[Mapping[str, Array]], tuple[Array, ...]]] = {
    "const": lambda given: (given["val"],),
    "constexpr_affine_dequantize": _affine_dequantize,
    "constexpr_blockwise_shift_scale": _blockwise_shift_scale,
    "constexpr_lut_to_dense": _lut_to_dense,
    "constexpr_lut_to_sparse": _lut_to_sparse,
    "constexpr_sparse_to_dense": _sparse_to_dense,
    "constexpr_sparse_blockwise_shift_scale": _sparse_blockwise_shift_scale,
    "constexpr_cast": _cast,
}
