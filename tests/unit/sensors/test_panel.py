"""The panel on this machine, and with files that fail, lie or go away."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchharness.device.sensors import panel as panels
from benchharness.device.sensors.panel import Panel
from benchharness.device.sensors.readings import KeptFile, Unreadable, number_of, text_of
from benchharness.device.sensors.scheduling import ThreadCounters, find_switches, find_waiting, schedstat, switches
from benchharness.device.sensors.sensor import Sensor
from benchharness.device.sensors.temperature import find_temperatures
from tests.unit.sensors.trees import failing, grown, planted

LINUX = sys.platform.startswith("linux")
on_linux = pytest.mark.skipif(not LINUX, reason="reads /proc")
ZONE = "sys/class/thermal/thermal_zone0"


@on_linux
def test_this_machines_own_counters_agree_with_what_the_process_did() -> None:
    with Panel(os.getpid()) as panel:
        before = panel.look()
        began = time.process_time()
        while time.process_time() - began < 0.2:
            pass
        after = panel.look()
    if "ran_ns" not in before:
        pytest.skip("no scheduler statistics")
    ran_s = (after["ran_ns"] - before["ran_ns"]) / 1e9
    assert ran_s == pytest.approx(time.process_time() - began, abs=0.05)
    assert after["times_run"] >= before["times_run"]
    assert after["waited_ns"] >= before["waited_ns"]


@on_linux
def test_pressure_and_steal_are_those_of_the_system() -> None:
    def ticks() -> list[int]:
        return list(map(int, Path("/proc/stat").read_text().splitlines()[0].split()[1:9]))

    def pressure_us() -> int:
        try:
            return int(Path("/proc/pressure/cpu").read_text().splitlines()[0].rpartition("total=")[2])
        except OSError:  # of a kernel that counts none
            return 0

    with Panel(None) as panel:
        first, first_us = ticks(), pressure_us()
        found = panel.look()
        last, last_us = ticks(), pressure_us()
    if "psi_cpu_some_us" in found:
        assert first_us <= found["psi_cpu_some_us"] <= last_us
    assert first[7] <= found["stolen_ticks"] <= last[7]
    assert sum(first) - 500 <= found["all_ticks"] <= sum(last) + 500  # the kernel may take back what was idle


@on_linux
def test_without_a_process_what_is_a_processs_has_a_reason() -> None:
    with Panel(None) as panel:
        assert "waited_ns" not in panel.look()
        found = panel.sensors()
    assert {found[name]["reason"] for name in ("waiting", "switches", "major faults")} == {"no process is watched"}


@on_linux
def test_a_process_that_ends_leaves_looks_without_its_readings() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        panel = Panel(child.pid)
        assert "major_faults" in panel.look()
        child.communicate(b"\n")
    found = panel.look()
    assert not {"ran_ns", "voluntary_switches", "major_faults"} & set(found)
    assert panel.sensors()["waiting"]["left_out"] == {"all of it": "the process has ended"}
    panel.close()
    assert panel.look() == {}


@pytest.fixture
def threads() -> Iterator[list[tuple[threading.Thread, threading.Event]]]:
    """Three threads that have run for a while and wait for their event."""
    made = []
    for _ in range(3):
        ready, end = threading.Event(), threading.Event()

        def work(ready: threading.Event = ready, end: threading.Event = end) -> None:
            began = time.thread_time()
            while time.thread_time() - began < 0.03:
                pass
            ready.set()
            end.wait()

        thread = threading.Thread(target=work)
        thread.start()
        ready.wait()
        made.append((thread, end))
    yield made
    for thread, end in made:
        end.set()
        thread.join()


@on_linux
def test_threads_that_end_stay_in_the_sum(threads: list[tuple[threading.Thread, threading.Event]]) -> None:
    counters = ThreadCounters(os.getpid(), "schedstat")
    before = counters.read()
    assert before["ran_ns"] >= 3 * 30_000_000
    for thread, end in threads:
        end.set()
        thread.join()
    deadline = time.monotonic() + 60
    while any(Path(f"/proc/self/task/{each.native_id}").exists() for each, _ in threads):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    after = counters.read()
    assert after["ran_ns"] >= before["ran_ns"]
    assert counters.read()["ran_ns"] >= after["ran_ns"]


@on_linux
def test_many_short_threads_never_make_a_sum_fall() -> None:
    counters = ThreadCounters(os.getpid(), "schedstat")
    sums = [counters.read()["ran_ns"]]
    for _ in range(30):
        brief = [threading.Thread(target=sum, args=(range(20_000),)) for _ in range(4)]
        for each in brief:
            each.start()
        sums.append(counters.read()["ran_ns"])
        for each in brief:
            each.join()
        sums.append(counters.read()["ran_ns"])
    assert sums == sorted(sums)


def test_threads_of_a_listing_are_added_up(tmp_path: Path) -> None:
    planted(tmp_path, {"proc/7/task/7/schedstat": "100 20 3", "proc/7/task/8/schedstat": "1000 200 30"})
    sensor = find_waiting(7, tmp_path)
    assert sensor.read() == {"ran_ns": 1100, "waited_ns": 220, "times_run": 33}
    for name in ("schedstat", ""):
        path = tmp_path / "proc/7/task/8" / name
        path.unlink() if name else path.rmdir()
    planted(tmp_path, {"proc/7/task/7/schedstat": "150 20 4"})
    assert sensor.read() == {"ran_ns": 1150, "waited_ns": 220, "times_run": 34}


def test_a_kernel_without_scheduler_statistics_is_told_apart_from_an_idle_process(tmp_path: Path) -> None:
    planted(tmp_path, {"proc/7/task/7/schedstat": "0 0 0"})
    with pytest.raises(Unreadable, match="without scheduler statistics"):
        find_waiting(7, tmp_path)


def test_switches_come_from_status_where_there_is_no_sched(tmp_path: Path) -> None:
    status = "Name:\tx\nvoluntary_ctxt_switches:\t15\nnonvoluntary_ctxt_switches:\t4"
    planted(tmp_path, {"proc/7/task/7/status": status, "proc/7/task/9/status": status.replace("15", "1")})
    sensor = find_switches(7, tmp_path)
    assert sensor.read() == {"voluntary_switches": 16, "involuntary_switches": 8}
    assert "no /proc/PID/task/TID/sched" in sensor.left_out["migrations"]


def test_migrations_come_from_sched() -> None:
    text = b"se.nr_migrations  : 12\nnr_switches : 40\nnr_voluntary_switches : 30\nnr_involuntary_switches : 10\n"
    assert switches(text) == {"voluntary_switches": 30, "involuntary_switches": 10, "migrations": 12}


@pytest.mark.parametrize("text", [b"", b"1 2", b"1 2 3 4", b"-1 2 3", b"1e3 2 3", b"1" * 30 + b" 2 3"])
def test_scheduler_statistics_that_are_none_are_refused(text: bytes) -> None:
    with pytest.raises(Unreadable):
        schedstat(text)


def quota_listing(root: Path, version: int) -> Path:
    """A worker in /outer/inner; figures as the kernel's documents name them."""
    if version == 2:
        stat = "usage_usec 5\nnr_periods 10\nnr_throttled {}\nthrottled_usec {}"
        return planted(
            root,
            {
                "proc/7/cgroup": "0::/outer/inner",
                "proc/self/mountinfo": "30 24 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw",
                "sys/fs/cgroup/cgroup.controllers": "cpu memory",
                "sys/fs/cgroup/cpu.stat": "usage_usec 5",  # the top has no quota
                "sys/fs/cgroup/outer/cpu.stat": stat.format(2, 30),
                "sys/fs/cgroup/outer/inner/cpu.stat": stat.format(5, 700),
            },
        )
    return planted(
        root,
        {
            "proc/7/cgroup": "4:cpu,cpuacct:/outer/inner",
            "proc/self/mountinfo": "32 30 0:28 / /cg ro - cgroup cgroup rw,cpu,cpuacct",
            "cg/cpu.stat": "nr_periods 0\nnr_throttled 0\nthrottled_time 0",
            "cg/outer/cpu.stat": "nr_periods 9\nnr_throttled 2\nthrottled_time 30000",
            "cg/outer/inner/cpu.stat": "nr_periods 9\nnr_throttled 5\nthrottled_time 700000",
        },
    )


