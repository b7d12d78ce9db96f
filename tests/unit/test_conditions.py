"""What a device says about itself: known, or unknown with the reason, and nothing private."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from benchharness.device import conditions
from benchharness.device.questions import device_facts
from benchharness.device.sensors import cgroup, macos, windows
from benchharness.device.sensors.readings import Unreadable, reason_of

MEMORY = (
    "MemTotal:       16000000 kB\nMemFree:  1000000 kB\nMemAvailable:    9000000 kB\n"
    "SwapTotal: 1000 kB\nSwapFree: 900 kB\n"
)
PRESSURE = "some avg10=1.25 avg60=0.5 avg300=0.1 total=99\nfull avg10=0.75 avg60=0.2 avg300=0.0 total=55\n"
PROC = {
    "proc/meminfo": MEMORY,
    "proc/pressure/cpu": PRESSURE,
    "proc/pressure/memory": PRESSURE.replace("1.25", "0.00"),
    "proc/pressure/io": PRESSURE,
    "proc/stat": "cpu  100 0 50 800 50 0 0 10 0 0\ncpu0 100 0 50 800 50 0 0 10 0 0\n",
    "proc/self/schedstat": "123456 7890 12\n",
    "proc/self/clear_refs": "",
    "proc/vmstat": "nr_free_pages 1\noom_kill 17\nother 2\n",
}
SUPPLY, THERMAL, MONITORS = "sys/class/power_supply", "sys/class/thermal", "sys/class/hwmon"
LAPTOP = {
    **PROC,
    "etc/machine-id": "secret\n",
    "etc/os-release": 'NAME="Debian GNU/Linux"\nPRETTY_NAME="Debian GNU/Linux 13 (trixie)"\n',
    "proc/cpuinfo": "processor\t: 0\nmodel name\t: Some Core i7\nflags\t\t: fpu sse2\n",
    f"{SUPPLY}/AC/type": "Mains\n",
    f"{SUPPLY}/AC/online": "0\n",
    f"{SUPPLY}/BAT0/type": "Battery\n",
    f"{SUPPLY}/BAT0/status": "Discharging\n",
    f"{SUPPLY}/BAT0/capacity": "57\n",
    f"{SUPPLY}/BAT0/current_now": "-1500000\n",
    f"{SUPPLY}/BAT0/voltage_now": "12000000\n",
    f"{SUPPLY}/mouse/type": "Battery\n",
    f"{SUPPLY}/mouse/scope": "Device\n",
    f"{SUPPLY}/mouse/capacity": "3\n",
    f"{THERMAL}/thermal_zone0/type": "acpitz\n",
    f"{THERMAL}/thermal_zone0/temp": "27800\n",
    f"{THERMAL}/thermal_zone1/type": "x86_pkg_temp\n",
    f"{THERMAL}/thermal_zone1/temp": "71000\n",
    f"{THERMAL}/thermal_zone2/type": "cpu-broken\n",
    f"{THERMAL}/thermal_zone2/temp": "0\n",
    f"{MONITORS}/hwmon0/name": "nvme\n",
    f"{MONITORS}/hwmon0/temp1_input": "80850\n",
    f"{MONITORS}/hwmon1/name": "coretemp\n",
    f"{MONITORS}/hwmon1/temp1_label": "Package id 0\n",
    f"{MONITORS}/hwmon1/temp1_input": "70000\n",
    "sys/class/powercap/intel-rapl:0/name": "package-0\n",
    "sys/class/powercap/intel-rapl:0/energy_uj": "5000000\n",
    **{f"sys/devices/system/cpu/cpu{core}/cpufreq/scaling_governor": "powersave\n" for core in range(4)},
    "sys/devices/system/cpu/cpu3/cpufreq/scaling_governor": "performance\n",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "800000\n",
    "sys/devices/system/cpu/cpu1/cpufreq/scaling_cur_freq": "4200000\n",
    "sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count": "0\n",
    "sys/devices/system/cpu/cpu1/thermal_throttle/package_throttle_count": "6\n",
    "proc/self/cgroup": "0::/user.slice/session\n",
    "proc/self/mountinfo": "30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n",
    "sys/fs/cgroup/cgroup.controllers": "cpuset cpu io memory pids\n",
    "sys/fs/cgroup/user.slice/memory.max": "max\n",
    "sys/fs/cgroup/user.slice/cpu.max": "max 100000\n",
    "sys/fs/cgroup/user.slice/session/memory.max": "max\n",
}
VIRTUAL_MACHINE = {"proc/cpuinfo": "model name\t: Some Xeon\nflags\t\t: fpu hypervisor sse2\n", "proc/meminfo": MEMORY}


def tree(root: Path, files: Mapping[str, str]) -> Path:
    """Writes files below a folder, which then stands for the root of a system."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.fixture
