"""The bars as one HTML page that needs nothing else, the plots as images inside it; the figures as JSON beside it."""

from __future__ import annotations

import base64
import io
import json
import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.bars import Bar, Breakdown, Finding, Verdict
from benchmarks.table import in_words, interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Okabe and Ito's, which colour-blind readers can tell apart.
_COLOURS = {Verdict.PASS: "#009e73", Verdict.MISS: "#d55e00", Verdict.UNDECIDED: "#e69f00", None: "#5b6570"}
_PARTS = ("#1b3a57", "#33658a", "#75a4c4", "#f0a35e", "#cc79a7", "#c8d5df", "#8a8f98", "#444444")
_ACCEPTED, _INK = "#e3f2ec", "#222a33"
_WIDTH = 8.0  # inches
#: An interval that reaches further than this factor beyond all rounds is cut off.
_WIDEST = 1.3
_ROW = 0.42  # inches a finding or a breakdown takes

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222a33; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; font-size: 13px; width: 100% }
td, th { text-align: left; padding: .25rem .6rem .25rem 0; border-bottom: 1px solid #dfe3e8; vertical-align: top }
img { max-width: 100%; margin: .8rem 0 } h2 { margin-top: 2.2rem } .quiet { color: #5b6570; font-size: 13px }
.pass { color: #00775a } .miss { color: #b34700 } .undecided { color: #8a5f00 }
"""


def write_page(bars: Sequence[Bar], path: Path) -> Path:
    """Writes the page and the figures behind it, `NAME.json`; the page's path. Folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".json").write_text(json.dumps([_figures(bar) for bar in bars], indent=1), encoding="utf-8")
    written = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    body = "".join(_section(bar) for bar in bars)
    path.write_text(
        "<!doctype html><html lang='en'><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>benchharness: benchmarks</title><style>{_STYLE}</style>"
        f"<h1>benchharness: benchmarks</h1><p class='quiet'>{written}, {escape(platform.system())} "
        f"{escape(platform.machine())}, Python {platform.python_version()}</p>"
        f"<p>A dot is a round, a line the 95 % interval, the shaded region what the bar accepts.</p>{body}</html>",
        encoding="utf-8",
    )
    return path


def _figures(bar: Bar) -> dict[str, Any]:
    """A bar as plain data, every round of it."""
    findings = [
        {
            "label": finding.label,
            "ratio": asdict(finding.ratio),
            "per_round": list(finding.per_round),
            "figures": finding.absolute,
            "asked": finding.criterion and finding.criterion.says,
            "verdict": finding.verdict,
        }
        for finding in bar.findings
    ]
    return {
        "name": bar.name,
        "claim": bar.claim,
        "verdict": bar.verdict,
        "conditions": list(bar.conditions),
        "load": list(bar.load),
        "findings": findings,
        "breakdowns": [asdict(breakdown) for breakdown in bar.breakdowns],
    }


def _section(bar: Bar) -> str:
    conditions = "; ".join(bar.conditions)
    load = f"load {bar.load[0]:.2f} before, {bar.load[1]:.2f} after"
    rows = "".join(_row(finding) for finding in bar.findings)
    drawn = _image(f"{bar.name}: ratios", len(bar.findings), lambda axes: _draw_ratios(axes, bar.findings))
    if bar.breakdowns:
        words = "".join(f"<li>{escape(each.label)}: {escape(in_words(each))}</li>" for each in bar.breakdowns)
        drawn += _image(
            f"{bar.name}: where time goes",
            len(bar.breakdowns) + 1.5,
            lambda axes: _draw_breakdowns(axes, bar.breakdowns),
        )
        drawn += f"<ul class='quiet'>{words}</ul>"
    return (
        f"<h2>{escape(bar.name)}: <span class='{bar.verdict}'>{bar.verdict}</span></h2><p>{escape(bar.claim)}</p>"
        f"<p class='quiet'>{escape(conditions)}; {load}</p>"
        "<table><tr><th>what<th>ratio<th>95 % interval<th>rounds<th>asked<th>verdict<th>figures</tr>"
        f"{rows}</table>{drawn}"
    )


def _row(finding: Finding) -> str:
    value = "–" if finding.ratio.value is None else f"{finding.ratio.value:.3f}"
    asked = "control" if finding.criterion is None else finding.criterion.says
    verdict = finding.verdict or ""
    cells = (finding.label, value, interval(finding.ratio), str(len(finding.per_round)), asked)
    written = "".join(f"<td>{escape(cell)}" for cell in cells)
    return f"<tr>{written}<td class='{verdict}'>{verdict}<td>{escape(finding.absolute)}</tr>"


def _image(title: str, rows: float, draw: Callable[[Axes], None]) -> str:
    """An SVG as an image of its own, so that nothing in it meets the page's names."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": title, "font.size": 9, "text.color": _INK}):
        figure = Figure(figsize=(_WIDTH, _ROW * rows + 0.8), layout="constrained")
        axes = figure.add_subplot()
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(length=0)
        draw(axes)
        written = io.BytesIO()
        figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None})
    encoded = base64.b64encode(written.getvalue()).decode()
    return f"<img alt='{escape(title)}' src='data:image/svg+xml;base64,{encoded}'>"


def _draw_ratios(axes: Axes, findings: Sequence[Finding]) -> None:
    """A row a finding: its accepted region, its rounds as dots, its interval as a line with the value on it."""
    axes.set_yticks(range(len(findings)), [finding.label for finding in findings])
    axes.set_ylim(len(findings) - 0.5, -0.5)
    axes.axvline(1, color=_INK, linewidth=0.8)
    low, high = _limits(findings)
    axes.set_xlim(low, high)
    axes.set_xlabel("ratio")
    for row, finding in enumerate(findings):
        colour = _COLOURS[finding.verdict]
        if finding.criterion is not None:
            left, right = finding.criterion.low or low, finding.criterion.high or high
            axes.barh(row, right - left, left=left, height=0.9, color=_ACCEPTED, zorder=0)
        axes.plot(finding.per_round, [row + 0.22] * len(finding.per_round), "o", color=colour, markersize=3, alpha=0.5)
        ratio = finding.ratio
        if ratio.value is not None and ratio.low is not None and ratio.high is not None:
            axes.plot([ratio.low, ratio.high], [row - 0.12] * 2, color=colour, linewidth=2)
            axes.plot([ratio.value], [row - 0.12], "D", color=colour, markersize=5)


def _limits(findings: Sequence[Finding]) -> tuple[float, float]:
    """The axis' ends: every round and accepted region is inside, and intervals unless they are very wide."""
    shown = [1.0, *(ratio for finding in findings for ratio in finding.per_round)]
    for finding in findings:
        if finding.criterion is not None:
            shown += [end for end in (finding.criterion.low, finding.criterion.high) if end is not None]
    widest = min(shown) / _WIDEST, max(shown) * _WIDEST
    for finding in findings:
        ends = (finding.ratio.low, finding.ratio.high)
        shown += [min(max(end, widest[0]), widest[1]) for end in ends if end is not None]
    margin = 0.05 * (max(shown) - min(shown)) + 0.002
    return min(shown) - margin, max(shown) + margin


def _draw_breakdowns(axes: Axes, breakdowns: Sequence[Breakdown]) -> None:
    """A bar a breakdown; a part keeps its colour in all of them."""
    parts = list(dict.fromkeys(part for each in breakdowns for part in each.parts_s))
    axes.set_yticks(range(len(breakdowns)), [each.label for each in breakdowns])
    axes.set_ylim(len(breakdowns) - 0.5, -0.5)
    starts = [0.0] * len(breakdowns)
    for number, part in enumerate(parts):
        lengths = [each.parts_s.get(part, 0.0) for each in breakdowns]
        colour = _PARTS[number % len(_PARTS)]
        axes.barh(range(len(breakdowns)), lengths, left=starts, height=0.6, color=colour, label=part)
        starts = [start + length for start, length in zip(starts, lengths, strict=True)]
    axes.set_xlabel("seconds")
    axes.legend(loc="upper center", bbox_to_anchor=(0.4, -0.22), ncols=3, frameon=False)
