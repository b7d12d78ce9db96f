"""Data in a model's own number type: exact, by scale and zero point, or refused. Never a silent change."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from benchharness.contract import TensorSpec
from benchharness.device.inputs.conversion import converted, dequantized
from benchharness.errors import Unsupported

PIXELS = {"scale": [1.0], "zero_point": [-128]}


def into(dtype: str) -> TensorSpec:
    return TensorSpec("x", dtype, ("n",))


def test_pixels_are_quantized_into_an_int8_input() -> None:
    """tensorflow#35072: 0 to 255 is -128 to 127, and never wraps."""
    found = converted(np.arange(256, dtype=np.uint8), into("int8"), PIXELS)
    assert (found.how, found.saturated) == ("quantized", 0)
    np.testing.assert_array_equal(found.array, np.arange(-128, 128, dtype=np.int8))
    assert found.array.dtype == np.int8


def test_what_saturates_is_counted() -> None:
    found = converted(np.array([-1, 0, 255, 256, 1e9]), into("int8"), PIXELS)
    assert found.array.tolist() == [-128, -128, 127, 127, 127]
    assert found.saturated == 3


def test_data_of_a_quantized_inputs_own_type_are_refused_without_the_word() -> None:
    codes = np.array([-128, 0, 127], np.int8)
    with pytest.raises(Unsupported, match='values = "codes"'):
        converted(codes, into("int8"), PIXELS)
    found = converted(codes, into("int8"), PIXELS, values="codes")
    assert found.how == "codes"
    assert found.array.tolist() == codes.tolist()


def test_codes_of_another_type_are_refused() -> None:
    for array in (np.zeros(3, np.uint8), np.zeros(3, np.int64), np.zeros(3, np.float32)):
        with pytest.raises(Unsupported, match="codes are of the input's own type"):
            converted(array, into("int8"), PIXELS, values="codes")


def test_codes_mean_the_same_to_an_input_of_floats() -> None:
    codes = np.array([-128, 0, 127], np.int8)
    found = converted(codes, into("float32"), None, values="codes", codes=PIXELS)
    assert (found.how, found.array.tolist()) == ("dequantized", [0.0, 128.0, 255.0])
    with pytest.raises(Unsupported, match="what the codes mean; give real values"):
        converted(codes, into("float32"), None, values="codes")


@pytest.mark.parametrize(
    ("array", "dtype", "words"),
    [
        (np.array([0.5]), "int64", "with fractions, such as 0.5"),
        (np.array([np.nan]), "int32", "NaN or infinite"),
        (np.array([np.inf]), "int32", "NaN or infinite"),
        (np.array([-1], np.int64), "uint8", r"uint8 \(0 to 255\), and the data holds -1"),
        (np.array([2**31]), "int32", "the data holds 2147483648"),
        (np.array([2**63], np.uint64), "int64", "the data holds 9223372036854775808"),
        (np.array([128], np.uint8), "int8", "the data holds 128"),
        (np.array([1e30]), "int64", "the data holds 1000000000000000019884624838656"),
        (np.array([2]), "bool", "neither 0 nor 1"),
        (np.array([0.5]), "bool", "neither 0 nor 1"),
        (np.array([2**24 + 1]), "float32", "does not hold the whole number 16777217 exactly"),
        (np.array([2**63 - 1]), "float64", "9223372036854775807"),
        (np.array([65520]), "float16", "65520"),
        (np.array([1e300]), "float32", "1e\\+300 is infinite"),
        (np.array(["a"]), "float32", "takes float32, and the data holds <U1"),
        (np.array([1.0]), "str", "takes str, and the data holds float64"),
        (np.array([1j]), "float32", "complex128"),
        (np.array([1.0]), "bfloat16", "takes bfloat16"),  # NumPy has it where ml_dtypes was imported
    ],
)
def test_what_a_cast_would_change_is_refused(array: Any, dtype: str, words: str) -> None:
    with pytest.raises(Unsupported, match=words):
        converted(array, into(dtype), None)


def test_reals_are_rounded_to_the_models_own_precision_and_say_so() -> None:
    assert converted(np.array([0.5, -np.inf, np.nan]), into("float32"), None).how == "exact"
    found = converted(np.array([0.1]), into("float32"), None)
    assert (found.how, found.array.tolist()) == ("rounded", [float(np.float32(0.1))])


