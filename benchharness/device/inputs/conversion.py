"""Data as it was given, in a model's own number type: a table with three answers, and never a silent change.

| data          | input               | answer                                                                       |
|---------------|---------------------|------------------------------------------------------------------------------|
| any numbers   | quantized (integer) | by scale and zero point, ties to even; what saturates is counted             |
| its own type  | quantized (integer) | refused: real values or codes? `values = "codes"` feeds them as they are     |
| whole numbers | integer             | exact where every one fits, else refused; so are fractions, NaN and infinity |
| whole numbers | float               | exact where the type holds every one, else refused                           |
| real numbers  | float               | exact, or rounded to the model's own precision; overflow is refused          |
| 0 and 1       | bool                | exact; any other number is refused                                           |
| bool          | any number          | 0 and 1                                                                      |
| text          | text                | exact; nothing is converted between text and numbers                         |

Data are real values unless the suite says `values = "codes"`: whole numbers that a quantized input takes as they are.
To an input of floats the same codes mean the real values that the quantized input makes of them, by its scale. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from benchharness.contract import TensorSpec
from benchharness.errors import Unsupported

if TYPE_CHECKING:
    Array = np.ndarray[Any, np.dtype[Any]]

#: What data are.
REAL, CODES = "real", "codes"
#: What was done.
EXACT, ROUNDED, QUANTIZED, AS_CODES, DEQUANTIZED = "exact", "rounded", "quantized", "codes", "dequantized"

_NUMBERS = "fiub"


@dataclass(frozen=True)
class Converted:
    """An array as an input takes it, what was done, and how many numbers were beyond its range."""

    array: Array
    how: str
    saturated: int = 0


def converted(
    array: Array,
    spec: TensorSpec,
    quantization: Mapping[str, Any] | None,
    *,
    values: str = REAL,
    codes: Mapping[str, Any] | None = None,
) -> Converted:
    """An array in an input's own type. Raises `Unsupported` that says which value does not go in, and what to write.

    `quantization` holds an adapter's word about the input: {"scale": [...], "zero_point": [...]}. `codes` is that of
    the input that codes were made for, where this one takes floats.
    """
    if spec.dtype == "str" or array.dtype.kind not in _NUMBERS:
        return _text(array, spec)
    try:
        wanted = np.dtype(spec.dtype)
    except TypeError as error:
        raise Unsupported(f"input {spec.name!r} takes {spec.dtype}, which NumPy has no type for") from error
    if quantization and wanted.kind in "iu":
        return _coded(array, spec, wanted) if values == CODES else _quantized(array, spec, wanted, quantization)
    if values == CODES and wanted.kind == "f" and array.dtype.kind in "iu":
        return _decoded(array, spec, wanted, codes)
    if wanted.kind == "b":
        return _flags(array, spec)
    if wanted.kind in "iu":
        return _whole(array, spec, wanted)
    if wanted.kind == "f":
        return _real(array, spec, wanted)
    raise Unsupported(f"input {spec.name!r} takes {spec.dtype}, and the data holds {array.dtype}")


def dequantized(array: Array, name: str, quantization: Mapping[str, Any] | None) -> Array:
    """An output as real numbers. Raises `Unsupported` for scales that are no scale of the whole tensor."""
    if not quantization or array.dtype.kind not in "iu":
        return array
    scale, zero_point = scale_of(name, quantization)
    real: Array = (array.astype(np.float64) - zero_point) * scale
    return real


def scale_of(name: str, quantization: Mapping[str, Any]) -> tuple[float, int]:
    """The one scale and zero point of a tensor. Raises `Unsupported`: a model file is not trusted."""
    scales, points = list(quantization.get("scale") or ()), list(quantization.get("zero_point") or (0,))
    if len(scales) != 1 or len(points) != 1:
        raise Unsupported(
            f"{name!r} is quantized with {len(scales)} scales and {len(points)} zero points, one a channel: only one "
            "of each for the whole tensor can be applied"
        )
    scale = float(scales[0])
    if not math.isfinite(scale) or scale <= 0:
        raise Unsupported(f"{name!r} is quantized with the scale {scale:g}, by which nothing can be divided")
    return scale, int(points[0])


def _text(array: Array, spec: TensorSpec) -> Converted:
    if spec.dtype == "str" and array.dtype.kind in "US":
        return Converted(array, EXACT)
    raise Unsupported(f"input {spec.name!r} takes {spec.dtype}, and the data holds {array.dtype}")


def _quantized(array: Array, spec: TensorSpec, wanted: np.dtype[Any], quantization: Mapping[str, Any]) -> Converted:
    if array.dtype == wanted:
        raise Unsupported(
            f"input {spec.name!r} is quantized {spec.dtype}, and the data holds {array.dtype} too: real values, or "
            'codes of it? Where they are codes, write values = "codes" under the model; else give them as float32'
        )
    scale, zero_point = scale_of(spec.name, quantization)
    real = array.astype(np.float64)
    _refuse_not_finite(real, spec)
    steps = np.round(real / scale) + zero_point
    limits = np.iinfo(wanted)
    beyond = int(((steps < limits.min) | (steps > limits.max)).sum())
    return Converted(np.clip(steps, limits.min, limits.max).astype(wanted), QUANTIZED, beyond)


def _coded(array: Array, spec: TensorSpec, wanted: np.dtype[Any]) -> Converted:
    if array.dtype != wanted:
        raise Unsupported(
            f'values = "codes": input {spec.name!r} is quantized {spec.dtype}, and the data holds {array.dtype}; codes '
            "are of the input's own type"
        )
    return Converted(array, AS_CODES)


def _decoded(array: Array, spec: TensorSpec, wanted: np.dtype[Any], codes: Mapping[str, Any] | None) -> Converted:
    if not codes:
        raise Unsupported(
            f'values = "codes": input {spec.name!r} takes {spec.dtype}, and no one scale of a quantized input tells '
            "what the codes mean; give real values"
        )
    scale, zero_point = scale_of(spec.name, codes)
    with np.errstate(over="ignore"):
        real = ((array.astype(np.float64) - zero_point) * scale).astype(wanted)
    if not np.isfinite(real).all():
        raise Unsupported(f"input {spec.name!r} takes {spec.dtype}, in which codes of the scale {scale:g} are infinite")
    return Converted(real, DEQUANTIZED)


def _flags(array: Array, spec: TensorSpec) -> Converted:
    wrong = array[(array != 0) & (array != 1)] if array.dtype.kind != "b" else array[:0]
    if wrong.size:
        raise Unsupported(f"input {spec.name!r} takes bool, and the data holds {wrong.flat[0]}: neither 0 nor 1")
    return Converted(array.astype(bool), EXACT)


def _whole(array: Array, spec: TensorSpec, wanted: np.dtype[Any]) -> Converted:
    if array.dtype.kind == "f":
        _refuse_not_finite(array, spec)
        wrong = array[array != np.round(array)]
        if wrong.size:
            raise Unsupported(
                f"input {spec.name!r} takes {spec.dtype}, and the data holds {array.dtype} with fractions, such as "
                f"{wrong.flat[0]:g}: give whole numbers"
            )
    if array.dtype.kind != "b" and array.size:
        limits = np.iinfo(wanted)
        for extreme in (int(array.min()), int(array.max())):  # as Python's whole numbers, which compare exactly
            if not limits.min <= extreme <= limits.max:
                raise Unsupported(
                    f"input {spec.name!r} takes {spec.dtype} ({limits.min} to {limits.max}), and the data holds "
                    f"{extreme}"
                )
    return Converted(array.astype(wanted), EXACT)


def _real(array: Array, spec: TensorSpec, wanted: np.dtype[Any]) -> Converted:
    with np.errstate(over="ignore"):
        made = array.astype(wanted)
    if array.dtype.kind == "f":
        lost = array[np.isinf(made) & ~np.isinf(array)]
        if lost.size:
            raise Unsupported(f"input {spec.name!r} takes {spec.dtype}, in which {lost.flat[0]:g} is infinite")
        same = np.array_equal(made.astype(array.dtype), array, equal_nan=True) if wanted != array.dtype else True
        return Converted(made, EXACT if same else ROUNDED)
    lost = array[~_holds(made, array)]
    if lost.size:
        raise Unsupported(
            f"input {spec.name!r} takes {spec.dtype}, which does not hold the whole number {lost.flat[0]} exactly; "
            "give floats where that is meant"
        )
    return Converted(made, EXACT)


def _holds(made: Array, array: Array) -> Array:
    """Where a float is the whole number it was made of. Beyond an integer's own range nothing is."""
    if array.dtype.kind == "b":
        return np.ones(array.shape, dtype=bool)
    limits = np.iinfo(array.dtype)
    # The largest number of an integer's type may round up to what the type does not hold: 2^63 for int64.
    inside = np.isfinite(made) & (made.astype(np.float64) >= float(limits.min))
    inside &= made.astype(np.float64) < float(limits.max) + (1.0 if limits.max < 2**53 else 0.0)
    back = np.where(inside, made, 0).astype(array.dtype)
    found: Array = inside & (back == array)
    return found


def _refuse_not_finite(array: Array, spec: TensorSpec) -> None:
    if not np.isfinite(array).all():
        raise Unsupported(f"input {spec.name!r} takes {spec.dtype}, and the data holds NaN or infinite numbers")
