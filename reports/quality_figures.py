"""Raw rows of quality results -> what their figures draw."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from benchharness.result import MetricResult
from reports.entries import Colours, Entry, configuration_name
from reports.figures import ClassBars, ClassPanel, Figure, PositionCurve, PositionCurves, PositionPanel
from reports.visible import name_text

#: A single position is the mean of a few chunks only, and jumps.
_MOST_POINTS = 32
_MOST_CLASSES, _MOST_PANELS = 30, 12
_ROW, _DIVERGENCE = 4, 2
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
    floor = _TOO_SMALL * max((float(means.max()) for _, _, _, means in measured), default=0.0)
    for entry, way, first, means in measured:
        positions, values, width = _averaged(first, means)
        widest = max(widest, width)
        if max(values, default=0.0) <= floor:
            left_out.append(entry.who)
            continue
        parts = (configuration_name(entry.result.job.configuration), way, entry.run)
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


def _measured(entries: Described) -> list[tuple[Entry, str, int, Floats]]:
    """Each entry that has rows by token: how it was evaluated, the first position, and the mean KLD from there."""
    return [
        (entry, way, *curve)
        for entry, way in entries
        for metric in entry.result.metrics
        if metric.name == "token_divergence" and (curve := divergence_by_position(metric))
    ]


def divergence_by_position(metric: MetricResult) -> tuple[int, Floats] | None:
    """The first scored position and the mean KLD over chunks from there; None where the rows do not add up."""
    scored, first = metric.parameters.get("scored"), metric.parameters.get("scored_from", 0)
    if not metric.attempts or not isinstance(scored, int | float) or not isinstance(first, int | float):
        return None
    samples = metric.attempts[0].samples
    length = int(scored) * _ROW
    if length < 1 or not samples or len(samples) % length:
        return None
    chunks = np.asarray(samples, dtype=np.float64).reshape(-1, int(scored), _ROW)
    return int(first), chunks[..., _DIVERGENCE].mean(axis=0)


def _averaged(first: int, means: Floats) -> tuple[tuple[float, ...], tuple[float, ...], int]:
    """Positions, means over neighbours, and how many neighbours; what a logarithmic axis cannot hold is left out."""
    width = -(-len(means) // _MOST_POINTS)
    points = [
        (first + start + (len(part) - 1) / 2, float(part.mean()))
        for start in range(0, len(means), width)
        if len(part := means[start : start + width])
    ]
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