def laptop(tmp_path: Path) -> Path:
    return tree(tmp_path, LAPTOP)


@pytest.fixture
def virtual_machine(tmp_path: Path) -> Path:
    return tree(tmp_path, VIRTUAL_MACHINE)


def test_a_laptop_on_battery_tells_its_state(laptop: Path) -> None:
    found = conditions.conditions_now(laptop)
    json.dumps(found, allow_nan=False)
    expected = {
        "governor": "performance, powersave",
        "power_source": "battery",
        "battery_percent": 57.0,
        "memory_available_bytes": 9_000_000 * 1024.0,
        "swap_used_bytes": 100 * 1024.0,
        "memory_pressure": 0.0,
        "cpu_pressure": 1.25,
        "temperature_celsius": 71.0,
        "temperature_sensor": "x86_pkg_temp",
        "cgroup_memory_limit_bytes": "none",
        "cgroup_cpu_quota_us": "none",
        "cgroup_cpu_period_us": "none",
        "virtualisation": "none",
    }
    assert {name: found[name] for name in expected} == expected


def test_a_machine_without_sensors_gives_the_same_keys_and_a_reason_for_each(
    virtual_machine: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    found = conditions.conditions_now(virtual_machine)
    assert list(found) == list(conditions.conditions_now(tree(tmp_path_factory.mktemp("laptop"), LAPTOP)))
    assert found["virtualisation"] == "virtual machine"
    missing = {name for name, value in found.items() if reason_of(value) is not None}
    assert missing == {
        *("governor", "turbo", "power_source", "battery_percent", "memory_pressure", "cpu_pressure"),
        *("temperature_celsius", "temperature_sensor"),
        *("cgroup_memory_limit_bytes", "cgroup_cpu_quota_us", "cgroup_cpu_period_us"),
    }
    assert all(found[name]["unknown"] for name in missing)
    assert "virtual machine" in found["power_source"]["unknown"]


def test_readings_are_fractions_and_states_are_not(laptop: Path) -> None:
    readings = {name for name, value in conditions.conditions_now(laptop).items() if isinstance(value, float)}
    assert readings == {
        *("battery_percent", "load_average", "memory_available_bytes", "memory_pressure", "cpu_pressure"),
        *("temperature_celsius", "swap_used_bytes"),
    }


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"intel_pstate/no_turbo": "0"}, "on"),
        ({"intel_pstate/no_turbo": "1"}, "off"),
        ({"cpufreq/boost": "1"}, "on"),
        ({"cpufreq/boost": "0"}, "off"),
    ],
)
def test_the_turbo_is_what_its_driver_says(tmp_path: Path, files: Mapping[str, str], told: str) -> None:
    tree(tmp_path, {f"sys/devices/system/cpu/{name}": text for name, text in files.items()})
    assert conditions.turbo(tmp_path) == told


@pytest.mark.parametrize(
    ("files", "source"),
    [
        ({"AC/online": "1"}, "mains and battery"),
        ({"AC/online": "1", "BAT0/status": "Charging"}, "mains"),
        ({"BAT0/status": "Full"}, "mains"),
        ({"BAT0/status": "Unknown"}, "battery"),
    ],
)
def test_the_power_source_is_what_is_drained(laptop: Path, files: Mapping[str, str], source: str) -> None:
    tree(laptop / SUPPLY, files)
    assert conditions.conditions_now(laptop)["power_source"] == source


def test_a_hot_drive_counts_only_where_nothing_else_is_known(tmp_path: Path) -> None:
    drive = {name: text for name, text in LAPTOP.items() if "hwmon0" in name}
    found = conditions.temperature(tree(tmp_path, drive))
    assert found == {"temperature_celsius": 80.85, "temperature_sensor": "nvme"}


