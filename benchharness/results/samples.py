"""The samples of a stored measurement: unpacked when somebody looks at them, with what is asked most kept beside.

A table of a run with a million samples takes of them how many there are, their ends and their percentiles. These are
facts of samples that never change, and no judgement: whatever a rule makes of them, it makes anew each time. Samples
that come from no store are lists, and are asked by the same functions. Of samples that were pruned only this is left.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from benchharness.errors import StoreError

#: A blob that unpacks to more is not ours: 10 million samples.
_MOST_BLOB_BYTES = 80_000_000
_SAMPLE = np.dtype("<f8")

Numbers = Sequence[float] | NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What is kept beside samples; NaN where there are none."""

    count: int
    first: float = math.nan
    least: float = math.nan
    middle: float = math.nan  # their median
    deviation: float = math.nan  # the median of their distances from it
    mean: float = math.nan  # also where it was not kept
    percentiles: Mapping[int, float] = field(default_factory=dict)  # some of those that so many samples carry


def summarized(samples: Numbers, percentiles: Mapping[int, float]) -> Summary:
    """The summary of samples, beside percentiles of them."""
    if not len(samples):
        return Summary(count=0)
    middle, deviation = _around(samples)
    return Summary(
        count=len(samples),
        first=float(samples[0]),
        least=float(np.min(samples)),
        middle=middle,
        deviation=deviation,
        mean=float(np.mean(samples)),
        percentiles=percentiles,
    )


class Kept(Sequence[float]):
    """Samples as a store keeps them. Raises `StoreError` where somebody looks and they are damaged, or were pruned.

    `where` begins what is said then: which store it is. `pruned` is when they were dropped.
    """

    __slots__ = ("_blob", "_unpacked", "_where", "pruned", "summary")

    def __init__(self, blob: bytes, summary: Summary, where: str, pruned: datetime | None = None) -> None:
        self.summary = summary
        self.pruned = pruned
        self._blob = blob
        self._where = where
        self._unpacked: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return self.summary.count

    @overload
    def __getitem__(self, part: int) -> float: ...
    @overload
    def __getitem__(self, part: slice) -> list[float]: ...
    def __getitem__(self, part: int | slice) -> float | list[float]:
        found: float | list[float] = self.numbers[part].tolist()
        return found

    def __iter__(self) -> Iterator[float]:
        return iter(self.numbers.tolist())

    def __eq__(self, other: object) -> bool:
        if self.pruned or pruned(other):  # nobody can tell more than what is kept of them
            return isinstance(other, Kept) and repr(self.summary) == repr(other.summary)
        return list(self) == list(other) if isinstance(other, Sequence) else NotImplemented

    __hash__ = None  # type: ignore[assignment] # as a list

    def __repr__(self) -> str:
        return f"<{len(self)} samples>"

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self.numbers, dtype) if copy else np.asarray(self.numbers, dtype)

    @property
    def numbers(self) -> NDArray[np.float64]:
        """All of them, read-only."""
        if self.pruned:
            raise StoreError(f"{self._where}: {told_of(self.pruned)}")
        if self._unpacked is None:
            try:
                self._unpacked = unpack(self._blob)
                if len(self._unpacked) != len(self):
                    raise ValueError(f"{len(self._unpacked)} samples stand where {len(self)} were counted")
            except ValueError as error:
                raise StoreError(f"{self._where}: {error}; it is damaged or not ours") from error
        return self._unpacked


def pack(samples: Numbers) -> bytes:
    """Samples as a blob: zlib of little-endian float64."""
    return zlib.compress(np.asarray(samples, _SAMPLE).tobytes(), 1)


def unpack(blob: bytes) -> NDArray[np.float64]:
    """The samples of a blob. Raises `ValueError` where they are damaged, or more than any attempt has."""
    unpacker = zlib.decompressobj()
    try:
        unpacked = unpacker.decompress(blob, _MOST_BLOB_BYTES)
    except zlib.error as error:
        raise ValueError(f"samples cannot be unpacked: {error}") from error
    if not unpacker.eof:
        raise ValueError("samples are cut off, or far more than any attempt has")
    return np.frombuffer(unpacked, _SAMPLE)


def least(samples: Sequence[float]) -> float:
    """The least of at least one sample."""
    return samples.summary.least if isinstance(samples, Kept) else min(samples)


def around(samples: Sequence[float]) -> tuple[float, float]:
    """The median of at least one sample, and the median of the distances from it."""
    if isinstance(samples, Kept):
        return samples.summary.middle, samples.summary.deviation
    return _around(samples)


def first(samples: Sequence[float]) -> float:
    """The first of at least one sample."""
    return samples.summary.first if isinstance(samples, Kept) else samples[0]


def kept_percentile(samples: Sequence[float], percentile: int) -> float | None:
    """A percentile that stands beside samples, as `numpy.percentile` gives it; None where none is kept."""
    return samples.summary.percentiles.get(percentile) if isinstance(samples, Kept) else None


def mean(samples: Sequence[float]) -> float:
    """The mean of at least one sample."""
    kept = samples.summary.mean if isinstance(samples, Kept) else math.nan
    return kept if math.isfinite(kept) else float(np.mean(samples))


def pruned(samples: object) -> datetime | None:
    """When samples were dropped, of which only their summary is left; None where they are there."""
    return samples.pruned if isinstance(samples, Kept) else None


def told_of(when: datetime) -> str:
    """Why there are no samples, in the words of every table and page."""
    return f"samples were pruned on {when:%Y-%m-%d}"


def _around(samples: Numbers) -> tuple[float, float]:
    found = np.sort(np.asarray(samples))
    middle = _middle(found)
    return middle, _middle(np.sort(np.abs(found - middle)))


def _middle(ordered: NDArray[np.float64]) -> float:
    """The median of what is in order: a quarter of what `numpy.median` takes, and every attempt is asked for two."""
    half = len(ordered) // 2
    return float(ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2)
