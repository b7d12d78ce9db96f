"""Limits, groups and background loads: on made-up trees and commands, and for real where this machine lets them be."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from benchharness.device import hogs
from benchharness.device.processes import groups
from benchharness.device.scenarios.constrained import ladder, limits
from benchharness.device.scenarios.constrained.limits import (
    AddressSpace,
    ControlGroups,
    NotApplied,
    SystemdScopes,
    best,
)
from benchharness.device.sensors import memory_kills
from benchharness.device.sensors.cgroup import groups_of
from benchharness.device.sensors.readings import Unreadable

LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="cgroups and /proc")
MIB = 2**20


# The search


@pytest.mark.parametrize("need", [3.1, 11, 32, 79.9, 100])
@pytest.mark.parametrize("bracket", [0.02, 0.1, 0.5])
def test_the_search_ends_in_a_bracket_around_what_is_needed(need: float, bracket: float) -> None:
    tried: list[int] = []

    def suffices(limit: int) -> bool:
        tried.append(limit)
        return limit >= need * MIB

    found = ladder.search(100 * MIB, bracket, suffices)
    if need * MIB < 100 * MIB / 16:
        assert (found.failing_bytes, found.reason) == (
            None,
            "1/16 of the unconstrained peak suffices, and less was not tried",
        )
        return
    assert found.floor_bytes is not None
    assert found.failing_bytes is not None
    assert found.failing_bytes < need * MIB <= found.floor_bytes
    assert found.floor_bytes / found.failing_bytes <= 1 + bracket
    assert tried[0] >= 1.25 * 100 * MIB
    assert len(tried) == len(set(tried)) <= 3 + math.log2(math.log(20) / math.log(1 + bracket))


def test_the_bracket_does_not_depend_on_the_peak() -> None:
    found = {ladder.search(peak * MIB, 0.1, lambda limit: limit >= 50 * MIB) for peak in (40, 80, 95.3, 97.1)}
    assert len(found) == 1


def test_where_no_limit_suffices_there_is_no_floor() -> None:
    tried: list[int] = []

    def suffices(limit: int) -> bool:
        tried.append(limit)
        return False

    found = ladder.search(100 * MIB, 0.1, suffices)
    assert found.floor_bytes is None
    assert found.failing_bytes == max(tried)
    assert max(tried) > 400 * MIB


# Names, and groups that nobody owns any more


def tree(root: Path, version: int, pid: int = 77, started: str = "123") -> Path:
    """A made-up system with a cgroup of our own; the folder in which its groups are made."""
    process = root / "proc/self"
    process.mkdir(parents=True)
    if version == 1:
        (process / "cgroup").write_text("4:memory:/job\n1:cpu:/\n0::/\n")
        mounts = [
            f"3{n} 2 0:3{n} / /cg/{name} rw - cgroup cgroup rw,{name}" for n, name in enumerate(("memory", "cpu"))
        ]
        own, top = root / "cg/memory/job", [root / "cg/memory", root / "cg/cpu"]
    else:
        (process / "cgroup").write_text("0::/job\n")
        mounts = ["30 2 0:30 / /cg rw - cgroup2 cgroup rw"]
        own, top = root / "cg/job", [root / "cg"]
    (process / "mountinfo").write_text("\n".join(mounts))
    own.mkdir(parents=True)
    for folder in top:
        folder.mkdir(exist_ok=True)
    if version == 2:
        for folder in (root / "cg", own):
            (folder / "cgroup.controllers").write_text("memory cpu")
            (folder / "cgroup.subtree_control").write_text("")
    (root / f"proc/{pid}").mkdir(parents=True)
    (root / f"proc/{pid}/stat").write_text(f"{pid} (worker (x) y) S " + "0 " * 18 + started + " 0 0")
    return own


@LINUX
def test_a_name_tells_of_its_maker() -> None:
    name = groups.group_name("0198-ABCD", 3)
    pid, started, attempt, number = name.removeprefix("benchharness-").split("-")
    assert (int(pid), attempt, number) == (os.getpid(), "0198abcd", "3")
    assert int(started) > 0


@pytest.mark.parametrize("version", [1, 2])
def test_only_groups_of_makers_that_are_gone_are_removed(tmp_path: Path, version: int) -> None:
    own = tree(tmp_path, version)
    stay = ["benchharness-77-123-ab-1", "benchharness-x", "somebody-88-1-ab-1", "benchharness"]
    gone = ["benchharness-88-123-ab-1", "benchharness-77-9-ab-1"]  # no such process; its number belongs to another now
    for name in (*stay, *gone):
        (own / name).mkdir()
    (own.parent / "benchharness-89-1-ab-1").mkdir()  # beside the own group, where version 2 may have to make them
    removed = groups.remove_stale(tmp_path)
    beside = ["benchharness-89-1-ab-1"] if version == 2 else []
    assert sorted(each.name for each in removed) == sorted([*gone, *beside])
    assert sorted(each.name for each in own.iterdir() if each.is_dir()) == sorted(stay)


def test_a_zombie_owns_nothing(tmp_path: Path) -> None:
    own = tree(tmp_path, 1)
    stat = tmp_path / "proc/77/stat"
    stat.write_text(stat.read_text().replace(") S", ") Z"))
    (own / "benchharness-77-123-ab-1").mkdir()
    assert [each.name for each in groups.remove_stale(tmp_path)] == ["benchharness-77-123-ab-1"]


def test_without_groups_there_is_nothing_to_remove(tmp_path: Path) -> None:
    assert groups.remove_stale(tmp_path) == []


# What is written where, on made-up trees: their kernel is `filled`


@pytest.fixture
def filled(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Has new folders hold the files that a kernel would put there, and removes them again with the folder."""

    def fill(names: str) -> None:
        make, remove = Path.mkdir, Path.rmdir

        def mkdir(folder: Path, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
            make(folder, mode, parents, exist_ok)
            if folder.name.startswith("benchharness-"):
                for name in names.split():
                    (folder / name).write_text("")

        def rmdir(folder: Path) -> None:
            for file in folder.iterdir():
                file.unlink()
            remove(folder)

        monkeypatch.setattr(Path, "mkdir", mkdir)
        monkeypatch.setattr(Path, "rmdir", rmdir)

    return fill


VERSION_1 = (
    "memory.limit_in_bytes memory.memsw.limit_in_bytes memory.oom_control memory.max_usage_in_bytes cgroup.procs"
)
VERSION_2 = "memory.max memory.swap.max memory.events memory.peak cpu.max cgroup.procs"


@LINUX
def test_version_1(tmp_path: Path, filled: Callable[[str], None]) -> None:
    own = tree(tmp_path, 1)
    filled(f"{VERSION_1} cpu.cfs_quota_us cpu.cfs_period_us")
    way, why_not = best(tmp_path)
    assert (way.by, way.floor_name, why_not) == ("cgroup version 1", "memory floor", [])
    group = way.enclose("ab", memory_bytes=64 * MIB, cores=0.5)
    (memory,), (cpu,) = list(own.iterdir()), list((tmp_path / "cg/cpu").iterdir())
    assert memory.name == cpu.name
    assert (memory / "memory.limit_in_bytes").read_text() == str(64 * MIB)
    assert (memory / "memory.memsw.limit_in_bytes").read_text() == str(64 * MIB)
    assert [(cpu / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period")] == ["50000", "100000"]
    (memory / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n")
    (memory / "memory.max_usage_in_bytes").write_text("4096\n")
    assert (group.kills(), group.peak_bytes({})) == (2, 4096)
    group.close()
    assert not list(own.iterdir())
    assert way.swap == "closed (memory.memsw.limit_in_bytes)"


@LINUX
def test_version_2(tmp_path: Path, filled: Callable[[str], None]) -> None:
    own = tree(tmp_path, 2)
    filled(VERSION_2)
    way, _ = best(tmp_path)
    assert way.by == "cgroup version 2"
    assert (own / "cgroup.subtree_control").read_text() == "+cpu"  # each is written by itself
    group = way.enclose("ab", memory_bytes=64 * MIB, cores=1.5)
    (folder,) = (each for each in own.iterdir() if each.is_dir())
    assert (folder / "memory.max").read_text() == str(64 * MIB)
    assert (folder / "memory.swap.max").read_text() == "0"
    assert (folder / "cpu.max").read_text() == "150000 100000"
    (folder / "memory.events").write_text("low 0\nhigh 0\nmax 9\noom 3\noom_kill 1\noom_group_kill 0\n")
    assert (group.kills(), group.peak_bytes({"peak_memory": 7.0})) == (1, 0)
    (folder / "memory.peak").write_text("8192")
    assert group.peak_bytes({}) == 8192
    group.close()


@LINUX
def test_version_2_beside_its_own_group_where_that_hands_nothing_on(
    tmp_path: Path, filled: Callable[[str], None]
) -> None:
    own = tree(tmp_path, 2)
    filled(VERSION_2)
    (own / "cgroup.subtree_control").unlink()
    way, why_not = best(tmp_path)
    assert "cannot hand controllers on" in why_not[0]
    group = way.enclose("ab", memory_bytes=MIB)
    assert [each.parent.name for each in (tmp_path / "cg").glob("benchharness-*")] == ["cg"]
    group.close()


@LINUX
def test_a_group_without_the_controller_is_told_and_removed(tmp_path: Path, filled: Callable[[str], None]) -> None:
    own = tree(tmp_path, 2)
    filled("cgroup.procs")
    way, why_not = best(tmp_path)
    assert way.by == "address-space limit"
    assert "has no memory.max" in why_not[0]
    assert not [each for each in own.iterdir() if each.is_dir()]


@LINUX
def test_without_cgroups_the_address_space_is_limited_and_the_reason_told(tmp_path: Path) -> None:
    way, why_not = best(tmp_path)
    assert (way.by, way.floor_name) == ("address-space limit", "address-space floor")
    assert "no cgroups on this system" in why_not[0]
    with pytest.raises(NotApplied, match="control groups"):
        way.enclose("ab", cores=0.5)


def test_elsewhere_nothing_can_be_limited(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(limits, "ON_LINUX", False)
    way, why_not = best(tmp_path)
    assert "on Linux only" in why_not[0]
    way.enclose("ab").close()
    with pytest.raises(NotApplied):
        way.enclose("ab", memory_bytes=MIB)


# systemd, by a stand-in for its commands


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand-ins that note how they were called; systemd-run becomes the command behind `--`."""
    log = tmp_path / "log"
    for name, then in (
        ("systemd-run", 'while [ "$1" != -- ]; do shift; done; shift; exec "$@"'),
        ("systemctl", "echo Result=oom-kill"),
    ):
        script = tmp_path / name
        script.write_text(f'#!/bin/sh\necho "{name} $*" >> {log}\n{then}\n')
        script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return log


@LINUX
def test_a_scope_is_asked_for_with_its_limits_and_ended_by_name(systemd: Path) -> None:
    way = SystemdScopes(of_user=True)
    assert way.works() == ""
    scope = way.enclose("ab", memory_bytes=64 * MIB, cores=0.5)
    done = subprocess.run(scope.command(["echo", "here"]), capture_output=True, text=True, check=True)
    assert done.stdout == "here\n"
    asked = systemd.read_text().splitlines()[-1]
    assert f"--user --scope --quiet --unit=benchharness-{os.getpid()}-" in asked
    for each in ("MemoryMax=67108864", "MemorySwapMax=0", "CPUQuota=50%"):
        assert f"--property={each}" in asked
    assert scope.kills() == 1
    scope.close()
    told = [line.split()[2] for line in systemd.read_text().splitlines() if line.startswith("systemctl")]
    assert told == ["show", "kill", "stop", "reset-failed"]


@LINUX
def test_a_systemd_that_refuses_says_why(systemd: Path) -> None:
    (systemd.parent / "systemd-run").write_text("#!/bin/sh\necho Failed to connect to bus >&2\nexit 1\n")
    assert SystemdScopes(of_user=False).works() == "systemd-run --scope: Failed to connect to bus"


# For real


def hold(mib: int) -> list[str]:
    return [sys.executable, "-c", f"x = bytearray({mib} * 2**20); print('held', flush=True); input()"]


def holding(mib: int, enclosure: limits.Enclosure) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        hold(mib),
        preexec_fn=enclosure.enter,  # noqa: PLW1509 - one write, and no locks
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


@pytest.fixture
def way() -> ControlGroups:
    found, why_not = best()
    if not isinstance(found, ControlGroups):
        pytest.skip(f"control groups cannot be made here: {'; '.join(why_not)}")
    return found


@LINUX
def test_a_group_kills_at_its_limit_and_tells_limit_and_peak(way: ControlGroups) -> None:
    group = way.enclose("a1", memory_bytes=64 * MIB)
    try:
        done = subprocess.run(hold(128), preexec_fn=group.enter, stdin=subprocess.DEVNULL, check=False)
        assert done.returncode == -signal.SIGKILL
        assert group.kills() == 1
        assert 63 * MIB < group.peak_bytes({}) <= 64 * MIB
    finally:
        group.close()


@LINUX
def test_a_group_counts_what_is_held_and_ends_what_runs_in_it(way: ControlGroups) -> None:
    group = way.enclose("a2")
    with holding(64, group) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert group.processes() == [process.pid]
        assert 64 * MIB < group.peak_bytes({}) < 96 * MIB
        group.close()
        assert process.wait(60) == -signal.SIGKILL
    assert group.kills() == 0


@LINUX
def test_a_quota_stretches_time(way: ControlGroups) -> None:
    group = way.enclose("a3", cores=0.2)
    spin = "import time\nwhile time.process_time() < 0.3: pass"
    began_s = time.monotonic()
    try:
        subprocess.run([sys.executable, "-c", spin], preexec_fn=group.enter, check=True)
    finally:
        group.close()
    assert time.monotonic() - began_s > 1.0


@LINUX
def test_a_group_of_a_killed_maker_is_removed_with_what_runs_in_it(way: ControlGroups) -> None:
    script = (
        "import subprocess, sys, time\nfrom benchharness.device.scenarios.constrained import limits\n"
        "group = limits.best()[0].enclose('a4', memory_bytes=64 << 20)\n"
        "child = subprocess.Popen(['sleep', '600'], preexec_fn=group.enter)\nprint(child.pid, flush=True)\n"
        "time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as maker:
        assert maker.stdout is not None
        child = psutil.Process(int(maker.stdout.readline()))
        here = groups_of("memory").folders[0]
        (folder,) = here.glob(f"benchharness-{maker.pid}-*")
        assert groups.remove_stale() == []
        assert folder.is_dir()
        maker.kill()
        maker.wait()
    assert folder in groups.remove_stale()
    assert not folder.exists()
    assert not child.is_running() or child.status() == "zombie"


@LINUX
def test_an_address_space_limit_is_held_and_its_peak_told() -> None:
    space = AddressSpace().enclose("a5", memory_bytes=512 * MIB)
    done = subprocess.run(hold(600), preexec_fn=space.enter, capture_output=True, text=True, check=False)
    assert "MemoryError" in done.stderr
    with holding(64, space) as process:
        assert process.stdout is not None
        process.stdout.readline()
        space.look(process.pid)
        process.kill()
    assert 64 * MIB < space.peak_bytes({}) < 512 * MIB
    assert space.peak_bytes({"address_space_peak": 900.0 * MIB}) == 900 * MIB


# Kills of the worker itself


@pytest.mark.parametrize(
    ("version", "files"),
    [
        (
            1,
            {
                "memory.oom_control": "oom_kill 3",
                "memory.limit_in_bytes": "67108864",
                "memory.max_usage_in_bytes": "67100000",
            },
        ),
        (2, {"memory.events.local": "oom 9\noom_kill 3", "memory.max": "67108864", "memory.peak": "67100000"}),
    ],
)
def test_kills_are_those_of_the_own_group_with_limit_and_peak(
    tmp_path: Path, version: int, files: dict[str, str]
) -> None:
    own = tree(tmp_path, version)
    (tmp_path / "proc/vmstat").write_text("oom_kill 17\n")
    assert memory_kills.kills(everywhere=False, root=tmp_path) == 17
    assert memory_kills.limit_and_peak(groups_of("memory", tmp_path)) == ""
    for name, text in files.items():
        (own / name).write_text(text)
    assert memory_kills.kills(everywhere=False, root=tmp_path) == 3
    assert memory_kills.limit_and_peak(groups_of("memory", tmp_path)) == "the group's limit is 64.0 MiB, peak 64.0 MiB"


def test_kills_are_unknown_where_nothing_counts_them(tmp_path: Path) -> None:
    assert memory_kills.kills(everywhere=False, root=tmp_path) is None


# Background loads


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Everything that a test starts is gone after it."""
    yield
    alive = [each for each in psutil.Process().children() if each.status() != psutil.STATUS_ZOMBIE]
    assert not [each for each in alive if "device.hogs" in " ".join(each.cmdline())]


@LINUX
@pytest.mark.parametrize("kind", hogs.KINDS)
@pytest.mark.usefixtures("small")
def test_a_hog_keeps_its_core_busy_and_ends_with_its_context(kind: str) -> None:
    core = max(os.sched_getaffinity(0))
    with hogs.Hog(kind, core) as hog:
        assert hog.process is not None
        process = psutil.Process(hog.process)
        assert process.cpu_affinity() == [core]
        before = sum(process.cpu_times()[:2])
        deadline = time.monotonic() + 60  # other work on this machine may want the core as well
        while sum(process.cpu_times()[:2]) - before <= 0.2:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        held = process.memory_info().rss
    assert not process.is_running()
    assert (held > 2 * 64 * MIB) == (kind == hogs.MEMORY_BANDWIDTH)


@LINUX
def test_a_hog_ends_with_its_parent() -> None:
    script = (
        "import time\nfrom benchharness.device.hogs import Hog\n"
        "with Hog('busy-core') as hog:\n    print(hog.process, flush=True)\n    time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        hog = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    psutil.wait_procs([hog], timeout=60)
    assert not hog.is_running() or hog.status() == "zombie"


def test_an_unknown_hog_is_told() -> None:
    with pytest.raises(Unreadable, match="did not start"), hogs.Hog("nonsense"):
        pass


def test_buffers_are_larger_than_the_cache_and_leave_room(tmp_path: Path) -> None:
    cache = tmp_path / "sys/devices/system/cpu/cpu0/cache/index3"
    cache.mkdir(parents=True)
    (cache / "size").write_text("128M")
    assert hogs.buffer_bytes(tmp_path) == 160 * MIB
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemTotal: 900000 kB\nMemAvailable: 819200 kB\n")
    assert hogs.buffer_bytes(tmp_path) == 100 * MIB
    (cache / "size").write_text("512K")
    assert hogs.buffer_bytes(tmp_path) == 64 * MIB
