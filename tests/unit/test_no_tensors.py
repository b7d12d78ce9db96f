"""Outputs that are no tensors: which are numbers all the same, and what the others are called."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchharness.device.scenarios.quality.no_tensors import said_of, tensor_of


def boxed(value: object) -> np.ndarray[Any, np.dtype[Any]]:
    made = np.empty((), object)
    made[()] = value
    return made


def test_maps_of_classes_in_order_are_a_row_each() -> None:
    maps = [{1: 0.25, 0: 0.75}, {0: 0.5, 1: 0.5}]  # a map has no order of its own
    np.testing.assert_array_equal(tensor_of(boxed(maps)), [[0.75, 0.25], [0.5, 0.5]])
    np.testing.assert_array_equal(tensor_of(boxed({0: 1.0})), [[1.0]])
    twelve = {key: float(key) for key in range(12)}  # as texts, 10 stands before 2
    np.testing.assert_array_equal(tensor_of(boxed([twelve])), [list(range(12))])


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([np.zeros((1, 1)), np.zeros((1, 2))], "a sequence of 2 arrays"),
        ([np.zeros((1, 2)), np.zeros((1, 2))], "a sequence of 2 arrays"),
        ([{1: 0.5, 2: 0.5}], "a sequence of 1 maps of 2 values (1, 2), whose classes are not 0, 1, 2 …"),
        ([{"cat": 0.5, "dog": 0.5}], "a sequence of 1 maps of 2 values ('cat', 'dog'), whose classes"),
        ([{0: 0.5}, {1: 0.5}], "a sequence of 2 maps"),
        ({"a": 1.0}, "a map of 1 values ('a')"),
        ([], "a sequence of 0 values"),
        (None, "an optional without a value"),
    ],
)
def test_what_has_no_numbers_of_its_own_is_named(value: object, said: str) -> None:
    assert tensor_of(boxed(value)) is None
    assert said_of(boxed(value)).startswith(said)


def test_texts_and_numbers_are_arrays() -> None:
    assert tensor_of(np.array(["a", "bc"], object)).dtype.kind == "U"  # type: ignore[union-attr]
    assert tensor_of(np.array([], object)).size == 0  # type: ignore[union-attr]
    np.testing.assert_array_equal(tensor_of(np.arange(3)), [0, 1, 2])
    assert tensor_of(np.array(["a", 1], object)) is None
