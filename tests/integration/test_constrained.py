"""Scenario `constrained` on real limits: floors against ground truth, outcomes, and that nothing stays behind."""

from __future__ import annotations

import os
import re
import signal
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import psutil
import pytest

from benchharness.device.line.orders import Order
from benchharness.device.scenarios.constrained import conductor, limits
from benchharness.device.scenarios.constrained.limits import AddressSpace, ControlGroups
from benchharness.device.sensors.cgroup import groups_of
from benchharness.execute.received import attempt_from
from benchharness.launch.bundle import write_bundle
from benchharness.launch.local import LocalLauncher
from benchharness.launch.pipes import PipeConnection
from benchharness.records import CONSTRAINED_TRIALS, TrialEnd
from benchharness.results.courses import Ladder, StepOutcome
from benchharness.results.result import Attempt
from benchharness.scenarios import SCENARIOS
from benchharness.scenarios.constrained.ladder import ladder_of
from tests.integration.awkward_run import Background, python_path, wait_until

pytestmark = pytest.mark.skipif(
    not isinstance(limits.best()[0], ControlGroups), reason="; ".join(limits.best()[1]) or "no control groups here"
)
MIB = 2**20
#: One unconstrained trial and its look around are enough where nothing is timed; 2 of 2 must answer.
QUICK = {
    "memory": False,
    "limits_bytes": [],
    "quotas": [],
    "cores": [],
    "background": [],
    "trials": 2,
    "needed": 2,
    "slowest": 10.0,
    "bracket": 0.1,
    "answers": 2,
}


class Device:
    """A supervisor of our own, and what it says of constrained attempts on awkward models."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._bundle = str(write_bundle(folder)[0])
        self.id = str(uuid.uuid4())
        self.connection = self._start()

    def _start(self) -> PipeConnection:
        return LocalLauncher(self._folder / "state").start(str(self._folder / "work"), self._bundle)

    def start_again(self) -> None:
        """Another supervisor at the same work."""
        self.connection.kill()
        self.connection = self._start()

    def order(
        self, words: str, *, scenario: str = "constrained", chain: Mapping[str, str] | None = None, **settings: Any
    ) -> None:
        """Asks for an attempt; `chain` are variants by name, and what their models do."""
        opened = self.opened("model", words)
        opened["files"] = settings.pop("files", opened["files"])
        links = [{"variant": name, **self.opened(name, then)} for name, then in (chain or {}).items()]
        self.connection.send(
            {
                "type": "attempt",
                "id": self.id,
                "job": "j",
                "round": 0,
                **opened,
                "tokenizer": None,
                "task": None,
                "workload": {
                    "name": "w",
                    "asks": "any",
                    "prompt": {"length": 8, "seed": 0},
                    "output_tokens": 4,
                    "context_depth": 0,
                    "continuation": "fixed",
                    "dimensions": {},
                    "values": {},
                    "seed": 0,
                },
                "scenario": scenario,
                "module": SCENARIOS[scenario].device,
                "conducts": SCENARIOS[scenario].conducts,
                "timeout_s": settings.pop("timeout_s", 120),
                "chain": links,
                "settings": {**QUICK, **settings},
            }
        )

    def opened(self, name: str, words: str) -> dict[str, Any]:
        """What a session of a model with these words is opened with."""
        path = self._folder / f"{name}.awkward"
        path.write_text(words)
        configuration: dict[str, Any] = {"accelerator": None, "threads": None, "options": {}, "accelerator_options": {}}
        return {
            "adapter": "awkward",
            "configuration": {**configuration, "fallback": "warn"},
            "python": None,
            "artefact": str(path),
            "files": [str(path)],
        }

    def finished(self) -> Attempt:
        """The attempt, once it has ended."""
        deadline_s = time.monotonic() + 600
        while time.monotonic() < deadline_s:
            message = self.connection.receive(1)
            if message is not None and message["type"] in ("finished", "refused"):
                self.connection.send({"type": "acknowledge", "id": self.id})
                return attempt_from(message, device={"device": "d"}, host="h", clock_offset_ns=0)
        raise AssertionError("no end within ten minutes")

    def attempt(self, words: str, **settings: Any) -> Attempt:
        self.order(words, **settings)
        return self.finished()

    def ladder(self, words: str, **settings: Any) -> Ladder:
        made = self.attempt(words, **settings)
        found = ladder_of(made)
        assert found is not None, made.outcome
        return found

    def groups(self) -> list[Path]:
        """Groups of this attempt that are there now."""
        mark = self.id.replace("-", "")
        folders = (groups_of(controller).folders[0] for controller in ("memory", "cpu"))
        return [each for folder in folders for each in folder.glob(f"benchharness-*-{mark}-*")]

    @property
    def supervisor(self) -> psutil.Process:
        """The process at the other end."""
        (found,) = (
            each for each in psutil.Process().children() if "benchharness.device.supervisor" in " ".join(each.cmdline())
        )
        return found

    def trial(self) -> psutil.Process:
        """The process in one of its groups."""
        found: list[int] = []

        def there() -> bool:
            found[:] = [pid for each in self.groups() for pid in map(int, (each / "cgroup.procs").read_text().split())]
            return bool(found)

        wait_until(there)
        return psutil.Process(found[0])


@pytest.fixture
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Device]:
    monkeypatch.setenv("PYTHONPATH", python_path())
    made = Device(tmp_path)
    yield made
    made.connection.kill()
    assert made.groups() == []


def folders_of(enclosure: limits.Enclosure) -> set[Path]:
    """The groups that an enclosure is made of."""
    return set(vars(enclosure)["_folders"].values())


def codes(attempt: Attempt) -> list[list[float]]:
    """The outcome codes of every step's trials."""
    rows = [each for each in attempt.measurements if each.metric == "constrained_trials"]
    return [CONSTRAINED_TRIALS.by_name(list(each.samples))["outcome"] for each in rows]