@pytest.mark.parametrize("version", [1, 2])
def test_quota_stops_of_all_groups_are_added_up(version: int, tmp_path: Path) -> None:
    with Panel(7, quota_listing(tmp_path, version)) as panel:
        found = panel.look()
    if LINUX:
        assert found == {"quota_throttled_times": 7, "quota_throttled_ns": 730_000}


def test_a_group_without_the_controller_has_a_reason(tmp_path: Path) -> None:
    quota_listing(tmp_path, 2)
    for name in ("outer", "outer/inner"):
        planted(tmp_path, {f"sys/fs/cgroup/{name}/cpu.stat": "usage_usec 5"})
    with Panel(7, tmp_path) as panel:
        assert panel.sensors()["quota"]["found"] is False


# Files that fail, lie or go away.


@pytest.mark.parametrize(
    "content",
    ["", "garbage", "0", "-273150", "255000", "65535", "4294967295", "127000", "1_0000", "5e4", "٤٥٠٠٠", "45" * 20],
)
def test_what_is_no_temperature_is_refused_with_a_reason(content: str, tmp_path: Path) -> None:
    planted(tmp_path, {f"{ZONE}/type": "cpu-thermal", f"{ZONE}/temp": content})
    with pytest.raises(Unreadable, match="cpu-thermal"):
        find_temperatures(None, tmp_path)


