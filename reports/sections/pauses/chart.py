"""Speed against the pause before a request, as curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reports.figures.canvas import INK, canvas, colour_of, plain, short
from reports.figures.figure import Ends, Figure, Legend

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing


_LEFT = 0.09


@dataclass(frozen=True, kw_only=True)
class PauseCurve:
    """One row: for each pause that it has (number of the pause, value with interval)."""

    label: str
    colour: int
    points: tuple[tuple[int, Ends], ...]


@dataclass(frozen=True, kw_only=True)
class PausePanel:
    """One metric under one configuration."""

    title: str
    curves: tuple[PauseCurve, ...]
    highest: float  # of all panels of the metric, so that they compare by eye


@dataclass(frozen=True, kw_only=True)
class PauseCurves(Figure):
    """Speed against the pause before a request; the pauses are categories, since one of them is none."""

    pauses: tuple[str, ...]
    panels: tuple[PausePanel, ...]

    def legend(self) -> Legend:
        """A colour, and the variants that have it: one a panel."""
        names: dict[str, dict[str, None]] = {}
        for panel in self.panels:
            for curve in panel.curves:
                names.setdefault(colour_of(curve.colour), {})[curve.label] = None
        return [(colour, ", ".join(labels)) for colour, labels in names.items()]

    def draw(self) -> Drawing:
        """Panels from top to bottom; in a panel one curve a variant, the pauses side by side as categories."""
        tall, gap = 1.5, 0.55
        height = (tall + gap) * len(self.panels) + 0.25
        drawing = canvas(height)
        for number, panel in enumerate(self.panels):
            bottom = height - (tall + gap) * number - tall - 0.25
            axes = drawing.add_axes((_LEFT, bottom / height, 0.975 - _LEFT, tall / height))
            plain(axes)
            axes.set_xlim(-0.4, len(self.pauses) - 0.6)
            axes.set_ylim(0, panel.highest * 1.1 if panel.highest > 0 else 1)
            axes.locator_params(axis="y", nbins=4)
            axes.set_xticks(range(len(self.pauses)), self.pauses)
            for at, curve in enumerate(panel.curves):
                _curve(axes, curve.points, colour_of(curve.colour), _beside(at, len(panel.curves)))
            axes.set_title(short(panel.title), loc="left", fontsize=9, color=INK)
            if number == len(self.panels) - 1:
                axes.set_xlabel("pause before the request", loc="left")
        return drawing


def _beside(number: int, count: int) -> float:
    """Curves stand a little beside each other, so that their whiskers do not cover one another."""
    return (number - (count - 1) / 2) * min(0.04, 0.3 / max(1, count))


def _curve(axes: Axes, points: Sequence[tuple[int, Ends]], colour: str, shift: float) -> None:
    places = [at + shift for at, _ in points]
    values = [ends[0] for _, ends in points]
    lengths = [[ends[0] - ends[1] for _, ends in points], [ends[2] - ends[0] for _, ends in points]]
    axes.errorbar(places, values, yerr=lengths, color=colour, linewidth=1.3, marker="o", markersize=4, capsize=3)
