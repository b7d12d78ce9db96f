"""What a model answers while it is timed: whether it can be an answer, and what nothing but zeros may mean.

A detector that finds nothing answers zeros, and so does a runtime that did not run the model. What can tell them apart
is asked, once the timed part is over: what computes the outputs, and other made-up inputs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from benchharness.contract import Session, TellsLastOperators
from benchharness.errors import InvalidOutput

if TYPE_CHECKING:
    from benchharness.contract import Array
    from benchharness.device.inputs.invented import Filling

#: Operators of ONNX, TFLite and Core ML whose answers add up to 1.
_ADD_UP_TO_1 = frozenset(("Softmax", "QLinearSoftmax", "SOFTMAX", "softmax"))
#: 8 bits round each of more classes than this to zero, where all are alike.
_ROUNDED_AWAY = 256
#: Operators that answer zeros alone to zeros alone, and so not to whatever they are fed.
_LINEAR = frozenset(
    (
        *("MatMul", "Gemm", "Conv", "ConvTranspose", "QLinearMatMul", "QGemm", "QLinearConv", "MatMulNBits"),
        *("MatMulInteger", "ConvInteger", "DynamicQuantizeMatMul", "FULLY_CONNECTED", "CONV_2D", "BATCH_MATMUL"),
        *("linear", "conv", "matmul"),
    )
)
#: Real numbers in [0, 1) that were made up are tried in these ranges too.
_OTHER_RANGES = ((-3.0, 3.0), (-255.0, 255.0))
#: Sequences in sequences are followed so far.
_DEEPEST = 8


class Outputs:
    """What was answered at the times at which it is looked at: before and after what is timed."""

    def __init__(self) -> None:
        self._looked, self._zeros = 0, 0

    def check(self, outputs: Mapping[str, Array]) -> None:
        """Raises `InvalidOutput` where every number of an output is NaN; remembers whether all were zeros."""
        check_outputs(outputs)
        self._looked += 1
        self._zeros += are_zeros(outputs)

    @property
    def only_zeros(self) -> bool:
        """Whether every output of real numbers was all zeros, whenever it was looked at."""
        return self._looked > 0 and self._zeros == self._looked


def check_outputs(outputs: Mapping[str, Array]) -> None:
    """Raises `InvalidOutput` where every number of an output is NaN."""
    for name, value in outputs.items():
        floats = list(_floats(value))
        if floats and all(np.isnan(each).all() for each in floats):
            raise InvalidOutput(f"output {name!r} is all NaN")


def are_zeros(outputs: Mapping[str, Array]) -> bool:
    """Whether there are real numbers and all of them are zero.

    A whole number may well be zero: a class, or a probability that is quantized.
    """
    floats = [each for value in outputs.values() for each in _floats(value)]
    return bool(floats) and not any(each.any() for each in floats)


def tell_zeros(session: Session, inputs: Mapping[str, Array], invented: Mapping[str, Filling]) -> dict[str, Any]:
    """What is known of a model that answered nothing but zeros: a fact for the result.

    Raises `InvalidOutput` where its graph shows that it cannot have been run.
    """
    last = session.last_operators() if isinstance(session, TellsLastOperators) else {}
    outputs = session.run(inputs)
    for name, value in outputs.items():
        if last.get(name) in _ADD_UP_TO_1 and _few_zeros(value):
            raise InvalidOutput(
                f"output {name!r} is all zeros, and {last[name]} makes numbers that add up to 1: the runtime did not "
                "run the model"
            )
    tried = 0
    for other in _others(inputs, invented):
        tried += 1
        if not are_zeros(session.run(other)):
            return {"tried": tried, "answers": True}
    made = {name: last.get(name) for name, value in outputs.items() if value.dtype.kind == "f" and value.size}
    if tried and made and all(operator in _LINEAR for operator in made.values()):
        operators = ", ".join(dict.fromkeys(map(str, made.values())))
        raise InvalidOutput(
            f"every output is all zeros on what was fed and on {tried} other made-up inputs, and {operators} computes "
            "them: the runtime did not run the model, or its weights are zeros"
        )
    return {"tried": tried, "answers": False}


def _few_zeros(value: Array) -> bool:
    """Whether an output is zeros alone, and rounding is no reason for it."""
    return value.dtype.kind == "f" and value.size > 0 and not value.any() and max(value.shape) <= _ROUNDED_AWAY


def _others(inputs: Mapping[str, Array], invented: Mapping[str, Filling]) -> Iterator[dict[str, Array]]:
    """The same inputs with other real numbers where they were made up, and where they are real data."""
    random = [
        name
        for name, array in inputs.items()
        if array.dtype.kind == "f" and (name not in invented or invented[name].value.startswith("random"))
    ]
    for low, high in _OTHER_RANGES if random else ():
        generator = np.random.default_rng(int(high))
        yield {**inputs, **{name: _like(inputs[name], generator, low, high) for name in random}}


def _like(array: Array, generator: np.random.Generator, low: float, high: float) -> Array:
    return np.asarray(generator.uniform(low, high, array.shape)).astype(array.dtype)


def _floats(value: Any, depth: int = 0) -> Iterator[Array]:
    """Arrays of real numbers that are not empty: an output itself, and those in what is no single tensor."""
    if depth > _DEEPEST:
        return
    if isinstance(value, np.ndarray) and value.dtype.kind == "O":
        value = value.reshape(-1).tolist()
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for each in value:
            yield from _floats(each, depth + 1)
    elif isinstance(value, (np.ndarray, float, np.floating)):
        array = np.asarray(value)
        if array.dtype.kind == "f" and array.size:
            yield array
