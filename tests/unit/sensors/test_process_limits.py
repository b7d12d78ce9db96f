"""A process that is moved between groups, and limits that change in place: what is read, kept and never invented."""

from __future__ import annotations

import itertools
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from benchharness.device.sensors import process_limits
from benchharness.device.sensors.panel import Panel
from benchharness.device.sensors.process_limits import ProcessLimits
from benchharness.device.sensors.quota import QuotaStops, StopsSince
from benchharness.device.sensors.readings import Unreadable
from tests.unit.sensors.trees import failing, planted

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
STATUS = "Name:\tmodel\nUmask:\t0022\nState:\tR (running)\nCpus_allowed:\tf\nCpus_allowed_list:\t{}\nMems_allowed:\t1"


class System:
    """A made-up root with process 7 in group /job and another group, /background, in either version of cgroups."""

    def __init__(self, root: Path, version: int) -> None:
        self.root = root
        self.version = version
        self.cores("0-3")
        if version == 2:
            mounts = "30 24 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw"
            planted(root, {"sys/fs/cgroup/cgroup.controllers": "cpuset cpu memory", "sys/fs/cgroup/cpu.stat": "x 1"})
        else:
            names = ("cpu,cpuacct", "cpuset", "memory")
            mounts = "\n".join(
                f"3{n} 2 0:3{n} / /cg/{name} rw - cgroup cgroup rw,{name}" for n, name in enumerate(names)
            )
            for name in names:
                (root / "cg" / name).mkdir(parents=True)
        planted(root, {"proc/self/mountinfo": mounts})
        self.group("job", stops=0)
        self.group("background", stops=5000, quota="50000 100000", cpuset="0", memory=2**26)
        self.move("/job")

    def folder(self, controller: str, name: str) -> str:
        return f"sys/fs/cgroup/{name}" if self.version == 2 else f"cg/{controller}/{name}"

    def group(
        self, name: str, *, stops: int, quota: str = "max 100000", cpuset: str = "0-3", memory: int | None = None
    ) -> None:
        cpu = self.folder("cpu,cpuacct", name)
        if self.version == 2:
            files = {
                f"{cpu}/cpu.stat": f"usage_usec 9\nnr_periods 9\nnr_throttled {stops}\nthrottled_usec {stops * 10}",
                f"{cpu}/cpu.max": quota,
                f"{cpu}/cpuset.cpus.effective": cpuset,
                f"{cpu}/memory.max": str(memory or "max"),
            }
        else:
            amount, period = quota.split()
            files = {
                f"{cpu}/cpu.stat": f"nr_periods 9\nnr_throttled {stops}\nthrottled_time {stops * 10_000}",
                f"{cpu}/cpu.cfs_quota_us": "-1" if amount == "max" else amount,
                f"{cpu}/cpu.cfs_period_us": period,
                f"{self.folder('cpuset', name)}/cpuset.effective_cpus": cpuset,
                f"{self.folder('memory', name)}/memory.limit_in_bytes": str(memory or 9223372036854771712),
            }
        planted(self.root, files)

    def remove(self, name: str) -> None:
        for controller in ("cpu,cpuacct", "cpuset", "memory"):
            shutil.rmtree(self.root / self.folder(controller, name), ignore_errors=True)

    def move(self, path: str) -> None:
        lines = f"0::{path}" if self.version == 2 else f"3:memory:{path}\n2:cpuset:{path}\n1:cpu,cpuacct:{path}\n0::/"
        planted(self.root, {"proc/7/cgroup": lines})

    def cores(self, text: str) -> None:
        planted(self.root, {"proc/7/status": STATUS.format(text)})


@pytest.fixture(params=[1, 2], ids=["version 1", "version 2"])
def system(request: pytest.FixtureRequest, tmp_path: Path) -> System:
    return System(tmp_path, request.param)


def facts(limits: ProcessLimits) -> list[tuple[float, dict[str, object]]]:
    """Every moment with what held from then on, in order."""
    found = [(moment, row["parameters"]) for row in limits.rows() for moment in row["samples"]]
    return sorted(found, key=lambda each: each[0])


def changed(before: Mapping[str, object], after: Mapping[str, object]) -> dict[str, object]:
    return {name: after.get(name) for name in {**before, **after} if before.get(name) != after.get(name)}


def test_a_move_is_seen_with_everything_that_the_new_group_limits(system: System) -> None:
    limits = ProcessLimits(7, system.root)
    assert limits.look(1)
    assert not limits.look(2)
    system.move("/background")
    system.cores("0")
    assert limits.look(3)
    assert not limits.look(4)
    (first, before), (second, after) = facts(limits)
    assert (first, second) == (1, 3)
    groups = ("cpu_group", "cpuset_group", "memory_group")
    limited = {"quota_cores": "none", "memory_bytes": "none", "cores": "0-3", "cpuset_cores": "0-3"}
    assert before == {**dict.fromkeys(groups, "/job"), **limited}
    now = {"quota_cores": 0.5, "memory_bytes": 2**26, "cores": "0", "cpuset_cores": "0"}
    assert after == {**dict.fromkeys(groups, "/background"), **now}
    assert limits.described()["left_out"] == {}


