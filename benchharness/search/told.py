"""What an oracle's answer is in words: a line for each budget, and what became of the measuring."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from benchharness.judge.hopeless import DRIFT
from benchharness.metrics import METRICS
from benchharness.results.result import VerdictKind
from benchharness.terminal.values import estimated, interval, one_line
from benchharness.units import percent_text

if TYPE_CHECKING:
    from benchharness.search.measured import Margin, Measured

#: A margin from this share of its limit on has no decimals.
_ROUND_SHARE = 0.1
#: What a machine may drift by without that counting against an artefact: beyond it nothing is claimed.
_DRIFT = percent_text(DRIFT)
_MARKS = {VerdictKind.PASS: "✓", VerdictKind.MISS: "✗", VerdictKind.UNDECIDED: "?"}


def told(measured: Measured) -> str:
    """Several lines, safe for a terminal."""
    return "\n".join(one_line(line) for line in _lines(measured))


def _lines(measured: Measured) -> Iterator[str]:
    run = measured.findings.run.id if measured.findings else ""
    source = f"run {run}, known already" if measured.cached else f"run {run}" if run else "without a run"
    yield f"{measured.artefact.name} ({measured.digest[:12]}): {measured.attempts} attempts, {source}"
    if measured.failure:
        yield measured.failure
    for margin in measured.margins:
        yield _of_budget(margin)
    if measured.stopped:
        chance = percent_text(measured.false_stops, 1)
        claim = (
            f"of what keeps every budget {chance} at most is stopped so, while the machine is {_DRIFT} slower at most"
        )
        yield f"{measured.stopped}; measuring ended there ({claim})"


def _of_budget(margin: Margin) -> str:
    mark = _MARKS[margin.kind]
    if margin.figure.value is None or margin.value is None:
        return f"{mark} {margin.text}: unknown, {margin.reason}"
    unit = "" if margin.against else METRICS[margin.metric].unit
    spread = interval(margin.figure, unit, margin.unit)
    figure = f"{'× ' if margin.against else ''}{estimated(margin.figure, unit, margin.unit)}{spread}"
    scale = abs(margin.limit) or 1.0
    worst = "" if margin.low is None or not margin.noise else f", at worst {_share(margin.low / scale)}"
    return f"{mark} {margin.text}: {figure}; {_share(margin.value / scale)}{worst}"


def _share(margin: float) -> str:
    decimals = 0 if abs(margin) >= _ROUND_SHARE else 1
    return f"{percent_text(abs(margin), decimals)} of the limit {'left' if margin >= 0 else 'too much'}"
