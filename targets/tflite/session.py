"""A loaded `.tflite` model of any task: arrays in, arrays out, and where its operators run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchharness.contract import EffectiveConfiguration, TensorSpec
from benchharness.errors import ModelFailure
from targets.tflite.input_rows import read_input_rows
from targets.tflite.kept_state import keeps_state
from targets.tflite.signature import Signature

if TYPE_CHECKING:
    from benchharness.contract import Array

Placement = Callable[[], Mapping[str, Mapping[str, int]]]
LastOperators = Callable[[], Mapping[str, str]]


class TfliteSession:
    """A model run through an `Interpreter`, which this object owns from now on."""

    def __init__(
        self,
        interpreter: Any,
        signature: Signature,
        name: str,
        effective: EffectiveConfiguration,
        placement: Placement,
        *,
        main_graph: bool,
        last_operators: LastOperators = dict,
        late: Callable[[], EffectiveConfiguration] | None = None,
    ) -> None:
        """`late`: nothing is allocated yet, because the declared shapes cannot be; tells what the runtime then did."""
        self.inputs: Sequence[TensorSpec] = tuple(signature.inputs.values())
        self.outputs: Sequence[TensorSpec] = tuple(signature.outputs.values())
        self.effective = effective
        self._interpreter = interpreter
        self._signature = signature
        self._name = name  # the model's path, for messages
        self._placement = placement
        self._last_operators = last_operators
        self._late = late
        self._allocated = {spec.name: None if late else _allocated_shape(spec) for spec in self.inputs}
        # The interpreter itself runs the first graph only; others run through a runner, which allocates at every call.
        self._runner = None if main_graph else interpreter.get_signature_runner(signature.key)

    def run(self, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        """One inference: arrays by input name to arrays by output name. Raises `ModelFailure`.

        Lengths that the file leaves open are taken from the arrays; the runtime allocates when they change.
        """
        arrays = self._checked(inputs)
        try:
            return self._run_graph(arrays) if self._runner is None else dict(self._runner(**arrays))
        except MemoryError:
            raise
        except Exception as error:  # the packages raise RuntimeError and ValueError for anything
            raise ModelFailure(f"{self._name}: the runtime failed while running: {error}") from error

    def placement(self) -> Mapping[str, Mapping[str, int]]:
        """Operators per place. Raises `Unsupported` where the runtime does not tell."""
        return self._placement()

    def last_operators(self) -> Mapping[str, str]:
        """By output, the operator that computes it. The file is read for it, and only where somebody asks."""
        return self._last_operators()

    def keeps_state(self) -> bool:
        """Whether an inference leaves something behind for the next, as the file tells."""
        return keeps_state(Path(self._name))

    def input_rows(self) -> Mapping[str, int]:
        """By input: the rows of the smallest stored table that its numbers pick from, as the file tells."""
        return read_input_rows(Path(self._name), self._signature.key, self._signature.indices)

    def allocate(self, shapes: Mapping[str, Sequence[int]]) -> None:
        """Memory for inputs of these shapes, where loading could give none. Raises `ModelFailure`."""
        if self._late is None or self._runner is not None:
            return
        try:
            self._resize({name: tuple(shape) for name, shape in shapes.items()})
        except MemoryError:
            raise
        except Exception as error:  # the packages raise RuntimeError and ValueError for anything
            told = ", ".join(f"{name} {tuple(shape)}" for name, shape in shapes.items())
            raise ModelFailure(f"{self._name}: the runtime cannot give memory to inputs of {told}: {error}") from error

    def close(self) -> None:
        """Frees the model. The session cannot run any more."""
        self._runner = None
        del self._interpreter

    def _run_graph(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        interpreter, indices = self._interpreter, self._signature.indices
        self._resize({name: array.shape for name, array in arrays.items()})
        for name, array in arrays.items():
            interpreter.set_tensor(indices[name], array)
        interpreter.invoke()
        return {name: interpreter.get_tensor(index) for name, index in self._signature.output_indices.items()}

    def _resize(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        changed = [name for name, shape in shapes.items() if shape != self._allocated[name]]
        for name in changed:
            self._interpreter.resize_tensor_input(self._signature.indices[name], list(shapes[name]))
        if changed:
            self._interpreter.allocate_tensors()
            self._allocated.update((name, shapes[name]) for name in changed)
        if self._late is not None:
            self.effective, self._late = self._late(), None

    def _checked(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The arrays in the order of the signature, of its types and fixed lengths."""
        unknown = sorted(set(inputs) - {spec.name for spec in self.inputs})
        if unknown:
            raise ModelFailure(f"{self._name}: there is no input {unknown[0]!r}")
        arrays = {}
        for spec in self.inputs:
            if spec.name not in inputs:
                raise ModelFailure(f"{self._name}: the input {spec.name!r} is missing")
            arrays[spec.name] = self._fit(spec, np.asarray(inputs[spec.name]))
        return arrays

    def _fit(self, spec: TensorSpec, array: Array) -> Array:
        if spec.dtype == "str":
            return array.astype(np.bytes_)
        wrong_shape = len(array.shape) != len(spec.shape) or any(
            isinstance(fixed, int) and fixed != length for fixed, length in zip(spec.shape, array.shape)
        )
        if array.dtype.name != spec.dtype or wrong_shape:
            raise ModelFailure(
                f"{self._name}: input {spec.name!r} is {array.dtype.name} {array.shape}, and the model takes "
                f"{spec.dtype} {tuple(spec.shape)}"
            )
        return array


def runs_main_graph(interpreter: Any, signature: Signature) -> bool:
    """Whether a signature runs the file's first graph. Releases that do not tell: no, which is right and slower."""
    if not signature.key:
        return True
    return getattr(interpreter.get_signature_runner(signature.key), "_subgraph_index", None) == 0


def _allocated_shape(spec: TensorSpec) -> tuple[int, ...] | None:
    """What the runtime has room for after loading; None where that is not known to be right."""
    fixed = [length for length in spec.shape if isinstance(length, int)]
    return tuple(fixed) if len(fixed) == len(spec.shape) else None
