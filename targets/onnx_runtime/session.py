"""A loaded ONNX model: arrays in, arrays out, and where its operators run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchharness.contract import EffectiveConfiguration, TensorSpec
from benchharness.errors import ModelFailure, Unsupported
from targets.onnx_format.input_rows import ToldByFile

if TYPE_CHECKING:
    from benchharness.contract import Array

#: ONNX Runtime's element types by numpy's names. Types that numpy lacks (bfloat16, int4, float8) keep their own name.
_DTYPES = {
    "float": "float32",
    "double": "float64",
    "string": "str",
}


def make_specs(nodes: Sequence[Any]) -> list[TensorSpec]:
    """The signature's inputs or outputs, from ONNX Runtime's `NodeArg` list."""
    return [TensorSpec(node.name, _dtype(node.type), tuple(node.shape or ())) for node in nodes]


def _dtype(onnx_type: str) -> str:
    """numpy's name for `tensor(float)` and the like; what is no tensor keeps ONNX Runtime's name."""
    if not onnx_type.startswith("tensor("):
        return onnx_type
    element = onnx_type[len("tensor(") : -1]
    return _DTYPES.get(element, element)


def _as_array(output: Any) -> Array:
    """An output as the contract has it. A sequence of maps, as ZipMap gives, stays one: its keys are no axis."""
    if isinstance(output, (list, dict)) or output is None:
        boxed = np.empty((), dtype=object)
        boxed[()] = output
        return boxed
    return np.asarray(output)


class OnnxSession(ToldByFile):
    """Any ONNX model. `session` is an `onnxruntime.InferenceSession`, which this object owns from now on."""

    def __init__(
        self,
        session: Any,
        name: str,
        effective: EffectiveConfiguration,
        last_operators: Mapping[str, str] | None = None,
    ) -> None:
        self._session = session
        self._name, self._file = name, Path(name)  # the model's path
        self.inputs: Sequence[TensorSpec] = make_specs(session.get_inputs())
        self.outputs: Sequence[TensorSpec] = make_specs(session.get_outputs())
        self.effective = effective
        self._last_operators = last_operators or {}

    def run(self, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        """One inference: arrays by input name to arrays by output name. Raises `ModelFailure`."""
        try:
            outputs = self._session.run(None, dict(inputs))
        except MemoryError:
            raise
        except Exception as error:  # ONNX Runtime's exceptions share no base class of their own
            raise self._failure(error) from error
        return {spec.name: _as_array(output) for spec, output in zip(self.outputs, outputs)}

    def placement(self) -> Mapping[str, Mapping[str, int]]:
        """Operators per execution provider, as assigned after ONNX Runtime's basic optimisations.

        Recorded while loading, so asking costs no inference. Later fusions may still join operators of one provider.
        Raises `Unsupported` where this release of ONNX Runtime does not tell.
        """
        try:
            subgraphs = self._session.get_provider_graph_assignment_info()
        except AttributeError as error:
            raise Unsupported("this onnxruntime does not tell where operators run; 1.24 and later do") from error
        except Exception as error:
            raise self._failure(error) from error
        placed: dict[str, Counter[str]] = {}
        for subgraph in subgraphs:
            placed.setdefault(subgraph.ep_name, Counter()).update(node.op_type for node in subgraph.get_nodes())
        return {provider: dict(operators) for provider, operators in placed.items()}

    def close(self) -> None:
        """Frees the model. The session cannot run any more."""
        del self._session

    def _failure(self, error: Exception) -> ModelFailure:
        return ModelFailure(f"{self._name}: onnxruntime failed while running: {error}")
