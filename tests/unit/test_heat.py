"""What may be called heat: only what a sensor says, with its figures."""

from __future__ import annotations

import pytest

from benchharness.scenarios.sustained.heat import heat_evidence, sources_of_heat

SECOND = 1_000_000_000


def series(*values: float) -> list[tuple[int, float]]:
    """One reading a second."""
    return [(second * SECOND, value) for second, value in enumerate(values)]


def test_nothing_recorded_says_nothing() -> None:
    assert heat_evidence({}) == []
    assert heat_evidence({"throttle_count": [], "celsius.cpu": []}) == []
    assert sources_of_heat({"celsius.cpu": series(95.0), "khz.cpu0": series(800_000), "waited_ns": series(1)}) == []


def test_a_hot_processor_alone_is_no_evidence() -> None:
    hot = {"celsius.coretemp Package id 0": series(60.0, 99.0, 99.0), "khz.cpu0": series(4e6, 2e6, 2e6)}
    assert heat_evidence(hot) == []


def test_throttle_counters_that_rise() -> None:
    recorded = {"throttle_count": series(45425, 45425, 45437)}
    assert heat_evidence(recorded) == [
        "the processor throttled itself for heat 12 times: its thermal_throttle counters rose from 45425 to 45437"
    ]
    assert heat_evidence({"throttle_count": series(45425, 45425)}) == []
    assert sources_of_heat(recorded) == ["throttle_count"]


def test_firmware_bits_that_hold() -> None:
    (said,) = heat_evidence({"get_throttled": series(0, 0x80008, 0x80000)})
    assert said == "the board's firmware reported soft temperature limit (get_throttled 0x80008)"


def test_firmware_bits_between_two_looks() -> None:
    (said,) = heat_evidence({"get_throttled": series(0, 0x80000)})
    assert "noted soft temperature limit" in said
    assert "from 0x0 to 0x80000" in said


@pytest.mark.parametrize("bits", [(0x80000, 0x80000), (0x50005, 0x50005), (0, 0x50005), (0x50000, 0x50000)])
def test_what_was_before_and_what_a_weak_supply_does_is_no_heat(bits: tuple[int, ...]) -> None:
    assert heat_evidence({"get_throttled": series(*bits)}) == []


def test_a_cooling_device_that_holds_back() -> None:
    recorded = {"cooling.thermal-cpufreq-0": series(0, 0, 2, 5), "most_cooling.thermal-cpufreq-0": series(9)}
    assert heat_evidence(recorded) == [
        "the kernel's cooling device thermal-cpufreq-0 held back by up to 5 of 9 steps, above 0 in 50 % of the readings"
    ]
    assert heat_evidence({"cooling.thermal-cpufreq-0": series(0, 0)}) == []


CLOCKS = series(*[2_400_000.0] * 5, *[1_500_000.0] * 5)
TEMPERATURES = series(60.0, 65.0, 70.0, 75.0, 80.0, 84.5, 85.2, 84.9, 85.0, 84.8)
TRIP = {"passive_trip_celsius.cpu-thermal": series(85.0)}


def test_a_clock_that_falls_at_a_trip_point() -> None:
    recorded = {**TRIP, "celsius.cpu-thermal": TEMPERATURES, "khz.cpu0": CLOCKS}
    assert heat_evidence(recorded) == [
        "cpu0 fell from 2400 to 1500 MHz while cpu-thermal stood at up to 85.2 °C, where the kernel slows it down "
        "from 85 °C on"
    ]
    assert sources_of_heat(recorded) == ["clocks at trip points"]


def test_a_clock_that_falls_below_the_trip_point_is_no_evidence() -> None:
    cool = [(t_ns, celsius - 10) for t_ns, celsius in TEMPERATURES]
    assert heat_evidence({**TRIP, "celsius.cpu-thermal": cool, "khz.cpu0": CLOCKS}) == []


def test_a_clock_that_stays_at_the_trip_point_is_no_evidence() -> None:
    steady = series(*[2_400_000.0] * 5, *[2_300_000.0] * 5)
    assert heat_evidence({**TRIP, "celsius.cpu-thermal": TEMPERATURES, "khz.cpu0": steady}) == []


def test_a_session_that_begins_hot_has_no_clock_to_compare_with() -> None:
    hot = series(*[85.0] * 10)
    assert heat_evidence({**TRIP, "celsius.cpu-thermal": hot, "khz.cpu0": CLOCKS}) == []


def test_a_clock_that_recovers_when_it_cools_down_is_compared_while_hot() -> None:
    """Hot from 5 to 9 s at 1.5 GHz, cool again from 10 to 14 s at 2.4 GHz."""
    clocks = [*CLOCKS, *((second * SECOND, 2_400_000.0) for second in range(10, 15))]
    temperatures = [*TEMPERATURES, *((second * SECOND, 70.0) for second in range(10, 15))]
    (said,) = heat_evidence({**TRIP, "celsius.cpu-thermal": temperatures, "khz.cpu0": clocks})
    assert said.startswith("cpu0 fell from 2400 to 1500 MHz")


def test_a_macs_pressure() -> None:
    assert heat_evidence({"thermal_state": series(0, 0)}) == []
    (said,) = heat_evidence({"thermal_state": series(0, 1, 2, 1)})
    assert said == "macOS reported thermal pressure up to heavy (level 2), above 0 in 75 % of the readings"


def test_a_speed_limit_that_stands_is_no_heat() -> None:
    """A MacBook without a battery is held at 35 %, cold (see tests/unit/sensors/published.py)."""
    assert heat_evidence({"cpu_speed_limit": series(35, 35)}) == []
    (said,) = heat_evidence({"cpu_speed_limit": series(100, 80, 70)})
    assert said == "macOS lowered the processor's speed limit from 100 to 70 %"


def test_a_phones_status() -> None:
    assert heat_evidence({"android_thermal_status": series(0)}) == []
    (said,) = heat_evidence({"android_thermal_status": series(0, 3)})
    assert "up to severe (status 3)" in said