def test_an_endless_file_is_read_in_part(tmp_path: Path) -> None:
    planted(tmp_path, {f"{ZONE}/type": "x" * 10_000_000, f"{ZONE}/temp": "4" * 10_000_000})
    began = time.process_time()
    with pytest.raises(Unreadable) as refused:
        find_temperatures(None, tmp_path)
    assert len(str(refused.value)) < 400
    assert len(text_of(tmp_path / ZONE / "temp")) == 2**20
    assert time.process_time() - began < 1


@on_linux
@pytest.mark.parametrize("error", [5, 22])
def test_a_sensor_whose_reading_fails_is_left_out_and_the_others_are_not(error: int, tmp_path: Path) -> None:
    grown("laptop", tmp_path)
    failing(tmp_path, "sys/class/hwmon/hwmon9/temp2_input", error)
    sensor = find_temperatures(None, tmp_path)
    assert "coretemp Core 0" in sensor.left_out
    assert "celsius.coretemp Core 0" not in sensor.read()
    assert sensor.read()["celsius.coretemp Core 1"] == 49.0


@pytest.mark.parametrize("number", [1, 5, 11, 13, 19, 61])  # EPERM, EIO, EAGAIN, EACCES, ENODEV, ENODATA
def test_a_sensor_that_fails_later_is_missing_until_it_answers(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted(tmp_path, {f"{ZONE}/type": "cpu-thermal", f"{ZONE}/temp": "45277"})
    if not LINUX:
        pytest.skip("read on Linux only")
    panel = Panel(None, tmp_path)
    assert panel.look() == {"celsius.cpu-thermal": 45.277}

    def refusing(*_: object) -> bytes:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", refusing)
        assert panel.by_sensor() == {"temperature": {}}
    assert panel.by_sensor() == {"temperature": {"celsius.cpu-thermal": 45.277}}


def test_a_file_may_go_away(tmp_path: Path) -> None:
    planted(tmp_path, {f"{ZONE}/type": "cpu-thermal", f"{ZONE}/temp": "45277"})
    file = KeptFile(tmp_path / ZONE / "temp")
    (tmp_path / ZONE / "temp").unlink()
    assert file.number() == 45277  # kept; a device's own file fails then
    file.close()
    with pytest.raises(Unreadable, match="closed"):
        file.number()
    with pytest.raises(Unreadable, match="No such file"):
        number_of(tmp_path / ZONE / "temp")


def test_two_sensors_of_one_name_are_told_apart(tmp_path: Path) -> None:
    for number, content in ((0, "45277"), (1, "50100")):
        zone = f"sys/class/thermal/thermal_zone{number}"
        planted(tmp_path, {f"{zone}/type": "x86_pkg_temp", f"{zone}/temp": content})
    found = find_temperatures(None, tmp_path).read()
    assert found == {"celsius.x86_pkg_temp": 45.277, "celsius.x86_pkg_temp 2": 50.1}


def test_of_a_hundred_zones_the_processors_are_watched(tmp_path: Path) -> None:
    for number in range(100):
        zone = f"sys/class/thermal/thermal_zone{number}"
        name = "cpu-0-0-usr" if number == 99 else f"modem-{number}"
        planted(tmp_path, {f"{zone}/type": name, f"{zone}/temp": "45000"})
    sensor = find_temperatures(None, tmp_path)
    assert "celsius.cpu-0-0-usr" in sensor.read()
    assert len(sensor.read()) == 16
    assert len(sensor.left_out) == 84


# Whose turn it is.


def made_up_panel(monkeypatch: pytest.MonkeyPatch, **sensors: Sensor) -> Panel:
    finders = {name: lambda _process, _root, each=each: each for name, each in sensors.items()}
    monkeypatch.setattr(panels, "FINDERS", finders)
    monkeypatch.setattr(panels, "_ON_LINUX", {})
    return Panel(None)


def made_up(name: str, *, period_s: float = 0.0, takes_s: float = 0.0) -> Sensor:
    def read() -> dict[str, int]:
        if takes_s:
            time.sleep(takes_s)
        return {name: 1}

    return Sensor("", "", "", "", read, period_s=period_s, constants={f"highest {name}": 9})


def test_slow_changes_are_read_seldom_and_constants_once(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1_000_000_000]
    monkeypatch.setattr(time, "monotonic_ns", lambda: clock[0])
    monkeypatch.setattr(time, "perf_counter_ns", lambda: 0)  # no reading costs anything, whatever comes between
    panel = made_up_panel(monkeypatch, fast=made_up("fast"), slow=made_up("slow", period_s=1.0))
    assert set(panel.look()) == {"fast", "slow", "highest fast", "highest slow"}
    seen = []
    for _ in range(25):
        clock[0] += 100_000_000
        seen.append(set(panel.look()))
    assert all("fast" in each for each in seen)
    assert sum("slow" in each for each in seen) == 2
    assert not any("highest slow" in each for each in seen)


def test_what_takes_long_is_read_every_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    panel = made_up_panel(monkeypatch, slow=made_up("slow", takes_s=0.006))
    panel.look()
    described = panel.sensors()["slow"]
    assert described["period_s"] == 10.0
    assert described["cost_us"] >= 6000
    assert "slow" not in panel.look()


def test_a_sensor_that_raises_anything_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[object] = [{"x": 1}, {"x": 1}, ValueError("no"), ZeroDivisionError(), KeyError("k"), OSError(5, "IO")]

    def read() -> dict[str, int]:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return {"x": 2}

    panel = made_up_panel(monkeypatch, odd=Sensor("", "", "", "", read))
    assert [dict(panel.look()) for _ in range(4)] == [{}, {}, {}, {}]
    assert panel.sensors()["odd"]["left_out"]["all of it"]


def test_other_systems_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(panels, "ON_LINUX", False)
    with Panel(None) as panel:
        assert panel.sensors()["temperature"]["reason"] == "read on Linux only so far"
