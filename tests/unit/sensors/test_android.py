"""What Android's programs print, by what phones of several makers were seen to print, and by dumps that mean harm."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest

from benchharness.device import conditions
from benchharness.device.entry_gate import EntryGate
from benchharness.device.questions import android_id, device_facts
from benchharness.device.sensors import android, android_services
from benchharness.device.sensors.panel import Panel
from benchharness.device.sensors.readings import Unreadable
from tests.unit.sensors.published import (
    ACTIVITIES_14,
    ACTIVITIES_16,
    ACTIVITIES_SAMSUNG_7,
    ACTIVITIES_VIVO_8,
    ACTIVITIES_XIAOMI_SCREENS,
    BOX_BATTERY,
    MEMORY_WITH_PARTS,
    ONEPLUS_7_BATTERY,
    ONEPLUS_8T_BATTERY,
    PIXEL_BATTERY,
    PIXEL_C_BATTERY,
    PIXEL_SNAPDRAGON,
    PIXEL_TENSOR,
    REDMI_BATTERY,
    SAMSUNG_A52,
    SAMSUNG_BATTERY,
    SAMSUNG_BATTERY_OLDER,
    SAMSUNG_TAB_A7,
)

#: Lines by the form that PowerManagerService, ActivityManagerService and getprop give them in Android's source.
AWAKE = "POWER MANAGER (dumpsys power)\n\n  mWakefulness=Awake\nDisplay Power: state=ON\n"
MEMORY = "Total RAM: 7,579,252K (status normal)\n Free RAM: 4,761,803K (  100,000K cached)\n Used RAM: 3,349,052K\n"
PROPERTIES = """[ro.serialno]: [0A041FDD4003EA]
[ro.build.version.release]: [14]
[ro.build.id]: [UP1A]
[ro.build.fingerprint]: [maker/x/x:14/UP1A/1:user/release-keys]
[ro.product.model]: [Stand In]
[ro.product.manufacturer]: [Maker]
[ro.soc.manufacturer]: [QTI]
[ro.soc.model]: [SM7325]
"""
HOT = PIXEL_TENSOR.replace("Status: 0", "Status: 2", 1)
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="a phone's programs are shell scripts here")


def test_temperatures_are_taken_and_currents_and_cycles_are_not() -> None:
    found = android.parse_thermal_service(PIXEL_TENSOR)
    assert found.celsius == {
        "TPU": 25.000002,
        "BIG": 26.000002,
        "LITTLE": 27.000002,
        "VIRTUAL-SKIN": 24.83324,
        "battery": 22.1,
    }
    assert (found.status, found.cores, found.battery) == (0, ("BIG", "LITTLE"), "battery")
    snapdragon = android.parse_thermal_service(PIXEL_SNAPDRAGON)
    assert (snapdragon.celsius["cpu1-silver-usr"], len(snapdragon.celsius)) == (44.1, 4)
    assert android.parse_thermal_service(SAMSUNG_TAB_A7).celsius == {"CPU": 29.1}
    assert android.parse_thermal_service(SAMSUNG_A52).battery == "BAT"


def test_a_battery_is_read_in_androids_units_and_refused_in_others() -> None:
    pixel = android.parse_battery(PIXEL_BATTERY)
    assert (pixel.powered_by, pixel.state, pixel.percent, pixel.charge_uah) == (("AC",), "charging", 95, 2448973)
    assert (pixel.celsius, pixel.doubts["temperature"]) == (None, "no temperature is told")
    samsung = android.parse_battery(SAMSUNG_BATTERY)
    assert (samsung.powered_by, samsung.state, samsung.millivolts) == (("USB",), "full", 4312)
    assert (samsung.celsius, samsung.charge_uah) == (30.9, 2967000)
    older = android.parse_battery(SAMSUNG_BATTERY_OLDER)
    assert (older.celsius, older.charge_uah) == (32.6, None)
    redmi = android.parse_battery(REDMI_BATTERY)
    assert (redmi.celsius, redmi.charge_uah) == (36.4, None)
    assert redmi.doubts["Charge counter"] == "it counts 4274 at 80 %: not in µAh"
    box = android.parse_battery(BOX_BATTERY)
    assert (box.millivolts, box.celsius, box.charge_uah, box.state) == (None, None, None, "not charging")


def test_batteries_of_further_makers_are_read() -> None:
    paused = android.parse_battery(ONEPLUS_8T_BATTERY)
    assert (paused.powered_by, paused.state, paused.percent, paused.celsius) == ((), "not charging", 89, 32.4)
    assert (paused.millivolts, paused.charge_uah) == (4218, 3124799)
    drained = android.parse_battery(ONEPLUS_7_BATTERY)
    assert (drained.powered_by, drained.state, drained.percent, drained.celsius) == ((), "discharging", 77, 29.4)
    assert (drained.millivolts, drained.charge_uah, drained.doubts) == (3985, 2849000, {})
    tablet = android.parse_battery(PIXEL_C_BATTERY)
    assert (tablet.powered_by, tablet.celsius, tablet.charge_uah) == (("AC",), 27.5, None)
    assert "in another unit than Android's, or not at all" in tablet.doubts["Charge counter"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("HAL Ready: true", "HAL Ready: false"), "no hardware layer to ask"),
        (("IsStatusOverride: false", "IsStatusOverride: true"), "set by hand: 'cmd thermalservice reset'"),
    ],
)
def test_a_status_that_nobody_measured_is_no_status(change: tuple[str, str], said: str) -> None:
    """Without a hardware layer Android prints the status that it began with, which is that of a cool phone, and people
    have taken it for one: https://github.com/MaheshSharan/FrameX-Android/issues/46 and 51.
    """
    with pytest.raises(Unreadable, match=said):
        android.parse_thermal_service(SAMSUNG_A52.replace(*change))


@pytest.mark.parametrize(
    ("dump", "front"),
    [
        (ACTIVITIES_SAMSUNG_7, ("me.piebridge.brevent",)),
        (ACTIVITIES_VIVO_8, ("com.xtc.watch",)),
        (ACTIVITIES_14, ("com.smile.gifmaker",)),
        (ACTIVITIES_16, ("com.wb",)),
        (ACTIVITIES_XIAOMI_SCREENS, ("dev.continuum.chat",)),
        (ACTIVITIES_SAMSUNG_7.replace("mResumedActivity: ActivityRecord{9f7", "mResumedActivity: null {9f7"), ()),
        (
            ACTIVITIES_16.replace("esumedActivity=A", "esumedActivity=null A").replace("Resumed: A", "Resumed: null A"),
            (),
        ),
        (ACTIVITIES_14.replace("u0 com", "u10 com"), ("com.smile.gifmaker",)),  # of a second user
    ],
)
def test_what_is_in_front_is_told_by_android_of_many_versions(dump: str, front: tuple[str, ...]) -> None:
    assert android.parse_resumed(dump) == front
    assert android.parse_resumed(dump.replace("\n", "\r\n")) == front


@pytest.mark.parametrize(
    "dump",
    [
        "",
        "Can't find service: activity",
        "Display #0 (activities from top to bottom):\n",
        "topResumedActivity=ActivityRecord{1 u0 com.x/.Y t1}\n",
        "Display #2 (activities from top to bottom):\n    topResumedActivity=ActivityRecord{1 u0 com.x/.Y t1}\n",
        "Display #0 (activities from top to bottom):\n" + "    topResumedActivity=ActivityRecord{" * 200_000,
    ],
)
def test_who_does_not_tell_what_is_in_front_is_not_guessed_at(dump: str) -> None:
    began = time.process_time()
    with pytest.raises(Unreadable):
        android.parse_resumed(dump)
    assert time.process_time() - began < 10


@pytest.mark.parametrize(
    ("dump", "said"),
    [
        ("", "tells no state"),
        ("Can't find service: battery", "tells no state"),
        (SAMSUNG_BATTERY.replace("state:", "state:\n  (UPDATES STOPPED -- use 'reset' to restart)"), "set by hand"),
    ],
)
def test_a_battery_that_says_nothing_of_its_own_is_unreadable(dump: str, said: str) -> None:
    with pytest.raises(Unreadable, match=said):
        android.parse_battery(dump)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("level", "101"),
        ("level", "-1"),
        ("level", "9" * 30),
        ("voltage", "4.312"),
        ("voltage", "nan"),
        ("temperature", "1e3"),
        ("temperature", "9999"),
        ("Charge counter", "-2147483648"),
        ("Charge counter", "٢٩"),
    ],
)
def test_a_number_that_cannot_be_meant_is_refused(field: str, value: str) -> None:
    before = next(line for line in SAMSUNG_BATTERY.splitlines() if line.strip().startswith(f"{field}:"))
    found = android.parse_battery(SAMSUNG_BATTERY.replace(before, f"  {field}: {value}"))
    taken = {
        "level": found.percent,
        "voltage": found.millivolts,
        "temperature": found.celsius,
        "Charge counter": found.charge_uah,
    }
    assert taken[field] is None
    assert field in found.doubts


def test_a_dump_that_means_harm_costs_no_time_and_no_memory() -> None:
    """Of many megabytes, of one line, of names with control characters, of lines that nearly match."""
    began = time.process_time()
    sensor = "\tTemperature{mValue=30.0, mType=0, mName=a\x1b[31m\u202e" + "x" * 150 + ", mStatus=0}\n"
    found = android.parse_thermal_service(PIXEL_TENSOR.replace("Current cooling", sensor * 100_000 + "Current cooling"))
    assert len(found.celsius) <= 100
    assert all(name.isprintable() and len(name) <= 48 for name in found.celsius)
    android.parse_thermal_service(PIXEL_TENSOR.replace("Current cooling", "Temperature{mValue=" * 300_000))
    for dump in ("  " + "A " * 2_000_000, "  a: " * 1_000_000, "Total RAM: " + "1," * 2_000_000, "[" * 3_000_000):
        for parse in (android.parse_battery, android.parse_screen, android.parse_memory, android.parse_properties):
            with pytest.raises(Unreadable):
                parse(dump)
        android.parse_battery("Current Battery Service state:\n" + dump)
    assert time.process_time() - began < 20


def test_screen_memory_and_properties() -> None:
    assert android.parse_screen(AWAKE) == "on"
    assert android.parse_screen(AWAKE.replace("state=ON", "state=OFF")) == "off"
    assert android.parse_screen("  mWakefulness=Dozing\n") == "dozing"
    found = android.parse_memory(MEMORY)
    assert (found["total_bytes"], found["status"]) == (7579252 * 1024, "normal")
    found = android.parse_memory(MEMORY_WITH_PARTS)
    assert (found["total_bytes"], found["free_bytes"]) == (2891076 * 1024, 1186061 * 1024)
    assert (found["used_bytes"], found["status"]) == (2125206 * 1024, "normal")
    assert android.parse_properties(PROPERTIES)["ro.soc.model"] == "SM7325"
    for parse in (android.parse_screen, android.parse_memory, android.parse_properties):
        with pytest.raises(Unreadable):
            parse("")


class Phone:
    """A root whose programs say what a test wants."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "system/bin").mkdir(parents=True)
        (root / "says").mkdir()
        for name in ("dumpsys", "getprop", "settings"):
            file = root / "system/bin" / name
            file.write_text(f'#!/bin/sh\nname="{name} $*"\ncat "{root}/says/${{name% }}" 2>/dev/null\n')
            file.chmod(0o755)

    def says(self, words: str, said: str) -> None:
        (self.root / "says" / words).write_text(said)


