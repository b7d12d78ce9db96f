"""The two ways in which a language model's signatures run, and where its cache stays between two runs.

`CompiledSteps`: LiteRT's `CompiledModel`. The cache lies in the runtime's own buffers, without a copy through Python.
One set of them is both what goes in and what comes out where the graph appends in place, as LiteRT-LM has it on CPUs.
Where it does not, two sets exchange roles after each run, and the graph writes a whole cache at every run.
`RunnerSteps`: an interpreter's signature runners, which copy every input in and every output out.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from benchharness.contract import CACHE_COPIED_BY_BINDING, CACHE_GROWN_BY_GRAPH, CACHE_IN_PLACE, TensorSpec
from targets.tflite.signature import DECODE, LOGITS, LanguageLayout, Signature

if TYPE_CHECKING:
    from benchharness.contract import Array


#: Types that the buffers of `CompiledModel` can be written and read in from Python.
_BUFFER_TYPES = frozenset(("float32", "float16", "int32", "int8", "uint8", "bool"))


#: Times that the copying of the cache is measured.
_COPIES = 6


def fits_buffers(signatures: Sequence[Signature]) -> bool:
    """Whether `CompiledModel` can be fed all that these signatures take and give."""
    return all(
        spec.dtype in _BUFFER_TYPES
        for signature in signatures
        for spec in (*signature.inputs.values(), *signature.outputs.values())
    )


class Steps(Protocol):
    """Runs one signature after another on one cache."""

    kind: str  # one of the contract's CACHE_*

    def run(self, key: str, inputs: Mapping[str, Array]) -> Array | None:
        """Runs a signature on all inputs but the cache; its logits, None where it gives none."""
        ...

    def run_beside(self, key: str, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        """Runs a signature on all its inputs, and leaves the cache alone; all its outputs."""
        ...

    def close(self) -> None:
        """Frees the model and the cache."""
        ...


class CompiledSteps:
    """Runs signatures of a `CompiledModel`, which this object owns from now on."""

    def __init__(self, model: Any, signatures: Sequence[Signature], layout: LanguageLayout) -> None:
        self.kind = CACHE_IN_PLACE if layout.in_place else CACHE_GROWN_BY_GRAPH
        self._model = model
        self._signatures = {signature.key: signature for signature in signatures}
        held = {spec.name for spec in layout.cache}
        first = {name: model.create_input_buffer_by_name(DECODE, name) for name in held}
        second = first
        if not layout.in_place:
            second = {name: model.create_output_buffer_by_name(DECODE, name) for name in held}
        self._caches = (first, second)
        for spec in layout.cache:  # no kernel may meet a stray NaN, which a mask does not hide
            for buffers in self._caches:
                buffers[spec.name].write(np.zeros(sizes(spec), spec.dtype))
        self._inputs: dict[str, dict[str, Any]] = {}
        self._outputs: dict[str, dict[str, Any]] = {}
        for signature in signatures:
            self._inputs[signature.key] = {
                name: model.create_input_buffer_by_name(signature.key, name)
                for name in signature.inputs
                if name not in held
            }
            self._outputs[signature.key] = {
                name: model.create_output_buffer_by_name(signature.key, name)
                for name in signature.outputs
                if name not in held
            }

    def run(self, key: str, inputs: Mapping[str, Array]) -> Array | None:
        """Runs a signature on all inputs but the cache; its logits, None where it gives none."""
        buffers, results = self._inputs[key], self._outputs[key]
        for name, array in inputs.items():
            buffers[name].write(array)
        held, written = self._caches
        self._model.run_by_name(key, {**buffers, **held}, {**results, **written})
        self._caches = (written, held)
        return _read(results[LOGITS], self._signatures[key].outputs[LOGITS]) if LOGITS in results else None

    def run_beside(self, key: str, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        """Runs a signature on all its inputs, in buffers of their own; all its outputs."""
        signature = self._signatures[key]
        taken = {name: self._model.create_input_buffer_by_name(key, name) for name in signature.inputs}
        given = {name: self._model.create_output_buffer_by_name(key, name) for name in signature.outputs}
        for name, buffer in taken.items():
            buffer.write(np.ascontiguousarray(inputs[name]))
        self._model.run_by_name(key, taken, given)
        return {name: _read(given[name], spec) for name, spec in signature.outputs.items()}

    def close(self) -> None:
        """Frees the model and the cache."""
        self._caches, self._inputs, self._outputs = ({}, {}), {}, {}
        self._model.close()
        del self._model


class RunnerSteps:
    """Runs the signatures of an `Interpreter`, which this object owns from now on. The cache is in Python's arrays."""

    kind = CACHE_COPIED_BY_BINDING

    def __init__(self, interpreter: Any, signatures: Sequence[Signature], cache: Sequence[TensorSpec]) -> None:
        self._interpreter = interpreter
        self._runners = {signature.key: interpreter.get_signature_runner(signature.key) for signature in signatures}
        self._cache: dict[str, Array] = {spec.name: np.zeros(sizes(spec), spec.dtype) for spec in cache}

    def run(self, key: str, inputs: Mapping[str, Array]) -> Array | None:
        """Runs a signature on all inputs but the cache; its logits, None where it gives none."""
        outputs = self._runners[key](**inputs, **self._cache)
        self._cache = {name: outputs[name] for name in self._cache}
        return outputs.get(LOGITS)  # type: ignore[no-any-return]

    def run_beside(self, key: str, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        """Runs a signature on all its inputs, and leaves the cache alone; all its outputs."""
        return dict(self._runners[key](**inputs))

    def copy_ns_per_run(self) -> int:
        """What the binding copies of the cache at every run, copied by itself: in, and out into new arrays.

        The median of a few times, measured outside of any run; the first one is left out. New arrays are made while
        the ones before are alive, as in a run, so that the memory for them is as new as there.
        """
        tensors = {name: np.zeros_like(array) for name, array in self._cache.items()}
        held = self._cache
        taken = []
        for _ in range(_COPIES):
            began_ns = time.perf_counter_ns()
            for name, array in held.items():
                np.copyto(tensors[name], array)
            held = {name: tensor.copy() for name, tensor in tensors.items()}
            taken.append(time.perf_counter_ns() - began_ns)
        return sorted(taken[1:])[len(taken) // 2 - 1]

    def close(self) -> None:
        """Frees the model and the cache."""
        self._runners, self._cache = {}, {}
        del self._interpreter


def _read(buffer: Any, spec: TensorSpec) -> Array:
    """A copy of what one of the runtime's buffers holds."""
    shape = sizes(spec)
    values: Array = buffer.read(int(np.prod(shape)), np.dtype(spec.dtype))
    return values.reshape(shape)


def sizes(spec: TensorSpec) -> tuple[int, ...]:
    """The lengths of a tensor whose lengths are all fixed."""
    return tuple(length for length in spec.shape if isinstance(length, int))
