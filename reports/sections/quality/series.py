"""Raw rows of quality results -> what their figures draw."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchharness.records import SCORED_CHUNKS, TOKEN_DIVERGENCE
from benchharness.results.result import MetricResult
from reports.figures.figure import Figure
from reports.model.entries import Colours, Entry, configuration_name
from reports.model.visible import name_text
from reports.sections.quality.chart import ClassBars, ClassPanel, PositionCurve, PositionCurves, PositionPanel

#: A single position is the mean of a few chunks only, and jumps.
_MOST_POINTS = 32
_MOST_CLASSES, _MOST_PANELS = 30, 12
#: Of the largest divergence; a curve below it would squeeze all others into lines.
_TOO_SMALL = 1e-6
Described = Sequence[tuple[Entry, str]]
Floats = npt.NDArray[np.float64]


def figures_of(entries: Described, colours: Colours) -> tuple[Figure, ...]:
    """The figures of one table; each entry comes with how it was evaluated, or "" where all were alike."""
    return (*_position_curves(entries, colours), *_class_bars(entries, colours))


def _position_curves(entries: Described, colours: Colours) -> Iterator[PositionCurves]:
    panels: dict[str, list[PositionCurve]] = {}
    left_out: list[str] = []
    widest = 1
    measured = _measured(entries)
    floor = _TOO_SMALL * max((float(along.means.max()) for _, _, along in measured), default=0.0)
    for entry, way, along in measured:
        positions, values, width = _averaged(along)
        widest = max(widest, width)
        if max(values, default=0.0) <= floor:
            left_out.append(entry.who)
            continue
        parts = (configuration_name(entry.result.job.configuration), way)
        panels.setdefault(" · ".join(part for part in parts if part), []).append(
            PositionCurve(
                label=name_text(entry.result.job.variant),
                colour=colours.get(entry.artefact, 0),
                position=positions,
                values=values,
            )
        )
    if not panels:
        return
    note = "Mean over chunks"
    note += f" and up to {widest} neighbouring positions." if widest > 1 else "."
    note += f" Without a curve, at less than a millionth of the largest: {', '.join(left_out)}." if left_out else ""
    yield PositionCurves(
        title="KLD along the context",
        unit="nats",
        note=note,
        panels=tuple(PositionPanel(label=label, curves=tuple(curves)) for label, curves in panels.items()),
    )


@dataclass(frozen=True)
class Along:
    """Mean KLD along the context: the positions that are scored, in order, and the chunks that each is a mean over."""

    positions: Floats
    means: Floats
    chunks: Floats


def _measured(entries: Described) -> list[tuple[Entry, str, Along]]:
    """Each entry that has rows by token: how it was evaluated, and its divergence along the context."""
    found = []
    for entry, way in entries:
        by_name = {metric.name: metric for metric in entry.result.metrics}
        rows = by_name.get("token_divergence")
        along = divergence_by_position(rows, by_name.get("scored_chunks")) if rows else None
        if along is not None:
            found.append((entry, way, along))
    return found


def divergence_by_position(rows: MetricResult, chunks: MetricResult | None = None) -> Along | None:
    """The mean over chunks at each scored position; None where the rows do not add up.

    Without `chunks` all were scored alike, as the parameters say.
    """
    samples = rows.attempts[0].samples if rows.attempts else ()
    positions = _positions(rows, chunks)
    if positions is None or not samples or TOKEN_DIVERGENCE.count(samples) != len(positions):
        return None
    divergence = TOKEN_DIVERGENCE.by_name(np.asarray(samples, dtype=np.float64))["kld"]
    found, place, counts = np.unique(positions, return_inverse=True, return_counts=True)
    return Along(found.astype(np.float64), np.bincount(place, weights=divergence) / counts, counts.astype(np.float64))


def _positions(rows: MetricResult, chunks: MetricResult | None) -> npt.NDArray[np.int64] | None:
    """The position in its chunk of every row of tokens."""
    count = TOKEN_DIVERGENCE.count(rows.attempts[0].samples) if rows.attempts else 0
    if chunks is not None and chunks.attempts:
        samples = chunks.attempts[0].samples
        told = np.asarray(samples, dtype=np.float64)
        if not samples or not SCORED_CHUNKS.fits(samples, SCORED_CHUNKS.row_length) or not np.isfinite(told).all():
            return None
        columns = SCORED_CHUNKS.by_name(told.astype(np.int64))
        firsts, scored = columns["first"], columns["scored"]
    else:
        first, each = rows.parameters.get("scored_from", 0), rows.parameters.get("scored")
        if not isinstance(first, int | float) or not isinstance(each, int | float) or each < 1 or count % int(each):
            return None
        firsts, scored = np.full((2, count // int(each)), [[int(first)], [int(each)]])
    if scored.min(initial=1) < 1 or scored.sum() != count:
        return None
    starts = np.cumsum(scored) - scored
    return np.arange(count) - np.repeat(starts - firsts, scored)


def _averaged(along: Along) -> tuple[tuple[float, ...], tuple[float, ...], int]:
    """Positions, means over neighbours, and how many neighbours; what a logarithmic axis cannot hold is left out."""
    width = -(-len(along.means) // _MOST_POINTS)
    points = []
    for start in range(0, len(along.means), width):
        near = slice(start, start + width)
        value = float(np.average(along.means[near], weights=along.chunks[near]))
        points.append((float(along.positions[near].mean()), value))
    kept = [(position, value) for position, value in points if np.isfinite(value) and value > 0]
    return tuple(position for position, _ in kept), tuple(value for _, value in kept), width


def _class_bars(entries: Described, colours: Colours) -> Iterator[ClassBars]:
    panels, same, cut = [], [], False
    for entry, _ in entries:
        changes = [
            (metric.parameters["label"], metric.estimate.value * 100)
            for metric in entry.result.metrics
            if metric.name == "class_accuracy_change"
            and metric.estimate.value is not None
            and "label" in metric.parameters
        ]
        if not any(change for _, change in changes):
            same += [entry.who] if changes else []
            continue
        if len(changes) > _MOST_CLASSES:
            cut = True
            changes = sorted(changes, key=lambda each: each[1])[:_MOST_CLASSES]
        panels.append(
            ClassPanel(
                label=entry.who,
                colour=colours.get(entry.artefact, 0),
                classes=tuple(f"{label:g}" if isinstance(label, float) else name_text(label) for label, _ in changes),
                changes=tuple(change for _, change in changes),
            )
        )
    if not panels:
        return
    note = "Below 0: answers of the class that the reference had right and the variant has not, less those it gained."
    note += f" The {_MOST_CLASSES} classes that lost most." if cut else ""
    note += f" Without a panel, no class changed: {', '.join(same)}." if same else ""
    note += f" The first {_MOST_PANELS} rows of {len(panels)}." if len(panels) > _MOST_PANELS else ""
    yield ClassBars(
        title="Accuracy change by class", unit="percentage points", note=note, panels=tuple(panels[:_MOST_PANELS])
    )