@pytest.mark.parametrize("reading", ["0", "45", "-273150", "200000", "nothing"])
def test_a_broken_temperature_is_none(tmp_path: Path, reading: str) -> None:
    tree(tmp_path, {f"{THERMAL}/thermal_zone0/type": "cpu", f"{THERMAL}/thermal_zone0/temp": reading})
    assert "none of 1 sensors" in conditions.temperature(tmp_path)["temperature_celsius"]["unknown"]


V2 = {
    "proc/self/cgroup": "0::/\n",
    "proc/self/mountinfo": "30 24 0:26 /kube\\040pod /sys/fs/cgroup ro - cgroup2 cgroup rw\n",
    "sys/fs/cgroup/cgroup.controllers": "cpu memory\n",
    "sys/fs/cgroup/memory.max": "536870912\n",
    "sys/fs/cgroup/cpu.max": "150000 100000\n",
}
V1 = {
    "proc/self/cgroup": "11:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc/inner\n0::/\n",
    "proc/self/mountinfo": (
        "25 20 0:20 / /proc rw - proc proc rw\n"
        "31 30 0:27 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"
        "32 30 0:28 /docker/abc /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct\n"
    ),
    "sys/fs/cgroup/memory/memory.limit_in_bytes": "1073741824\n",
    "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "50000\n",
    "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
    "sys/fs/cgroup/cpu,cpuacct/inner/cpu.cfs_quota_us": "-1\n",
    "sys/fs/cgroup/cpu,cpuacct/inner/cpu.cfs_period_us": "100000\n",
}


def limits(root: Path) -> tuple[Any, ...]:
    return tuple(cgroup.limits(root).values())


def test_limits_of_a_container_with_version_2(tmp_path: Path) -> None:
    assert limits(tree(tmp_path, V2)) == (536870912, 150000, 100000)


def test_the_tightest_limit_above_counts(tmp_path: Path) -> None:
    root = tree(
        tmp_path,
        {
            **LAPTOP,
            "sys/fs/cgroup/user.slice/memory.max": "1000000",
            "sys/fs/cgroup/user.slice/cpu.max": "400000 100000",
            "sys/fs/cgroup/user.slice/session/memory.max": "2000000",
            "sys/fs/cgroup/user.slice/session/cpu.max": "30000 10000",
        },
    )
    assert limits(root) == (1000000, 30000, 10000)


def test_limits_with_version_1(tmp_path: Path) -> None:
    assert limits(tree(tmp_path, V1)) == (1073741824, 50000, 100000)


@pytest.mark.parametrize("unlimited", ["9223372036854771712", "9223372036854710272", "8796093018112"])
def test_version_1_writes_no_limit_as_a_number(tmp_path: Path, unlimited: str) -> None:
    tree(tmp_path, {**V1, "sys/fs/cgroup/memory/memory.limit_in_bytes": unlimited})
    assert cgroup.memory_limit_bytes(tmp_path) == "none"


def test_a_controller_that_is_not_handed_down_leaves_the_limit_unknown(tmp_path: Path) -> None:
    tree(tmp_path, {**V2, "sys/fs/cgroup/cgroup.controllers": "cpu\n"})
    assert "memory is not to be seen" in cgroup.memory_limit_bytes(tmp_path)["unknown"]
    assert cgroup.cpu_quota_us(tmp_path) == (150000, 100000)


def test_a_limit_that_cannot_be_read_is_not_taken_for_none(tmp_path: Path) -> None:
    tree(tmp_path, V2)
    for name in ("memory.max", "cpu.max"):
        (tmp_path / "sys/fs/cgroup" / name).unlink()
        (tmp_path / "sys/fs/cgroup" / name).mkdir()  # what an administrator cannot read either
    assert all(reason_of(value) for value in limits(tmp_path))


def test_a_group_outside_of_the_mount_is_seen_as_the_mount(tmp_path: Path) -> None:
    tree(tmp_path, {**V2, "proc/self/cgroup": "0::/../other\n"})
    assert cgroup.memory_limit_bytes(tmp_path) == 536870912