@pytest.mark.parametrize(
    ("quantization", "words"),
    [
        ({"scale": [1.0, 2.0], "zero_point": [0, 0]}, "2 scales"),
        ({"scale": [0.0], "zero_point": [0]}, "by which nothing can be divided"),
        ({"scale": [float("nan")], "zero_point": [0]}, "by which nothing can be divided"),
        ({"scale": [], "zero_point": [0]}, "0 scales"),
    ],
)
def test_scales_that_do_not_hold_for_the_tensor_are_refused(quantization: Any, words: str) -> None:
    with pytest.raises(Unsupported, match=words):
        converted(np.array([1.0]), into("int8"), quantization)
    if quantization["scale"]:
        with pytest.raises(Unsupported, match=words):
            dequantized(np.array([1], np.int8), "y", quantization)


def test_not_a_number_is_not_quantized() -> None:
    with pytest.raises(Unsupported, match="NaN or infinite"):
        converted(np.array([1.0, np.nan]), into("int8"), PIXELS)


def test_outputs_are_real_numbers() -> None:
    found = dequantized(np.array([-128, 127], np.int8), "y", {"scale": [1 / 256], "zero_point": [-128]})
    assert found.tolist() == [0.0, 255 / 256]
    plain = np.array([3], np.int64)
    assert dequantized(plain, "y", None) is plain


TYPES = (
    "bool",
    "int8",
    "uint8",
    "int16",
    "uint16",
    "int32",
    "uint32",
    "int64",
    "uint64",
    "float16",
    "float32",
    "float64",
)
ARRAYS = st.sampled_from(TYPES).flatmap(lambda name: hnp.arrays(np.dtype(name), st.integers(0, 6)))


def exact(value: Any) -> Fraction | str:
    """A number as it is, whatever its type."""
    text = repr(float(value)) if isinstance(value, np.floating) else ""
    return text if text in ("nan", "inf", "-inf") else Fraction(value.item())


@given(ARRAYS, st.sampled_from(TYPES))
def test_every_type_into_every_type_keeps_every_value_or_refuses(array: Any, dtype: str) -> None:
    """Against exact fractions. Only a real number may be rounded, to the nearest that the model's type has."""
    try:
        found = converted(array, into(dtype), None)
    except Unsupported:
        with np.errstate(all="ignore"):
            kept = [exact(value) for value in array.astype(dtype, casting="unsafe")]
        changed = kept != [exact(value) for value in array]
        assert changed or array.dtype.kind == "f"  # refused for a reason: a cast would have changed something
        return
    assert found.array.dtype == dtype
    assert found.array.shape == array.shape
    for before, after in zip(array, found.array, strict=True):
        if found.how == "exact":
            assert exact(after) == exact(before)
        else:
            assert found.how == "rounded"
            assert array.dtype.kind == np.dtype(dtype).kind == "f"
            assert np.isfinite(after) == np.isfinite(before)


@given(
    hnp.arrays(np.float32, st.integers(1, 8), elements=st.floats(-1000, 1000, width=32)),
    st.sampled_from(("int8", "uint8", "int16")),
    st.sampled_from((1.0, 0.5, 0.00390625, 0.1, 3.0)),
    st.integers(-128, 127),
)
def test_quantizing_is_that_of_exact_arithmetic(array: Any, dtype: str, scale: float, zero_point: int) -> None:
    """Against decimal fractions; a tie may fall either way, for dividing in float64 is not exact."""
    limits = np.iinfo(dtype)
    found = converted(array, into(dtype), {"scale": [scale], "zero_point": [zero_point]})
    beyond = 0
    for value, code in zip(array, found.array, strict=True):
        step = Fraction(float(value)) / Fraction(scale) + zero_point
        nearest = min(max(step, Fraction(limits.min)), Fraction(limits.max))
        assert abs(int(code) - nearest) <= Fraction(Decimal("0.5000001"))
        beyond += step < limits.min - Fraction(1, 2) or step > limits.max + Fraction(1, 2)
    assert abs(found.saturated - beyond) <= sum(
        abs(abs(Fraction(float(value)) / Fraction(scale) + zero_point - edge) - Fraction(1, 2)) < Fraction(1, 10**6)
        for value in array
        for edge in (limits.min, limits.max)
    )


@given(hnp.arrays(np.int8, st.integers(1, 8)), st.sampled_from((1.0, 0.1, 0.0039)), st.integers(-128, 127))
def test_codes_and_the_real_values_they_mean_are_the_same_data(codes: Any, scale: float, zero_point: int) -> None:
    quantization = {"scale": [scale], "zero_point": [zero_point]}
    real = converted(codes, into("float64"), None, values="codes", codes=quantization).array
    again = converted(real, into("int8"), quantization)
    assert (again.array.tolist(), again.saturated) == (codes.tolist(), 0)
