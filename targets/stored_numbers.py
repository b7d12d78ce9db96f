"""What a model file's inspection says of the numbers in it, added up in one way for every format."""

from __future__ import annotations

from collections.abc import Iterable

from benchharness.contract import StoredNumbers

WEIGHTS, SCALES = "weights", "scales"


def add_up(parts: Iterable[tuple[str, str, int, int, int]]) -> list[StoredNumbers]:
    """Sums by role and type of (role, type, tensors, numbers, bytes); weights first, and of these the largest."""
    sums: dict[tuple[str, str], list[int]] = {}
    for role, dtype, *counts in parts:
        total = sums.setdefault((role, dtype), [0, 0, 0])
        for index, more in enumerate(counts):
            total[index] += more
    found = [StoredNumbers(dtype, role, *total) for (role, dtype), total in sums.items()]
    return sorted(found, key=lambda stored: (stored.role != WEIGHTS, -stored.bytes, stored.dtype))