def test_facts_of_this_machine_are_json_and_name_the_device() -> None:
    found = conditions.device_facts()
    json.dumps(found, allow_nan=False)
    assert list(found) == ["device", "os", "kernel", "machine", "processor", "cores", "memory_bytes"]
    assert found["device"] == conditions.device_id()
    assert found["cores"] == os.cpu_count()


def test_facts_of_the_laptop(laptop: Path) -> None:
    found = device_facts.device_facts(laptop)
    assert (found["os"], found["processor"]) == ("Debian GNU/Linux 13 (trixie)", "Some Core i7")
    assert found["memory_bytes"] == 16_000_000 * 1024
    assert len(found["device"]) == 12
    assert "secret" not in str(found)


def test_two_machines_have_two_ids(laptop: Path) -> None:
    before = device_facts.device_id(laptop)
    (laptop / "etc/machine-id").write_text("another secret")
    assert device_facts.device_id(laptop) != before


def test_a_board_without_a_machine_id_goes_by_its_serial_number(tmp_path: Path) -> None:
    board = {"proc/device-tree/serial-number": "10000000abcdef\0", "proc/device-tree/model": "Some Board 4\0"}
    tree(tmp_path, board)
    assert device_facts.processor(tmp_path) == "Some Board 4"
    first = device_facts.device_id(tmp_path)
    tree(tmp_path, {"proc/device-tree/serial-number": "10000000abcdee\0"})
    assert device_facts.device_id(tmp_path) != first


def test_a_made_up_network_address_is_no_part_of_the_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = []
    for node in (0x010000000001, 0x010000000002):
        monkeypatch.setattr(uuid, "getnode", lambda node=node: node)
        ids.append(device_facts.device_id(tmp_path))
    assert ids[0] == ids[1]


def test_the_device_has_the_same_name_in_every_process() -> None:
    code = "from benchharness.device.conditions import device_id; print(device_id())"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert said == conditions.device_id()


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"sys/class/dmi/id/sys_vendor": "QEMU\n"}, "virtual machine (QEMU)"),
        ({"proc/device-tree/compatible": "linux,dummy-virt\0"}, "virtual machine"),
        ({"proc/cpuinfo": "Features\t: fp asimd\n"}, None),
    ],
)
def test_a_processor_without_the_flag_is_never_said_to_be_real(
    tmp_path: Path, files: Mapping[str, str], said: str | None
) -> None:
    found = device_facts.virtualisation(tree(tmp_path, files))
    assert found == said or (said is None and reason_of(found))


def test_what_raises_is_unknown_with_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (_ for _ in ()).throw(OSError(13, "Permission denied")))
    assert conditions.load_average() == {"unknown": "the system: Permission denied"}
    tree(tmp_path, {"proc/pressure/memory": "avg10\n", "proc/meminfo": "MemTotal: much\n"})
    assert "not understood" in conditions.memory_pressure(tmp_path)["unknown"]
    assert "not understood" in conditions.memory_bytes(tmp_path)["unknown"]
    assert "MemAvailable" in conditions.available_memory_bytes(tmp_path)["unknown"]


def test_kills_for_want_of_memory_are_counted(laptop: Path, tmp_path: Path) -> None:
    assert conditions.out_of_memory_kills(laptop) == 17
    assert conditions.out_of_memory_kills(tmp_path / "nothing") is None


def test_what_macos_prints_is_understood() -> None:
    assert macos.parse_power("Now drawing from 'AC Power'\n") == ("mains", None)
    listing = "Now drawing from 'Battery Power'\n -InternalBattery-0 (id=1)\t83%; discharging; 5:12 remaining\n"
    assert macos.parse_power(listing) == ("battery", 83.0)
    pages = "(page size of 16384 bytes)\nPages free:  100.\nPages inactive:  20.\nPages speculative:  3.\n"
    assert macos.parse_available_memory(pages) == 123 * 16384
    with pytest.raises(Unreadable):
        macos.parse_available_memory("nothing")
    with pytest.raises(Unreadable):
        macos.parse_power("nothing")


@pytest.mark.skipif(sys.platform == "win32", reason="asks whether other systems are told so")
def test_windows_is_asked_on_windows_only() -> None:
    for reader in (windows.memory_bytes, windows.power, windows.machine_id):
        with pytest.raises(Unreadable, match="on Windows only"):
            reader()
