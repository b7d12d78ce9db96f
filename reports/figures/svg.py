"""Figures -> inline SVG, with matplotlib and without pyplot's global state.

An SVG made here can stand beside others on one page and is the same for the same data: its ids carry a prefix, it has
no date, no style sheet or style that a page's policy would refuse, and no address of anything. Its text stays text, in
the reader's own font, and its ink is the page's own, in the dark too. matplotlib takes longest to import, so it is
imported when the first figure is drawn.
"""

from __future__ import annotations

import io
import re
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from reports.figures.canvas import BAD, GOOD, GRID, INK, QUIET, TEXT
from reports.figures.figure import Figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing


_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "benchharness",
    "text.parse_math": False,  # a name such as "a$b$" is no formula
    "font.family": ["sans-serif"],
    # DejaVu comes with matplotlib, so the layout is the same everywhere; it is wider than most fonts of readers.
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": TEXT,
    "axes.edgecolor": GRID,
    "axes.labelcolor": QUIET,
    "axes.unicode_minus": True,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "text.color": INK,
    "path.simplify": False,  # dots are strokes of no length
}
#: The class of what has a colour of the page; ink has the colour of what is written around the figure.
_CLASSES = {QUIET: "quiet", GRID: "grid", GOOD: "better", BAD: "worse"}
#: Properties that an element may have as attributes of its own. The others are matplotlib's defaults, or its fonts.
_PROPERTIES = frozenset(
    (
        "fill",
        "fill-opacity",
        "stroke",
        "stroke-opacity",
        "stroke-width",
        "stroke-dasharray",
        "stroke-linecap",
        "opacity",
        "text-anchor",
        "clip-path",
    )
)
_DEFAULTS = {"stroke-linecap": "butt", "text-anchor": "start", "opacity": "1"}
_NUMBER = re.compile(r"-?\d+\.\d+(?:e-?\d+)?")
_STEP = re.compile(r"([MLQCz])\s*([^MLQCz]*)")


def svg(figure: Figure, name: str) -> str:
    """One figure as an `<svg>` element. `name` is unique on the page and prefixes every id in it."""
    import matplotlib

    with matplotlib.rc_context(_SETTINGS), warnings.catch_warnings():
        # A name may be in a script that the layout font lacks; the reader's own font will have it.
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        return _inline(figure.draw(), name, figure)


def _inline(drawing: Drawing, name: str, figure: Figure) -> str:
    written = io.StringIO()
    drawing.savefig(written, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = written.getvalue()
    root = ET.fromstring(text)  # noqa: S314 - matplotlib wrote it just now
    used = set(re.findall(r'(?:href="|url\()#([^")]+)', text))
    drawn = ET.Element(
        "svg",
        {
            "id": name,
            "viewBox": root.attrib["viewBox"],
            "role": "img",
            "aria-labelledby": f"{name}-title {name}-desc",
            "fill": "currentColor",
            "font-size": f"{TEXT:g}",
        },
    )
    for tag, told in (("title", figure.title), ("desc", figure.description)):
        ET.SubElement(drawn, tag, {"id": f"{name}-{tag}"}).text = told
    drawn.extend(_kept(root, name, used))
    return ET.tostring(drawn, encoding="unicode", short_empty_elements=True)


def _kept(parent: ET.Element, name: str, used: set[str]) -> Iterator[ET.Element]:
    """What can be seen or is used, without the groups that only name things."""
    for child in parent:
        tag = _local(child.tag)
        if tag in {"metadata", "style"}:  # names web addresses; would apply to the whole page
            continue
        attributes = dict(_attributes(child, name, used))
        inside = list(_kept(child, name, used))
        if tag in {"g", "defs"} and (not inside or not attributes) and not (tag == "defs" and inside):
            yield from inside
            continue
        if tag == "path" and "id" not in attributes and attributes.get("fill") == "none" and "stroke" not in attributes:
            continue
        kept = ET.Element(tag, attributes)
        kept.text = child.text if tag == "text" else None
        kept.extend(inside)
        yield kept


def _attributes(element: ET.Element, name: str, used: set[str]) -> Iterator[tuple[str, str]]:
    """Ids and references to them with the figure's own prefix; style as attributes; numbers without needless digits."""
    for long, value in element.attrib.items():
        key = _local(long)
        if key == "id":
            if value in used:
                yield "id", f"{name}-{value}"
        elif key == "style":
            yield from _properties(value, name, text=_local(element.tag) == "text")
        elif key == "href":
            yield key, f"#{name}-{value.removeprefix('#')}"
        elif key == "d":
            yield key, path_text(value)
        elif not value.startswith("rotate(-0 "):
            yield key, _NUMBER.sub(_rounded, value.replace("url(#", f"url(#{name}-"))


def _properties(style: str, name: str, *, text: bool) -> Iterator[tuple[str, str]]:
    """A style's properties as attributes; the page's own colours as classes."""
    told = dict(each.split(":", 1) for each in style.split(";") if ":" in each)
    properties = {key.strip(): value.strip() for key, value in told.items()}
    classes = []
    for key, value in properties.items():
        if key not in _PROPERTIES or _DEFAULTS.get(key) == value:
            continue
        if value in _CLASSES:
            classes.append(_CLASSES[value])
        if value in _CLASSES or value == INK:
            if not text:  # which has it from the whole
                yield key, "currentColor"
        else:
            yield key, _NUMBER.sub(_rounded, value.replace("url(#", f"url(#{name}-"))
    if classes:
        yield "class", classes[0]


def path_text(path: str) -> str:
    """The same path in tenths of a unit and in as few characters as SVG needs."""
    found: list[str] = []
    x = y = drawn = ""
    for command, numbers in _STEP.findall(path):
        told = [_rounded(each) for each in re.findall(r"[-\d.e]+", numbers)]
        if command == "L":
            step, drawn = _line(x, y, told[0], told[1], drawn)
            found.append(step)
        else:
            found.append(f"{command}{' '.join(told)}")
            drawn = command
        x, y = told[-2:] if told else (x, y)
    return "".join(found)


def _line(x: str, y: str, to_x: str, to_y: str, before: str) -> tuple[str, str]:
    """A line as short as it can be written after what was `before`, and what it is written as."""
    if y == to_y:
        return ("h0" if x == to_x else f"H{to_x}"), "H"
    if x == to_x:
        return f"V{to_y}", "V"
    return f"{' ' if before == 'L' else 'L'}{to_x} {to_y}", "L"


def _rounded(number: str | re.Match[str]) -> str:
    text = f"{float(number if isinstance(number, str) else number[0]):.1f}"
    return text.removesuffix(".0") if text != "-0.0" else "0"


def _local(tag: str) -> str:
    """A name without its namespace: inside HTML the parser knows what `svg` is."""
    return tag.rpartition("}")[2]