# Floors


def test_what_others_hold_in_memory_is_charged_all_the_same(device: Device) -> None:
    """This process maps numpy's libraries; where trials may have copies of their own, every page is theirs."""
    made = device.attempt("fine")
    told = made.effective.of_scenario("constrained")
    assert np.__version__
    if any("cannot be made" in note for note in told["notes"]):
        pytest.skip(f"private copies of libraries cannot be made here: {'; '.join(told['notes'])}")
    assert told["not_charged_bytes"] == [0.0, 0.0]


def test_the_floor_rises_by_what_a_model_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ground truth: a model that takes and touches N MiB needs N MiB more than one that takes nothing."""
    monkeypatch.setenv("PYTHONPATH", python_path())
    found = {}
    for mib in (0, 128):
        device = Device(tmp_path)
        found[mib] = device.ladder(f"load take {mib}", memory=True)
        device.connection.kill()
    base, more = found[0], found[128]
    for each in (base, more):
        assert each.floor_bytes is not None
        assert each.failing_bytes is not None
        assert each.floor_bytes / each.failing_bytes <= 1.1
        assert each.reason == ""
    assert base.floor_bytes is not None
    assert base.failing_bytes is not None
    assert more.floor_bytes is not None
    assert more.failing_bytes is not None
    # Each floor is known to a bracket; what both brackets allow must hold 128 MiB.
    assert more.failing_bytes - base.floor_bytes <= 128 * MIB <= more.floor_bytes - base.failing_bytes
    below = {str(step.outcome) for step in more.steps if step.amount and step.amount <= more.failing_bytes}
    assert below <= {"killed", "thrashing"}


def test_a_group_is_charged_for_the_files_of_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are dropped from the page cache before every trial. Where they are not known, an earlier trial has paid."""
    monkeypatch.setenv("PYTHONPATH", python_path())
    peaks = []
    for dropped in (True, False):
        device = Device(tmp_path)
        found = device.ladder("fine" + " " * (64 * MIB), **({} if dropped else {"files": []}))
        device.connection.kill()
        assert found.steps[0].peak_bytes is not None
        peaks.append(found.steps[0].peak_bytes)
    assert peaks[0] - peaks[1] == pytest.approx(64 * MIB, rel=0.25)


