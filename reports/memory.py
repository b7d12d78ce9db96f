"""Memory: which scenarios tell most about it, the tables, and what the figures draw."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from benchharness.results.result import AttemptValue, MetricResult
from reports.conditions import grouped_by_reason
from reports.entries import Colours, Entry
from reports.estimates import quantity, ratio
from reports.figures import Figure, MemoryBar, MemoryBars, MemoryGroup, MemoryLine, MemoryLines, MemoryPanel
from reports.page import Memory, MemoryPart, Unreadable
from reports.tables import Cell, MemoryRow, MemoryTable, Quantity
from reports.units import Scale, common_scale
from reports.visible import name_text, value_text

#: The metrics that the summary shows in a group of their own.
GROUP = "memory"
SUMMARY_METRICS = ("peak_memory",)
#: Metrics that stand in a job's table by phase, so that they are not repeated among its other metrics.
BY_PHASE = ("phase_peak_memory", "settled_memory")
_MIB = Scale(2**20, "MiB")
#: A scenario that needed more than another by less than this needed no more: runs differ by as much.
_CLEARLY_MORE = 1.02
#: More points on a line than this are closer than a pixel.
_MOST_POINTS = 240
_DIGITS = 6

_PHASE_NOTE = (
    "Bars: resident memory when a phase ended. File-backed memory holds mapped weights and shared libraries, which the "
    "kernel can drop and read again; anonymous memory can at best be swapped out. Tick: the highest within the phase. "
    "Dashed line: what Python and the runtime held before a model was loaded."
)
_TIME_NOTE = (
    "One line an attempt, watched from outside ten times a second, four in a session: peaks between two looks are "
    "missed here, not in the bars and tables."
)


def telling_scenarios(entries: Sequence[Entry]) -> tuple[str, ...]:
    """The scenarios whose peak memory is worth showing, highest first: those that no other exceeds on every row."""
    peaks: dict[str, dict[str, float]] = {}
    for entry in entries:
        metric = _metric(entry, "peak_memory")
        if metric is not None and metric.estimate.value is not None:
            peaks.setdefault(entry.scenario, {})[entry.who] = metric.estimate.value
    kept: list[str] = []
    for scenario in sorted(peaks, key=lambda name: -max(peaks[name].values())):
        if not any(_covers(peaks[other], peaks[scenario]) for other in kept):
            kept.append(scenario)
    return tuple(kept)


def _covers(these: Mapping[str, float], those: Mapping[str, float]) -> bool:
    return all(who in these and these[who] * _CLEARLY_MORE >= value for who, value in those.items())


def memory_of(entries: Sequence[Entry], colours: Colours) -> Memory | None:
    """The memory part of a comparison; None where nothing about memory was measured or tried."""
    scenarios = telling_scenarios(entries) or tuple(_scenarios_with_phases(entries))
    parts = [
        _part([each for each in entries if each.scenario == scenario], scenario, colours) for scenario in scenarios
    ]
    unknown = tuple(_unknown(entries))
    return Memory(parts=tuple(parts), unknown=unknown) if parts or unknown else None


def _part(entries: Sequence[Entry], scenario: str, colours: Colours) -> MemoryPart:
    figures: list[Figure] = [*_bars(entries, scenario), *_lines(entries, scenario, colours)]
    return MemoryPart(table=_table(scenario, entries), figures=tuple(figures))


def _scenarios_with_phases(entries: Sequence[Entry]) -> Iterator[str]:
    """Where there is no peak, there may yet be something held at a phase's end."""
    for scenario in dict.fromkeys(entry.scenario for entry in entries):
        if any(
            metric.name in BY_PHASE for each in entries if each.scenario == scenario for metric in each.result.metrics
        ):
            yield scenario


def _metric(entry: Entry, name: str, **parameters: str) -> MetricResult | None:
    found = (metric for metric in entry.result.metrics if metric.name == name)
    return next((metric for metric in found if parameters.items() <= dict(metric.parameters).items()), None)


def _phases(entry: Entry) -> list[str]:
    """The phases that have something to show, in the order in which they ran."""
    found = (metric.parameters.get("phase") for metric in entry.result.metrics if metric.name in BY_PHASE)
    return list(dict.fromkeys(phase for phase in found if isinstance(phase, str)))


def _unknown(entries: Sequence[Entry]) -> Iterator[Unreadable]:
    told = {name_text(kind): value_text(reason) for entry in entries for kind, reason in _reasons(entry).items()}
    yield from grouped_by_reason(told)


def _reasons(entry: Entry) -> Mapping[str, object]:
    return entry.result.conditions.memory_unknown


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
    ("= peak", "highest resident, runtime and Python included", "peak_memory", None, "peak"),
    ("PSS at the end", "resident, shared pages counted by share", "settled_memory", ("", "pss"), "pss"),
    ("USS at the end", "what no other process shares", "settled_memory", ("", "uss"), "uss"),
)
#: What Python and the runtime take does not depend on the variant: their ratios would only be noise.
_COMPARED = ("model_memory", "peak_memory")


def _table(scenario: str, entries: Sequence[Entry]) -> MemoryTable:
    found = [[_column_metric(entry, name, phase) for _, _, name, phase, _ in _COLUMNS] for entry in entries]
    scales = [_common([line[at] for line in found]) for at in range(len(_COLUMNS))]
    rows = [
        MemoryRow(
            who=entry.who,
            cells=tuple(
                _cell(entry, metric, scales[at], _COLUMNS[at][4], compared=_COLUMNS[at][2] in _COMPARED)
                for at, metric in enumerate(line)
            ),
        )
        for entry, line in zip(entries, found, strict=True)
    ]
    columns = tuple((title, text) for title, text, *_ in _COLUMNS)
    return MemoryTable(scenario=scenario, columns=columns, rows=tuple(rows))


