"""Outputs that are no tensors, as a scorer answers with: what can be told in numbers, and what the others are.

ZipMap, which converters of scikit-learn put last, makes a map from class to probability of a row of probabilities.
Where its classes are 0, 1, 2 … that row is what is compared. Other classes have no number in the data's labels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    Array = np.ndarray[Any, np.dtype[Any]]

_MOST_TOLD = 3


def tensor_of(value: Array) -> Array | None:
    """An output as an array of numbers or texts; None where it is neither."""
    if value.dtype.kind != "O":
        return value
    if value.ndim == 0 and not isinstance(value[()], str):
        return _row_of_maps(value[()])
    if all(isinstance(each, str) for each in value.reshape(-1).tolist()):
        return value.astype(str)
    return None


def said_of(value: Array) -> str:
    """What an output is that is no tensor."""
    held = value[()] if value.ndim == 0 else value.reshape(-1).tolist()
    if held is None:
        return "an optional without a value"
    if isinstance(held, Mapping):
        return f"a map of {_keys(held)}"
    if isinstance(held, list):
        if held and all(isinstance(each, Mapping) for each in held):
            return f"a sequence of {len(held)} maps of {_keys(held[0])}, whose classes are not 0, 1, 2 …"
        return f"a sequence of {len(held)} " + ("arrays" if held and isinstance(held[0], np.ndarray) else "values")
    return f"a {type(held).__name__}"


def _row_of_maps(held: Any) -> Array | None:
    """Numbers by class 0, 1, 2 …, a row for each map of a sequence."""
    maps = held if isinstance(held, list) else [held]
    if not maps or not all(isinstance(each, Mapping) and each for each in maps):
        return None
    keys = list(range(len(maps[0])))
    if any(sorted(each, key=str) != sorted(keys, key=str) or not _whole(each) for each in maps):
        return None
    rows = [[each[key] for key in keys] for each in maps]
    return np.asarray(rows, np.float64) if all(isinstance(one, (int, float)) for row in rows for one in row) else None


def _whole(held: Mapping[Any, Any]) -> bool:
    return all(isinstance(key, int) and not isinstance(key, bool) for key in held)


def _keys(held: Mapping[Any, Any]) -> str:
    shown = ", ".join(repr(key)[:40] for key in list(held)[:_MOST_TOLD])
    return f"{len(held)} values ({shown}{', …' if len(held) > _MOST_TOLD else ''})"
