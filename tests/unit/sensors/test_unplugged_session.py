"""A phone on its battery for ten minutes of a clock that the test moves: its energy an answer is the battery's.

The battery is a script: how much current flows when, at which voltage, and in what steps its gauge counts. Everything
between its dump and the figure is ours: parser, sensor, panel, watch, rows, course, metric.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchharness.device import watch
from benchharness.device.sensors import android_services, panel
from benchharness.results.result import Estimate, Measurement, MetricResult
from benchharness.scenarios.sustained.course import courses, sustained_metrics
from tests.unit.test_sustained import row, session, windows

LASTS_S, LOOKS_S, BEGAN_S = 602.0, 0.25, 2.0
#: Answers a second, in windows of a second.
RATE = 20
FULL_UAH = 4_000_000
DUMP = """Current Battery Service state:
  AC powered: {plugged}
  USB powered: false
  Wireless powered: false
  Charge counter: {charge}
  status: {status}
  level: {level}
  scale: 100
  voltage: {millivolts}
  temperature: 320
"""


class Battery:
    """One that gives 900 mA, and less and less as the phone gets hot, at a voltage that sags by a tenth."""

    def __init__(self, step_uah: int, plugged_from_s: float = 1e9) -> None:
        self.now_s = 0.0
        self.step_uah, self.plugged_from_s = step_uah, plugged_from_s

    def milliamps(self, at_s: float) -> float:
        return 900 - 400 * min(at_s / 300, 1)

    def volts(self, at_s: float) -> float:
        return 4.1 - 0.4 * at_s / LASTS_S

    def used_uah(self) -> float:
        return self._summed(lambda at_s: self.milliamps(at_s) / 3.6, self.now_s)

    def joules(self) -> float:
        """What it gave from the first answer to the last."""
        return self._summed(lambda at_s: self.milliamps(at_s) / 1e3 * self.volts(at_s), LASTS_S, BEGAN_S)

    @staticmethod
    def _summed(rate: Callable[[float], float], until_s: float, from_s: float = 0.0) -> float:
        steps = 1000
        step_s = (until_s - from_s) / steps
        return sum(rate(from_s + (at + 0.5) * step_s) for at in range(steps)) * step_s

    def dump(self, root: Path, program: str, *words: str) -> str:
        assert (program, *words) == ("dumpsys", "battery")
        left = FULL_UAH * 0.8 - self.used_uah()
        plugged = self.now_s >= self.plugged_from_s
        return DUMP.format(
            plugged=str(plugged).lower(),
            charge=int(left // self.step_uah) * self.step_uah,
            status=2 if plugged else 3,
            level=round(100 * left / FULL_UAH),
            millivolts=round(self.volts(self.now_s) * 1000),
        )


def energy(battery: Battery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Estimate, Any]:
    """Joules an answer as they are told, of a session of ten minutes; and of what they are."""
    told = measured(battery, tmp_path, monkeypatch)["energy_per_inference"]
    return told.estimate, told.parameters


def measured(battery: Battery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, MetricResult]:
    """All that a session of ten minutes tells."""
    ns = SimpleNamespace(
        monotonic_ns=lambda: int(battery.now_s * 1e9), perf_counter_ns=lambda: int(battery.now_s * 1e9)
    )
    for module in (panel, watch):
        monkeypatch.setattr(module, "time", ns)
    monkeypatch.setattr(android_services, "asked", battery.dump)
    finders = {"Android battery charge": panel.FINDERS["Android battery charge"]}
    monkeypatch.setattr(panel, "FINDERS", finders)
    seen = watch.Watch(os.getpid(), tmp_path / "stderr", 0, sensors=True)
    for look in range(int(LASTS_S / LOOKS_S) + 1):
        battery.now_s = look * LOOKS_S
        seen.look()
    told = [Measurement(**each) for each in seen.readings() if "channel" in each["parameters"]]
    table = [
        row((BEGAN_S + at) * 1e9, end=(BEGAN_S + at + 1) * 1e9, inferences=RATE, busy=9e8, requests=RATE)
        for at in range(int(LASTS_S - BEGAN_S))
    ]
    done = session(0, windows(table), *told)
    done = replace(done, conditions=replace(done.conditions, sensors=seen.sensors()["sensors"]))
    seen.close()
    return {each.name: each for each in sustained_metrics([done], list(courses([done])))}


@pytest.mark.parametrize("step_uah", [1, 100, 1000])
def test_energy_an_answer_is_the_batterys_within_the_steps_of_its_gauge(
    step_uah: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    battery = Battery(step_uah)
    told, parameters = energy(battery, tmp_path, monkeypatch)
    assert parameters == {"of": "battery charge"}
    assert told.value is not None
    whole_j = battery.joules()
    # A step at each end. The gauge is looked at every five seconds, so what flowed before the first look in the course
    # is taken to be as much as in the mean of it: no more than twice that, of 600 s.
    steps_j = 2 * step_uah * 3.6e-3 * 4.1
    assert told.value * RATE * (LASTS_S - BEGAN_S) == pytest.approx(whole_j, abs=steps_j + 0.005 * whole_j)


@pytest.mark.parametrize("step_uah", [100, 10_000])
def test_the_drain_an_hour_is_the_batterys_within_its_interval(
    step_uah: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred mAh in ten minutes. A gauge that is too coarse for energy tells a drain, and how unsure it is."""
    battery = Battery(step_uah)
    found = measured(battery, tmp_path, monkeypatch)
    battery.now_s = LASTS_S
    hours = LASTS_S / 3600
    for name, whole in (
        ("charge_drain", battery.used_uah() / 1e3),
        ("battery_drain", 100 * battery.used_uah() / FULL_UAH),
    ):
        told = found[name].estimate
        assert told.value is not None
        assert told.low is not None
        assert told.high is not None
        assert told.low <= whole / hours <= told.high
    charge = found["charge_drain"].estimate
    # Looked at every five seconds, a fine gauge has moved by several steps: then the least such move stands for one.
    least_move_uah = max(step_uah, 500 / 3.6 * 5 - step_uah)
    assert (charge.high or 0) - (charge.low or 0) >= 2 * least_move_uah / 1e3 / hours * 0.95


def test_a_gauge_in_steps_that_are_too_coarse_tells_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred mAh go in ten minutes: in steps of ten that is ten steps, of which each may be cut anywhere."""
    told, _ = energy(Battery(10_000), tmp_path, monkeypatch)
    assert told.value is None
    assert told.reason == "the battery's charge counter moved less than 20 times in the course: run a longer one"


def test_a_phone_that_is_plugged_in_on_the_way_tells_nothing_and_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told, _ = energy(Battery(100, plugged_from_s=400), tmp_path, monkeypatch)
    assert (told.value, "charged meanwhile (AC)" in told.reason) == (None, True)