def test_limits_that_change_in_place_are_seen(system: System) -> None:
    limits = ProcessLimits(7, system.root)
    limits.look(1)
    system.group("job", stops=0, quota="150000 100000")
    limits.look(2)
    system.cores("2-3")
    limits.look(3)
    system.group("job", stops=0, quota="150000 100000", memory=2**30)
    limits.look(4)
    steps = [each for _, each in facts(limits)]
    differences = [changed(before, after) for before, after in itertools.pairwise(steps)]
    assert differences == [{"quota_cores": 1.5}, {"cores": "2-3"}, {"memory_bytes": 2**30}]


def test_what_comes_back_is_the_same_state_at_another_moment(system: System) -> None:
    limits = ProcessLimits(7, system.root)
    for moment in range(6):
        system.cores("0" if moment % 2 else "0-3")
        assert limits.look(moment)
    assert sorted(row["samples"] for row in limits.rows()) == [[0, 2, 4], [1, 3, 5]]


def test_the_tightest_of_all_groups_above_counts(system: System) -> None:
    system.group("job/inner", stops=0, quota="300000 100000")
    system.group("job", stops=0, quota="20000 100000")
    system.move("/job/inner")
    limits = ProcessLimits(7, system.root)
    limits.look(1)
    assert facts(limits)[0][1]["quota_cores"] == 0.2


