"""The figures of quality: divergence along the context, and what each class lost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reports.figures.canvas import GRID, INK, canvas, colour_of, short
from reports.figures.figure import Figure, Legend

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

_LEFT, _PANEL, _GAP = 0.1, 1.6, 0.6


@dataclass(frozen=True, kw_only=True)
class PositionCurve:
    """The mean divergence of one variant along the context."""

    label: str
    colour: int
    position: tuple[float, ...]
    values: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class PositionPanel:
    """The variants of one configuration."""

    label: str
    curves: tuple[PositionCurve, ...]


@dataclass(frozen=True, kw_only=True)
class PositionCurves(Figure):
    """Divergence from the reference along the context, on a logarithmic axis, one panel a configuration."""

    panels: tuple[PositionPanel, ...]

    def legend(self) -> Legend:
        """A colour, and the variants that have it: one a panel."""
        names: dict[str, dict[str, None]] = {}
        for panel in self.panels:
            for curve in panel.curves:
                names.setdefault(colour_of(curve.colour), {})[curve.label] = None
        return [(colour, ", ".join(labels)) for colour, labels in names.items()]

    def draw(self) -> Drawing:
        """Panels from top to bottom, all on the same logarithmic axis."""
        from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

        values = [value for panel in self.panels for curve in panel.curves for value in curve.values]
        drawing, panels = _panels(len(self.panels))
        for panel, axes in zip(self.panels, panels, strict=True):
            axes.set_yscale("log")
            axes.set_ylim(min(values) / 1.6, max(values) * 1.6)
            narrow = max(values) < 30 * min(values)
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if narrow else (1,), numticks=6))
            axes.yaxis.set_minor_locator(NullLocator())
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            for curve in panel.curves:
                alone = "o" if len(curve.position) == 1 else ""
                axes.plot(curve.position, curve.values, color=colour_of(curve.colour), linewidth=1.4, marker=alone)
            axes.set_title(f"{short(panel.label)} (KLD, {self.unit}, logarithmic)", loc="left", fontsize=9, color=INK)
        panels[-1].set_xlabel("position in the context (tokens before it in its chunk)", loc="left")
        return drawing


@dataclass(frozen=True, kw_only=True)
class ClassPanel:
    """What one row gained (above 0) or lost in each class."""

    label: str
    colour: int
    classes: tuple[str, ...]
    changes: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class ClassBars(Figure):
    """Accuracy change by class, one panel a row, all on the same axes."""

    panels: tuple[ClassPanel, ...]

    def draw(self) -> Drawing:
        """Panels from top to bottom, a bar a class, all on the same axis."""
        changes = [change for panel in self.panels for change in panel.changes]
        room = max(1.0, *(abs(change) for change in changes)) * 0.12
        drawing, panels = _panels(len(self.panels))
        for panel, axes in zip(self.panels, panels, strict=True):
            axes.set_ylim(min(0.0, *changes) - room, max(0.0, *changes) + room)
            places = range(len(panel.classes))
            axes.bar(places, panel.changes, color=colour_of(panel.colour), width=0.7)
            axes.axhline(0, color=INK, linewidth=0.8)
            axes.set_xticks(list(places), [name[:12] for name in panel.classes], rotation=90 if len(places) > 15 else 0)
            axes.set_title(f"{short(panel.label)} ({self.unit})", loc="left", fontsize=9, color=INK)
        panels[-1].set_xlabel("class", loc="left")
        return drawing


def _panels(count: int) -> tuple[Drawing, list[Axes]]:
    height = (_PANEL + _GAP) * count + 0.3
    drawing = canvas(height)
    found = []
    for number in range(count):
        bottom = height - (_PANEL + _GAP) * number - _PANEL - 0.25
        axes = drawing.add_axes((_LEFT, bottom / height, 0.98 - _LEFT, _PANEL / height))
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(length=0)
        axes.set_axisbelow(True)
        axes.grid(axis="y", color=GRID, linewidth=0.8)
        found.append(axes)
    return drawing, found
