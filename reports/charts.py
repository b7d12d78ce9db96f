"""Figures -> inline SVG, with matplotlib and without pyplot's global state.

An SVG made here can stand beside others on one page and is the same for the same data: its ids carry a prefix, it has
no date, no style sheet that would leak into the page, and no address of anything. Its text stays text, in the reader's
own font. matplotlib takes longest to import, so it is imported when the first figure is drawn.
"""

from __future__ import annotations

import io
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from reports import choice_charts, ladder_charts, memory_charts, quality_charts, ratio_charts, session_charts
from reports.canvas import GRID, INK, QUIET, axes_of, canvas, colour_of, label, phase_colour, short
from reports.figures import (
    ClassBars,
    CurvePanel,
    Distribution,
    Figure,
    Front,
    MemoryBars,
    MemoryLines,
    PhaseBars,
    PositionCurves,
    Ratios,
    Strip,
    TokenCurves,
)
from reports.session_figures import LadderChart, PauseCurves, RateBars, SessionChart, SlowdownBars

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "benchharness",
    "text.parse_math": False,  # a name such as "a$b$" is no formula
    "font.family": ["sans-serif"],
    # DejaVu comes with matplotlib, so the layout is the same everywhere; it is wider than most fonts of readers.
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "axes.edgecolor": GRID,
    "axes.labelcolor": QUIET,
    "axes.unicode_minus": False,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "text.color": INK,
    "path.simplify": True,
}


def svg(figure: Figure, name: str) -> str:
    """One figure as an `<svg>` element. `name` is unique on the page and prefixes every id in it."""
    import matplotlib

    with matplotlib.rc_context(_SETTINGS), warnings.catch_warnings():
        # A name may be in a script that the layout font lacks; the reader's own font will have it.
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        return _inline(_draw(figure), name, figure.title)


def legend(figure: Figure) -> list[tuple[str, str]]:
    """(colour, label) for each thing that a colour of this figure stands for; none where labels stand in it."""
    makers: dict[type, Callable[[Any], list[tuple[str, str]]]] = {
        PhaseBars: _phases_legend,
        TokenCurves: _curves_legend,
        MemoryBars: memory_charts.bars_legend,
        Ratios: ratio_charts.legend,
        PositionCurves: quality_charts.legend,
        Front: choice_charts.legend,
        SessionChart: session_charts.session_legend,
        RateBars: session_charts.rates_legend,
        PauseCurves: session_charts.pauses_legend,
        LadderChart: ladder_charts.ladder_legend,
    }
    maker = makers.get(type(figure))
    return maker(figure) if maker else []


def _phases_legend(figure: PhaseBars) -> list[tuple[str, str]]:
    return [(phase_colour(number), phase) for number, phase in enumerate(figure.phases)]


def _curves_legend(figure: TokenCurves) -> list[tuple[str, str]]:
    curves = (curve for panel in figure.panels for curve in panel.curves)
    return list(dict.fromkeys((colour_of(curve.colour), curve.label) for curve in curves))


def description(figure: Figure) -> str:
    """The figure in words, for those who cannot see it."""
    return f"{figure.title}, in {figure.unit}. {figure.note}"


def _draw(figure: Figure) -> Drawing:
    makers: dict[type, Callable[[Any], Drawing]] = {
        Distribution: _distribution,
        TokenCurves: _token_curves,
        PhaseBars: _phase_bars,
        MemoryBars: memory_charts.bars,
        MemoryLines: memory_charts.lines,
        Ratios: ratio_charts.ratios,
        PositionCurves: quality_charts.position_curves,
        ClassBars: quality_charts.class_bars,
        Front: choice_charts.front,
        SessionChart: session_charts.session,
        RateBars: session_charts.rates,
        PauseCurves: session_charts.pauses,
        LadderChart: ladder_charts.ladder,
        SlowdownBars: ladder_charts.slowdown,
    }
    return makers[type(figure)](figure)


def _distribution(figure: Distribution) -> Drawing:
    """Strips from top to bottom, each under its label; in a strip, one lane an attempt."""
    heights = [0.34 + min(0.1 * len(strip.lanes), 1.6) for strip in figure.strips]
    drawing = canvas(sum(heights) + 0.55)
    axes = axes_of(drawing, bottom=0.5, height=sum(heights))
    axes.set_yticks([])
    axes.set_ylim(sum(heights), 0)
    if figure.logarithmic:
        axes.set_xscale("log")
        _plain_logarithms(axes)
    top = 0.0
    for strip, height in zip(figure.strips, heights, strict=True):
        label(axes, top + 0.15, strip.label)
        _lanes(axes, strip, top + 0.26, height - 0.34)
        top += height
    scale = ", logarithmic scale" if figure.logarithmic else ""
    axes.set_xlabel(f"{figure.title} ({figure.unit}{scale})", loc="left")
    return drawing


