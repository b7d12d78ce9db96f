"""What the rows of a comparison needed: the tables, and what the figures draw."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from benchharness.records import MEMORY_TIMELINE
from benchharness.results.result import AttemptValue, MetricResult
from benchharness.units import Scale, common_scale
from reports.figures.figure import Figure
from reports.model.columns import joined, telling_scenarios
from reports.model.conditions import Unreadable, grouped_by_reason
from reports.model.entries import Colours, Entry, configuration_name
from reports.model.estimates import why_not_drawn
from reports.model.memory import (
    BY_PHASE,
    OF_MEMORY,
    memory_cell,
    memory_metric,
    memory_unknown,
    phases_of,
    wished_scale,
)
from reports.model.numbers import rounded
from reports.model.tables import QuantityRow, QuantityTable
from reports.model.visible import name_text, value_text, words_of
from reports.sections.memory.chart import (
    MemoryBar,
    MemoryBars,
    MemoryGroup,
    MemoryLine,
    MemoryLines,
)

#: In which memory is told where no budget on it has another unit.
_MIB = Scale(2**20, "MiB")
#: More points on a line than this are closer than a pixel.
_MOST_POINTS = 60
_PHASE_NOTE = (
    "Bars: resident memory when a phase ended. File-backed memory holds mapped weights and shared libraries, which the "
    "kernel can drop and read again; anonymous memory can at best be swapped out. Tick: the highest within the phase. "
    "Dashed line: what Python and the runtime held before a model was loaded."
)
_TIME_NOTE = (
    "Of each row the attempt that held most, watched from outside ten times a second, four in a session: peaks between "
    "two looks are missed here, not in the bars and tables."
)
#: (title, what it includes, metric, parameters, the kinds of `memory_unknown` that explain its absence)
_COLUMNS = (
    (
        "before the runtime",
        "the Python interpreter and the harness",
        "settled_memory",
        ("start", "rss"),
        "rss",
    ),
    ("+ runtime", "what importing runtime and numpy added", "runtime_memory", None, "rss"),
    ("+ model", "what loading and running added, up to the peak", "model_memory", None, "rss"),
    ("= peak", "highest resident; of a worker with runtime and Python", "peak_memory", None, "peak"),
    ("PSS at the end", "resident, shared pages counted by share", "settled_memory", ("", "pss"), "pss"),
    ("USS at the end", "what no other process shares", "settled_memory", ("", "uss"), "uss"),
)
#: What Python and the runtime take does not depend on the variant: their ratios would only be noise.
_COMPARED = ("model_memory", "peak_memory")


@dataclass(frozen=True, kw_only=True)
class MemoryPart:
    """What the rows needed under one scenario."""

    table: QuantityTable
    figures: tuple[Figure, ...]


def parts_of(entries: Sequence[Entry], colours: Colours) -> tuple[MemoryPart, ...]:
    """One for each scenario that says more than the others, the highest first."""
    scenarios = telling_scenarios(entries) or tuple(_scenarios_with_phases(entries))
    return tuple(
        _part([each for each in entries if each.scenario == scenario], scenario, colours) for scenario in scenarios
    )


def _part(entries: Sequence[Entry], scenario: str, colours: Colours) -> MemoryPart:
    wished = wished_scale(entries, *OF_MEMORY)
    scale = wished or _MIB
    figures: list[Figure] = [*_bars(entries, scenario, scale), *_lines(entries, scenario, colours, scale)]
    return MemoryPart(table=_table(scenario, entries, wished), figures=tuple(figures))


def _scenarios_with_phases(entries: Sequence[Entry]) -> Iterator[str]:
    """Where there is no peak, there may yet be something held at a phase's end."""
    for scenario in dict.fromkeys(entry.scenario for entry in entries):
        if any(
            metric.name in BY_PHASE for each in entries if each.scenario == scenario for metric in each.result.metrics
        ):
            yield scenario


def unknown_of(entries: Sequence[Entry]) -> tuple[Unreadable, ...]:
    """The kinds of memory that could not be read, those of one reason together."""
    told = {name_text(kind): value_text(reason) for entry in entries for kind, reason in memory_unknown(entry).items()}
    return grouped_by_reason(told)


