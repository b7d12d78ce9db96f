"""The table `meter` of a profile: what it may say, and what the device is told of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest

from benchharness.device.sensors.meters import lines
from benchharness.errors import SuiteError
from benchharness.suite import meter as declared
from benchharness.suite.device import Device, load_device, written
from benchharness.suite.hardware import HardwareTarget, load_hardware

PROFILE = """
name = "bench"
[meter]
file = "/var/log/meter.csv"
of = "wall plug"
unit = "W"
between = ["2.5 W", "60 W"]
"""


def loaded(tmp_path: Path, text: str) -> HardwareTarget:
    (tmp_path / "bench.toml").write_text(text, encoding="utf-8")
    return load_hardware(str(tmp_path / "bench.toml"))


def test_a_meter_is_told_to_the_device(tmp_path: Path) -> None:
    told = loaded(tmp_path, PROFILE).declared_meter
    assert told == {
        "file": "/var/log/meter.csv",
        "of": "wall plug",
        "time": 1,
        "time_unit": "s",
        "value": 2,
        "unit": "W",
        "least_uw": 2.5e6,
        "most_uw": 60e6,
    }
    assert lines.Columns(told).told == "column 2 in W"
    assert loaded(tmp_path, "name = 'bench'").declared_meter is None


@pytest.mark.parametrize(
    ("connect", "host"), [("127.0.0.1:5555", "127.0.0.1"), ("[::1]:5555", "::1"), ("meter.lab:5555", "meter.lab")]
)
def test_or_a_socket(connect: str, host: str, tmp_path: Path) -> None:
    told = loaded(tmp_path, PROFILE.replace('file = "/var/log/meter.csv"', f'connect = "{connect}"')).declared_meter
    assert told is not None
    assert (told["host"], told["port"], "file" in told) == (host, 5555, False)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ('file = "/var/log/meter.csv"', "", "either a 'file' that lines are appended to"),
        ('unit = "W"', 'unit = "W"\nconnect = "a:1"', "either a 'file' that lines are appended to"),
        ('unit = "W"', 'unit = "A"', "unit"),
        ('unit = "W"', "", "unit"),
        ('of = "wall plug"', "", "of"),
        ('["2.5 W", "60 W"]', '["60 W", "2.5 W"]', "at least, above zero"),
        ('["2.5 W", "60 W"]', '["2.5", "60"]', "write a number and a unit"),
        ('["2.5 W", "60 W"]', '["50 mW", "60 W"]', "1200 times apart: a meter in another unit could fit between them"),
        ('unit = "W"', 'unit = "W"\ntime = 2', "different columns"),
        ('unit = "W"', 'unit = "W"\nvalue = 100', "value"),
        ('file = "/var/log/meter.csv"', 'connect = "127.0.0.1"', "write it as host:port"),
        ('file = "/var/log/meter.csv"', 'connect = "127.0.0.1:99999"', "write it as host:port"),
        ('unit = "W"', 'unit = "W"\ncolumn = 3', "column"),
    ],
)
def test_a_meter_that_cannot_be_read_is_refused(old: str, new: str, why: str, tmp_path: Path) -> None:
    assert old in PROFILE
    with pytest.raises(SuiteError, match=why):
        loaded(tmp_path, PROFILE.replace(old, new))


def test_both_sides_know_the_same_units() -> None:
    units, times = (declared.Meter.model_fields[name].annotation for name in ("unit", "time_unit"))
    assert set(get_args(units)) == {*lines.POWERS, *lines.ENERGIES}
    assert set(get_args(times)) == set(lines.TIMES)
    assert declared._MOST_COLUMNS == lines.MOST_COLUMNS


def test_a_device_has_its_own_and_a_written_profile_keeps_it(tmp_path: Path) -> None:
    text = PROFILE.replace('name = "bench"', 'name = "pi"\nhardware = "raspberry-pi-5"\nconnect = "ssh://bench@pi.lab"')
    (tmp_path / "pi.toml").write_text(text, encoding="utf-8")
    device = load_device(tmp_path / "pi.toml")
    assert device.meter is not None
    (tmp_path / "again.toml").write_text(written(device), encoding="utf-8")
    assert load_device(tmp_path / "again.toml").meter == device.meter
    ours: dict[str, Any] = {"name": "raspberry-pi-5", "meter": {**device.meter.model_dump(), "of": "this machine"}}
    target = HardwareTarget.model_validate({**ours, "device": device})
    assert (target.declared_meter or {})["of"] == "wall plug", "the device's, not this machine's"
    assert HardwareTarget.model_validate_json(target.model_dump_json()) == target
    assert isinstance(target.device, Device)
