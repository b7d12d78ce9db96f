"""What `benchharness hardware` tells of sensors."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from benchharness.device.sensors import inventory
from benchharness.device.sensors.panel import FINDERS
from tests.unit.sensors.trees import grown, planted

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="read on Linux only")


def test_the_laptops_sensors_in_a_readers_units(tmp_path: Path) -> None:
    found = inventory.sensors(grown("laptop", tmp_path))
    json.dumps(found, allow_nan=False)
    reading = {name: sensor["reading"] for name, sensor in found.items() if sensor["found"]}
    assert reading["temperature"]["celsius"]["coretemp Package id 0"] == 51.0
    assert reading["clocks"] == {"lowest_khz": 1219917, "highest_khz": 1219917}
    assert reading["throttle counters"] == {"throttled_times": 45425}
    assert reading["energy counters"] == {"joules": {"package-0": 240422.366, "package-0 core": 118821.284}}
    assert reading["battery"] == {"watts": 9.526, "ampere_hours": 4.723, "battery_percent": 98}


def test_the_raspberrys_bits_in_words(tmp_path: Path) -> None:
    found = inventory.sensors(grown("raspberry_pi_5", tmp_path))["firmware throttling"]
    assert found["reading"] == {
        "get_throttled": "0x80008",
        "now": "soft temperature limit",
        "since the start": "soft temperature limit",
    }


def test_every_sensor_that_is_missing_has_a_reason(tmp_path: Path) -> None:
    found = inventory.sensors(tmp_path)
    assert set(FINDERS) < set(found)
    assert [sensor for sensor in found.values() if sensor["found"] or not sensor["reason"]] == []


def test_energy_counters_that_are_an_administrators_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grown("laptop", tmp_path)
    real = os.open

    def refusing(path: Path, *arguments: int) -> int:
        if Path(path).name == "energy_uj":
            raise PermissionError(13, "Permission denied")
        return real(path, *arguments)

    monkeypatch.setattr(os, "open", refusing)
    assert "only an administrator" in inventory.sensors(tmp_path)["energy counters"]["reason"]


def test_pressure_is_told_in_percent(tmp_path: Path) -> None:
    text = "some avg10=1.25 avg60=0.5 avg300=0.1 total=99\nfull avg10=0.75 avg60=0.2 avg300=0.0 total=55"
    planted(tmp_path, {f"proc/pressure/{each}": text for each in ("cpu", "memory")})
    found = inventory.sensors(tmp_path)["pressure"]
    assert found["reading"] == {"cpu_percent": 1.25, "memory_percent": 1.25}
    assert "io" in found["left_out"]


def test_a_cgroup_that_may_not_be_changed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planted(
        tmp_path,
        {
            "proc/self/cgroup": "0::/",
            "proc/self/mountinfo": "30 24 0:26 / /sys/fs/cgroup ro - cgroup2 cgroup rw",
            "sys/fs/cgroup/cgroup.controllers": "cpu memory",
        },
    )
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)
    assert "may not make groups" in inventory.sensors(tmp_path)["cgroup memory control"]["reason"]
