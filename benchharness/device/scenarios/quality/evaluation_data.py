"""Evaluation data on the device: arrays as samples."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchharness.errors import Unsupported

if TYPE_CHECKING:
    Array = np.ndarray[Any, np.dtype[Any]]

LABELS = "labels"


def read_arrays(path: Path) -> dict[str, Array]:
    """The arrays of an `.npz` file but its labels, first axis samples. Objects are never read."""
    return {name: array for name, array in _all_arrays(path).items() if name != LABELS}


def has_labels(path: Path) -> bool:
    """Whether the file says which class each sample is of, as only a classifier's does."""
    return LABELS in _all_arrays(path)


def known_labels(path: Path) -> list[int] | None:
    """The labels of all samples to share them out by, as they stand; None where there are none of whole numbers."""
    labels = _all_arrays(path).get(LABELS)
    return labels.tolist() if labels is not None and labels.ndim == 1 and labels.dtype.kind in "iu" else None


def read_labels(path: Path, classes: int) -> Array | None:
    """The labels, shape (samples,), whole numbers below `classes`; None where there are none."""
    labels = _all_arrays(path).get(LABELS)
    if labels is None:
        return None
    wrong = labels[(labels < 0) | (labels >= classes)] if labels.dtype.kind in "iu" else labels[:1]
    if labels.ndim != 1 or wrong.size:
        told = f"label {wrong.flat[0]}" if wrong.size else f"the shape {labels.shape}"
        raise Unsupported(f"labels: whole numbers 0 to {classes - 1}, one a sample, are wanted; there is {told}")
    return labels


def count_samples(path: Path) -> int:
    """How many samples there are. Raises `Unsupported` where arrays differ in it, or there is none."""
    lengths = {name: len(array) if array.ndim else 0 for name, array in _all_arrays(path).items()}
    if len(set(lengths.values())) != 1 or not min(lengths.values()) or set(lengths) == {LABELS}:
        told = ", ".join(f"{name} {length}" for name, length in lengths.items()) or "nothing"
        raise Unsupported(f"the arrays must have one row for each sample, inputs and labels alike; there are: {told}")
    return next(iter(lengths.values()))


def _all_arrays(path: Path) -> dict[str, Array]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except Exception as error:  # zipfile, numpy and zlib each have their own
        raise Unsupported(f"{path.name}: not an .npz file of plain arrays: {error}") from error