@pytest.fixture
def phone(tmp_path: Path) -> Phone:
    return Phone(tmp_path)


@on_linux
def test_what_a_phone_tells_is_among_facts_and_conditions(phone: Phone) -> None:
    phone.says("dumpsys thermalservice", HOT)
    phone.says("dumpsys battery", SAMSUNG_BATTERY)
    phone.says("dumpsys power", AWAKE)
    phone.says("dumpsys activity activities", ACTIVITIES_14)
    phone.says("settings get global airplane_mode_on", "1\n")
    phone.says("getprop", PROPERTIES)
    facts = device_facts.device_facts(phone.root)
    assert (facts["os"], facts["processor"], facts["model"]) == ("Android 14 (UP1A)", "QTI SM7325", "Stand In")
    assert len(facts["device"]) == 12
    now = conditions.conditions_now(phone.root)
    assert (now["thermal_status"], now["screen"], now["airplane_mode"]) == (2, "on", "on")
    assert now["in_front"] == "com.smile.gifmaker"
    assert (now["power_source"], now["battery_percent"], now["battery_celsius"]) == ("mains", 100.0, 30.9)
    assert (now["temperature_celsius"], now["temperature_sensor"]) == (27.000002, "LITTLE (Android)")
    json.dumps(now, allow_nan=False)


