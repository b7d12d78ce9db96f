"""One attempt as the supervisor sees it: a worker process, its deadline, and the evidence when it fails."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchharness.device import conditions, page_cache
from benchharness.device.libraries import Libraries
from benchharness.device.line import protocol
from benchharness.device.line.protocol import Message
from benchharness.device.measured import raw_rows
from benchharness.device.processes import leftovers
from benchharness.device.processes.child import Child, signal_name
from benchharness.device.processes.device_program import device_program
from benchharness.device.processes.heap import moved_environment
from benchharness.device.processes.memory_errors import speaks_of_memory
from benchharness.device.processes.undo import remove_scratch
from benchharness.device.rules import RULES
from benchharness.device.sensors import connected_device
from benchharness.device.sensors.memory_kills import kills, limit_and_peak
from benchharness.device.sensors.meters import Meters
from benchharness.device.sensors.readings import unknown
from benchharness.device.watch import Watch
from benchharness.records import MEMORY_TIMELINE

if TYPE_CHECKING:
    from benchharness.device.line.orders import Opened, Order

#: How long a worker that has reported may take to end before it is killed.
_GRACE_S = 5.0
#: What the worker tells beside its measurements that belongs to the attempt's conditions.
_WORKER_CONDITIONS = (
    *("python", "numpy_threads", "harness_modules", "memory_unknown", "watching_ns", "waiting_share"),
    *("measured_from_ns", "measured_until_ns"),
)
#: Signals that a process brings upon itself, as against those that others send.
_OWN_SIGNALS = frozenset(
    getattr(signal, name) for name in ("SIGSEGV", "SIGABRT", "SIGBUS", "SIGILL", "SIGFPE") if hasattr(signal, name)
)
#: Of the last line on standard error, where it stands in a reason.
_LONGEST_WORDS = 200


class RunningAttempt:
    """A started worker. One of `measured`, `failed`, `ended`, `timed_out`, `cancelled` closes it, once.

    `hears` gets each of its messages, a `ProtocolError` if one breaks the protocol, and None at their end.
    """

    def __init__(
        self,
        order: Order,
        *,
        scratch: Path,
        bundle: str,
        libraries: Libraries,
        entry_gate: Message,
        hears: Callable[[Any], None],
    ) -> None:
        self.id: str = order["id"]
        self._members = [_identity(each) for each in (*order.get("companions", ()), order)]
        self._conducts = bool(order.get("conducts"))  # its process opens no model itself
        self.phase = "start"
        self._timeout_s: float = order["timeout_s"]
        self._scratch = scratch
        scratch.mkdir(parents=True, exist_ok=True)
        self._order = order
        self._interpreter = _own_interpreter(order)
        command = worker_program(order, bundle)
        self._libraries = libraries
        self._conditions = {**_conditions_before(order, libraries.of(order)), **entry_gate}
        self._kills_before = kills(everywhere=not self._conducts)
        self._evidence = scratch / "stderr"
        self._started_unix_ns = time.time_ns()
        # Appending: see `Watch`. Readable: what a runtime says of a failure the worker reads back (`opening`).
        with self._evidence.open("a+b") as stderr:
            self._child = Child(
                command,
                protocol.read_message,
                hears,
                stderr=stderr,
                cwd=scratch,  # an empty folder: nothing in it can shadow a module
                env=moved_environment(),
            )
        self._spawned_ns = self._child.spawned_ns
        sensors = bool(order.get("sensors"))
        meters = Meters(order.get("meter"), self._spawned_ns, self._timeout_s) if sensors else None
        self._watch = Watch(self._child.pid, self._evidence, self._spawned_ns, sensors=sensors, meters=meters)
        message = {**order, "type": "order", "spawned_ns": self._spawned_ns, "bundle": bundle}
        self._child.write(protocol.encode(message))

    @property
    def look_every_s(self) -> float:
        """How often to look."""
        return self._watch.every_s

    def remaining_s(self) -> float:
        """Time until the attempt's limit; negative when it is over."""
        return self._timeout_s - (time.perf_counter_ns() - self._spawned_ns) / 1e9

    def look(self) -> None:
        """Notes the worker's resident memory for the timeline, and keeps its standard error small."""
        self._watch.look()

    def computed_by(self, process: Any) -> None:
        """The worker says that another process computes: it is looked at from now on, if the worker started it."""
        if type(process) is int and process in leftovers.tree(self._child.pid):
            self._watch.follow(process)

    def kill(self) -> None:
        """Ends the worker and everything it started, at once."""
        self._child.end()

    def measured(self, message: Message) -> list[Message]:
        """The worker reported measurements."""
        self.look()  # once more: what it did since the last look belongs to its last windows
        self._child.end(_GRACE_S)
        self._libraries.learn(self._order, message.get("libraries", ()))
        return self._finished("ok", "", message)

    def failed(self, message: Message) -> list[Message]:
        """The worker reported why it could not measure."""
        self._child.end(_GRACE_S)
        told = {"left_running": message.get("left_running", {})}
        kind, reason = message["outcome"], protocol.text(message["reason"])
        if kind == "killed" and self._killed_for_memory():  # a program that it had started
            kind, reason = "out-of-memory", f"killed by the kernel for memory: {reason}"
        if self.phase == "start" or kind == "unsupported":
            reason = self._of_interpreter(reason)
        return self._finished(kind, reason, told)

    def ended(self) -> list[Message]:
        """The worker's output ended without a report."""
        self._child.end(_GRACE_S)
        code = self._child.code
        if code is None:
            return self._finished("crashed", f"the worker cannot be ended, in phase {self.phase}", {})
        last_words = speaks_of_memory(self._watch.tail())
        if last_words and (code >= 0 or -code in _OWN_SIGNALS):
            return self._finished("out-of-memory", f"{last_words[:300]}, in phase {self.phase}", {})
        if code >= 0:
            told = f"the worker ended with exit code {code} in phase {self.phase}"
            return self._finished("crashed", self._of_interpreter(told) if self.phase == "start" else told, {})
        by_signal = f"{signal_name(code)} in phase {self.phase}"
        by_signal = self._of_interpreter(by_signal) if self.phase == "start" else by_signal
        if -code in _OWN_SIGNALS:
            return self._finished("crashed", by_signal, {})
        if -code == signal.SIGKILL and self._killed_for_memory():
            told = ", ".join(
                filter(None, (f"killed by the kernel for memory in phase {self.phase}", self._memory_limit()))
            )
            return self._finished("out-of-memory", told, {})
        return self._finished("killed", by_signal, {})

    def _of_interpreter(self, reason: str) -> str:
        """A reason; with the path of an interpreter that was asked for where it may be the one to blame."""
        if self._interpreter is None or self.phase not in ("start", "import", "load"):
            return reason
        if self.phase != "start":
            return f"{reason} (python = {self._interpreter})"
        words = self._watch.tail().strip().rpartition("\n")[2][:_LONGEST_WORDS]
        told = f": {words}" if words else ""
        return f"the worker could not be started: {self._interpreter}: {reason}{told}"

    def _killed_for_memory(self) -> bool:
        before, now = self._kills_before, kills(everywhere=not self._conducts)
        return before is not None and now is not None and now > before

    def _memory_limit(self) -> str:
        """Of the groups that the worker was in at last."""
        groups = self._watch.groups("memory")
        return "" if groups is None else limit_and_peak(groups)

    def timed_out(self) -> list[Message]:
        """The limit is over."""
        self.kill()
        return self._finished("timeout", f"no result within {self._timeout_s:g} s, last phase {self.phase}", {})

    def cancelled(self) -> list[Message]:
        """The host wants it no more."""
        self.kill()
        return self._finished("killed", "cancelled by the host", {})

    def _finished(self, kind: str, reason: str, measured: Message) -> list[Message]:
        """One `finished` message for each job that this attempt serves, its own the last."""
        duration_ns = time.perf_counter_ns() - self._spawned_ns
        evidence = "" if kind == "ok" and "members" not in measured else self._watch.tail()
        self._conditions.update(self._watch.sensors())
        self._conditions["times_throttled"] = self._watch.times_throttled()
        self._watch.close()
        remove_scratch(self._scratch)
        self._conditions.update({key: measured[key] for key in _WORKER_CONDITIONS if key in measured})
        self._conditions.update(_left_running(measured))
        if measured.get("elsewhere"):
            self._conditions["libraries"] = unknown("the program maps its own, which are not read before it starts")
        told = {"outcome": {"kind": kind, "reason": reason}, **measured}
        members = measured.get("members", {})
        return [
            {
                "type": "finished",
                **identity,
                **self._found(members.get(identity["id"], told), evidence),
                "conditions": self._conditions,
                "started_unix_ns": self._started_unix_ns,
                "duration_ns": duration_ns,
            }
            for identity in self._members
        ]

    def _found(self, told: Message, evidence: str) -> Message:
        outcome = told["outcome"]
        return {
            "outcome": {**outcome, "evidence": "" if outcome["kind"] == "ok" else evidence},
            "task": told.get("task"),
            "measurements": self._with_timeline(told.get("measurements", []), elsewhere=bool(told.get("elsewhere"))),
            "effective": {**told.get("effective", {}), "rules": RULES},
        }

    def _with_timeline(self, measurements: Sequence[Message], *, elsewhere: bool) -> list[Message]:
        """Adds the worker's resident memory over time, from outside: too coarse for peaks, which it reads itself.

        Where the worker has nothing to report there is nothing to add: it failed, or its memory means nothing. What a
        conductor holds is no model's memory either, nor what a worker holds whose program runs `elsewhere`.
        """
        timeline = self._watch.timeline
        if not measurements or self._conducts or elsewhere:
            return list(measurements)
        if timeline:
            highest = max(MEMORY_TIMELINE.by_name(timeline)["resident"])
            measurements = [*measurements, raw_rows(MEMORY_TIMELINE, {}, highest, timeline)]
        return [*measurements, *self._watch.readings()]


