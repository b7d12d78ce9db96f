"""What a gate leaves for continuous integration: a file for each format that something reads there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from benchharness.ci import bencher, benchmark_action, junit, summary
from benchharness.ci.report import GateReport

#: Of figures alone.
_MAKERS: Mapping[str, Callable[[Sequence[GateReport]], str]] = {
    "bencher.json": bencher.document,
    "benchmark-action-smaller.json": benchmark_action.smaller_is_better,
    "benchmark-action-bigger.json": benchmark_action.bigger_is_better,
}


def written(reports: Sequence[GateReport], unreached: Mapping[str, str]) -> dict[str, str]:
    """The files by their names, each whole, with every gate; those of verdicts name who was not gated, too."""
    verdicts = {"junit.xml": junit.xml(reports, unreached), "summary.md": summary.markdown(reports, unreached)}
    return {**verdicts, **{name: make(reports) for name, make in _MAKERS.items()}}
