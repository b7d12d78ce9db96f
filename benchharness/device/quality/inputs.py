"""Samples out of an `.npz` file as a model's inputs, whatever its names, layout and number type."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchharness.contract import Session, TensorSpec
from benchharness.device.quality.evaluation_data import read_arrays
from benchharness.errors import Unsupported

if TYPE_CHECKING:
    Array = np.ndarray[Any, np.dtype[Any]]


class Inputs:
    """Feeds a session with samples. Real numbers are quantized and outputs are dequantized where the model wants that.

    An adapter tells the fact `quantization`: {tensor name: {"scale": [...], "zero_point": [...]}}, one of each for a
    tensor that is quantized as a whole.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._quantized: Mapping[str, Any] = dict(session.effective.facts).get("quantization") or {}
        self._path: Path | None = None
        self._arrays: Mapping[str, Array] = {}

    def run(self, path: Path, sample: int) -> dict[str, Array]:
        """The outputs for one sample, as float64 where they are numbers. Raises `Unsupported` where it does not fit."""
        if path != self._path:
            self._arrays, self._path = read_arrays(path), path
        inputs = {spec.name: self._input(spec, position, sample) for position, spec in enumerate(self._session.inputs)}
        outputs = self._session.run(inputs)
        return {name: self._real(name, np.asarray(value)) for name, value in outputs.items()}

    def _input(self, spec: TensorSpec, position: int, sample: int) -> Array:
        names = list(self._arrays)
        if spec.name not in self._arrays and len(names) != len(self._session.inputs):
            raise Unsupported(
                f"the data has {', '.join(names)}, and the model's inputs are "
                f"{', '.join(each.name for each in self._session.inputs)}: give one array for each, by name"
            )
        given = self._arrays[spec.name if spec.name in self._arrays else names[position]][sample]
        return self._typed(spec, fitted(given, spec))

    def _typed(self, spec: TensorSpec, array: Array) -> Array:
        wanted = np.dtype(spec.dtype)
        how = self._quantized.get(spec.name)
        if how and array.dtype.kind == "f" and wanted.kind in "iu":
            limits = np.iinfo(wanted)
            steps = np.round(array / how["scale"][0]) + how["zero_point"][0]
            quantized: Array = np.clip(steps, limits.min, limits.max).astype(wanted)
            return quantized
        if not np.can_cast(array.dtype, wanted, casting="same_kind"):
            raise Unsupported(f"input {spec.name!r} takes {spec.dtype}, and the data holds {array.dtype}")
        return array.astype(wanted, copy=False)

    def _real(self, name: str, array: Array) -> Array:
        how = self._quantized.get(name)
        if how and array.dtype.kind in "iu":
            real: Array = (array.astype(np.float64) - how["zero_point"][0]) * how["scale"][0]
            return real
        return array


def fitted(array: Array, spec: TensorSpec) -> Array:
    """A sample in a model's own shape: with a batch of one, and channels first or last as the model has them.

    Raises `Unsupported` where the shapes are not the same picture in another layout.
    """
    wanted = [length if isinstance(length, int) and length > 0 else None for length in spec.shape]
    for candidate in (array, array[None]):
        if _matches(candidate.shape, wanted):
            return candidate
    fixed = [length for length in wanted if length is not None]
    if len(fixed) == len(wanted) and _without_ones(array.shape) == _without_ones(fixed):
        return array.reshape(fixed)
    if array.ndim == 3 and len(wanted) == 4:
        for axes in ((1, 2, 0), (2, 0, 1)):
            turned = array.transpose(axes)[None]
            if _matches(turned.shape, wanted):
                return turned
    raise Unsupported(f"input {spec.name!r} has the shape {tuple(spec.shape)}, and a sample {array.shape}")


def _matches(shape: tuple[int, ...], wanted: list[int | None]) -> bool:
    return len(shape) == len(wanted) and all(want in (None, have) for have, want in zip(shape, wanted))


def _without_ones(shape: Any) -> list[int]:
    return [length for length in shape if length != 1]
