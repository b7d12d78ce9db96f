"""A worker that is really moved to another control group, or held to one core, while it is measured (Linux)."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from benchharness.device.processes.groups import group_name, remove
from benchharness.device.sensors.cgroup import Groups, groups_of
from benchharness.device.sensors.process_limits import ProcessLimits
from benchharness.device.sensors.readings import Unreadable
from benchharness.results.courses import SessionState
from benchharness.results.result import WarningKind
from tests.conftest import ARTEFACTS
from tests.integration.awkward_run import wait_until
from tests.integration.conftest import Bench
from tests.integration.test_sustained import Sessions

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


@pytest.fixture
def limited() -> Iterator[Path]:
    """A group beside our own whose processes get a tenth of a core."""
    try:
        groups = groups_of("cpu")
        folder = groups.folders[0] / group_name("moved", 1)
        folder.mkdir()
    except (OSError, Unreadable) as error:
        pytest.skip(f"control groups cannot be made here: {error}")
    try:
        _limit(groups, folder)
        yield folder
    finally:
        remove(folder)


def _limit(groups: Groups, folder: Path) -> None:
    try:
        if groups.version == 1:
            (folder / "cpu.cfs_quota_us").write_text("10000")
        else:
            (folder / "cpu.max").write_text("10000 100000")
    except OSError:
        pytest.skip("version 2 lets no group with processes in it limit others below it")


def enter(folder: Path, process: int) -> None:
    (folder / "cgroup.procs").write_text(str(process))


def worker() -> psutil.Process | None:
    """The one that the supervisor below this process has started."""
    for supervisor in psutil.Process().children():
        for child in supervisor.children():
            if "benchharness.device.worker" in " ".join(child.cmdline()):
                return child
    return None


def test_a_process_is_followed_into_its_new_group(limited: Path) -> None:
    with psutil.Popen([sys.executable, "-c", "input()"], stdin=-1) as child:
        limits = ProcessLimits(child.pid)
        assert limits.look(1)
        enter(limited, child.pid)
        assert limits.look(2)
        assert not limits.look(3)
        child.kill()
    _, after = sorted(limits.rows(), key=lambda row: row["value"])
    assert after["parameters"]["cpu_group"].endswith(f"/{limited.name}")
    assert after["parameters"]["quota_cores"] == 0.1
    assert after["samples"] == [2]


@pytest.fixture
def sessions(bench: Bench, tmp_path: Path, store_url: str) -> Iterator[Sessions]:
    made = Sessions(tmp_path, store_url)
    yield made
    made.store.close()


def when_measured(
    sessions: Sessions, phase: str, times: int, act: Callable[[psutil.Process], None]
) -> threading.Thread:
    """Does something to the worker once it has told of this phase so often."""

    def follow() -> None:
        wait_until(lambda: sum(each.startswith(phase) for each in sessions.observer.phases) >= times)
        found = worker()
        assert found is not None
        act(found)

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    return thread


def test_a_session_that_is_moved_to_a_limited_group_is_throttled_by_its_quota(
    sessions: Sessions, limited: Path
) -> None:
    acting = when_measured(sessions, "session", 3, lambda process: enter(limited, process.pid))
    result = sessions.session(
        ARTEFACTS / "onnx-fp32", runtime="onnxruntime", changes={"duration": "8 s", "window": "250 ms"}
    )
    acting.join(60)
    assert result.outcome.ok, result.outcome
    (course,) = result.courses
    assert course.state is SessionState.QUOTA, course.evidence
    assert course.evidence[0].startswith("throttled by a CPU quota of 10 % of a core since ")
    (event,) = course.events
    assert tuple(event.kinds) == ("group", "quota")
    assert limited.name in event.told
    assert 0 < event.second < 8
    assert WarningKind.LIMITS_CHANGED in {warning.kind for warning in result.warnings}
    (attempt,) = sessions.attempts()
    assert (attempt.conditions.times_throttled or 0) >= 3, "counted where the worker went, not where it began"


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="this system binds no process to cores")
def test_a_steady_attempt_that_loses_cores_carries_a_warning(sessions: Sessions) -> None:
    core = min(os.sched_getaffinity(0))
    acting = when_measured(sessions, "", 4, lambda process: process.cpu_affinity([core]))
    (result,) = sessions.run(
        [sessions.model("fine")], scenarios={"steady": {"min_time": "3 s"}}, options={"delay_s": 0.005}
    )
    acting.join(60)
    assert result.outcome.ok, result.outcome
    (found,) = [each for each in result.warnings if each.kind is WarningKind.LIMITS_CHANGED]
    assert f"cut to 1 of {len(os.sched_getaffinity(0))} cores ({core})" in found.message


def test_an_attempt_that_nobody_touches_has_no_events(sessions: Sessions) -> None:
    result = sessions.session(sessions.model("fine"))
    assert [list(course.events) for course in result.courses] == [[]]
    assert WarningKind.LIMITS_CHANGED not in {warning.kind for warning in result.warnings}
    assert any(each.metric == "process_limits" for each in sessions.attempts()[0].measurements)
