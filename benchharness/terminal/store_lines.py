"""What is said of a store that is pruned, that others are brought into, or that is verified."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from benchharness.results.importing import Imported
from benchharness.results.prune import Prunable, Pruned
from benchharness.results.verify import Verified
from benchharness.terminal.values import one_line
from benchharness.units import quantity_text

#: So many refused runs are named one by one.
_MOST_REFUSED = 20


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


def imported_lines(done: Imported) -> Iterator[str]:
    """What came from one store, what was here, and what was refused."""
    told = [f"{counted(len(done.added), 'run')} added"] if done.added else []
    told += [f"{counted(len(done.went_on), 'run')} had gone on"] if done.went_on else []
    told += [f"{counted(len(done.here), 'run')} here already"] if done.here else []
    told += [f"{counted(done.attempts, 'attempt')} added"] if done.attempts else []
    yield f"{one_line(done.source)}: {', '.join(told) or 'nothing to add'}"
    for what, why in list(done.refused.items())[:_MOST_REFUSED]:
        yield f"refused: {one_line(what)}: {one_line(why)}"
    if len(done.refused) > _MOST_REFUSED:
        yield f"refused: {counted(len(done.refused) - _MOST_REFUSED, 'more run')}"


def verified_lines(found: Verified) -> Iterator[str]:
    """What was looked at; what is wrong with it and what is odd, the first few of each kind."""
    counts = (("run", found.runs), ("job", found.jobs), ("attempt", found.attempts))
    told = [counted(number, what) for what, number in (*counts, ("measurement", found.measurements))]
    yield f"{one_line(found.url)}: {', '.join(told)}, {counted(found.samples, 'sample')}"
    for mark, several in (("trouble", found.trouble), ("note", found.notes)):
        for kind, each in several.items():
            yield f"{mark}: {kind}: {each.count:,}"
            yield from (f"  {one_line(which)}" for which in each.first)
            if each.count > len(each.first):
                yield f"  and {each.count - len(each.first):,} more"
    yield "sound" if found.sound else f"{counted(len(found.trouble), 'kind')} of trouble"


def _samples(found: Prunable | Pruned) -> str:
    size = quantity_text(found.bytes, "bytes")
    return f"samples of {counted(found.measurements, 'measurement')} in {counted(found.runs, 'run')}, {size}"


def counted(number: int, what: str) -> str:
    """`1 run`, `2,000 runs`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"
