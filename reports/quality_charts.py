"""Figures of quality: divergence along the context, and what each class lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reports.canvas import GRID, INK, canvas, colour_of, short
from reports.figures import ClassBars, PositionCurves

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

_LEFT, _PANEL, _GAP = 0.1, 1.6, 0.6


def legend(figure: PositionCurves) -> list[tuple[str, str]]:
    """A colour, and the variants that have it: one a panel."""
    names: dict[str, dict[str, None]] = {}
    for panel in figure.panels:
        for curve in panel.curves:
            names.setdefault(colour_of(curve.colour), {})[curve.label] = None
    return [(colour, ", ".join(labels)) for colour, labels in names.items()]


def position_curves(figure: PositionCurves) -> Drawing:
    """Panels from top to bottom, all on the same logarithmic axis."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    values = [value for panel in figure.panels for curve in panel.curves for value in curve.values]
    drawing, panels = _panels(len(figure.panels))
    for panel, axes in zip(figure.panels, panels, strict=True):
        axes.set_yscale("log")
        axes.set_ylim(min(values) / 1.6, max(values) * 1.6)
        narrow = max(values) < 30 * min(values)
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if narrow else (1,), numticks=6))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        for curve in panel.curves:
            alone = "o" if len(curve.position) == 1 else ""
            axes.plot(curve.position, curve.values, color=colour_of(curve.colour), linewidth=1.4, marker=alone)
        axes.set_title(f"{short(panel.label)} (KLD, {figure.unit}, logarithmic)", loc="left", fontsize=9, color=INK)
    panels[-1].set_xlabel("position in the context (tokens before it in its chunk)", loc="left")
    return drawing


def class_bars(figure: ClassBars) -> Drawing:
    """Panels from top to bottom, a bar a class, all on the same axis."""
    changes = [change for panel in figure.panels for change in panel.changes]
    room = max(1.0, *(abs(change) for change in changes)) * 0.12
    drawing, panels = _panels(len(figure.panels))
    for panel, axes in zip(figure.panels, panels, strict=True):
        axes.set_ylim(min(0.0, *changes) - room, max(0.0, *changes) + room)
        places = range(len(panel.classes))
        axes.bar(places, panel.changes, color=colour_of(panel.colour), width=0.7)
        axes.axhline(0, color=INK, linewidth=0.8)
        axes.set_xticks(list(places), [name[:12] for name in panel.classes], rotation=90 if len(places) > 15 else 0)
        axes.set_title(f"{short(panel.label)} ({figure.unit})", loc="left", fontsize=9, color=INK)
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