@on_linux
@pytest.mark.parametrize("told", ["", "[ro.serialno]: [unknown]\n", "[ro.serialno]: [EMULATOR36X5X10X0]\n"])
def test_phones_without_a_serial_number_of_their_own_are_told_apart(tmp_path: Path, told: str) -> None:
    phones = [Phone(tmp_path / name) for name in ("a", "b")]
    for phone in phones:
        phone.says("getprop", f"[ro.product.model]: [Stand In]\n{told}")
    ids = [device_facts.device_id(phone.root) for phone in phones]
    assert ids[0] != ids[1]
    android_id.own_id.cache_clear()  # as in another process
    assert [device_facts.device_id(phone.root) for phone in phones] == ids
    kept = phones[0].root / "data/local/tmp/benchharness/device-id"
    kept.write_text("damaged")
    android_id.own_id.cache_clear()
    assert device_facts.device_id(phones[0].root) != ids[0]
    assert len(kept.read_text()) == 32
    phones[0].says("getprop", "[ro.serialno]: [unknown]\n[ro.boot.serialno]: [0A041FDD4003EA]\n")
    android_services.properties.cache_clear()
    by_serial = device_facts.device_id(phones[0].root)
    kept.unlink()
    assert device_facts.device_id(phones[0].root) == by_serial


