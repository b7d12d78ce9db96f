"""A compiled OpenVINO model: arrays in, arrays out, and where its layers run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchharness.contract import EffectiveConfiguration, TensorSpec
from benchharness.errors import ModelFailure
from targets.onnx_format.input_rows import ToldByFile
from targets.onnx_format.inspection import declared_specs
from targets.openvino.loading import VERSION, Compiled, by_precision, shared_among, words_of
from targets.openvino_format.files import is_onnx
from targets.openvino_format.names import DTYPES

if TYPE_CHECKING:
    from benchharness.contract import Array

#: Operators that hand on the numbers of their first input.
_HANDING_ON = frozenset(("Convert", "Reshape", "Squeeze", "Unsqueeze", "FakeQuantize"))


class Ports:
    """A model's inputs and outputs by name, in OpenVINO's order: an ONNX file's own names, of dimensions too."""

    def __init__(self, model: Any, file: Path) -> None:
        declared = declared_specs(file) if is_onnx(file) else {}
        self.inputs = [_spec(port, f"input{place}", declared) for place, port in enumerate(model.inputs)]
        self.outputs = [_spec(port, f"output{place}", declared) for place, port in enumerate(model.outputs)]


def _spec(port: Any, nameless: str, declared: Mapping[str, TensorSpec]) -> TensorSpec:
    names = sorted(port.get_names())
    name = next((each for each in names if each in declared), names[0] if names else nameless)
    dtype = port.get_element_type().get_type_name()
    shape: Sequence[int | str | None] = ()
    partial = port.get_partial_shape()
    if partial.rank.is_static:
        shape = tuple(None if length.is_dynamic else length.get_length() for length in partial)
    if name in declared and len(declared[name].shape) == len(shape):
        shape = tuple(own if own is not None else there for own, there in zip(shape, declared[name].shape))
    return TensorSpec(name, DTYPES.get(dtype, dtype), shape)


def last_operators(model: Any, outputs: Sequence[TensorSpec]) -> dict[str, str]:
    """By output, the operator that computes it, of an `openvino.Model` as it was read."""
    found = {}
    for spec, result in zip(outputs, model.get_results()):
        node = result.input_value(0).get_node()
        while node.get_type_name() in _HANDING_ON:
            node = node.input_value(0).get_node()
        found[spec.name] = node.get_type_name()
    return found


class OpenVinoSession(ToldByFile):
    """Any model. `compiled` is this object's from now on."""

    def __init__(
        self,
        compiled: Compiled,
        file: Path,
        effective: EffectiveConfiguration,
        ports: Ports,
        last: Mapping[str, str] | None = None,
    ) -> None:
        self.effective = effective
        self.inputs: Sequence[TensorSpec] = ports.inputs
        self.outputs: Sequence[TensorSpec] = ports.outputs
        self._file, self._last_operators = file, last or {}
        self._compiled: Any = compiled
        self._request: Any = compiled.model.create_infer_request()
        self._places = {spec.name: place for place, spec in enumerate(ports.inputs)}

    def run(self, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        """One inference: arrays by input name to arrays by output name. Raises `ModelFailure`."""
        self._check(inputs)
        outputs = self._infer({self._places[name]: array for name, array in inputs.items()}, share_outputs=False)
        return {spec.name: outputs[place] for place, spec in enumerate(self.outputs)}

    def placement(self) -> Mapping[str, Mapping[str, int]]:
        """Layers of the compiled model by device, fused and added ones as they run, without what only holds numbers."""
        return self._compiled.places  # type: ignore[no-any-return]

    def keeps_state(self) -> bool:
        """Whether the model has variables inside, which one inference leaves to the next."""
        return bool(self._request.query_state())

    def close(self) -> None:
        """Frees the model. The session cannot run any more."""
        del self._request, self._compiled

    def _check(self, inputs: Mapping[str, Array]) -> None:
        """OpenVINO runs without inputs that are missing, on what the memory holds, and casts those of other types."""
        wrong = self._places.keys() ^ inputs.keys()
        if wrong:
            given = ", ".join(sorted(inputs)) or "none"
            raise ModelFailure(f"{self._file}: inputs {given} were given, and it takes {', '.join(self._places)}")
        for spec in self.inputs:
            given = inputs[spec.name].dtype.name
            if spec.dtype not in (given, "str"):
                raise ModelFailure(f"{self._file}: input {spec.name} is {spec.dtype}, and {given} was given")

    def _infer(self, feed: Mapping[Any, Array], *, share_outputs: bool) -> Any:
        try:
            return self._request.infer(feed, share_inputs=True, share_outputs=share_outputs)
        except MemoryError:
            raise
        except (RuntimeError, TypeError, ValueError) as error:
            raise ModelFailure(f"{self._file}: OpenVINO failed while running: {words_of(error)}") from error


def effective_of(
    compiled: Compiled, model_precision: str | None, cache: str | None, facts: Mapping[str, Any]
) -> EffectiveConfiguration:
    """What was read back."""
    shared, precision = shared_among(compiled.device), compiled.precision
    return EffectiveConfiguration(
        accelerators=(*([compiled.device] if shared else []), *compiled.devices),
        threads=compiled.threads,
        cache=cache,
        runtime_version=VERSION,
        refusal=compiled.refusal,
        wanted_places=tuple(shared[:1]),
        precision=precision,
        model_precision=model_precision,
        facts={
            **facts,
            "properties": dict(compiled.properties),
            "layers_by_precision": by_precision(compiled.layers),
            **({} if precision else {"precision_unknown": "no layer computes in a floating-point type"}),
        },
    )