def test_killed_for_memory_names_the_limit_and_the_peak(device: Device) -> None:
    made = device.attempt("load take 64", limits_bytes=[64 * MIB])
    assert made.outcome.ok, made.outcome
    assert codes(made)[1] == [TrialEnd.OUT_OF_MEMORY]
    found = ladder_of(made)
    assert found is not None
    step = found.steps[1]
    assert step.outcome is StepOutcome.KILLED
    told = re.fullmatch(r"killed by the kernel for memory in phase load, peak (\S+) MiB, limit 64.0 MiB", step.reason)
    assert told is not None, step.reason
    assert 63 < float(told[1]) <= 64
    assert step.peak_bytes == pytest.approx(64 * MIB, rel=0.02)


def test_an_address_space_floor_has_its_own_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: Device
) -> None:
    """Conducted in this process, where groups can be kept from it."""
    (tmp_path / "m.awkward").write_text("load take 128")
    monkeypatch.chdir(tmp_path)  # as in an attempt: a folder that goes with it
    monkeypatch.setattr(limits, "best", lambda: (AddressSpace(), ["no groups in this test"]))
    order = {
        **device.opened("m", "load take 128"),
        "id": "ab",
        "spawned_ns": time.perf_counter_ns(),
        "timeout_s": 120,
        "tokenizer": None,
        "task": None,
        "workload": {
            "asks": "any",
            "prompt": {"length": 8, "seed": 0},
            "output_tokens": 4,
            "context_depth": 0,
            "continuation": "fixed",
            "dimensions": {},
            "values": {},
        },
        "settings": {**QUICK, "memory": True, "quotas": [0.5]},
    }
    message = conductor.conduct(cast("Order", order), lambda *_: None)
    steps = {(each["parameters"]["constraint"], len(each["samples"]) // 6) for each in message["measurements"]}
    assert ("cpu quota", 0) in steps
    assert ("address space", 2) in steps
    told = message["effective"]["constrained"]
    assert (told["floor"], told["memory"], told["no_better_way"]) == (
        "address-space floor",
        "ok",
        ["no groups in this test"],
    )
    outcomes = [CONSTRAINED_TRIALS.by_name(each["samples"])["outcome"] for each in message["measurements"]]
    failed = {outcome for step in outcomes for outcome in step} - {TrialEnd.ANSWERED}
    assert failed <= {TrialEnd.ERROR, TrialEnd.CRASHED}


# Outcomes


def test_a_hang_under_a_limit_is_a_timeout_and_no_thrashing(device: Device) -> None:
    made = device.attempt("run tight 200 hang", limits_bytes=[128 * MIB])
    assert codes(made)[1] == [TrialEnd.HUNG]
    found = ladder_of(made)
    assert found is not None
    assert found.steps[1].outcome is StepOutcome.TIMEOUT
    assert "without using a processor or paging anything in" in found.steps[1].reason


def test_at_work_until_its_time_is_over_is_late(device: Device) -> None:
    made = device.attempt("run tight 200 spin", limits_bytes=[128 * MIB])
    assert codes(made)[1] == [TrialEnd.LATE]


def test_paging_in_without_end_is_thrashing(device: Device) -> None:
    made = device.attempt("run tight 100 page-in", limits_bytes=[64 * MIB])
    assert codes(made)[1] == [TrialEnd.LATE]
    found = ladder_of(made)
    assert found is not None
    assert found.steps[1].outcome is StepOutcome.THRASHING
    assert found.steps[1].page_ins is not None
    assert found.steps[1].page_ins > 1000


@pytest.mark.parametrize(
    ("words", "code", "reason"),
    [
        ("raise", TrialEnd.ERROR, "a runtime's own error"),
        ("memory", TrialEnd.ERROR, "no room"),
        ("segfault", TrialEnd.CRASHED, "SIGSEGV in phase"),
        ("exit 3", TrialEnd.CRASHED, "exit code 3"),
        ("nan", TrialEnd.ERROR, "NaN"),
    ],
)
def test_failures_under_a_limit_are_outcomes_of_the_step(device: Device, words: str, code: int, reason: str) -> None:
    made = device.attempt(f"run tight 200 {words}", limits_bytes=[128 * MIB])
    assert codes(made)[1] == [code]
    found = ladder_of(made)
    assert found is not None
    assert found.steps[1].outcome is StepOutcome.ERROR
    assert reason in found.steps[1].reason


@pytest.mark.parametrize(
    ("words", "kind"), [("run raise", "runtime-error"), ("load refuse", "unsupported"), ("run segfault", "crashed")]
)
def test_a_model_that_never_answers_has_that_outcome(device: Device, words: str, kind: str) -> None:
    assert device.attempt(words, memory=True).outcome.kind == kind


def test_a_model_that_hangs_unconstrained_is_a_timeout(device: Device) -> None:
    assert device.attempt("run hang", timeout_s=3).outcome.kind == "timeout"


def test_the_attempt_ends_before_its_time_does_with_what_it_has(device: Device) -> None:
    made = device.attempt("run tight 200 hang", limits_bytes=[128 * MIB] * 50, timeout_s=12)
    assert made.outcome.ok, made.outcome
    assert 2 <= len(codes(made)) < 10
    assert "time ended" in made.effective.of_scenario("constrained")["memory"]


def test_trials_run_beside_an_application_that_the_suite_starts(device: Device, tmp_path: Path) -> None:
    started, stopped = tmp_path / "started", tmp_path / "stopped"
    player = {
        "start": ["sh", "-c", f"echo $$ > {started}; exec sleep 600"],
        "stop": ["touch", str(stopped)],
        "settle": 0.5,
    }
    gone = {"start": ["true"], "settle": 0.5}
    made = device.attempt("fine", foreground={"player": player, "gone": gone})
    found = ladder_of(made)
    assert found is not None
    assert [step.constraint for step in found.steps] == ["none", "foreground player", "foreground gone"]
    beside, refused = found.steps[1:]
    assert (beside.answered, beside.outcome in (StepOutcome.FINE, StepOutcome.SLOWER)) == (beside.trials, True)
    assert (refused.outcome, refused.reason) == (StepOutcome.NOT_APPLIED, "gone: its process has ended")
    assert stopped.exists()
    assert not psutil.pid_exists(int(started.read_text()))


@pytest.mark.parametrize("role", ["conductor", "supervisor"])
def test_an_application_is_stopped_whoever_is_killed(device: Device, tmp_path: Path, role: str) -> None:
    stopped = tmp_path / "stopped"
    player = {"start": ["sleep", "600"], "stop": ["touch", str(stopped)], "settle": 60.0}
    device.order("fine", foreground={"player": player})
    wait_until((tmp_path / "work/scratch/undo.json").exists)
    supervisor = device.supervisor
    victim = {"conductor": supervisor.children()[0], "supervisor": supervisor}[role]
    victim.send_signal(signal.SIGKILL)
    if role == "supervisor":  # the next one that starts does what this one could not
        device.start_again()
    wait_until(stopped.exists)
    assert stopped.exists()


def test_every_constraint_makes_a_step(device: Device) -> None:
    settings = {"quotas": [0.5], "cores": [1, 4096], "background": ["busy-core", "memory-bandwidth"]}
    found = device.ladder("fine", **settings)
    told = [(step.constraint, step.amount, step.outcome is StepOutcome.NOT_APPLIED) for step in found.steps]
    assert told == [
        ("none", None, False),
        ("cpu quota", 0.5, False),
        ("cores", 1, False),
        ("cores", 4096, True),
        ("busy core", None, False),
        ("memory bandwidth", None, False),
    ]
    assert f"only {len(os.sched_getaffinity(0))} cores" in found.steps[3].reason


def test_a_chain_falls_back_to_the_first_that_fits(device: Device) -> None:
    chain = {"large": "load take 256", "middle": "load take 200", "small": "load take 16", "unasked": "fine"}
    found = device.ladder("load take 256", limits_bytes=[128 * MIB], chain=chain)
    (made,) = found.chains
    assert [(link.variant, str(link.outcome)) for link in made.links] == [
        ("large", "killed"),
        ("middle", "killed"),
        ("small", "fine"),
    ]
    assert made.answered_by == "small"
    assert made.lost_ns == pytest.approx(made.time_ns - made.links[2].time_ns)
    assert all("limit 128.0 MiB" in link.reason for link in made.links[:2])


# A worker under somebody else's limit


def test_a_worker_killed_by_the_limit_around_it_is_out_of_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", python_path())
    around = limits.best()[0].enclose("around", memory_bytes=160 * MIB)
    device = Device(tmp_path)
    try:
        for folder in folders_of(around):
            (folder / "cgroup.procs").write_text(str(device.supervisor.pid))
        quick = {"warmup": 0, "repeats": 1, "most_repeats": 1, "min_time_ns": 0, "page_cache": "warm"}
        made = device.attempt("load take 256", scenario="first-token", **quick)
    finally:
        device.connection.kill()
        around.close()
    assert made.outcome.kind == "out-of-memory"
    told = "killed by the kernel for memory in phase load, the group's limit is 160.0 MiB, peak 160.0 MiB"
    assert made.outcome.reason == told


# Nothing stays behind


@pytest.mark.parametrize("role", ["trial", "conductor", "supervisor"])
def test_nothing_is_left_of_whoever_is_killed(device: Device, role: str) -> None:
    device.order("run tight 200 hang", limits_bytes=[128 * MIB], background=["busy-core"], slowest=1000)
    wait_until(lambda: any(_limit(each) == 128 * MIB for each in device.groups()))
    trial = device.trial()
    conductor_ = trial.parent()
    assert conductor_ is not None
    supervisor = conductor_.parent()
    assert supervisor is not None
    victim = {"trial": trial, "conductor": conductor_, "supervisor": supervisor}[role]
    victim.send_signal(signal.SIGKILL)
    _, living = psutil.wait_procs([trial, *([] if role == "trial" else [conductor_])], timeout=120)
    assert not [each for each in living if each.status() != "zombie"]
    if role == "trial":
        made = device.finished()
        assert made.outcome.ok, made.outcome
        assert codes(made)[1] == [TrialEnd.CRASHED]
    elif role == "conductor":
        assert device.finished().outcome.kind == "killed"
    else:  # the next one that starts removes what this one could not
        assert device.groups() != []
        device.start_again()
        wait_until(lambda: device.groups() == [])
    wait_until(lambda: device.groups() == [])
    assert device.groups() == []


def _limit(folder: Path) -> int:
    try:
        return int((folder / "memory.limit_in_bytes").read_text())
    except OSError:
        return 0


def constrained_suite(folder: Path) -> None:
    """A run that hangs in its second step until somebody ends it."""
    (folder / "m.awkward").write_text("run tight 200 hang")
    (folder / "suite.toml").write_text(
        """
        [models.m.variants]
        only = { artefact = "m.awkward" }
        [[configurations]]
        runtime = "awkward"
        [scenarios.constrained]
        memory = false
        limits = ["128 MiB"]
        slowest = 1000
        trials = 2
        needed = 2
        """
    )


@pytest.mark.parametrize("how", ["SIGINT", "SIGKILL"])
def test_nothing_is_left_of_an_interrupted_run(tmp_path: Path, store_url: str, how: str) -> None:
    """Ctrl-C leaves nothing. A killed harness leaves empty groups at most, which the next supervisor removes."""
    constrained_suite(tmp_path)
    before = set(every_group())
    run = Background(tmp_path, store_url, "suite.toml")
    try:
        wait_until(lambda: any(_limit(each) == 128 * MIB for each in set(every_group()) - before))
        made = set(every_group()) - before
        assert made, run.said + run.complained
        run.send(signal.Signals[how])
        run.wait()
        assert run.leaves_nothing_running()
        if how == "SIGKILL":
            assert not [each for each in made if each.is_dir() and (each / "cgroup.procs").read_text()]
            Device(tmp_path).connection.kill()
        assert not made & set(every_group())
    finally:
        run.end()


def every_group() -> list[Path]:
    """Groups named like ours, of other runs on this machine, too."""
    folders = {groups_of(controller).folders[0] for controller in ("memory", "cpu")}
    return [each for folder in folders for each in folder.glob("benchharness-*")]