def _column_metric(entry: Entry, name: str, at: tuple[str, str] | None) -> MetricResult | None:
    if at is None:
        return _metric(entry, name)
    phases = _phases(entry)
    phase, kind = at
    return _metric(entry, name, phase=phase or (phases[-1] if phases else ""), kind=kind)


def _common(metrics: Sequence[MetricResult | None]) -> Scale | None:
    values = [metric.estimate.value for metric in metrics if metric and metric.estimate.value is not None]
    return common_scale("bytes", values)


def _cell(entry: Entry, metric: MetricResult | None, scale: Scale | None, kind: str, *, compared: bool = False) -> Cell:
    if metric is not None:
        judged = ratio(metric, is_reference=entry.result.job.is_reference) if compared else None
        shown = quantity(metric.estimate, metric.unit, scale)
        return Cell(state="value", quantity=shown, ratio=judged, count=metric.estimate.count)
    if not entry.result.outcome.ok:
        return Cell(state="failed", note=name_text(entry.result.outcome.kind))
    reasons = _reasons(entry)
    reason = reasons.get(kind) or reasons.get("memory")
    return Cell(state="unknown", quantity=Quantity(text="unknown", reason=value_text(reason or "it was not recorded")))


def phase_table(entry: Entry) -> MemoryTable | None:
    """A job's memory by phase: the highest within each, and what it held at its end, by kind."""
    settled = [metric for metric in entry.result.metrics if metric.name == "settled_memory"]
    kinds = list(dict.fromkeys(str(metric.parameters.get("kind")) for metric in settled))
    phases = _phases(entry)
    if not phases:
        return None
    rows = []
    for phase in phases:
        metrics = [_metric(entry, "phase_peak_memory", phase=phase)]
        metrics += [_metric(entry, "settled_memory", phase=phase, kind=kind) for kind in kinds]
        names = ["phase peaks", *kinds]
        cells = [_cell(entry, metric, None, name) for name, metric in zip(names, metrics, strict=True)]
        rows.append(MemoryRow(who=name_text(phase), cells=tuple(cells)))
    columns = [("highest within it", ""), *((f"{name_text(kind)} at its end", "") for kind in kinds)]
    return MemoryTable(scenario=entry.scenario, columns=tuple(columns), rows=tuple(rows))


def _bars(entries: Sequence[Entry], scenario: str) -> Iterator[MemoryBars]:
    groups = [group for entry in entries if (group := _group(entry)).bars]
    if groups:
        title = f"Memory by phase, {scenario}"
        yield MemoryBars(title=title, unit=_MIB.symbol, note=_PHASE_NOTE, groups=tuple(groups))


def _group(entry: Entry) -> MemoryGroup:
    bars = []
    for phase in _phases(entry):
        held = [_mib(entry, "settled_memory", phase=phase, kind=kind) for kind in ("rss", "anonymous", "file")]
        resident, anonymous, file = held
        peak = _mib(entry, "phase_peak_memory", phase=phase)
        parted = anonymous is not None and file is not None
        bars.append(
            MemoryBar(
                phase=name_text(phase),
                anonymous=(anonymous or 0.0) if parted else 0.0,
                file=(file or 0.0) if parted else 0.0,
                resident=0.0 if parted else resident or 0.0,
                peak=peak,
            )
        )
    baseline = _mib(entry, "settled_memory", phase="import", kind="rss")
    return MemoryGroup(label=entry.who, baseline=baseline, bars=tuple(bars))


def _mib(entry: Entry, name: str, **parameters: str) -> float | None:
    metric = _metric(entry, name, **parameters)
    if metric is None or metric.estimate.value is None or not np.isfinite(metric.estimate.value):
        return None
    return _rounded(metric.estimate.value / _MIB.divisor)


def _lines(entries: Sequence[Entry], scenario: str, colours: Colours) -> Iterator[MemoryLines]:
    panels = []
    for entry in entries:
        metric = _metric(entry, "memory_timeline")
        lines = tuple(line for value in (metric.attempts if metric else ()) if (line := _line(value)))
        if lines:
            colour = colours.get(entry.artefact, 0)
            panels.append(MemoryPanel(label=entry.who, colour=colour, lines=lines))
    if panels:
        title = f"Memory over time, {scenario}"
        yield MemoryLines(title=title, unit=_MIB.symbol, note=_TIME_NOTE, panels=tuple(panels))


def _line(value: AttemptValue) -> MemoryLine | None:
    """Samples are pairs: ns since the process was started, bytes. Thinned to the highest of neighbours."""
    if value.row_length != 2 or len(value.samples) < 2:
        return None
    pairs = np.asarray(value.samples[: len(value.samples) // 2 * 2], dtype=np.float64).reshape(-1, 2)
    pairs = pairs[np.isfinite(pairs).all(axis=1)]
    if not len(pairs):
        return None
    parts = np.array_split(pairs, min(len(pairs), _MOST_POINTS))
    highest = [part[int(part[:, 1].argmax())] for part in parts]
    return MemoryLine(
        seconds=tuple(_rounded(at / 1e9) for at, _ in highest),
        resident=tuple(_rounded(held / _MIB.divisor) for _, held in highest),
    )


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")
