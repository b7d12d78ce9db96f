"""Sensors of real devices: every figure here was worked out by hand from what their owners published."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchharness.device.sensors.clocks import find_clocks
from benchharness.device.sensors.energy import find_battery, find_energy_counters, find_power_rails
from benchharness.device.sensors.panel import FINDERS, Panel
from benchharness.device.sensors.readings import Unreadable
from benchharness.device.sensors.temperature import find_temperatures, hottest, passive_trip_celsius
from benchharness.device.sensors.throttling import find_cooling, find_firmware_bits, find_throttle_counters
from tests.unit.sensors.trees import grown, planted

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the files are Linux's")
BATTERY = "sys/class/power_supply/battery"


@pytest.fixture
def laptop(tmp_path: Path) -> Path:
    return grown("laptop", tmp_path)


@pytest.fixture
def raspberry(tmp_path: Path) -> Path:
    return grown("raspberry_pi_5", tmp_path)


@pytest.fixture
def jetson(tmp_path: Path) -> Path:
    return grown("jetson_agx_orin", tmp_path)


@pytest.fixture
def phone(tmp_path: Path) -> Path:
    return planted(grown("android_phone", tmp_path), {f"{BATTERY}/type": "Battery", f"{BATTERY}/status": "Charging"})


def test_temperatures_of_the_laptop(laptop: Path) -> None:
    sensor = find_temperatures(None, laptop)
    assert sensor.read() == {
        "celsius.coretemp Package id 0": 51.0,
        "celsius.coretemp Core 0": 47.0,
        "celsius.coretemp Core 1": 49.0,
        "celsius.coretemp Core 2": 51.0,
        "celsius.coretemp Core 3": 49.0,
        "celsius.SEN1": 34.0,
        "celsius.pch_cannonlake": 43.0,
    }
    assert "wakes a device" in sensor.left_out["nvme Composite"]
    assert hottest(laptop) == ("coretemp Package id 0", 51.0)


def test_a_trip_point_that_is_not_set_is_none(laptop: Path) -> None:
    """SEN1's passive trip point reads 0: taken for a temperature, the zone would always be too hot."""
    assert find_temperatures(None, laptop).constants == {}
    assert passive_trip_celsius(laptop / "sys/class/thermal/thermal_zone2") is None


def test_clocks_of_the_laptop(laptop: Path) -> None:
    """Of the second core only a file that an administrator may read was published: it is not told."""
    sensor = find_clocks(None, laptop)
    assert sensor.read() == {"khz.cpu0": 1_219_917}
    assert sensor.constants == {"highest_khz.cpu0": 2_400_000}


def test_an_event_of_the_package_is_counted_once(laptop: Path) -> None:
    """Both cores tell 34818 for their package: 10084 + 523 + 34818."""
    assert find_throttle_counters(None, laptop).read() == {"throttle_count": 45_425}


def test_logical_cores_of_one_core_count_once(laptop: Path) -> None:
    cpu4 = "sys/devices/system/cpu/cpu4"  # cpu0's sibling, as its thread_siblings_list says
    planted(laptop, {f"{cpu4}/topology/core_id": "0", f"{cpu4}/topology/physical_package_id": "0"})
    planted(laptop, {f"{cpu4}/thermal_throttle/core_throttle_count": "10085"})
    assert find_throttle_counters(None, laptop).read() == {"throttle_count": 45_426}


def test_energy_of_the_laptop(laptop: Path) -> None:
    sensor = find_energy_counters(None, laptop)
    assert sensor.read() == {"energy_uj.package-0": 240_422_366_267, "energy_uj.package-0 core": 118_821_284_256}


def test_an_energy_counter_that_starts_again_goes_on_growing(laptop: Path) -> None:
    """262143328850 is its range: 21720962583 were left to it, and it stands at 1000."""
    sensor = find_energy_counters(None, laptop)
    planted(laptop, {"sys/class/powercap/intel-rapl:0/energy_uj": "1000"})
    assert sensor.read()["energy_uj.package-0"] == 240_422_366_267 + 21_720_962_583 + 1000
    planted(laptop, {"sys/class/powercap/intel-rapl:0/energy_uj": "3000"})
    assert sensor.read()["energy_uj.package-0"] == 240_422_366_267 + 21_720_962_583 + 3000


def test_a_fall_without_a_range_is_unknown_from_there_on(laptop: Path) -> None:
    (laptop / "sys/class/powercap/intel-rapl:0/max_energy_range_uj").unlink()
    sensor = find_energy_counters(None, laptop)
    for count in ("1000", "2000"):
        planted(laptop, {"sys/class/powercap/intel-rapl:0/energy_uj": count})
        assert sensor.read() == {"energy_uj.package-0 core": 118_821_284_256}
    assert "fell from 240422366267 to 1000: by how much it grew is not known" in sensor.left_out["package-0"]


def test_the_same_energy_over_memory_is_not_a_second_one(laptop: Path) -> None:
    mmio = "sys/class/powercap/intel-rapl-mmio:0"
    planted(laptop, {f"{mmio}/name": "package-0", f"{mmio}/energy_uj": "7"})
    assert len(find_energy_counters(None, laptop).read()) == 2


def test_battery_of_the_laptop(laptop: Path) -> None:
    """0.756 A at 12.6 V is 9.5256 W, drawn: this driver counts it above zero, the phone's below."""
    assert find_battery(None, laptop).read() == {
        "battery_uw": 9_525_600,
        "battery_uah": 4_723_000,
        "battery_percent": 98,
        "battery_drained": 1,
    }


