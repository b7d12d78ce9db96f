"""A device with another root, no shared files, another clock and a line that drops gives the same results."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from benchharness.device.bytecode import kind
from benchharness.device.modules import KEPT
from benchharness.device.quiet_numpy import AS_THEY_ARE
from benchharness.results.result import Result
from tests.awkward_launcher import AwkwardLauncher
from tests.integration.conftest import ADAPTERS, Bench


def test_attempts_are_made_from_copies_under_the_devices_own_root(bench: Bench, tmp_path: Path) -> None:
    launcher = AwkwardLauncher(tmp_path / "device", ADAPTERS)
    results = bench.run([bench.model("fine")], launcher=launcher, attempts=2)
    assert all(result.outcome.ok and result.outcomes == {"ok": 2} for result in results)
    assert list((tmp_path / "device" / "files").rglob("model.awkward"))
    assert list((tmp_path / "device" / "files").glob(f"device-*.pyz.{kind()}"))
    told = [attempt.conditions.others for attempt in bench.store.attempts(bench.run_id)]
    assert {(each["harness_modules"], each["numpy_threads"]) for each in told} == {(KEPT, AS_THEY_ARE)}


def test_a_clock_two_hours_ahead_does_not_reach_the_store(bench: Bench, tmp_path: Path) -> None:
    before, spare = datetime.now(UTC), timedelta(minutes=10)  # the two clocks are compared by half of an answer's time
    bench.run([bench.model("fine")], launcher=AwkwardLauncher(tmp_path / "device", ADAPTERS), attempts=1)
    for attempt in bench.store.attempts(bench.run_id):
        assert before - spare <= attempt.started <= datetime.now(UTC) + spare


def test_cold_starts_use_one_clock_whatever_it_shows(bench: Bench, tmp_path: Path) -> None:
    launcher = AwkwardLauncher(tmp_path / "device", ADAPTERS)
    results = bench.run([bench.model("fine")], launcher=launcher, attempts=2, scenario="first-token")
    assert 1e7 < _value(results[0], "cold_start_ttft") < 1e12  # the skews are 10^15 ns and two hours


@pytest.mark.parametrize("drop_after", [1, 2, 3, 5, 8])
def test_a_dropped_line_loses_no_finished_attempt_and_repeats_none(
    bench: Bench, tmp_path: Path, drop_after: int
) -> None:
    launcher = AwkwardLauncher(tmp_path / "device", ADAPTERS, drop_after=drop_after)
    results = bench.run([bench.model("fine")], launcher=launcher, attempts=3)
    assert launcher.started == 2
    assert all(result.outcomes == {"ok": 3} for result in results)
    attempts = bench.store.attempts(bench.run_id)
    assert sorted((attempt.job, attempt.round) for attempt in attempts) == sorted(
        {(attempt.job, attempt.round) for attempt in attempts}
    )


def test_a_line_that_never_holds_ends_in_a_crashed_attempt_not_in_a_loop(bench: Bench, tmp_path: Path) -> None:
    launcher = AwkwardLauncher(tmp_path / "device", ADAPTERS, drop_after=2, drops=1000)
    (result,) = bench.run([bench.model("fine")], launcher=launcher, attempts=3, scenario="first-token")
    assert result.outcome.kind == "crashed"
    assert "the line to the device broke 3 times" in result.outcome.reason
    assert "the cable was pulled" in result.outcome.evidence


def _value(result: Result, name: str) -> float:
    value = next(metric for metric in result.metrics if metric.name == name).estimate.value
    assert value is not None
    return value
