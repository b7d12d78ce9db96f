"""Samples out of an `.npz` file as a model's inputs: see `pairing`, `layouts` and `conversion`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchharness.contract import Session, TellsKeptState, TensorSpec
from benchharness.device.inputs.conversion import REAL, converted, dequantized
from benchharness.device.inputs.invented import dtype_of
from benchharness.device.inputs.layouts import arranged
from benchharness.device.inputs.pairing import INPUTS, Pair, Pairing, pair_all
from benchharness.device.inputs.shapes import input_shapes, lengths_of
from benchharness.device.inputs.states import States
from benchharness.device.scenarios.quality.evaluation_data import read_arrays
from benchharness.errors import Unsupported

if TYPE_CHECKING:
    Array = np.ndarray[Any, np.dtype[Any]]


class Inputs:
    """Feeds a session with samples, and tells what was done to them. Quantized outputs come out as real numbers.

    An adapter tells the fact `quantization`: {tensor name: {"scale": [...], "zero_point": [...]}}, one of each for a
    tensor that is quantized as a whole. `tensors` is what the suite says of this variant: `inputs`, `layouts`.
    """

    def __init__(self, session: Session, tensors: Mapping[str, Any]) -> None:
        self._session = session
        self._tensors = tensors
        self.states = States.of(session, tensors.get("state"))
        self._quantized: Mapping[str, Any] = dict(session.effective.facts).get("quantization") or {}
        self._path: Path | None = None
        self._read: Mapping[str, Array] = {}
        self._arrays: Mapping[str, Array] | None = None  # those that the pairing is of
        self._pairing = Pairing(())
        self._done: dict[str, dict[str, Any]] = {}
        self._keeps_state = isinstance(session, TellsKeptState) and session.keeps_state()

    def run(self, path: Path, sample: int, data: Mapping[str, Any]) -> dict[str, Array]:
        """The outputs for one sample, as float64 where they are numbers. Raises `Unsupported` where it does not fit.

        `data` is what the suite says of the file: `values`, `layouts`; and `codes`, what they mean by array.
        """
        if path != self._path:
            self._path, self._read = path, read_arrays(path)
        outputs = self._session.run(self.made(self._read, sample, data))
        return {
            name: dequantized(np.asarray(value), name, self._quantized.get(name)) for name, value in outputs.items()
        }

    def made(self, arrays: Mapping[str, Array], sample: int, data: Mapping[str, Any]) -> dict[str, Array]:
        """The inputs for one sample of arrays whose first axis counts them. Raises `Unsupported`; see `run`."""
        if arrays is not self._arrays:
            self._arrays = arrays
            self._pairing = paired_with(self.fed(arrays), arrays, self._tensors)
            self._done = {}
            self._check_layouts(arrays, data.get("layouts") or {})
        specs = {spec.name: spec for spec in self._session.inputs}
        made = {
            pair.wanted: self._input(specs[pair.wanted], pair, arrays[pair.given][sample], data)
            for pair in self._pairing.pairs
        }
        return {**made, **self._states_before(made)} if len(made) < len(specs) else made

    def fed(self, arrays: Collection[str]) -> list[TensorSpec]:
        """The inputs that data are for: all but states that no array is called after."""
        mapping = self._tensors.get("inputs") or {}
        return [
            spec
            for spec in self._session.inputs
            if spec.name not in self.states.inputs or mapping.get(spec.name, spec.name) in arrays
        ]

    def _states_before(self, made: Mapping[str, Array]) -> dict[str, Array]:
        """Zeros for states: every sample is a beginning, because the order of samples is not that of time."""
        lengths = lengths_of(self._session.inputs, {name: array.shape for name, array in made.items()})
        shapes = input_shapes(self._session.inputs, lengths).by_input
        return {
            spec.name: np.zeros(shapes[spec.name], dtype_of(spec))
            for spec in self._session.inputs
            if spec.name in self.states.inputs and spec.name not in made
        }

    def facts(self) -> dict[str, Any]:
        """How the inputs were paired and converted so far: JSON values."""
        states = sorted(self.states.inputs - {pair.wanted for pair in self._pairing.pairs})
        return {
            "pairing": self._pairing.facts(),
            "unused": list(self._pairing.spare),
            "conversion": self._done,
            **({"states": states} if states else {}),
            **({"keeps_state": True} if self._keeps_state else {}),
        }

    def _input(self, spec: TensorSpec, pair: Pair, given: Array, data: Mapping[str, Any]) -> Array:
        made = converted(
            arranged(
                np.asarray(given),  # one number of a row of them is none of NumPy's arrays
                spec,
                array_name=pair.given,
                given=(data.get("layouts") or {}).get(pair.given),
                wanted=(self._tensors.get("layouts") or {}).get(spec.name),
            ),
            spec,
            self._quantized.get(spec.name),
            values=data.get("values") or REAL,
            codes=(data.get("codes") or {}).get(pair.given),
        )
        done = self._done.setdefault(spec.name, {"how": [], "saturated": 0, "values": 0})
        if made.how not in done["how"]:
            done["how"].append(made.how)
        done["saturated"] += made.saturated
        done["values"] += int(made.array.size)
        return np.asarray(made.array)

    def _check_layouts(self, arrays: Mapping[str, Array], of_data: Mapping[str, str]) -> None:
        tensors = [spec.name for spec in (*self._session.inputs, *self._session.outputs)]
        for key, declared, known in (
            ("layouts", self._tensors.get("layouts") or {}, tensors),
            ("data_layouts", of_data, list(arrays)),
        ):
            unknown = [name for name in declared if name not in known]
            if unknown:
                raise Unsupported(f"{key} names {unknown[0]!r}, which is not there (there are: {', '.join(known)})")


def paired_with(inputs: Sequence[TensorSpec], arrays: Mapping[str, Array], tensors: Mapping[str, Any]) -> Pairing:
    """A model's inputs with the arrays of a file. Raises `Unsupported` where one has none for certain."""
    given = [
        TensorSpec(name, "str" if array.dtype.kind in "US" else array.dtype.name, array.shape[1:])
        for name, array in arrays.items()
    ]
    return pair_all(inputs, given, tensors.get("inputs"), INPUTS)
