"""One trial: a fresh worker that loads, answers and ends, inside an enclosure; and how it fared."""

from __future__ import annotations

import queue
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any

from benchharness.device.line import protocol
from benchharness.device.processes import leftovers
from benchharness.device.processes.child import Child, signal_name
from benchharness.device.processes.device_program import device_program
from benchharness.device.processes.memory_errors import speaks_of_memory
from benchharness.device.scenarios.constrained.limits import Enclosure, NotApplied
from benchharness.device.sensors.readings import ROOT, text_or_nothing
from benchharness.errors import ProtocolError
from benchharness.records import TrialEnd, TrialRow

if TYPE_CHECKING:
    from benchharness.device.line.orders import Order

_GRACE_S = 5.0
_POLL_S = 0.05
_MIB = 1 << 20


@dataclass(frozen=True)
class Tried:
    """How one trial fared. Times in ns."""

    end: TrialEnd
    time_ns: int  # the process's start until its last answer, or until its end where that did not come
    answer_ns: float = 0.0  # one answer after the first, median; 0: there was none
    page_ins: int = 0  # major page faults
    peak_bytes: float = 0.0  # 0: not known
    kills: int = 0  # by the kernel, because the limit was reached
    outcome: str = ""  # of a trial that failed, as an attempt's
    reason: str = ""
    told: Mapping[str, Any] = field(default_factory=dict)  # the worker's own report

    def row(self) -> TrialRow:
        """As it is stored."""
        return TrialRow(
            outcome=self.end,
            time=self.time_ns,
            answer=self.answer_ns,
            page_ins=self.page_ins,
            peak=self.peak_bytes,
            kills=self.kills,
        )


class Trial:
    """A started worker. `order` is the worker's; `enter` is called in the child just before it becomes the worker."""

    def __init__(self, order: Order, enclosure: Enclosure, bundle: str | None, enter: Callable[[], None]) -> None:
        self._enclosure = enclosure
        self._phase = "start"
        self._of_interpreter = f" (python = {order['python']})" if order.get("python") else ""
        self._inbox: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()

        def prepare() -> None:
            enclosure.enter()
            enter()

        try:
            self._child = Child(
                enclosure.command(device_program("benchharness.device.worker", order.get("python"), bundle)),
                protocol.read_message,
                self._hear,
                stderr=subprocess.PIPE,  # a file's pages would be charged to the trial
                prepare=prepare,
            )
        except subprocess.SubprocessError as error:  # what `prepare` raised does not come over
            raise NotApplied("the trial's process could not be put under the limit") from error
        self._spawned_ns = self._child.spawned_ns
        self._progressed = (self._spawned_ns, _effort(self._alive()))
        message = {**order, "type": "order", "spawned_ns": self._spawned_ns, "bundle": bundle}
        self._child.write(protocol.encode(message))

    def _hear(self, message: dict[str, Any] | ProtocolError | None) -> None:
        if isinstance(message, ProtocolError):
            message = {"type": "failed", "outcome": "crashed", "reason": str(message)}
        self._inbox.put(message)

    def wait(self, limit_s: float | None) -> Tried:
        """How it fares, ended where the time limit is over. It is gone then, and so is everything that it started."""
        message: dict[str, Any] | None = None
        late = False
        while not late:
            try:
                message = self._inbox.get(timeout=_POLL_S)
            except queue.Empty:
                self._look()
                late = limit_s is not None and self._elapsed_ns() > limit_s * 1e9
                continue
            if message is None or message["type"] != "progress":
                break
            self._phase = protocol.text(message.get("phase"), 40)
        self._enclosure.look(self._child.pid)
        elapsed_ns = self._elapsed_ns()
        if late:
            leftovers.kill(self._enclosure.processes())
        self._child.end(0.0 if late else _GRACE_S)
        return self._found(None if late else message, elapsed_ns, limit_s)

    def _elapsed_ns(self) -> int:
        return time.perf_counter_ns() - self._spawned_ns

    def _alive(self) -> list[int]:
        return self._enclosure.processes() or [self._child.pid]

    def _look(self) -> None:
        self._enclosure.look(self._child.pid)
        effort = _effort(self._alive())
        if effort != self._progressed[1]:
            self._progressed = (time.perf_counter_ns(), effort)

    def _found(self, message: dict[str, Any] | None, elapsed_ns: int, limit_s: float | None) -> Tried:
        told = message if message is not None and message["type"] == "measured" else {}
        numbers = {each["metric"]: each for each in told.get("measurements", ())}
        kills, page_ins = self._enclosure.kills(), self._child.page_ins
        peak = self._enclosure.peak_bytes({name: float(each["value"]) for name, each in numbers.items()})
        common: dict[str, Any] = {"page_ins": page_ins, "peak_bytes": peak, "kills": kills}
        limit_ns = float("inf") if limit_s is None else limit_s * 1e9
        if told:
            stamps = numbers["answered_at"]["samples"] if "answered_at" in numbers else [0, time.perf_counter_ns()]
            whole_ns = int(stamps[-1]) - self._spawned_ns
            answers = [later - sooner for sooner, later in zip(stamps[1:], stamps[2:])]
            common["answer_ns"] = float(median(answers)) if answers else 0.0
            if whole_ns <= limit_ns:
                return Tried(TrialEnd.ANSWERED, whole_ns, told=told, **common)
        if told or elapsed_ns > limit_ns:
            idle_ns = 0 if told else time.perf_counter_ns() - self._progressed[0]
            hung = idle_ns > limit_ns / 2
            what = "without using a processor or paging anything in" if hung else f"{page_ins} page-ins"
            reason = f"no answer within {limit_ns / 1e9:.1f} s, {what}, in phase {self._phase}"
            return Tried(
                TrialEnd.HUNG if hung else TrialEnd.LATE, elapsed_ns, outcome="timeout", reason=reason, **common
            )
        return Tried(time_ns=elapsed_ns, **common, **self._failed(message, kills, peak))

    def _failed(self, message: dict[str, Any] | None, kills: int, peak: float) -> dict[str, Any]:
        if kills:
            reason = f"killed by the kernel for memory in phase {self._phase}, peak {peak / _MIB:.1f} MiB"
            return {"end": TrialEnd.OUT_OF_MEMORY, "outcome": "out-of-memory", "reason": reason}
        if message is not None:
            said = protocol.text(message.get("reason"), 1000)
            if self._phase == "start":  # whatever spoke was no worker
                said += self._of_interpreter
            return {"end": TrialEnd.ERROR, "outcome": str(message.get("outcome")), "reason": said}
        code = self._child.code or 0
        words = speaks_of_memory(self._child.words().decode("utf-8", "backslashreplace"))
        if words:
            return {
                "end": TrialEnd.ERROR,
                "outcome": "out-of-memory",
                "reason": f"{words[:300]}, in phase {self._phase}",
            }
        name = signal_name(code) if code < 0 else f"exit code {code}"
        of_start = self._of_interpreter if self._phase == "start" else ""
        outcome = "killed" if name == "SIGKILL" else "crashed"
        return {
            "end": TrialEnd.CRASHED,
            "outcome": outcome,
            "reason": f"ended with {name} in phase {self._phase}{of_start}",
        }


def _effort(processes: list[int]) -> int:
    """Processor time and major page faults of processes, added up: it grows while any of them gets on."""
    total = 0
    for process in processes:
        fields = text_or_nothing(ROOT / f"proc/{process}/stat").rpartition(")")[2].split()
        if len(fields) > 12:
            total += int(fields[9]) + int(fields[11]) + int(fields[12])  # majflt, utime, stime
    return total
