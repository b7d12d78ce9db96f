"""A Raspberry Pi 5's rails. The form of the listing is that of https://github.com/raspberrypi/linux/issues/6473 and
https://github.com/ml-energy/zeus/issues/273 (twelve rails with a current and a voltage, two with a voltage alone);
the figures are ours."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchharness.device.sensors.pmic import find_pmic_rails, parse_rails
from benchharness.device.sensors.readings import Unreadable

RAILS = {
    "3V7_WL_SW": (0.00390368, 3.69),
    "3V3_SYS": (0.0575, 3.31),
    "1V8_SYS": (0.1659, 1.80),
    "DDR_VDD2": (0.0214, 1.11),
    "DDR_VDDQ": (0.0, 0.61),
    "1V1_SYS": (0.1834, 1.10),
    "0V8_SW": (0.3835, 0.80),
    "VDD_CORE": (0.795, 0.72),
    "3V3_DAC": (0.00006, 3.31),
    "3V3_ADC": (0.00006, 3.31),
    "0V8_AON": (0.0056, 0.80),
    "HDMI": (0.0118, 5.14),
}


def listing(rails: dict[str, tuple[float, float]]) -> str:
    currents = [f" {rail}_A current({at})={amperes:.8f}A" for at, (rail, (amperes, _)) in enumerate(rails.items())]
    voltages = [f" {rail}_V volt({at + 8})={volts:.8f}V" for at, (rail, (_, volts)) in enumerate(rails.items())]
    return "\n".join([*currents, *voltages, "   EXT5V_V volt(24)=5.13738000V", "    BATT_V volt(25)=0.00781440V", ""])


def test_a_rail_is_its_current_times_its_voltage_and_the_sum_leaves_out_what_has_no_current() -> None:
    found = parse_rails(listing(RAILS))
    assert len(found) == 13
    assert found["power_uw.PMIC VDD_CORE"] == round(0.795 * 0.72 * 1e6)
    assert found["power_uw.PMIC"] == pytest.approx(
        sum(amperes * volts for amperes, volts in RAILS.values()) * 1e6, abs=12
    )
    assert not any("EXT5V" in channel or "BATT" in channel for channel in found)


@pytest.mark.parametrize(
    "said",
    [
        "",
        "Command not registered",
        " EXT5V_V volt(24)=5.13738000V",
        " VDD_CORE_A current(7)=nanA\n VDD_CORE_V volt(15)=0.72V",
        " VDD_CORE_A current(7)=-0.79500000A\n VDD_CORE_V volt(15)=0.72000000V",
        " VDD\x1b[31m_A current(7)=0.79500000A\n VDD\x1b[31m_V volt(15)=0.72000000V",
    ],
)
def test_what_tells_no_rail_is_no_sensor(said: str) -> None:
    with pytest.raises(Unreadable, match="only a Raspberry Pi 5 has such a chip"):
        parse_rails(said)


def test_what_no_rail_carries_is_refused() -> None:
    with pytest.raises(Unreadable, match="tells 795 A of VDD_CORE"):
        parse_rails(listing({**RAILS, "VDD_CORE": (795.0, 0.72)}))


def test_a_device_without_the_firmwares_program_says_so(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="no vcgencmd"):
        find_pmic_rails(None, tmp_path)
