"""Runs a suite of scenario `quality` through the whole harness, and watches the processes that this takes.

Argument: {"suite": a table, "adapters": folder of third-party adapters or null}. Answer: {"results": by variant
{"outcome", "reason", "metrics": [{"name", "parameters", "value", "low", "high"}], "rows": of `token_divergence`, a
flat list, "metric_cost"}, "processes": by role (harness, supervisor, conductor, scorer) {"peak_bytes": of the
process, of the largest where there are several, "compare_s": CPU seconds in phase `compare`}, "compare_s": wall time}.
Peaks are the kernel's own (`VmHWM`), read a hundred times a second; they only grow, so that no read is too early.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import benchharness
from benchharness.results.result import Attempt, Job, Result

_EVERY_S = 0.01
_ROLES = {
    "benchharness.device.supervisor": "supervisor",
    "benchharness.device.worker": "conductor",
    "benchharness.device.scenarios.quality.scorer": "scorer",
}
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Runs, and prints what came out."""
    asked = json.loads(sys.argv[1])
    if asked.get("adapters"):
        sys.path.insert(0, asked["adapters"])
        os.environ["PYTHONPATH"] = os.pathsep.join((asked["adapters"], str(Path(benchharness.__file__).parent.parent)))
    watch = _Watch()
    with tempfile.TemporaryDirectory() as folder:
        found = benchharness.run(asked["suite"], store=f"sqlite:///{folder}/store.db", watching=watch.watching())
        if asked.get("render"):
            found.render(folder)
    print(
        json.dumps(
            {
                "results": {result.job.variant: _told(result) for result in found.results},
                "processes": watch.processes(),
                "compare_s": watch.compare_s,
            }
        )
    )


def _told(result: Result) -> dict[str, Any]:
    rows = next((each for each in result.metrics if each.name == "token_divergence"), None)
    return {
        "outcome": str(result.outcome.kind),
        "reason": result.outcome.reason,
        "metrics": [
            {
                "name": each.name,
                "parameters": dict(each.parameters),
                "value": each.estimate.value,
                "low": each.estimate.low,
                "high": each.estimate.high,
            }
            for each in result.metrics
        ],
        "rows": list(rows.attempts[0].samples) if rows else [],
        "metric_cost": result.effective.metric_cost,
    }


class _Watch:
    """Looks at this process and all that it started; listens to the harness for the phase."""

    def __init__(self) -> None:
        self._peaks: dict[int, int] = {}
        self._roles: dict[int, str] = {os.getpid(): "harness"}
        self._cpu_s: dict[int, float] = {}
        self._before_s: dict[int, float] = {}
        self._after_s: dict[int, float] = {}
        self._began_s = 0.0
        self.compare_s = 0.0
        self._lock = threading.Lock()
        self._over = threading.Event()

    @contextmanager
    def watching(self) -> Iterator[_Watch]:
        """An observer of the harness, as `benchharness.run` takes it."""
        thread = threading.Thread(target=self._look_on, daemon=True)
        thread.start()
        yield self
        self._look()
        self._over.set()
        thread.join()

    def begins(self, jobs: Sequence[Job], attempt: int, of: int, left: int, left_s: float | None) -> None:
        """An attempt begins."""

    def ended(self, job: Job, attempt: Attempt) -> None:
        """An attempt has ended."""

    def done(self, result: Result) -> None:
        """A job is done."""

    def phase(self, phase: str, done: int, total: int) -> None:
        """The conductor told its phase: `compare` lies between the first word of it and the next phase."""
        if phase == "compare" and not self._began_s:
            self._look()
            self._before_s, self._began_s = dict(self._cpu_s), time.perf_counter()
        elif phase == "continue" and self._began_s and not self.compare_s:
            self.compare_s = time.perf_counter() - self._began_s
            self._look()
            self._after_s = dict(self._cpu_s)

    def processes(self) -> dict[str, dict[str, float]]:
        """Peak and CPU time by role."""
        found: dict[str, dict[str, float]] = {}
        for process, role in self._roles.items():
            of_role = found.setdefault(role, {"peak_bytes": 0, "compare_s": 0.0})
            of_role["peak_bytes"] = max(of_role["peak_bytes"], self._peaks.get(process, 0))
            of_role["compare_s"] += self._after_s.get(process, 0.0) - self._before_s.get(process, 0.0)
        return found

    def _look_on(self) -> None:
        while not self._over.wait(_EVERY_S):
            self._look()

    def _look(self) -> None:
        with self._lock:
            for process in _family(os.getpid()):
                try:
                    self._note(process)
                except OSError:
                    continue  # it has ended
                except IndexError:
                    continue  # it is ending: the kernel tells nothing of its memory any more

    def _note(self, process: int) -> None:
        folder = Path("/proc") / str(process)
        command = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
        role = next((_ROLES[word] for word in command if word in _ROLES), None)
        if role:  # a process that is about to become something else has the command of what started it
            self._roles[process] = role
        times = (folder / "stat").read_text().rpartition(")")[2].split()
        self._cpu_s[process] = (int(times[11]) + int(times[12])) / _TICKS_PER_S
        status = (folder / "status").read_text()
        self._peaks[process] = int(status.split("VmHWM:")[1].split()[0]) * 1024


def _family(process: int) -> Iterator[int]:
    """A process and all its descendants that live."""
    yield process
    for task in Path(f"/proc/{process}/task").glob("*/children"):
        try:
            children = task.read_text().split()
        except OSError:
            continue
        for child in children:
            yield from _family(int(child))


if __name__ == "__main__":
    main()
