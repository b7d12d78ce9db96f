"""The registry of metrics, and the errors' exit codes: what other programs rely on."""

from __future__ import annotations

import pytest

from benchharness import errors
from benchharness.metrics import METRICS, Better, Unit
from benchharness.metrics.performance import PERFORMANCE
from benchharness.results.result import Estimate


def test_every_metric_is_described() -> None:
    for name, metric in METRICS.items():
        assert name == metric.name
        assert metric.title
        assert metric.definition
        assert metric.source


def test_a_name_carries_no_numbers() -> None:
    assert [name for name in METRICS if any(character.isdigit() for character in name)] == []


def test_times_are_better_low_and_rates_high() -> None:
    for metric in PERFORMANCE:
        rate = metric.unit in (Unit.TOKENS_PER_SECOND, Unit.INFERENCES_PER_SECOND)
        assert metric.better is (Better.HIGHER if rate else Better.LOWER)
        assert metric.name.endswith("_rate") is rate


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.UsageError, 2),
        (errors.SuiteError, 2),
        (errors.RunNotFound, 2),
        (errors.StoreError, 2),
        (errors.NothingRan, 4),
        (errors.LaunchError, 4),
        (errors.ConnectionLost, 4),
        (errors.ProtocolError, 4),
        (errors.AttemptError, 3),
        (errors.Unsupported, 3),
        (errors.ModelFailure, 3),
        (errors.InvalidOutput, 3),
    ],
)
def test_each_error_has_its_exit_code(error: type[errors.BenchharnessError], code: int) -> None:
    assert error.exit_code == code
    assert issubclass(error, errors.BenchharnessError)


@pytest.mark.parametrize(
    ("estimate", "width"),
    [
        (Estimate(value=10.0, low=9.0, high=11.0), 0.1),
        (Estimate(value=10.0), None),
        (Estimate(value=None), None),
        (Estimate(value=0.0, low=0.0, high=0.0), None),
    ],
)
def test_the_relative_half_width_is_half_the_interval_over_the_value(estimate: Estimate, width: float | None) -> None:
    assert estimate.relative_half_width == (width if width is None else pytest.approx(width))