@on_linux
def test_a_phone_that_tells_nothing_has_reasons(phone: Phone) -> None:
    now = conditions.conditions_now(phone.root)
    for name in (
        "thermal_status",
        "battery_state",
        "battery_celsius",
        "screen",
        "in_front",
        "airplane_mode",
        "power_source",
    ):
        assert now[name]["unknown"], name
    assert device_facts.device_facts(phone.root)["model"] == {"unknown": "getprop does not say"}


def test_elsewhere_nothing_of_it_is_told(tmp_path: Path) -> None:
    assert android_services.state_now(tmp_path) == {}
    assert android_services.facts(tmp_path) == {}
    assert "thermal_status" not in conditions.conditions_now(tmp_path)


@on_linux
def test_status_and_drained_energy_are_on_the_panel(phone: Phone) -> None:
    phone.says("dumpsys thermalservice", PIXEL_TENSOR)
    phone.says("dumpsys battery", REDMI_BATTERY)
    with Panel(None, phone.root) as panel:
        why = panel.sensors()["Android battery charge"]["reason"]
    assert why == "the battery is not all that it runs on (AC): unplug it, and use adb over the network"
    unplugged = SAMSUNG_BATTERY.replace("USB powered: true", "USB powered: false").replace("status: 5", "status: 3")
    phone.says("dumpsys battery", unplugged)
    with Panel(None, phone.root) as panel:
        look = panel.look()
        assert (look["android_thermal_status"], look["celsius.BIG (Android)"]) == (0, 26.000002)
        phone.says("dumpsys battery", unplugged.replace("2967000", "2966000"))
        drained = panel.by_sensor()["Android battery charge"]["drained_uj"]
    assert drained == pytest.approx(1e-3 * 3600 * 4.312 * 1e6, rel=1e-6)  # 1 mAh at 4.312 V


