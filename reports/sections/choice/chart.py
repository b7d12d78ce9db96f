"""The figure of a choice: candidates by size and speed, and the edge of what they reach."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reports.figures.canvas import GRID, INK, canvas
from reports.figures.figure import Figure, Legend

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

_UNKNOWN = "#8a8f98"
#: Of the colour map, its pale end left out: yellow on white cannot be seen.
_DARKEST, _PALEST = 0.05, 0.85
_HEIGHT, _LEFT, _BOTTOM = 3.8, 0.1, 0.6


@dataclass(frozen=True, kw_only=True)
class FrontPoint:
    """A candidate. `x` and `y` are (value, low, high); `loss` is 0 to 1 among the shown, None where it is unknown."""

    number: int
    label: str
    x: tuple[float, float, float]
    y: tuple[float, float, float]
    loss: float | None
    dominated: bool
    recommended: bool
    in_front: bool  # no other point of the figure is better in one and not worse in the other


@dataclass(frozen=True, kw_only=True)
class Front(Figure):
    """Candidates by two objectives, with the edge of what they reach; `higher`: more of `y` is better."""

    x_title: str
    y_title: str
    higher: bool
    points: tuple[FrontPoint, ...]

    def legend(self) -> Legend:
        """A point's colour, its number and who it is."""
        return [(_colour(point), f"{point.number}: {point.label}") for point in self.points]

    def draw(self) -> Drawing:
        """Numbered points with their intervals; names stand in the legend, where they have room."""
        drawing = canvas(_HEIGHT)
        axes = drawing.add_axes((_LEFT, _BOTTOM / _HEIGHT, 0.97 - _LEFT, (_HEIGHT - _BOTTOM - 0.4) / _HEIGHT))
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(length=0)
        axes.set_axisbelow(True)
        axes.grid(color=GRID, linewidth=0.8)
        axes.margins(0.08, 0.14)
        line = sorted((point for point in self.points if point.in_front), key=lambda point: point.x[0])
        for point in self.points:
            alpha = 0.35 if point.dominated else 1.0
            axes.errorbar(
                point.x[0],
                point.y[0],
                xerr=_lengths(point.x),
                yerr=_lengths(point.y),
                fmt="o",
                color=_colour(point),
                markersize=7,
                elinewidth=1.2,
                alpha=alpha,
            )
            if point.recommended:
                axes.plot(
                    point.x[0],
                    point.y[0],
                    "o",
                    markersize=13,
                    markerfacecolor="none",
                    markeredgecolor=INK,
                    linewidth=1.2,
                )
        for points, offset in _near(self):
            axes.annotate(
                ", ".join(str(point.number) for point in points),
                (points[0].x[0], points[0].y[0]),
                (offset, 7),
                textcoords="offset points",
                fontsize=9,
                color=INK,
                fontweight="bold" if any(point.recommended for point in points) else "normal",
            )
        axes.set_xlabel(self.x_title, loc="left")
        axes.set_title(self.y_title, loc="left", fontsize=9, color=INK)
        axes.set_ylim(bottom=0)
        axes.set_xlim(left=0)
        if line:
            start, end = axes.get_ylim()[0 if self.higher else 1], axes.get_xlim()[1]
            axes.plot(
                [line[0].x[0], *(point.x[0] for point in line), end],
                [start, *(point.y[0] for point in line), line[-1].y[0]],
                drawstyle="steps-post",
                color=INK,
                linewidth=1,
                alpha=0.5,
                zorder=1,
            )
        return drawing


def _near(figure: Front) -> list[tuple[list[FrontPoint], int]]:
    """Points that lie on each other share one label."""
    widest = max(point.x[0] for point in figure.points) or 1.0
    highest = max(abs(point.y[0]) for point in figure.points) or 1.0
    groups: list[list[FrontPoint]] = []
    for point in figure.points:
        for group in groups:
            first = group[0]
            if abs(first.x[0] - point.x[0]) < 0.025 * widest and abs(first.y[0] - point.y[0]) < 0.05 * highest:
                group.append(point)
                break
        else:
            groups.append([point])
    return [(group, 6) for group in groups]


def _lengths(place: tuple[float, float, float]) -> list[list[float]]:
    value, low, high = place
    return [[value - low], [high - value]]


def _colour(point: FrontPoint) -> str:
    if point.loss is None:
        return _UNKNOWN
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    return to_hex(colormaps["viridis"](_DARKEST + (_PALEST - _DARKEST) * point.loss))