def test_temperature_of_the_raspberry(raspberry: Path) -> None:
    sensor = find_temperatures(None, raspberry)
    assert sensor.read() == {"celsius.cpu-thermal": 47.4}
    assert sensor.constants == {}  # its trip points are a fan's: the firmware slows it down, not the kernel


def test_the_raspberrys_fan_does_not_slow_it_down(raspberry: Path) -> None:
    with pytest.raises(Unreadable, match="slows a processor"):
        find_cooling(None, raspberry)


def test_firmware_bits_of_the_raspberry_are_hexadecimal(raspberry: Path) -> None:
    """80008: bits 19 and 3, the soft temperature limit in the past and now."""
    assert find_firmware_bits(None, raspberry).read() == {"get_throttled": 2**19 + 2**3}


def test_temperatures_of_the_jetson(jetson: Path) -> None:
    sensor = find_temperatures(None, jetson)
    assert sensor.read() == {"celsius.cpu-thermal": 47.4, "celsius.gpu-thermal": 43.0}
    assert "reads -256 °C" in sensor.left_out["cv1-thermal"]
    assert "No such file" in sensor.left_out["tj-thermal"]


def test_rails_of_the_jetson_are_those_with_a_name(jetson: Path) -> None:
    """One that is not connected and the chip's own sum are none. No voltage was published: none is made up."""
    with pytest.raises(Unreadable) as refused:
        find_power_rails(None, jetson)
    assert str(refused.value).count("No such file") == 3


def test_a_rail_is_volts_times_amperes(jetson: Path) -> None:
    """5 V and 2 A, in the units of hwmon/ina3221.rst; not from a listing."""
    chip = "sys/class/hwmon/hwmon3"
    planted(jetson, {f"{chip}/in3_input": "5000", f"{chip}/curr3_input": "2000"})
    sensor = find_power_rails(None, jetson)
    assert sensor.read() == {"power_uw.VIN_SYS_5V0": 10_000_000}
    assert set(sensor.left_out) == {"VDD_CPU_CV", "VDDQ_VDD2_1V8AO"}


def test_a_power_meter_that_is_not_connected_tells_nothing(tmp_path: Path) -> None:
    """4294967.295 W, as `sensors` prints it in https://github.com/htop-dev/htop/issues/806."""
    meter = "sys/class/hwmon/hwmon0"
    planted(tmp_path, {f"{meter}/name": "power_meter", f"{meter}/power1_average": "4294967295000"})
    with pytest.raises(Unreadable, match=r"4\.29497e\+06 W"):
        find_power_rails(None, tmp_path)


def test_the_jetsons_graphics_clock(jetson: Path) -> None:
    planted(jetson, {"sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "2201600"})
    assert find_clocks(None, jetson).read() == {"khz.cpu0": 2_201_600, "khz.gpu": 1_300_500}


def test_a_phones_zones_in_tenths_and_whole_degrees_are_refused(phone: Path) -> None:
    """309 is 30.9 °C and 31 is 31 °C there: read as thousandths, the processor would be freezing."""
    sensor = find_temperatures(None, phone)
    assert sensor.read() == {
        "celsius.battery": 25.0,
        "celsius.battery 2": 36.0,  # the supply's own, 360 tenths
        "celsius.bms": 25.0,
        "celsius.chg_temp": 24.612,
        "celsius.pm8953_tz": 32.636,
    }
    refused = {name for name, reason in sensor.left_out.items() if "not in thousandths" in reason}
    assert refused == {f"tsens_tz_sensor{number}" for number in range(1, 16)} | {
        *("pa_therm0", "pa_therm1", "xo_therm", "xo_therm_buf", "case_therm")
    }


def test_a_phones_battery_counts_charging_below_zero_whatever_its_driver_does(phone: Path) -> None:
    """1.202147 A at 4.13744 V is 4.973811 W."""
    readings = find_battery(None, phone).read()
    assert readings == {
        "battery_uw": -4_973_811,
        "battery_uah": 1_673_935,
        "battery_percent": 70,
        "battery_drained": 0,
    }
    planted(phone, {f"{BATTERY}/status": "Discharging"})
    assert find_battery(None, phone).read()["battery_uw"] == 4_973_811


def test_a_battery_whose_driver_counts_in_milliamperes_tells_no_power(phone: Path) -> None:
    planted(phone, {f"{BATTERY}/current_now": "-1202"})
    sensor = find_battery(None, phone)
    assert "battery_uw" not in sensor.read()
    assert "another unit" in sensor.left_out["battery_uw"]


def test_a_battery_that_is_neither_drained_nor_charged_tells_no_power(phone: Path) -> None:
    planted(phone, {f"{BATTERY}/status": "Full"})
    assert "battery_uw" not in find_battery(None, phone).read()


@pytest.mark.parametrize("listing", ["laptop", "raspberry_pi_5", "jetson_agx_orin", "android_phone"])
def test_every_sensor_is_told_or_has_a_reason(listing: str, tmp_path: Path) -> None:
    with Panel(None, grown(listing, tmp_path)) as panel:
        assert panel.look()
        found = panel.sensors()
    assert list(found) == list(FINDERS)
    for sensor in found.values():
        if sensor["found"]:
            assert min(map(len, (sensor["source"], sensor["unit"], sensor["resolution"], sensor["permission"])))
            assert sensor["cost_us"] > 0
        else:
            assert sensor["reason"]
