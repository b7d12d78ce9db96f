"""What most users have: a device with systemd and version 2 of control groups, over SSH, for root and for a user."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchharness import api, devices
from benchharness.results.courses import Ladder, SessionState, StepOutcome
from benchharness.results.result import Result
from benchharness.suite.device import written
from tests.vm import machine
from tests.vm.machine import USER, Machine

ROOT = Path(__file__).parent.parent.parent
DIGITS = ROOT / "examples" / "digits" / "artefacts" / "fp32.onnx"
#: A trial that starves lasts `slowest` times the usual, which under emulation is half a minute.
FEW = {"trials": 1, "needed": 1, "slowest": 4}
#: Until a model is loaded there, and a course has its baseline of five seconds.
_BASELINE_S = 20


@pytest.fixture(scope="session")
def started() -> Iterator[Machine]:
    if trouble := machine.missing():
        pytest.skip(trouble)
    with machine.running(ROOT / "build" / "vm") as found:
        yield found


@pytest.fixture(scope="session")
def folder(started: Machine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Profiles of the machine for both users, prepared."""
    made = tmp_path_factory.mktemp("vm")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCHHARNESS_DEVICES", str(made / "devices"))
        patch.setenv("BENCHHARNESS_STORE", f"sqlite:///{made / 'store.db'}")
        (made / "devices").mkdir()
        for user in ("root", USER):
            device = started.device(user)
            (made / "devices" / f"{device.name}.toml").write_text(written(device), encoding="utf-8")
            devices.prepare(device.name, runtimes=["onnxruntime"])
        yield made


def suite(scenario: str, settings: dict[str, Any], threads: int = 2) -> dict[str, Any]:
    return {
        "name": "cgroup 2",
        "models": {"digits": {"variants": {"fp32": {"artefact": str(DIGITS)}}}},
        "configurations": [{"threads": threads}],
        "attempts": {"at_least": 1, "at_most": 1, "timeout": "2 h"},
        "scenarios": {scenario: settings},
    }


def run(user: str, scenario: str, settings: dict[str, Any], **changes: Any) -> Result:
    found = api.run(suite(scenario, settings, **changes), on=f"vm-{user}")
    (result,) = found.results
    return result


def steps(ladder: Ladder, constraint: str) -> dict[float | None, StepOutcome]:
    return {step.amount: step.outcome for step in ladder.steps if step.constraint == constraint}


def left_over(started: Machine) -> str:
    """Processes, groups and work files of ours."""
    processes = started.run("pgrep -fa '[b]enchharness|[p]yz' || true")
    groups = started.run("find /sys/fs/cgroup -name 'benchharness-*' || true")
    runs = started.run(f"ls -d ~root/.benchharness/runs/*/ ~{USER}/.benchharness/runs/*/ 2>/dev/null || true")
    return processes + groups + runs


def test_the_kernel_is_its_own_and_has_version_2(started: Machine, folder: Path) -> None:
    assert "cgroup2" in started.run("stat -fc %T /sys/fs/cgroup")
    found = api.hardware(on="vm-root")
    assert found["sensors"]["cgroup memory control"]["found"], found["sensors"]["cgroup memory control"]


@pytest.mark.parametrize("user", ["root", USER])
def test_a_ladder_finds_what_a_model_needs(started: Machine, folder: Path, user: str) -> None:
    # As few processes as tell something: under emulation one takes a quarter of a minute to start.
    settings = {"quotas": ["50 %"], "cores": [1], "limits": ["16 MiB"], "bracket": "40 %"}
    result = run(user, "constrained", {**settings, **FEW})
    assert result.outcome.ok, result.outcome
    (ladder,) = result.ladders
    print("\n", started.by, user, ladder.by, ladder.floor_bytes, ladder.reason)
    for step in ladder.steps:
        print(step.constraint, step.amount, step.outcome, step.reason)
    assert ladder.floor_bytes is not None, ladder.reason
    assert ladder.failing_bytes is not None
    assert ladder.failing_bytes < ladder.floor_bytes
    assert steps(ladder, "cores")[1.0] in (StepOutcome.FINE, StepOutcome.SLOWER)
    assert left_over(started) == ""


def test_a_limit_that_is_too_tight_kills_and_says_so(started: Machine, folder: Path) -> None:
    result = run(
        "root",
        "constrained",
        {"limits": ["16 MiB"], "memory": False, "quotas": [], "cores": [], **FEW},
    )
    (ladder,) = result.ladders
    assert steps(ladder, "memory")[float(16 << 20)] in (StepOutcome.KILLED, StepOutcome.THRASHING)


def test_an_undisturbed_course_is_not_called_limited(started: Machine, folder: Path) -> None:
    result = run("root", "sustained", {"duration": "8 s", "entry_gate": "0 s"})
    (course,) = result.courses
    assert course.state not in (SessionState.QUOTA, SessionState.CORES), course.evidence


def in_time(started: Machine, command: str) -> None:
    """Does something to the worker there, `$worker`, when its baseline is measured. The brackets: no shell is to find
    its own line."""
    wait = "until worker=$(pgrep -f '[p]yz worker') && grep -q onnxruntime /proc/$worker/maps; do sleep 0.2; done"
    script = f"{wait}; sleep {_BASELINE_S}; {command}"
    started.run(f"nohup sh -c {shlex.quote(script)} >/tmp/done 2>&1 &")


@pytest.mark.parametrize(
    ("condition", "command", "state"),
    [
        (
            "quota in place",
            "systemctl set-property --runtime $(basename $(cat /proc/$worker/cgroup)) CPUQuota=60%",
            SessionState.QUOTA,
        ),
        (
            "moved to a limited group",
            "mkdir -p /sys/fs/cgroup/limited; echo '60000 100000' > /sys/fs/cgroup/limited/cpu.max; "
            "echo $worker > /sys/fs/cgroup/limited/cgroup.procs",
            SessionState.QUOTA,
        ),
        ("cut to one core", "taskset -acp 0 $worker", SessionState.CORES),
        (
            "beside a busy process on each core",
            "for core in 0 1; do timeout 90 taskset -c $core sh -c 'while :; do :; done' & done; wait",
            SessionState.CONTENTION,
        ),
    ],
)
def test_what_the_system_does_to_a_course_is_named(
    started: Machine, folder: Path, condition: str, command: str, state: SessionState
) -> None:
    in_time(started, command)
    result = run("root", "sustained", {"duration": f"{3 * _BASELINE_S} s", "entry_gate": "0 s"})
    (course,) = result.courses
    print("\n", started.by, condition, course.state, course.evidence, course.events, started.run("cat /tmp/done"))
    started.run("rm -rf /tmp/done; pkill -f '[w]hile :' || true")
    assert course.state is state, course.evidence
    assert bool(course.events) == (state is not SessionState.CONTENTION), "what changes a course's limits is an event"
    assert left_over(started) == ""
