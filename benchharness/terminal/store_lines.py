"""What is said of a store that is pruned."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from benchharness.results.prune import Prunable, Pruned
from benchharness.units import quantity_text


def prunable_line(found: Prunable, before: datetime) -> str:
    """What would be dropped."""
    day = f"{before:%Y-%m-%d %H:%M} UTC"
    if not found.measurements:
        return f"no run that ended before {day} has samples to drop"
    return f"of runs that ended before {day}: {_samples(found)}"


def pruned_lines(done: Pruned) -> Iterator[str]:
    """What was dropped, what became of the file, and what could not be dropped."""
    if done.measurements:
        yield f"dropped: {_samples(done)}; values, intervals and percentiles are kept"
    if done.file_bytes and done.file_bytes[0] != done.file_bytes[1]:
        before, after = (quantity_text(each, "bytes") for each in done.file_bytes)
        yield f"the store took {before} and takes {after}"
    if done.not_freed:
        yield f"the space is not free yet ({done.not_freed}); the same command frees it when nothing else is at work"
    if done.damaged:
        left = counted(done.damaged, "measurement")
        yield f"left alone: {left} whose samples cannot be read or are no numbers; see: benchharness verify"


def _samples(found: Prunable | Pruned) -> str:
    size = quantity_text(found.bytes, "bytes")
    return f"samples of {counted(found.measurements, 'measurement')} in {counted(found.runs, 'run')}, {size}"


def counted(number: int, what: str) -> str:
    """`1 run`, `2,000 runs`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"