def worker_program(order: Order, bundle: str) -> list[str]:
    """The command that starts an order's worker, made ready: that takes its time once for each kind of interpreter.

    Raises `Unsupported` where the system cannot start the interpreter asked for.
    """
    return device_program("benchharness.device.worker", _own_interpreter(order), bundle)


def never_started(order: Order, reason: str) -> list[Message]:
    """The `finished` messages of an attempt whose worker cannot be started, as of one that is over."""
    return [
        {
            "type": "finished",
            **_identity(each),
            "outcome": {"kind": "unsupported", "reason": protocol.text(reason), "evidence": ""},
            "task": None,
            "measurements": [],
            "effective": {"rules": RULES},
            "conditions": {},
            "started_unix_ns": time.time_ns(),
            "duration_ns": 0,
        }
        for each in (*order.get("companions", ()), order)
    ]


def _identity(order: Opened) -> Message:
    return {"id": order["id"], "job": order["job"], "round": order["round"]}


def _own_interpreter(order: Order) -> str | None:
    """The interpreter asked for; a conductor needs none, its scorers do."""
    return None if order.get("conducts") else order.get("python")


def _conditions_before(order: Order, libraries: Sequence[Path]) -> dict[str, Any]:
    """The device's state just before the worker starts; the page cache is brought into the state asked for.

    That state is the model's: the runtime's `libraries` are always warmed.
    """
    files = [Path(file) for file in order["files"]]
    asked = order["settings"].get("page_cache", "warm")
    found: dict[str, Any] = conditions.conditions_now()
    found["page_cache"] = asked
    found["libraries"] = "warm" if libraries else "as found"  # in the page cache
    try:
        page_cache.warm(libraries)
        (page_cache.evict if asked == "evicted" else page_cache.warm)(files)
        share = page_cache.resident_share(files)
    except OSError as error:
        share = None
        found["page_cache"] = unknown(f"a file of the model cannot be read: {error.strerror}")
    found["page_cache_resident"] = unknown("the system does not tell") if share is None else round(share, 3)
    return connected_device.instead_of(found)


def _left_running(told: Message) -> dict[str, Any]:
    """What the worker left running, by command, and what a conductor says that its own processes left; if anything."""
    by_conductor = told.get("left_running", {})
    found = Counter(leftovers.told())
    if isinstance(by_conductor, dict):  # no more is believed of a worker than what would hold
        found.update({str(name)[:80]: n for name, n in by_conductor.items() if type(n) is int and 0 < n < 1 << 20})
    if found:
        return {"left_running": dict(found.most_common(leftovers.MOST_NAMES))}
    if not leftovers.adopts():
        return {"left_running": unknown("orphans are not handed to us here: only the worker's process group was ended")}
    return {}
