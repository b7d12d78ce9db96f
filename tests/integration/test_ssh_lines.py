"""Lines to a device over SSH that break, hosts and supervisors that die: nothing finished is lost, nothing stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchharness import api
from benchharness.errors import DeviceBusy
from benchharness.results.store import Store
from benchharness.suite.device import written
from tests import ssh_server
from tests.ssh_server import Server

DIGITS = Path(__file__).parent.parent.parent / "examples" / "digits" / "artefacts" / "fp32.onnx"
ATTEMPTS = 2

pytestmark = pytest.mark.skipif(bool(ssh_server.missing()), reason=ssh_server.missing() or "a server can be had")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with ssh_server.serving(tmp_path_factory.mktemp("ssh")) as found:
        yield found


class Device:
    """The device, its profile, and a store of its own."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.server = server
        self.work = Path(server.home) / f"work-{folder.name}"
        self.folder = folder
        self.url = f"sqlite:///{folder / 'store.db'}"

    def profile(self, **changes: Any) -> None:
        device = self.server.device(work=str(self.work), **changes)
        (self.folder / "devices").mkdir(exist_ok=True)
        (self.folder / "devices" / "loopback.toml").write_text(written(device), encoding="utf-8")

    def suite(self, seconds: float) -> dict[str, Any]:
        return {
            "name": "lines",
            "models": {"digits": {"variants": {"fp32": {"artefact": str(DIGITS)}}}},
            "configurations": [{"threads": 1}],
            "attempts": {"at_least": ATTEMPTS, "at_most": ATTEMPTS},
            "scenarios": {"sustained": {"duration": f"{seconds} s", "entry_gate": "0 s"}},
        }

    def run(self, seconds: float = 2.0) -> api.Findings:
        return api.run(self.suite(seconds), on="loopback", store=self.url)

    def in_background(self, seconds: float = 2.0) -> threading.Thread:
        self.trouble: Exception | None = None

        def run() -> None:
            try:
                self.run(seconds)
            except Exception as error:
                self.trouble = error

        made = threading.Thread(target=run)
        made.start()
        return made

    def host(self, seconds: float) -> subprocess.Popen[bytes]:
        """A host process of its own, to be killed."""
        code = f"from benchharness import api\napi.run({self.suite(seconds)!r}, on='loopback', store={self.url!r})"
        return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def until(self, holds: Callable[[], bool], patience_s: float = 20.0) -> None:
        deadline_s = time.monotonic() + patience_s
        while not holds():
            assert time.monotonic() < deadline_s, "it did not come about in time"
            time.sleep(0.05)

    def at_work(self) -> bool:
        return any(" worker" in each for each in self.server.processes())

    def supervisors(self) -> list[int]:
        return [int(each.split()[0]) for each in self.server.processes() if " supervisor" in each]

    def attempts(self) -> Counter[tuple[str, int]]:
        """How often each attempt is in the store, by job and round; only those that are fine."""
        store = Store(self.url)
        try:
            (run,) = store.list_runs()
            return Counter((each.job, each.round) for each in store.attempts(run.id) if each.outcome.ok)
        finally:
            store.close()

    def is_clean(self) -> bool:
        left = [path.name for path in (self.work / "runs").iterdir() if path.is_dir()]
        return not left and not self.server.processes()


@pytest.fixture
def device(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Device]:
    monkeypatch.setenv("BENCHHARNESS_DEVICES", str(tmp_path / "devices"))
    made = Device(server, tmp_path)
    yield made
    assert server.processes() == [], "something of ours went on"


def all_once(device: Device) -> None:
    found = device.attempts()
    assert set(found.values()) == {1}, found
    assert len(found) == ATTEMPTS


@pytest.mark.parametrize("detached", [False, True])
def test_a_line_that_is_cut_costs_no_finished_attempt(device: Device, detached: bool) -> None:
    device.profile(detached=detached)
    running = device.in_background(3)
    device.until(device.at_work)
    (before,) = device.supervisors()
    time.sleep(1)
    device.server.drop_lines()
    device.until(lambda: len(device.supervisors()) == 1 and (device.supervisors() == [before]) is detached)
    running.join(60)
    assert device.trouble is None
    all_once(device)
    device.until(device.is_clean)


@pytest.mark.parametrize("detached", [False, True])
def test_a_host_that_is_killed_goes_on_with_what_there_is(device: Device, detached: bool) -> None:
    device.profile(detached=detached)
    host = device.host(3)
    device.until(device.at_work, 40)
    time.sleep(0.5)
    os.kill(host.pid, signal.SIGKILL)
    host.wait()
    if detached:
        device.until(lambda: not device.at_work())  # it finishes what it was at, for nobody yet
        assert len(device.supervisors()) == 1
    else:
        device.until(lambda: not device.server.processes())
    api.resume(store=device.url)
    all_once(device)
    device.until(device.is_clean)


def test_a_detached_supervisor_that_is_met_in_the_middle_is_waited_for(device: Device) -> None:
    device.profile(detached=True)
    host = device.host(8)
    device.until(device.at_work, 40)
    os.kill(host.pid, signal.SIGKILL)
    host.wait()
    (supervisor,) = device.supervisors()
    api.resume(store=device.url)
    all_once(device)
    assert device.supervisors() == []
    assert supervisor not in device.supervisors()
    device.until(device.is_clean)


@pytest.mark.parametrize("detached", [False, True])
def test_a_supervisor_that_is_killed_is_started_again(device: Device, detached: bool) -> None:
    device.profile(detached=detached)
    running = device.in_background(2)
    device.until(device.at_work)
    for each in device.supervisors():
        os.kill(each, signal.SIGKILL)
    running.join(60)
    assert device.trouble is None
    all_once(device)
    device.until(device.is_clean)


def test_a_lease_that_lapses_ends_all_of_it(device: Device) -> None:
    device.profile(detached=True, lease="2 s")
    host = device.host(30)
    device.until(device.at_work, 40)
    os.kill(host.pid, signal.SIGKILL)
    host.wait()
    device.until(lambda: not device.server.processes(), 10)


def test_a_second_host_is_refused_with_the_firsts_name(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    device.profile()
    running = device.in_background(4)
    device.until(device.at_work)
    with pytest.raises(DeviceBusy, match=r"held by .*@.* run 0\w+-.*for 0 min"):
        api.run(device.suite(1), on="loopback", store=f"sqlite:///{device.folder / 'other.db'}")
    running.join(60)
    assert device.trouble is None
    all_once(device)
