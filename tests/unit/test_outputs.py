"""Which answers cannot be, and what is made of a model that answers nothing but zeros."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from benchharness.contract import EffectiveConfiguration, TensorSpec
from benchharness.device.inputs.invented import Filling
from benchharness.device.outputs import Outputs, are_zeros, check_outputs, tell_zeros
from benchharness.errors import InvalidOutput
from benchharness.results.result import WarningKind
from tests.unit.made_up import attempt
from tests.unit.test_warnings import warnings_of

Array = np.ndarray[Any, np.dtype[Any]]
BRIGHT = {"x": np.random.default_rng(0).random((1, 8)).astype(np.float32)}


class Model:
    """Answers what a function makes of `x`."""

    outputs: Sequence[TensorSpec] = (TensorSpec("y", "float32", (1, 8)),)
    inputs: Sequence[TensorSpec] = (TensorSpec("x", "float32", (1, 8)),)
    effective = EffectiveConfiguration(accelerators=("CPU",), threads=1)

    def __init__(self, answer: Callable[[Array], Array], last: str = "") -> None:
        self._answer = answer
        self._last = last

    def run(self, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        return {"y": self._answer(inputs["x"]).astype(np.float32)}

    def last_operators(self) -> Mapping[str, str]:
        return {"y": self._last} if self._last else {}


def boxed(value: object) -> Array:
    made = np.empty((), object)
    made[()] = value
    return made


def zeros(x: Array) -> Array:
    return x * 0


def detector(x: Array) -> Array:
    """Finds something where the picture has contrast; nothing in bright noise."""
    return np.where(np.abs(x).max() > 2, x, 0)


@pytest.mark.parametrize(
    "outputs",
    [
        {"a": np.array([1.0]), "b": np.array([np.nan, np.nan])},
        {"a": boxed([np.array([np.nan]), np.array([np.nan, np.nan])])},
        {"a": boxed([{0: float("nan"), 1: float("nan")}])},
    ],
)
def test_an_output_that_is_all_nan_cannot_be(outputs: dict[str, Array]) -> None:
    with pytest.raises(InvalidOutput, match="is all NaN"):
        check_outputs(outputs)


@pytest.mark.parametrize(
    "outputs",
    [
        {"a": [0.0, np.nan, 1.0]},
        {"a": [2.0, 2.0]},  # the one class of a classifier may be the same for every row
        {"a": []},
        {"a": [False]},
        {"a": ["text"]},
        {"a": [0.0]},
        {},
    ],
)
def test_outputs_that_can_be_are_valid(outputs: dict[str, Any]) -> None:
    check_outputs({name: np.array(value) for name, value in outputs.items()})


@pytest.mark.parametrize(
    ("outputs", "zero"),
    [
        ({"a": np.zeros((1, 10, 6)), "count": np.array([0])}, True),
        ({"a": np.zeros(0), "b": np.zeros(1)}, True),
        ({"a": np.zeros(3), "b": np.array([0.0, 1e-30])}, False),
        ({"a": np.array([0, 0])}, False),  # a class, or a quantized probability
        ({"a": np.array(["text"], object)}, False),
        ({"a": boxed([np.zeros((1, 2)), np.zeros((1, 3))])}, True),
        ({"a": boxed([np.zeros((1, 2)), np.ones((1, 3))])}, False),
        ({"a": boxed([{"cat": 0.0, "dog": 1.0}])}, False),
        ({"a": boxed(None)}, False),
    ],
)
def test_zeros_are_seen_in_whatever_holds_real_numbers(outputs: dict[str, Array], zero: bool) -> None:
    assert are_zeros(outputs) is zero


def test_a_model_that_answers_once_has_answered() -> None:
    outputs = Outputs()
    assert not outputs.only_zeros
    outputs.check({"y": np.zeros(3)})
    assert outputs.only_zeros
    outputs.check({"y": np.ones(3)})
    assert not outputs.only_zeros


def test_a_detector_that_finds_nothing_in_noise_runs() -> None:
    made = {"x": Filling(BRIGHT["x"], "real numbers", "random, [0, 1)")}
    for session in (Model(detector), Model(lambda x: np.maximum(0, -x), "Relu"), Model(detector, "Where")):
        assert tell_zeros(session, BRIGHT, made)["answers"] is True
    assert tell_zeros(Model(detector), BRIGHT, {})["answers"] is True  # on real data too


def test_a_detector_that_never_finds_anything_is_in_doubt() -> None:
    assert tell_zeros(Model(zeros, "NonMaxSuppression"), BRIGHT, {}) == {"tried": 2, "answers": False}
    given = {"x": Filling(BRIGHT["x"], "the workload", "0.5")}  # nothing else may be fed
    assert tell_zeros(Model(zeros, "MatMul"), BRIGHT, given) == {"tried": 0, "answers": False}


@pytest.mark.parametrize("last", ["Softmax", "SOFTMAX", "softmax", "MatMul", "Gemm", "FULLY_CONNECTED", "CONV_2D"])
def test_a_runtime_that_did_not_run_the_model_is_caught(last: str) -> None:
    """As tflite-runtime 2.14 answered a dynamically quantized matrix product."""
    with pytest.raises(InvalidOutput, match="the runtime did not run the model"):
        tell_zeros(Model(zeros, last), BRIGHT, {})


def test_eight_bits_may_round_a_softmax_of_many_classes_to_zeros() -> None:
    session = Model(lambda _: np.zeros((1, 1000)), "Softmax")
    assert tell_zeros(session, BRIGHT, {})["answers"] is False


def test_the_doubt_says_what_was_tried() -> None:
    def told(**fact: object) -> str:
        attempts = [attempt(number, effective={"only_zeros": fact}) for number in range(5)]
        (warning,) = [each for each in warnings_of(attempts) if each.kind is WarningKind.ONLY_ZEROS]
        assert 'inputs = "real.npz"' in warning.hint
        return warning.message

    assert told(tried=1, answers=True).endswith("not on other made-up input: the model runs, and found nothing")
    assert "and on 2 other made-up inputs: a model that found nothing, or a runtime" in told(tried=2, answers=False)
    assert told(tried="many").startswith("in 5 of 5 attempts")  # a device is not trusted
    assert not [each for each in warnings_of([attempt(0)]) if each.kind is WarningKind.ONLY_ZEROS]
