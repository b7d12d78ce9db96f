"""The bars in the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchharness.results.result import Estimate
from benchmarks.bars import Bar, Breakdown, Finding, Verdict

_STYLES = {Verdict.PASS: "green", Verdict.MISS: "red", Verdict.UNDECIDED: "yellow"}
_WIDTH = 140


def print_bars(bars: Sequence[Bar]) -> None:
    """One table with all bars, then what went into them."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _WIDTH
    table = Table("bar", "ratio", "95 % interval", "rounds", "asked", "verdict", "figures")
    for bar in bars:
        table.add_row(f"[bold]{bar.name}[/bold]", "", "", "", "", _verdict(bar.verdict), bar.claim)
        for finding in bar.findings:
            _add(table, finding)
    console.print(table)
    for bar in bars:
        console.print(
            f"{bar.name}: load {bar.load[0]:.2f} before, {bar.load[1]:.2f} after; {'; '.join(bar.conditions)}"
        )
        for breakdown in bar.breakdowns:
            console.print(f"  {breakdown.label}: {in_words(breakdown)}")


def print_columns(heading: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table of words under a heading."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _WIDTH
    table = Table(*map(escape, heads), title=escape(heading), title_justify="left")
    for row in rows:
        table.add_row(*map(escape, row))
    console.print(table)


def interval(ratio: Estimate) -> str:
    """The interval in brackets with its half width, or why there is none."""
    if ratio.low is None or ratio.high is None or ratio.relative_half_width is None:
        return ratio.reason
    return f"[{ratio.low:.3f}, {ratio.high:.3f}] ± {ratio.relative_half_width:.1%}"


def in_words(breakdown: Breakdown) -> str:
    """Parts with their seconds, and the sum."""
    parts = ", ".join(f"{part} {seconds:.3f}" for part, seconds in breakdown.parts_s.items())
    return f"{parts}; together {sum(breakdown.parts_s.values()):.3f} s"


def _add(table: Table, finding: Finding) -> None:
    asked = "control" if finding.criterion is None else finding.criterion.says
    verdict = "" if finding.verdict is None else _verdict(finding.verdict)
    value = "–" if finding.ratio.value is None else f"{finding.ratio.value:.3f}"
    rounds = str(len(finding.per_round))
    table.add_row(
        f"  {finding.label}",
        value,
        interval(finding.ratio).replace("[", "\\["),
        rounds,
        asked,
        verdict,
        finding.absolute,
    )


def _verdict(verdict: Verdict) -> str:
    return f"[{_STYLES[verdict]}]{verdict}[/]"