def _table(scenario: str, entries: Sequence[Entry], wished: Scale | None) -> QuantityTable:
    found = [[_column_metric(entry, name, phase) for _, _, name, phase, _ in _COLUMNS] for entry in entries]
    scales = [wished or _common([line[at] for line in found]) for at in range(len(_COLUMNS))]
    rows = [
        QuantityRow(
            who=entry.who,
            cells=joined(
                memory_cell(entry, metric, scales[at], _COLUMNS[at][4], compared=_COLUMNS[at][2] in _COMPARED)
                for at, metric in enumerate(line)
            ),
        )
        for entry, line in zip(entries, found, strict=True)
    ]
    columns = tuple((title, text) for title, text, *_ in _COLUMNS)
    return QuantityTable(scenario=scenario, columns=columns, rows=tuple(rows))


def _column_metric(entry: Entry, name: str, at: tuple[str, str] | None) -> MetricResult | None:
    if at is None:
        return memory_metric(entry, name)
    phases = phases_of(entry)
    phase, kind = at
    return memory_metric(entry, name, phase=phase or (phases[-1] if phases else ""), kind=kind)


def _common(metrics: Sequence[MetricResult | None]) -> Scale | None:
    values = [metric.estimate.value for metric in metrics if metric and metric.estimate.value is not None]
    return common_scale("bytes", values)


def _bars(entries: Sequence[Entry], scenario: str, scale: Scale) -> Iterator[MemoryBars]:
    groups = [group for entry in entries if (group := _group(entry, scale)).bars]
    if groups:
        title = f"Memory by phase, {scenario}"
        yield MemoryBars(title=title, unit=scale.symbol, note=_PHASE_NOTE, groups=tuple(groups))


def _group(entry: Entry, scale: Scale) -> MemoryGroup:
    bars = []
    for phase in phases_of(entry):
        held = [_in(scale, entry, "settled_memory", phase=phase, kind=kind) for kind in ("rss", "anonymous", "file")]
        resident, anonymous, file = held
        peak = _in(scale, entry, "phase_peak_memory", phase=phase)
        parted = anonymous is not None and file is not None
        bars.append(
            MemoryBar(
                phase=words_of(phase),
                anonymous=(anonymous or 0.0) if parted else 0.0,
                file=(file or 0.0) if parted else 0.0,
                resident=0.0 if parted else resident or 0.0,
                peak=peak,
            )
        )
    baseline = _in(scale, entry, "settled_memory", phase="import", kind="rss")
    return MemoryGroup(label=entry.who, baseline=baseline, bars=tuple(bars))


def _in(scale: Scale, entry: Entry, name: str, **parameters: str) -> float | None:
    metric = memory_metric(entry, name, **parameters)
    if metric is None or metric.estimate.value is None or not np.isfinite(metric.estimate.value):
        return None
    return rounded(metric.estimate.value / scale.divisor)


def _lines(entries: Sequence[Entry], scenario: str, colours: Colours, scale: Scale) -> Iterator[MemoryLines]:
    lines = [line for entry in entries if (line := _highest(entry, colours, scale))]
    if lines:
        title = f"Memory over time, {scenario}"
        yield MemoryLines(title=title, unit=scale.symbol, note=_TIME_NOTE, lines=tuple(lines))


def gone_of(entries: Sequence[Entry]) -> str:
    """Why memory over time is not drawn that once would have been; empty where all of it is there."""
    return why_not_drawn([each for entry in entries if (each := memory_metric(entry, MEMORY_TIMELINE.metric))])


def _highest(entry: Entry, colours: Colours, scale: Scale) -> MemoryLine | None:
    """Of a row's attempts the one that held most: all of them lie on each other."""
    metric = memory_metric(entry, "memory_timeline")
    attempts = [line for value in (metric.attempts if metric else ()) if (line := _line(value, scale))]
    if not attempts:
        return None
    seconds, resident = max(attempts, key=lambda line: max(line[1]))
    return MemoryLine(
        label=entry.who,
        colour=colours.get(entry.artefact, 0),
        attempts=len(attempts),
        seconds=seconds,
        resident=resident,
        panel=configuration_name(entry.result.job.configuration),
    )


def _line(value: AttemptValue, scale: Scale) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """Seconds and bytes in the scale's unit of an attempt, thinned to the highest of neighbours."""
    if value.why_no_samples or not MEMORY_TIMELINE.fits(value.samples, value.row_length):
        return None
    rows = [row for row in MEMORY_TIMELINE.rows(value.samples) if math.isfinite(row.moment + row.resident)]
    if not rows:
        return None
    most = min(len(rows), _MOST_POINTS)
    parts = [part.tolist() for part in np.array_split(np.arange(len(rows)), most)]
    highest = [max((rows[at] for at in part), key=lambda row: row.resident) for part in parts]
    seconds = tuple(rounded(row.moment / 1e9) for row in highest)
    return seconds, tuple(rounded(row.resident / scale.divisor) for row in highest)
