"""Answers of an oracle that were made up: figures as drawn, judged as real ones are."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from benchharness.judge.budgets import judged
from benchharness.judge.intervals import estimate
from benchharness.metrics import METRICS
from benchharness.metrics.limits import parse
from benchharness.results.result import EXACT, Estimate, MetricResult, Outcome, OutcomeKind, Result
from benchharness.search import Measured
from benchharness.search.measured import margins_of
from tests.conftest import ROOT
from tests.unit.made_up import job


def figure(name: str, found: Estimate, **parameters: int | str) -> MetricResult:
    return MetricResult(name=name, parameters=parameters, unit=METRICS[name].unit, estimate=found, attempts=())


def over_attempts(values: Sequence[float]) -> Estimate:
    return estimate(values, statistic="geometric mean of attempts' values")


def exactly(value: float) -> Estimate:
    return Estimate(value=value, low=value, high=value, statistic=EXACT)


def answered(
    budgets: Mapping[str, Any],
    metrics: Sequence[MetricResult],
    *,
    outcome: OutcomeKind = OutcomeKind.OK,
    digest: str = "ab" * 32,
    **changes: Any,
) -> Measured:
    limits = parse(budgets, "suite")
    made = Result(
        job=job(),
        outcome=Outcome(kind=outcome),
        devices=("4f2d9c01ab3e",),
        outcomes={str(outcome): 3},
        stopped="",
        metrics=metrics,
    )
    results = judged([made], limits)
    facts: dict[str, Any] = {
        "artefact": Path("model.onnx"),
        "digest": digest,
        "margins": margins_of(results, limits),
        "findings": None,
        "cached": False,
        "attempts": 3,
        "failure": "" if outcome is OutcomeKind.OK else str(outcome),
        "results": results,
    }
    return Measured(**{**facts, **changes})


@cache
def example() -> Any:
    """`examples/search/search.py`, as a module."""
    spec = importlib.util.spec_from_file_location("example_search", ROOT / "examples" / "search" / "search.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look for it
    spec.loader.exec_module(module)
    return module