@on_linux
@pytest.mark.parametrize(
    ("meanwhile", "told"),
    [
        (("USB powered: false", "USB powered: true"), r"charged meanwhile \(USB\)"),
        (("status: 3", "status: 2"), r"charged meanwhile \(charging\)"),
        (("2966000", "2966500"), r"charged meanwhile \(its charge rose\)"),
    ],
)
def test_what_was_charged_for_a_time_tells_no_energy_from_then_on(
    phone: Phone, meanwhile: tuple[str, str], told: str
) -> None:
    unplugged = SAMSUNG_BATTERY.replace("USB powered: true", "USB powered: false").replace("status: 5", "status: 3")
    unplugged = unplugged.replace("2967000", "2966000")
    phone.says("dumpsys battery", unplugged)
    sensor = android_services.find_drained_energy(None, phone.root)
    assert sensor.read() == {"drained_uj": 0, "drained_uah": 0, "level_percent": 100}
    phone.says("dumpsys battery", unplugged.replace(*meanwhile))
    with pytest.raises(Unreadable, match=told):
        sensor.read()
    phone.says("dumpsys battery", unplugged.replace("2966000", "2960000"))
    with pytest.raises(Unreadable, match=told):
        sensor.read()


class Clock:
    """Moved on by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def gate(
    phone: Phone, longest_s: float, *, after_s: float = 0.0, then: tuple[str, str] | None = None
) -> dict[str, str]:
    """The gate's facts as text, a service of the phone saying something else after some time."""
    clock = Clock()
    found = EntryGate(phone.root, clock=clock, probe=lambda: 1e6)
    found.begin(longest_s)
    while (facts := found.step()) is None:
        clock.now += 1.0
        if then is not None and clock.now >= after_s:
            phone.says(*then)
    return {key: str(value) for key, value in facts.items()}


@on_linux
def test_the_gate_waits_for_a_phone_that_is_slowed_for_heat(phone: Phone) -> None:
    phone.says("dumpsys thermalservice", HOT)
    phone.says("dumpsys battery", SAMSUNG_BATTERY)
    refused = gate(phone, 30)
    assert refused["settled"] == "False"
    assert refused["reason"] == "Android's thermal status is moderate; went in after the 30 s allowed"
    cooled = gate(phone, 300, after_s=40, then=("dumpsys thermalservice", PIXEL_TENSOR))
    assert (cooled["settled"], cooled["by"]) == ("True", "thermal status and battery")
    assert 40 <= float(cooled["waited_s"]) <= 60


@on_linux
def test_the_gate_waits_for_a_battery_that_cools(phone: Phone) -> None:
    phone.says("dumpsys thermalservice", PIXEL_TENSOR)
    phone.says("dumpsys battery", SAMSUNG_BATTERY.replace("309", "380"))
    cooled = gate(phone, 300, after_s=6, then=("dumpsys battery", SAMSUNG_BATTERY))
    assert cooled["settled"] == "True"
    assert "30.9 °C" in cooled["reason"]
    assert float(cooled["waited_s"]) >= 16, "it did not wait for the change to be over"


@on_linux
def test_a_phone_that_tells_no_temperature_is_tried_by_the_probe_kernel(phone: Phone) -> None:
    found = gate(phone, 60)
    assert (found["settled"], found["by"]) == ("True", "probe kernel")
