"""Runs an ML program on any operating system: translated to ONNX and computed in float32 by ONNX Runtime.

It tells what a model's weights say, and nothing of what an Apple device does with them: activations are float32 here,
where a device computes most of them in float16, so differences between two variants come from their weights alone. Only
what a model keeps in a float16 state is rounded to it, because it is stored so.
Latency and memory of this execution mean nothing for Core ML.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchharness.contract import TensorSpec
from benchharness.errors import ModelFailure, Unsupported
from targets.core_ml.description import ARRAY, Feature, describe
from targets.core_ml.program import Program, TensorType, read_program
from targets.core_ml.reference.constants import Constants
from targets.core_ml.reference.to_onnx import StatePart, Translated, count_operators, translate
from targets.core_ml.weights import Weights

if TYPE_CHECKING:
    from benchharness.contract import Array

_HERE = "cpu"


class State:
    """The states of one model between predictions, in ONNX Runtime's own memory. What is in them is float32."""

    def __init__(self, parts: Sequence[StatePart]) -> None:
        from onnxruntime import OrtValue

        def zeros(part: StatePart) -> Any:
            return OrtValue.ortvalue_from_numpy(np.zeros(part.shape, np.float32))

        self.values = [zeros(part) for part in parts]
        #: Where a prediction writes the parts that it changes.
        self.spare = [zeros(part) if part.after is not None else None for part in parts]

    def swap(self) -> None:
        """What was written is what the next prediction reads."""
        for index, written in enumerate(self.spare):
            if written is not None:
                self.values[index], self.spare[index] = written, self.values[index]


