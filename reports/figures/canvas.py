"""What the figures share: colours, a drawing without pyplot, axes over the whole width, and labels over rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing


#: Okabe and Ito's colours, which colour-blind readers can tell apart; the yellow is left out, too pale on white.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#444444")
#: A start's phases follow each other, so their colours go from dark to light.
PHASE_COLOURS = ("#1b3a57", "#33658a", "#75a4c4", "#f0a35e", "#c8d5df", "#8a8f98")
INK, QUIET, GRID = "#222a33", "#5b6570", "#dfe3e8"
_WIDTH = 7.2  # inches; 72 units of the SVG each
_LABEL_CHARACTERS = 90


def canvas(height: float) -> Drawing:
    """A drawing of the page's width, `height` inches high."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure as Drawing

    drawing = Drawing(figsize=(_WIDTH, height))
    FigureCanvasSVG(drawing)
    return drawing


def axes_of(drawing: Drawing, *, bottom: float, height: float, left: float = 0.02) -> Axes:
    """Axes over the whole width but for `left`, `height` inches high and `bottom` inches above the lower edge."""
    total = drawing.get_figheight()
    axes = drawing.add_axes((left, bottom / total, 0.975 - left, height / total))
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(length=0)
    axes.set_axisbelow(True)
    axes.grid(axis="x", color=GRID, linewidth=0.8)
    return axes


def label(axes: Axes, at: float, text: str) -> None:
    """A row's label, over the row and not beside it: names are long, and screens narrow."""
    axes.annotate(short(text), (0, at), xycoords=("axes fraction", "data"), va="center", fontsize=9, color=INK)


def short(text: str) -> str:
    """A text that fits over a row, cut in the middle."""
    if len(text) <= _LABEL_CHARACTERS:
        return text
    kept = _LABEL_CHARACTERS // 2
    return f"{text[:kept]}…{text[-kept:]}"


def colour_of(number: int) -> str:
    """The colour of a variant."""
    return COLOURS[number % len(COLOURS)]


def phase_colour(number: int) -> str:
    """The colour of a phase."""
    return PHASE_COLOURS[number % len(PHASE_COLOURS)]


def plain(axes: Axes) -> None:
    """Axes with nothing but lines across for the values."""
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(length=0)
    axes.set_axisbelow(True)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