def test_a_controller_that_is_enabled_later_is_found_without_a_move(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = System(tmp_path, 2)
    for name in ("cpu.max", "memory.max"):
        (tmp_path / "sys/fs/cgroup/job" / name).unlink()
    monkeypatch.setattr(process_limits, "_ANEW_NS", 0)
    limits = ProcessLimits(7, tmp_path)
    limits.look(1)
    assert facts(limits)[0][1]["quota_cores"] == "none"
    system.group("job", stops=0, quota="50000 100000")
    assert limits.look(2)
    assert facts(limits)[1][1]["quota_cores"] == 0.5


def test_a_group_that_is_removed_and_made_anew_is_another(system: System) -> None:
    limits = ProcessLimits(7, system.root)
    limits.look(1)
    system.remove("job")
    limits.look(2)
    system.group("job", stops=0, quota="10000 100000")
    system.move("/")
    system.move("/job")
    limits._due_ns = 0
    limits.look(3)
    assert facts(limits)[-1][1]["quota_cores"] == 0.1


@pytest.mark.parametrize("what", ["group", "process", "everything"])
def test_what_vanishes_raises_nothing(system: System, what: str) -> None:
    limits, stops, since = ProcessLimits(7, system.root), QuotaStops("7", system.root), StopsSince("7", system.root)
    limits.look(1)
    since.look()
    if what == "group":
        system.move("/gone")
    elif what == "process":
        for name in ("cgroup", "status"):
            failing(system.root, f"proc/7/{name}", 5)
    else:
        shutil.rmtree(system.root)
    for moment in (2, 3):
        limits.look(moment)
        since.look()
    assert facts(limits)[0][1]["quota_cores"] == "none"
    assert since.times() == 0
    if what == "group":
        assert "quota_cores" not in facts(limits)[-1][1], "unknown, and not none"
        assert "not to be seen" in limits.described()["left_out"]["quota"]
        with pytest.raises(Unreadable):
            stops.read()


def test_a_process_that_has_ended_changes_nothing(system: System) -> None:
    """Version 1 shows what is not yet reaped in the group at the top."""
    limits = ProcessLimits(7, system.root)
    limits.look(1)
    planted(system.root, {"proc/7/status": STATUS.format("0-3").replace("R (running)", "Z (zombie)")})
    system.move("/")
    assert not limits.look(2)
    assert len(facts(limits)) == 1


def test_a_process_about_to_end_changes_nothing(system: System) -> None:
    """Its memory is gone, it is taken out of its groups, and it is not yet said to have ended."""
    limits, stops = ProcessLimits(7, system.root), QuotaStops("7", system.root)
    limits.look(1)
    assert times(stops) == 0
    planted(system.root, {"proc/7/statm": "0 0 0 0 0 0 0"})
    system.move("/background")
    assert not limits.look(2)
    assert len(facts(limits)) == 1
    assert times(stops) == 0


def test_a_process_that_is_gone_and_one_that_never_was() -> None:
    child = os.fork()
    if not child:
        os._exit(0)
    limits = ProcessLimits(child)
    os.waitpid(child, 0)
    assert not limits.look(1)
    never = ProcessLimits(child)
    assert not never.look(1)
    assert never.described()["found"] is False
    assert "no cgroups on this system" in never.described()["reason"]
    assert "unknown" in StopsSince(str(child)).times()


@pytest.mark.parametrize(
    "files",
    [
        {"proc/7/cgroup": "\x00\xff:::::\n:\n0:\n7"},
        {"proc/7/cgroup": "0::/../../../etc\n1:cpu,cpuacct:/../../..\n2:cpuset:/..\n3:memory:.."},
        {"proc/7/cgroup": "0::/" + "x/" * 5000},
        {"proc/7/status": "Cpus_allowed_list:\t" + "0," * 5000},
        {"proc/7/status": STATUS.format("٣-٤")},
        {"proc/7/status": STATUS.format("$(id)")},
        {"proc/7/status": ""},
        {"proc/self/mountinfo": "garbage - cgroup2\n1 2 - cgroup"},
        {f"{folder}/{name}": text for text in ["-5 0"] for folder, name in [("sys/fs/cgroup/job", "cpu.max")]},
        {"sys/fs/cgroup/job/cpu.max": "50000 0", "cg/cpu,cpuacct/job/cpu.cfs_period_us": "0"},
        {"sys/fs/cgroup/job/cpu.max": "1 2 3", "cg/cpu,cpuacct/job/cpu.cfs_quota_us": "1 2"},
        {"sys/fs/cgroup/job/cpu.max": "9" * 5000 + " 1", "cg/cpu,cpuacct/job/cpu.cfs_quota_us": "9" * 5000},
        {"sys/fs/cgroup/job/memory.max": "lots", "cg/memory/job/memory.limit_in_bytes": "-"},
        {"sys/fs/cgroup/job/cpuset.cpus.effective": "all", "cg/cpuset/job/cpuset.effective_cpus": "0-"},
        {"sys/fs/cgroup/job/cpu.stat": "nr_throttled -3", "cg/cpu,cpuacct/job/cpu.stat": "nr_throttled 1e9"},
    ],
)
def test_hostile_files_raise_nothing_and_become_no_numbers(system: System, files: Mapping[str, str]) -> None:
    limits, since = ProcessLimits(7, system.root), StopsSince("7", system.root)
    limits.look(1)
    since.look()
    planted(system.root, files)
    limits.look(2)
    since.look()
    fresh = ProcessLimits(7, system.root)
    fresh.look(1)
    for _, told in [*facts(limits), *facts(fresh)]:
        assert all(isinstance(value, str | int | float) for value in told.values())
        assert all(len(value) <= 200 for value in told.values() if isinstance(value, str))
        quota = told.get("quota_cores", "none")
        assert quota == "none" or (isinstance(quota, float) and quota > 0)
    assert isinstance(fresh.described(), dict)


def test_no_more_changes_are_kept_than_some(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_limits, "_MOST_CHANGES", 3)
    limits = ProcessLimits(7, system.root)
    for moment in range(9):
        system.cores(str(moment))
        limits.look(moment)
    assert len(facts(limits)) == 3
    assert "9 were seen" in limits.described()["left_out"]["later changes"]


# Stops that follow the process.


def times(stops: QuotaStops) -> int:
    return stops.read()["quota_throttled_times"]


def test_stops_go_on_from_group_to_group_and_neither_jump_nor_fall(system: System) -> None:
    stops = QuotaStops("7", system.root)
    assert times(stops) == 0
    system.group("job", stops=7)
    assert times(stops) == 7
    system.move("/background")
    assert times(stops) == 7, "what the group had counted for others"
    system.group("background", stops=5003)
    assert stops.read() == {"quota_throttled_times": 10, "quota_throttled_ns": 100_000}
    system.move("/job")
    system.group("background", stops=6000)
    assert times(stops) == 10
    system.group("job", stops=8)
    assert times(stops) == 11


def test_groups_above_both_count_all_through(system: System) -> None:
    system.group("outer", stops=100)
    for name in ("outer/a", "outer/b"):
        system.group(name, stops=0)
    system.move("/outer/a")
    stops = QuotaStops("7", system.root)
    assert times(stops) == 100
    system.move("/outer/b")
    system.group("outer", stops=104)
    assert times(stops) == 104


def test_a_counter_that_falls_or_begins_anew_takes_nothing_away(system: System) -> None:
    system.group("job", stops=50)
    stops = QuotaStops("7", system.root)
    assert times(stops) == 50
    system.group("job", stops=20)
    assert times(stops) == 50
    system.group("job", stops=22)
    assert times(stops) == 52
    system.remove("job")
    system.group("job", stops=9000)
    system.move("/background")
    times(stops)
    system.move("/job")
    assert times(stops) == 52


def test_a_group_without_statistics_at_first_is_asked_again(tmp_path: Path) -> None:
    system = System(tmp_path, 2)
    system.move("/")
    with Panel(7, tmp_path) as panel:
        assert "quota_throttled_times" not in panel.look()
        assert panel.sensors()["quota"]["found"] is False
        assert "quota" not in panel.by_sensor()
        since = StopsSince("7", tmp_path)
        since.look()
        assert "unknown" in since.times()
        system.move("/background")
        assert panel.look()["quota_throttled_times"] == 5000
        assert panel.sensors()["quota"]["found"] is True
    since.look()
    system.group("background", stops=5004)
    since.look()
    assert since.times() == 4, "not what others had before"


def test_stops_are_told_after_the_end_of_the_process(system: System) -> None:
    since = StopsSince("7", system.root)
    since.look()
    failing(system.root, "proc/7/cgroup", 5)
    system.group("job", stops=3)
    since.look()
    assert since.times() == 3