class ReferenceModel:
    """A model whose `predict` means what coremltools' `MLModel.predict` does on a Mac.

    Inputs are rounded to the types of the model's signature. Outputs are not: a float16 one comes as float32. An image
    is an array like any other: its pixels, 0 to 255, in the layout and the order of colours that the program takes.
    `threads` is ONNX Runtime's; None: its own choice. `function` is for models with several; None: their default.

    Raises `ModelFailure` for a bad file, `Unsupported` for operators that are not known (all of them named) and where
    coremltools, onnx or onnxruntime are missing.
    """

    def __init__(self, path: Path, *, threads: int | None = None, function: str | None = None) -> None:
        self._name = str(path)
        program = read_program(path, function)
        described = describe(path, function)
        self._types: Mapping[str, TensorType] = {each.name: each.type for each in program.main.inputs}
        self.operators: Mapping[str, int] = count_operators(program)
        self.inputs: Sequence[TensorSpec] = [self._spec(feature) for feature in described.inputs]
        self.outputs: Sequence[TensorSpec] = [feature.spec for feature in described.outputs]
        self.states: Sequence[TensorSpec] = [feature.spec for feature in described.states]
        self._translated, self._session = _load(program, threads)

    def make_state(self) -> State:
        """A state filled with zeros, as every one begins."""
        return State(self._translated.states)

    def predict(self, data: Mapping[str, Any], state: Any = None) -> Mapping[str, Any]:
        """One prediction: arrays by input name to arrays by output name. A state is changed by it.

        A classifier's label comes as a text or number, its probabilities as a dictionary by label. Raises
        `ModelFailure` for inputs that do not fit, and where ONNX Runtime fails.
        """
        if self._translated.states and not isinstance(state, State):
            raise ModelFailure(f"{self._name}: the model has states; give the one that make_state returns")
        binding = self._session.io_binding()
        for name, value in self._arrays(data).items():
            binding.bind_cpu_input(self._translated.inputs[name], value)
        for onnx_name in self._translated.outputs.values():
            binding.bind_output(onnx_name, _HERE)
        if self._translated.states:
            self._bind_state(binding, state)
        self._run(binding)
        if self._translated.states:
            state.swap()
        found = dict(zip(self._translated.outputs, (value.numpy() for value in binding.get_outputs())))
        return self._classified(found) if self._translated.classes else found

    def close(self) -> None:
        """Frees the model. It cannot run any more."""
        del self._session, self._translated

    def _spec(self, feature: Feature) -> TensorSpec:
        """An input's type and shape; of an image those of the tensor that the program takes."""
        if feature.kind == ARRAY or feature.name not in self._types:
            return feature.spec
        type_ = self._types[feature.name]
        return TensorSpec(feature.name, type_.dtype, type_.shape or ())

    def _arrays(self, data: Mapping[str, Any]) -> dict[str, Array]:
        """The inputs in the types that the graph computes in."""
        wanted = self._translated.inputs
        missing, unknown = [name for name in wanted if name not in data], [name for name in data if name not in wanted]
        if missing or unknown:
            raise ModelFailure(
                f"{self._name}: takes {', '.join(wanted)}; missing: {', '.join(missing) or 'nothing'}; "
                f"unknown: {', '.join(unknown) or 'nothing'}"
            )
        return {name: self._array(name, value) for name, value in data.items()}

    def _array(self, name: str, value: Any) -> Array:
        type_ = self._types[name]
        try:
            with np.errstate(over="ignore"):  # what a float16 cannot hold is infinite, as it is for Core ML
                rounded = np.asarray(value).astype(type_.dtype)
        except (TypeError, ValueError) as error:
            raise ModelFailure(f"{self._name}: the input {name!r} is no array of numbers: {error}") from error
        shape = type_.shape or ()
        if rounded.ndim != len(shape) or any(want not in (None, got) for want, got in zip(shape, rounded.shape)):
            raise ModelFailure(f"{self._name}: the input {name!r} has the shape {rounded.shape}, not {shape}")
        return np.ascontiguousarray(rounded, "float32" if rounded.dtype.kind == "f" else None).reshape(rounded.shape)

    def _run(self, binding: Any) -> None:
        try:
            self._session.run_with_iobinding(binding)
        except MemoryError:
            raise
        except Exception as error:  # ONNX Runtime's exceptions share no base class of their own
            raise ModelFailure(f"{self._name}: onnxruntime failed while running: {error}") from error

    def _bind_state(self, binding: Any, state: State) -> None:
        for part, value, spare in zip(self._translated.states, state.values, state.spare):
            binding.bind_ortvalue_input(part.before, value)
            if part.after is not None:
                binding.bind_ortvalue_output(part.after, spare)

    def _classified(self, found: dict[str, Any]) -> dict[str, Any]:
        classes = self._translated.classes
        assert classes is not None
        probabilities = found[classes.probabilities].reshape(-1)
        if len(probabilities) != len(classes.labels):
            raise ModelFailure(f"{self._name}: {len(probabilities)} probabilities for {len(classes.labels)} classes")
        found[classes.label] = classes.labels[int(probabilities.argmax())]
        found[classes.probabilities] = dict(zip(classes.labels, probabilities.tolist()))
        return found


def _load(program: Program, threads: int | None) -> tuple[Translated, Any]:
    """The translation, and ONNX Runtime's session of it. Weights go in beside the graph, without a copy."""
    try:
        import onnx  # noqa: F401 - the translation needs it
        import onnxruntime
    except ImportError as error:
        raise Unsupported(
            f"the reference execution of Core ML models needs onnx and onnxruntime ({error}); "
            "install benchharness[coreml]"
        ) from error
    weights = Weights(program.package)
    translated = translate(program, Constants(program.main.block.all_operations(), weights))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads or 0
    values = [onnxruntime.OrtValue.ortvalue_from_numpy(array) for array in translated.weights.values()]
    options.add_external_initializers(list(translated.weights), values)
    try:
        content = translated.model.SerializeToString()
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except MemoryError:
        raise
    except Exception as error:  # ONNX Runtime's exceptions share no base class of their own
        raise ModelFailure(f"{program.package.artefact}: the program cannot be computed: {error}") from error
    finally:
        weights.close()
    return translated, session
