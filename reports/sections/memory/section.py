"""What variants held in memory, phase by phase and over time, and how large their files are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchharness.units import quantity_text
from reports.figures.figure import Figure
from reports.model.conditions import Unreadable
from reports.model.entries import Entry, by_row, compared, subject_of
from reports.model.memory import OF_MEMORY, memory_metric, wished_scale
from reports.model.numbers import known
from reports.model.section import Material, Section, SectionKind, in_a_line
from reports.model.tables import QuantityTable
from reports.sections.memory.held import MemoryPart, gone_of, parts_of, unknown_of
from reports.sections.memory.sizes import sizes_of, smallest


@dataclass(frozen=True, kw_only=True)
class Memory(Section):
    """Memory under the scenarios that needed most, the highest first, and sizes."""

    parts: tuple[MemoryPart, ...]
    unknown: tuple[Unreadable, ...]
    sizes: QuantityTable | None
    gone: str = ""  # why memory over time is not drawn

    @property
    def figures(self) -> tuple[Figure, ...]:
        """All figures, in the order of the page."""
        return tuple(figure for part in self.parts for figure in part.figures)


def make(material: Material) -> tuple[Memory, ...]:
    """A section for each model and workload of which anything is known."""
    sections = (
        _memory(f"memory-{number}", group, material) for number, group in enumerate(compared(material.costs), start=1)
    )
    return tuple(each for each in sections if each.parts or each.unknown or each.sizes)


def _memory(anchor: str, entries: Sequence[Entry], material: Material) -> Memory:
    measured = [entry for entry in entries if not entry.weights_only]
    rows = by_row(entries)
    parts = parts_of(measured, material.colours[entries[0].result.job.model])
    return Memory(
        anchor=anchor,
        subject=subject_of(entries[0]),
        finding=in_a_line([*_peaks(measured, parts), smallest(rows)], "nothing that says more than the sizes"),
        parts=parts,
        unknown=unknown_of(measured),
        sizes=sizes_of(rows),
        gone=gone_of(measured),
    )


def _peaks(entries: Sequence[Entry], parts: Sequence[MemoryPart]) -> Iterator[str]:
    """The lowest and the highest peak of a row, and what of the highest is the model's.

    A row's peak is that of the scenario that needed most, as in the table of variants.
    """
    told_of = {part.table.scenario for part in parts}
    highest: dict[str, tuple[float, int, Entry]] = {}
    for number, entry in enumerate(entries):
        value = _value(entry, "peak_memory") if entry.scenario in told_of else None
        if value is not None and value > highest.get(entry.who, (0.0,))[0]:
            highest[entry.who] = (value, number, entry)
    peaks = sorted(highest.values(), key=lambda each: each[:2])
    if not peaks:
        return
    (low, _, first), (high, _, last) = peaks[0], peaks[-1]
    scale = wished_scale(entries, *OF_MEMORY)
    told = f"peak {quantity_text(low, 'bytes', scale)} ({first.who})"
    yield told if len(peaks) == 1 else f"{told} to {quantity_text(high, 'bytes', scale)} ({last.who})"
    if (model := _value(last, "model_memory")) is not None:
        yield f"the model is {quantity_text(model, 'bytes', scale)} of the {'peak' if len(peaks) == 1 else 'highest'}"


def _value(entry: Entry, name: str) -> float | None:
    metric = memory_metric(entry, name)
    return known(metric.estimate.value) if metric else None


SECTION = SectionKind(name="memory", heading="Memory and sizes", make=make, order=60)
