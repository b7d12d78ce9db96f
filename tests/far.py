"""A device at the end of a line, its profile, and a store of its own: what tests of lines that break have in common."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from benchharness import api
from benchharness.results.store import Store
from benchharness.suite import device as profiles

DIGITS = Path(__file__).parent.parent / "examples" / "digits" / "artefacts" / "fp32.onnx"
ATTEMPTS = 2
#: Of its profile.
NAME = "loopback"


class Server(Protocol):
    """What lets a host in on the device."""

    def device(self, **changes: object) -> profiles.Device: ...

    def processes(self) -> list[str]: ...

    def drop_lines(self) -> None: ...


class Far:
    """The device, its profile, and a store of its own."""

    def __init__(self, server: Server, folder: Path, work: str, seen: Path) -> None:
        """`work` is its work folder, and `seen` where that lies on this machine."""
        self.server = server
        self.work, self.seen = work, seen
        self.folder = folder
        self.url = f"sqlite:///{folder / 'store.db'}"
        self._hosts: list[subprocess.Popen[bytes]] = []
        self._running: list[threading.Thread] = []

    def profile(self, **changes: Any) -> None:
        device = self.server.device(name=NAME, work=self.work, **changes)
        (self.folder / "devices").mkdir(exist_ok=True)
        (self.folder / "devices" / f"{NAME}.toml").write_text(profiles.written(device), encoding="utf-8")

    def suite(self, seconds: float) -> dict[str, Any]:
        return {
            "name": "lines",
            "models": {"digits": {"variants": {"fp32": {"artefact": str(DIGITS)}}}},
            "configurations": [{"threads": 1}],
            "attempts": {"at_least": ATTEMPTS, "at_most": ATTEMPTS},
            "scenarios": {"sustained": {"duration": f"{seconds} s", "entry_gate": "0 s"}},
        }

    def run(self, seconds: float = 2.0) -> api.Findings:
        return api.run(self.suite(seconds), on=NAME, store=self.url)

    def in_background(self, seconds: float = 2.0) -> threading.Thread:
        self.trouble: Exception | None = None

        def run() -> None:
            try:
                self.run(seconds)
            except Exception as error:
                self.trouble = error

        made = threading.Thread(target=run, daemon=True)
        self._running.append(made)
        made.start()
        return made

    def host(self, seconds: float) -> subprocess.Popen[bytes]:
        """A host process of its own, to be killed."""
        code = f"from benchharness import api\napi.run({self.suite(seconds)!r}, on={NAME!r}, store={self.url!r})"
        self._hosts.append(
            subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        )
        return self._hosts[-1]

    def close(self) -> None:
        """Whatever became of the test: no host of it goes on, and no run of this process beside the next test."""
        for host in self._hosts:
            host.kill()
            host.wait()
        for each in self._running:
            each.join(300)

    def until(self, holds: Callable[[], bool], patience_s: float = 180.0) -> None:
        deadline_s = time.monotonic() + patience_s
        while not holds():
            assert time.monotonic() < deadline_s, "it did not come about in time"
            time.sleep(0.05)

    def at_work(self) -> bool:
        return any("device.worker" in each for each in self.server.processes())

    def supervisors(self) -> list[int]:
        """Those that serve; not what only carries a supervisor's streams there."""
        found = [each for each in self.server.processes() if " supervisor" in each and "sys.stdin" not in each]
        return [int(each.split()[0]) for each in found]

    def attempts(self) -> Counter[tuple[str, int]]:
        """How often each attempt is in the store, by job and round; only those that are fine."""
        store = Store(self.url)
        try:
            (run,) = store.list_runs()
            return Counter((each.job, each.round) for each in store.attempts(run.id) if each.outcome.ok)
        finally:
            store.close()

    def is_clean(self) -> bool:
        left = [path.name for path in (self.seen / "runs").iterdir() if path.is_dir()]
        return not left and not self.server.processes()


def all_once(device: Far) -> None:
    """Every attempt is in the store, and none twice."""
    found = device.attempts()
    assert set(found.values()) == {1}, found
    assert len(found) == ATTEMPTS
