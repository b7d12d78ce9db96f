"""What a Raspberry Pi's firmware means by its bits, and what phones and Macs print."""

from __future__ import annotations

import ctypes
import sys
from typing import Any

import pytest

from benchharness.device.sensors import macos_thermal
from benchharness.device.sensors.android import parse_thermal_service
from benchharness.device.sensors.macos_thermal import (
    find_speed_limit,
    find_thermal_pressure,
    parse_speed_limit,
    pressure_level,
)
from benchharness.device.sensors.readings import Unreadable
from benchharness.device.sensors.throttling import meaning_of, parse_bits
from tests.unit.sensors.published import MACBOOK_WITHOUT_BATTERY, SAMSUNG_A52, SHIELD_TV


@pytest.mark.parametrize(
    ("said", "bits"),
    [
        ("throttled=0x50005\n", 0x50005),  # raspberrypi/firmware issue 615
        ("throttled=0x80008", 0x80008),  # raspberrypi/documentation issue 2546
        ("throttled=0x0", 0),
        ("80008\n", 0x80008),  # the file
        ("50005", 0x50005),
    ],
)
def test_bits_are_hexadecimal_with_and_without_saying_so(said: str, bits: int) -> None:
    assert parse_bits(said) == bits


@pytest.mark.parametrize("said", ["", "throttled=", "VCHI initialization failed", "-1", "fffffffff", "8_0", "0x"])
def test_what_are_no_bits_is_unknown(said: str) -> None:
    with pytest.raises(Unreadable):
        parse_bits(said)


def test_throttled_under_weak_power_is_powers_work() -> None:
    """0x50005 at 39 °C: "currently throttled due to low voltage", says the firmware's author in issue 615."""
    now = meaning_of(0x50005)
    assert (now.heat, now.power, now.unclear) == ((), ("under-voltage", "throttled"), ())
    assert meaning_of(0x50000).power == ()  # it is over
    assert meaning_of(0x50000, since_start=True).power == ("under-voltage", "throttled")


def test_the_soft_limit_is_heats_work() -> None:
    assert meaning_of(0x80008).heat == ("soft temperature limit",)
    assert meaning_of(0x80000).heat == ()
    assert meaning_of(0x80000, since_start=True).heat == ("soft temperature limit",)


def test_throttled_with_good_power_is_heats_work() -> None:
    assert meaning_of(0b0110).heat == ("clock capped", "throttled")


def test_throttled_with_heat_and_weak_power_is_not_given_to_either() -> None:
    now = meaning_of(0b1111)
    assert now.heat == ("soft temperature limit",)
    assert now.power == ("under-voltage",)
    assert now.unclear == ("clock capped", "throttled")


def test_nothing_means_nothing() -> None:
    assert not any(meaning_of(0))
    assert not any(meaning_of(0, since_start=True))


def test_a_phones_thermal_service() -> None:
    """Sensors that it does not have read 0.0, and are none."""
    found = parse_thermal_service(SAMSUNG_A52)
    assert found.status == 0
    assert found.celsius == {"AP": 25.6, "BAT": 23.8, "LRB": 24.7, "PA": 25.7}


def test_stale_temperatures_are_not_taken() -> None:
    assert parse_thermal_service(SHIELD_TV).celsius == {"CPU0": 66.5}


@pytest.mark.parametrize(
    "dump", ["", "Can't find service: thermalservice", "Thermal Status: 9", "Thermal Status: hot", "Thermal Status: -1"]
)
def test_a_service_that_tells_no_status_is_unknown(dump: str) -> None:
    with pytest.raises(Unreadable):
        parse_thermal_service(dump)


def test_temperatures_that_cannot_be_are_left_out() -> None:
    dump = SHIELD_TV.replace("66.5", "-273.0").replace("mName=GPU", "mName=")
    assert parse_thermal_service(dump).celsius == {}
    assert parse_thermal_service(SHIELD_TV.replace("66.5", "1.2.3")).celsius == {}


def test_a_macs_speed_limit() -> None:
    assert parse_speed_limit(MACBOOK_WITHOUT_BATTERY) == 35


@pytest.mark.parametrize(
    "listing",
    ["", "Note: No thermal warning level has been recorded\n", "CPU_Speed_Limit = 130", "CPU_Speed_Limit = -1"],
)
def test_a_mac_that_tells_no_speed_limit(listing: str) -> None:
    with pytest.raises(Unreadable):
        parse_speed_limit(listing)


def test_a_macs_pressure_levels_are_five() -> None:
    assert [pressure_level(state) for state in range(5)] == [0, 1, 2, 3, 4]
    for state in (-1, 5, 10, 50, 2**64 - 1):  # 10 to 50 are an iPhone's
        with pytest.raises(Unreadable):
            pressure_level(state)


class NotifyLibrary:
    """What <notify.h> declares, answering with a level that the test sets."""

    level = 0

    def notify_register_check(self, name: bytes, token: Any) -> int:
        assert name == b"com.apple.system.thermalpressurelevel"
        token._obj.value = 7
        return 0

    def notify_get_state(self, token: Any, state: Any) -> int:
        assert token.value == 7
        state._obj.value = self.level
        return 0


def test_a_macs_pressure_is_asked_through_notify(monkeypatch: pytest.MonkeyPatch) -> None:
    library = NotifyLibrary()
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(ctypes, "CDLL", lambda _: library)
    sensor = find_thermal_pressure(None)
    assert sensor.read() == {"thermal_state": 0}
    library.level = 2
    assert sensor.read() == {"thermal_state": 2}
    library.level = 30
    with pytest.raises(Unreadable):
        sensor.read()


def test_a_mac_with_apples_processor_has_no_speed_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    said = [MACBOOK_WITHOUT_BATTERY, MACBOOK_WITHOUT_BATTERY, "Note: No thermal warning level has been recorded\n"]
    monkeypatch.setattr(macos_thermal, "output_of", lambda _command: said.pop(0))
    assert find_speed_limit(None).read() == {"cpu_speed_limit": 35}
    with pytest.raises(Unreadable, match="no CPU_Speed_Limit"):
        find_speed_limit(None)


@pytest.mark.skipif(sys.platform == "darwin", reason="asks whether other systems say so")
def test_other_systems_are_not_asked_as_a_mac() -> None:
    for find in (find_thermal_pressure, find_speed_limit):
        with pytest.raises(Unreadable, match="by macOS only"):
            find(None)
