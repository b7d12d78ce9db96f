"""What a gate leaves for continuous integration: a file for each format that something reads there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchharness.judge.builds import Comparison
from benchharness.judge.design import Design
from benchharness.judge.gate import Gated
from benchharness.results.result import Result, Run


@dataclass(frozen=True, kw_only=True)
class GateReport:
    """All that an export may tell of a gate. `results` are of both builds."""

    gated: Gated
    run: Run
    base: str
    candidate: str
    design: Design
    comparisons: Sequence[Comparison]
    results: Sequence[Result]


def written(report: GateReport) -> Mapping[str, str]:
    """The files by their names, each whole."""
    from benchharness.ci import bencher, benchmark_action, junit, summary

    makers: Mapping[str, Callable[[GateReport], str]] = {
        "junit.xml": junit.xml,
        "summary.md": summary.markdown,
        "bencher.json": bencher.document,
        "benchmark-action-smaller.json": benchmark_action.smaller_is_better,
        "benchmark-action-bigger.json": benchmark_action.bigger_is_better,
    }
    return {name: make(report) for name, make in makers.items()}
