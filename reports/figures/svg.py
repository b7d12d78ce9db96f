"""Figures -> inline SVG, with matplotlib and without pyplot's global state.

An SVG made here can stand beside others on one page and is the same for the same data: its ids carry a prefix, it has
no date, no style sheet that would leak into the page, and no address of anything. Its text stays text, in the reader's
own font. matplotlib takes longest to import, so it is imported when the first figure is drawn.
"""

from __future__ import annotations

import io
import warnings
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING, Any

from reports.figures.canvas import GRID, INK, QUIET
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
        return _inline(figure.draw(), name, figure.title)


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
