"""What a gate leaves for continuous integration: a file for each format that something reads there."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from benchharness.ci import bencher, benchmark_action, junit, summary
from benchharness.ci.report import GateReport

_MAKERS: Mapping[str, Callable[[GateReport], str]] = {
    "junit.xml": junit.xml,
    "summary.md": summary.markdown,
    "bencher.json": bencher.document,
    "benchmark-action-smaller.json": benchmark_action.smaller_is_better,
    "benchmark-action-bigger.json": benchmark_action.bigger_is_better,
}


def written(report: GateReport) -> dict[str, str]:
    """The files by their names, each whole."""
    return {name: make(report) for name, make in _MAKERS.items()}
