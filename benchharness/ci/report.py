"""All that an export may tell of a gate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchharness.judge.builds import Comparison
from benchharness.judge.design import Design
from benchharness.judge.gate import Gated
from benchharness.results.result import Result, Run


@dataclass(frozen=True, kw_only=True)
class GateReport:
    """A gate, with the comparison that it stands on. `results` are of both builds."""

    gated: Gated
    run: Run
    base: str
    candidate: str
    design: Design
    comparisons: Sequence[Comparison]
    results: Sequence[Result]
    where: str = ""  # its device, where a command gates on several: then every name begins with it
    machine: str = ""  # what the newest self-test of its device says