def _lanes(axes: Axes, strip: Strip, top: float, height: float) -> None:
    step = height / len(strip.lanes)
    colour = colour_of(strip.colour)
    for number, lane in enumerate(strip.lanes):
        middle = top + step * (number + 0.5)
        # Every other lane is paler, so that neighbours do not run into each other.
        alpha = 0.75 if number % 2 == 0 else 0.4
        axes.plot(
            lane.values, [middle] * len(lane.values), "o", color=colour, markersize=2.6, markeredgewidth=0, alpha=alpha
        )
        axes.plot([lane.middle] * 2, [middle - step * 0.45, middle + step * 0.45], color=INK, linewidth=1.3)


def _plain_logarithms(axes: Axes) -> None:
    """Ticks at 1, 2 and 5 written as plain numbers: few readers think in powers of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _token_curves(figure: TokenCurves) -> Drawing:
    """Panels from top to bottom on the same axes, so that they compare by eye."""
    panel, gap = 1.75, 0.55
    height = (panel + gap) * len(figure.panels) + 0.15
    drawing = canvas(height)
    highest = max(max(curve.high) for each in figure.panels for curve in each.curves)
    for number, each in enumerate(figure.panels):
        bottom = height - (panel + gap) * number - panel - 0.25
        axes = _panel_axes(drawing, bottom, panel, highest)
        _curves(axes, each)
        axes.set_title(f"{short(each.label)} (ITL, {figure.unit})", loc="left", fontsize=9, color=INK)
        if number == len(figure.panels) - 1:
            axes.set_xlabel("token of the answer (the first gap ends with token 2)", loc="left")
    return drawing


def _panel_axes(drawing: Drawing, bottom: float, height: float, highest: float) -> Axes:
    from matplotlib.ticker import MaxNLocator

    total = drawing.get_figheight()
    axes = drawing.add_axes((0.075, bottom / total, 0.9, height / total))
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(length=0)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylim(0, highest * 1.05 if highest > 0 else 1)
    return axes


def _curves(axes: Axes, panel: CurvePanel) -> None:
    for curve in panel.curves:
        colour = colour_of(curve.colour)
        axes.fill_between(curve.index, curve.low, curve.high, color=colour, alpha=0.18, linewidth=0)
        axes.plot(curve.index, curve.middle, color=colour, linewidth=1.4, marker="o" if len(curve.index) == 1 else "")


def _phase_bars(figure: PhaseBars) -> Drawing:
    """Bars from top to bottom, each under its label, the whole written at its end."""
    step = 0.52
    height = step * len(figure.bars)
    drawing = canvas(height + 0.55)
    axes = axes_of(drawing, bottom=0.5, height=height)
    axes.set_yticks([])
    axes.set_ylim(len(figure.bars), 0)
    longest = max(sum(bar.segments) for bar in figure.bars)
    axes.set_xlim(0, longest * 1.13 if longest > 0 else 1)  # room for the total behind the longest bar
    for number, bar in enumerate(figure.bars):
        label(axes, number + 0.22, bar.label)
        start = 0.0
        for phase, length in enumerate(bar.segments):
            axes.barh(number + 0.65, length, height=0.4, left=start, color=phase_colour(phase))
            start += length
        axes.annotate(
            bar.total, (start, number + 0.65), (5, 0), textcoords="offset points", va="center", fontsize=9, color=INK
        )
    axes.set_xlabel(f"time since the process was started ({figure.unit})", loc="left")
    return drawing


def _inline(drawing: Drawing, name: str, title: str) -> str:
    written = io.StringIO()
    drawing.savefig(written, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    root = ET.fromstring(written.getvalue())  # noqa: S314 - matplotlib wrote it just now
    _drop_what_leaks(root)
    for element in root.iter():
        element.tag = _local(element.tag)
        element.attrib = {_local(key): _prefixed(key, value, name) for key, value in element.attrib.items()}
    root.attrib.update({"id": name, "role": "img", "aria-labelledby": f"{name}-title"})
    heading = ET.Element("title", {"id": f"{name}-title"})
    heading.text = title
    root.insert(0, heading)
    return ET.tostring(root, encoding="unicode", short_empty_elements=True)


def _drop_what_leaks(root: ET.Element) -> None:
    """Metadata names web addresses; a style sheet inside one SVG applies to the whole page."""
    for parent in list(root.iter()):
        for child in list(parent):
            if _local(child.tag) in {"metadata", "style"}:
                parent.remove(child)


def _local(tag: str) -> str:
    """A name without its namespace: inside HTML the parser knows what `svg` is."""
    return tag.rpartition("}")[2]


def _prefixed(key: str, value: str, name: str) -> str:
    """Ids and references to them with the figure's own prefix."""
    if _local(key) == "id":
        return f"{name}-{value}"
    if _local(key) == "href" and value.startswith("#"):
        return f"#{name}-{value[1:]}"
    return value.replace("url(#", f"url(#{name}-")
