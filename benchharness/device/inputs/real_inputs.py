"""One sample of an `.npz` file as what a model is fed while it is timed: paired and converted as for quality.

Of every array only the rows of that sample are read, before the memory of the model begins to count. The file is not
trusted: it must be the one that was hashed, holds no objects, and a sample has a limit.
"""

from __future__ import annotations

import hashlib
import math
import zipfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.lib import format as npy

from benchharness.contract import Session, TensorSpec
from benchharness.device.inputs.states import States
from benchharness.device.scenarios.quality.evaluation_data import LABELS
from benchharness.device.scenarios.quality.inputs import Inputs
from benchharness.errors import Unsupported

if TYPE_CHECKING:
    from benchharness.contract import Array
    from benchharness.device.line.orders import Data

#: What one sample may take in memory, and how many arrays a file may hold.
MOST_BYTES = 1 << 30
MOST_ARRAYS = 1000
_ENDING = ".npy"
_PIECE = 1 << 20


class Sample:
    """A sample as it was read: arrays by name, without the axis that counts samples."""

    def __init__(self, data: Data) -> None:
        """Reads it. Raises `Unsupported` for a file that is another than was hashed, or no `.npz` of plain arrays."""
        path, self.number = Path(data["path"]), int(data["sample"])
        try:
            if _sha256(path) != data["sha256"]:
                raise Unsupported(f"{path.name} has changed since this run began; start a new run")
            self.arrays, self.of = _read(path, self.number)
        except Unsupported:
            raise
        except Exception as error:  # zipfile, numpy and zlib each have their own
            raise Unsupported(f"{path.name}: not an .npz file of plain arrays: {error}") from error
        self._data = data

    def inputs(
        self, session: Session, tensors: Mapping[str, Any], but: Mapping[str, Any]
    ) -> tuple[dict[str, Array], dict[str, Any]]:
        """Arrays for the inputs that are not in `but`, and how they were paired and converted.

        Raises `Unsupported` with both lists where they are not each other's, and for a value that an input cannot hold.
        """
        from_before = States.of(session, tensors.get("state")).inputs
        left_out = {name for name in from_before if (tensors.get("inputs") or {}).get(name, name) not in self.arrays}
        fed = Inputs(_Rest(session, {*but, *left_out}), tensors)
        arrays = fed.made({name: array[None] for name, array in self.arrays.items()}, 0, self._data)
        return arrays, fed.facts()

    def fact(self) -> dict[str, Any]:
        """Which sample of which data, JSON values."""
        return {"sample": self.number, "of": self.of, "sha256": self._data["sha256"]}


class _Rest:
    """A session's signature without the inputs that the suite gives a value for, or that are states."""

    def __init__(self, session: Session, but: Collection[str]) -> None:
        self.inputs: Sequence[TensorSpec] = [spec for spec in session.inputs if spec.name not in but]
        self.outputs = session.outputs
        self.effective = session.effective
        self.run = session.run


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()


def _read(path: Path, sample: int) -> tuple[dict[str, Array], int]:
    """The sample's rows by array, and how many samples there are."""
    counts: dict[str, int] = {}
    arrays: dict[str, Array] = {}
    left = MOST_BYTES
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.endswith(_ENDING)]
        if len(names) > MOST_ARRAYS:
            raise Unsupported(f"{path.name} holds {len(names)} arrays; {MOST_ARRAYS} at most")
        for name in names:
            key = name[: -len(_ENDING)]
            with archive.open(name) as member:
                count, row = _row(member, sample, left, f"{path.name}: {key}")
            counts[key] = count
            if key != LABELS and row is not None:
                arrays[key] = row
                left -= row.nbytes
    if len(set(counts.values())) != 1 or not min(counts.values()) or set(counts) == {LABELS}:
        told = ", ".join(f"{key} {count}" for key, count in counts.items()) or "nothing"
        raise Unsupported(f"the arrays must have one row for each sample, inputs and labels alike; there are: {told}")
    count = next(iter(counts.values()))
    if sample >= count:
        raise Unsupported(f"{path.name} has {count} samples, counted from 0, and sample = {sample} is asked for")
    return arrays, count


def _row(member: IO[bytes], sample: int, most: int, what: str) -> tuple[int, Array | None]:
    """How many rows an array has, and the one asked for; None where it has no such row."""
    version = npy.read_magic(member)
    if version not in ((1, 0), (2, 0)):
        raise Unsupported(f"{what}: is written in version {version} of NumPy's format; save it with numpy.savez")
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, by_columns, dtype = read(member)
    if dtype.hasobject:
        raise Unsupported(f"{what}: holds objects, which are not read")
    if not shape:
        return 0, None
    count, row_shape = shape[0], shape[1:]
    row_bytes = math.prod(row_shape) * dtype.itemsize
    # By columns, as a transposed array is saved, a row lies all over the array.
    needed = row_bytes * count if by_columns else row_bytes
    if needed > most:
        raise Unsupported(f"{what}: a sample takes {needed} bytes in memory; {MOST_BYTES} at most, all arrays together")
    if sample >= count:
        return count, None
    if by_columns:
        whole = np.frombuffer(member.read(needed), dtype).reshape(shape[::-1]).T
        return count, np.array(whole[sample], order="C")
    member.seek(sample * row_bytes, 1)
    # A copy, which the runtime may write to.
    return count, np.frombuffer(member.read(row_bytes), dtype).reshape(row_shape).copy()
