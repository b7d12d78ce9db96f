"""What goes into a model and comes out of it: arrays, and what is known of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class TensorSpec:
    """One input or output. `shape` holds a length, the name of a dynamic dimension, or None for unknown."""

    name: str
    dtype: str  # numpy's name: "float32", "int64", "bool"; "str" for strings
    shape: Sequence[int | str | None]
