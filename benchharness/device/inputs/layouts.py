"""The order of an array's axes: declared on both sides, never guessed. Axes of length 1 come and go freely."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from benchharness.contract import TensorSpec
from benchharness.device.inputs.pairing import shown_shape, toml_line
from benchharness.errors import Unsupported

if TYPE_CHECKING:
    Array = np.ndarray[Any, np.dtype[Any]]

#: The letter of the axis that counts samples.
BATCH = "N"


def arranged(array: Array, spec: TensorSpec, *, array_name: str, given: str | None, wanted: str | None) -> Array:
    """A sample in an input's own shape and layout. Raises `Unsupported` that says what to declare.

    `given` is the layout of the data's array, with or without its axis of samples, and `wanted` that of the input.
    """
    told = f"input {spec.name!r} has the shape {shown_shape(spec.shape)}, and a sample of {array_name!r}"
    hint = " and ".join(
        toml_line(key, {name: layout or "…"})
        for key, name, layout in (("data_layouts", array_name, given), ("layouts", spec.name, wanted))
    )
    turned = _turned(array, given, wanted, told, hint)
    lengths = [length if isinstance(length, int) and length >= 0 else None for length in spec.shape]
    for candidate in (turned, turned[None]):
        if _matches(candidate.shape, lengths):
            return candidate
    fixed = [length for length in lengths if length is not None]
    if len(fixed) == len(lengths) and without_ones(turned.shape) == without_ones(fixed):
        return turned.reshape(fixed)
    raise Unsupported(f"{told} {shown_shape(array.shape)}{_or_declare(array.shape, spec.shape, hint)}")


def aligned(array: Array, like: Array, *, name: str, given: str | None, wanted: str | None) -> Array:
    """A variant's output in the shape and layout of the reference's. Raises `Unsupported` that says what to declare.

    `given` is the layout of the variant's output, `wanted` that of the reference's.
    """
    told = f"output {name!r} has the shape {shown_shape(like.shape)} in the reference, and in this variant"
    hint = " and ".join(
        f"{toml_line('layouts', {name: layout or '…'})} under {whose}"
        for layout, whose in ((wanted, "the reference"), (given, "this variant"))
    )
    turned = _turned(array, given, wanted, told, hint)
    if without_ones(turned.shape) == without_ones(like.shape):
        return turned.reshape(like.shape)
    raise Unsupported(f"{told} {shown_shape(array.shape)}{_or_declare(array.shape, like.shape, hint)}")


def without_ones(shape: Sequence[Any]) -> list[Any]:
    """A shape without its axes of length 1."""
    return [length for length in shape if length != 1]


def _turned(array: Array, given: str | None, wanted: str | None, told: str, hint: str) -> Array:
    if given is None and wanted is None:
        return array
    if given is None or wanted is None:
        raise Unsupported(
            f"{told} {shown_shape(array.shape)}; the layout of one of them is declared: declare both, {hint}"
        )
    if len(given) == array.ndim + 1 and given.startswith(BATCH):
        given = given[1:]  # the axis of samples is not in a sample
    if len(given) != array.ndim:
        raise Unsupported(f"{told} {shown_shape(array.shape)}: {given} is the layout of {len(given)} axes")
    if BATCH in wanted and BATCH not in given:
        array, given = array[None], BATCH + given
    if sorted(given) != sorted(wanted):
        raise Unsupported(
            f"{told} {shown_shape(array.shape)}: the axes of {given} are not those of {wanted}; see {hint}"
        )
    return array.transpose([given.index(letter) for letter in wanted])


def _matches(shape: Sequence[int], wanted: Sequence[int | None]) -> bool:
    return len(shape) == len(wanted) and all(want in (None, have) for have, want in zip(shape, wanted))


def _or_declare(one: Sequence[Any], other: Sequence[Any], hint: str) -> str:
    """The lines to write, where one shape has the other's lengths in another order."""
    lengths = [sorted(map(str, without_ones(shape))) for shape in (one, other)]
    free = any(not isinstance(length, int) for length in other)
    if free or lengths[0] == lengths[1]:
        return f"; where their axes stand in another order, declare both layouts: {hint}"
    return ""
