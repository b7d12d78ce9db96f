"""The supervisor: starts and watches one worker at a time, and tells the host how each attempt ended.

It talks to the host on standard input and a duplicate of standard output (`protocol`), keeps finished attempts in a
spool until the host acknowledges them, and ends, with its worker, when the host's end of standard input closes.
Detached it goes on without a host, and the next one finds it behind a door (`hosts`). With a lease it ends when it has
heard nothing for so long: a line can go silent and never be closed.
Reading happens in threads; everything else in one loop over one inbox.
"""

from __future__ import annotations

import argparse
import math
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, cast

from benchharness import __version__
from benchharness.device import conditions
from benchharness.device.attempt import RunningAttempt, never_started, worker_program
from benchharness.device.entry_gate import EntryGate
from benchharness.device.libraries import Libraries
from benchharness.device.line import protocol
from benchharness.device.line.holding import Holding, lock
from benchharness.device.line.hosts import NEW_HOST, Door, OneHost
from benchharness.device.line.protocol import Message
from benchharness.device.line.spool import Spool
from benchharness.device.processes import leftovers
from benchharness.device.processes.groups import remove_stale
from benchharness.device.processes.lifeline import die_with_parent
from benchharness.device.processes.undo import remove_scratch
from benchharness.device.rehearsal import Rehearsal
from benchharness.errors import ProtocolError, Unsupported

if TYPE_CHECKING:
    from benchharness.device.line.orders import Order

#: How often the entry gate is asked.
_GATE_TICK_S = 0.1
#: A loop that has not ended so long after its lease is stuck.
_STUCK_S = 5.0


class Supervisor:
    """Serves its host until that says `stop` or is gone, or a lease of so many seconds lapses; 0 for no lease."""

    def __init__(self, *, work: Path, bundle: str, hosts: OneHost | Door, lease_s: float = 0.0) -> None:
        self._work = work
        self._bundle = bundle
        self._hosts = hosts
        self._lease_s = lease_s or math.inf
        self._heard_s = time.monotonic()
        self._spool = Spool(work / "spool")
        self._libraries = Libraries(work.parent)  # beside the runs' own folders, which do not last
        self._inbox: queue.SimpleQueue[tuple[str, Message | None]] = queue.SimpleQueue()
        self._attempt: RunningAttempt | None = None
        self._next_look_s = 0.0
        self._rehearsal = Rehearsal(bundle)
        self._gate = EntryGate()
        self._gate_began = False
        self._at_gate: Order | None = None  # the order that waits to begin

    def serve(self) -> None:
        """The loop. Returns when the host is gone or says `stop`, or the lease lapsed; then `clear_away` is due."""
        self._hosts.listen(lambda message: self._inbox.put(("host", message)))
        if self._lease_s < math.inf:
            threading.Thread(target=self._end_when_stuck, daemon=True).start()
        while self._step():
            pass

    def clear_away(self) -> None:
        """Ends the worker and whatever it started."""
        if self._attempt is not None:
            self._attempt.kill()
            remove_stale()
            remove_scratch(self._work / "scratch")
        leftovers.end_orphans(at_once=True)  # of a worker whose start was cut short

    def _greet(self) -> None:
        """Tells a host what this device is, what it runs, and what is finished."""
        waiting = list(self._spool.waiting())
        running = self._attempt.id if self._attempt is not None else self._at_gate and self._at_gate["id"]
        self._hosts.send(
            {
                "type": "ready",
                "protocol": protocol.VERSION,
                "version": __version__,
                "clock_unix_ns": time.time_ns(),
                "facts": conditions.device_facts(),
                "waiting": len(waiting),  # finished attempts that follow at once, from before
                **({"running": running} if running else {}),
            }
        )
        for finished in waiting:
            self._hosts.send(finished)

    def _step(self) -> bool:
        try:
            source, message = self._inbox.get(timeout=self._patience_s())
        except queue.Empty:
            self._tick()
            return self._left_of_lease_s() > 0
        if source == "host":
            return self._on_host(message)
        self._on_worker(source, message)
        if time.monotonic() >= self._next_look_s:  # a worker that tells much is looked at all the same
            self._tick()
        return self._left_of_lease_s() > 0

    def _patience_s(self) -> float | None:
        if self._at_gate is not None:
            return _GATE_TICK_S
        left_s = self._left_of_lease_s()
        if self._attempt is not None:
            left_s = min(left_s, self._next_look_s - time.monotonic(), self._attempt.remaining_s())
        return max(0.0, left_s) if left_s < math.inf else None

    def _end_when_stuck(self) -> None:
        """The loop cannot see that its lease is over while it writes to a line that takes no more."""
        while (left_s := self._left_of_lease_s()) > -_STUCK_S:
            time.sleep(max(left_s, 0.0) + _STUCK_S)
        os.kill(os.getpid(), signal.SIGTERM)

    def _left_of_lease_s(self) -> float:
        return self._heard_s + self._lease_s - time.monotonic()

    def _on_host(self, message: Message | None) -> bool:
        self._heard_s = time.monotonic()
        if message is None:
            return self._hosts.goes_on
        kind = message["type"]
        if kind == "stop":
            return False
        if message is NEW_HOST:
            self._greet()
        elif kind == "attempt":
            self._receive(cast("Order", message))
        elif kind == "acknowledge":
            self._spool.forget(message["id"])
        elif kind == "cancel":
            self._cancel(message["id"])
        elif kind != "alive":
            self._hosts.send({"type": "refused", "id": message.get("id", ""), "reason": f"{kind} is not for me"})
        return True

    def _receive(self, order: Order) -> None:
        busy = self._attempt.id if self._attempt is not None else self._at_gate and self._at_gate["id"]
        if busy:
            self._hosts.send({"type": "refused", "id": order["id"], "reason": f"attempt {busy} is still running"})
            return
        try:
            worker_program(order, self._bundle)  # before the gate: what making it takes warms what is to be cool
        except Unsupported as error:
            self._finish(never_started(order, str(error)))
            return
        self._at_gate = order
        self._gate_began = False
        self._rehearsal.begin(order)
        self._wait_at_gate()
        if self._at_gate is not None and not self._gate_began:
            self._tell_phase(order, "tokenizer")

    def _tell_phase(self, order: Order, phase: str) -> None:
        self._hosts.send({"type": "progress", "id": order["id"], "phase": phase, "done": 0, "total": 0})

    def _wait_at_gate(self) -> None:
        """Starts the order that waits, once its prompt has been tried, and then the gate is open."""
        order, tried = self._at_gate, self._rehearsal.told()
        if order is None or tried is None:
            return
        began, self._gate_began = self._gate_began, True
        if not began:
            self._gate.begin(order.get("entry_gate_s", 0))
        facts = self._gate.step()
        if facts is not None:
            self._at_gate = None
            self._start(cast("Order", {**order, **tried}), facts)
        elif not began:
            self._tell_phase(order, "entry gate")

    def _cancel(self, attempt: str) -> None:
        if self._attempt is not None and self._attempt.id == attempt:
            self._finish(self._attempt.cancelled())
        elif self._at_gate is not None and self._at_gate["id"] == attempt:
            order, self._at_gate = self._at_gate, None
            self._rehearsal.cancel()
            self._start(order, {})
            if self._attempt is not None:
                self._finish(self._attempt.cancelled())

    def _start(self, order: Order, gate: Message) -> None:
        try:
            self._attempt = RunningAttempt(
                order,
                scratch=self._work / "scratch",
                bundle=self._bundle,
                libraries=self._libraries,
                entry_gate={"entry_gate": gate} if gate else {},
                hears=lambda message: self._hear_worker(order["id"], message),
            )
        except (OSError, KeyError, Unsupported) as error:
            reason = f"the worker could not be started: {type(error).__name__}: {error}"
            self._hosts.send({"type": "refused", "id": order["id"], "reason": reason})

    def _hear_worker(self, attempt: str, message: Message | ProtocolError | None) -> None:
        if isinstance(message, ProtocolError):
            message = {"type": "failed", "outcome": "crashed", "reason": protocol.text(message)}
        self._inbox.put((attempt, message))

    def _on_worker(self, source: str, message: Message | None) -> None:
        attempt = self._attempt
        if attempt is None or attempt.id != source:
            return  # the last words of a worker that is already accounted for
        if message is None:
            self._finish(attempt.ended())
        elif message["type"] == "progress":
            attempt.phase = protocol.text(message["phase"], 40)
            attempt.computed_by(message.pop("process", None))
            self._hosts.send(message)
        elif message["type"] == "measured":
            self._finish(attempt.measured(message))
        else:
            self._finish(attempt.failed(message))

    def _tick(self) -> None:
        if self._at_gate is not None:
            self._wait_at_gate()
        if self._attempt is None:
            return
        self._next_look_s = time.monotonic() + self._attempt.look_every_s
        self._attempt.look()
        leftovers.reap_orphans()
        if self._attempt.remaining_s() <= 0:
            self._finish(self._attempt.timed_out())

    def _finish(self, finished: list[Message]) -> None:
        self._attempt = None
        remove_stale()  # a conductor that was killed could not
        for each in finished:
            self._spool.keep(each)
        for each in finished:
            self._hosts.send(each)


def parser() -> argparse.ArgumentParser:
    """What a supervisor is told; a relay is told the same."""
    made = argparse.ArgumentParser(prog="supervisor", description=__doc__)
    made.add_argument("--work", type=Path, required=True, help="folder for the spool and for scratch files")
    made.add_argument("--bundle", required=True, help="the zip file this device side came in, for other interpreters")
    made.add_argument("--lease", type=float, default=0.0, metavar="SECONDS", help="end after so long a silence")
    made.add_argument("--holder", help="who has the device from now on: nobody else may, as long as this runs")
    made.add_argument("--detached", action="store_true", help="go on without a host, behind a door in the work folder")
    return made


def main(arguments: Sequence[str] | None = None) -> None:
    """Serves the host on standard input and output: `supervisor --work FOLDER --bundle FILE`."""
    options = parser().parse_args(arguments)
    # Not by SIGKILL: then nobody would end what the worker has started.
    _answer_ends(_end_with_host)
    if options.detached:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    else:
        die_with_parent(os.getppid(), signal.SIGTERM)
    leftovers.adopt_orphans()
    leftovers.mark_what_is_started()
    os.umask(0o077)
    options.work.mkdir(parents=True, exist_ok=True)
    writer = protocol.Writer(protocol.claim_standard_output())
    held = _hold(options, writer)
    leftovers.end_strays()
    remove_scratch(options.work / "scratch")  # what a killed one left behind
    remove_stale()
    hosts = _door(options.work, writer, held[1]) if options.detached else OneHost(sys.stdin.buffer, writer)
    supervisor = Supervisor(work=options.work, bundle=options.bundle, hosts=hosts, lease_s=options.lease)
    code = _serve(supervisor)
    supervisor.clear_away()
    del held
    os._exit(code)  # reader threads still wait for input that nobody will send


def _serve(supervisor: Supervisor) -> int:
    """Serves until the end, whatever brings it, after which no signal cuts the clearing away short; the exit code."""
    try:
        try:
            supervisor.serve()
        finally:
            # A host that dies closes the line first and sends its signal a moment later, into the clearing away.
            _answer_ends(signal.SIG_IGN)
    except SystemExit:
        pass  # the host is gone
    except BaseException:  # a mistake of ours: what the worker has started is ended all the same
        traceback.print_exc()
        return 1
    return 0


def _hold(options: argparse.Namespace, writer: protocol.Writer) -> tuple[Any, Any]:
    """Holds the run's folder and, for a holder, the whole device; ends this process where somebody else does."""
    run = lock(options.work / "lock")
    if options.holder is None:
        if run is None:
            sys.exit(f"{options.work}: another supervisor is at work in this folder; is the run still going on?")
        return run, None
    holding = Holding(options.work.parent.parent)  # a run's folder is WORK/runs/RUN
    busy = holding.take(options.holder)
    if busy is not None or run is None:
        busy = busy or {"type": "busy", **holding.told()}
        writer.send(busy)
        sys.exit(0)
    return run, holding


def _door(work: Path, writer: protocol.Writer, holding: Holding) -> Door:
    """Opens the door, says so to the relay that waits for it, and lets go of what that holds."""
    door = Door(work, lambda: {"type": "busy", **holding.told()})
    writer.send({"type": "listening"})
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1):
        os.dup2(null, descriptor)
    writer.close()
    return door


def _answer_ends(answer: Callable[[int, FrameType | None], None] | signal.Handlers) -> None:
    """Answers a host's end so: its signal, and the hangup of a line, which adb's daemon sends to the command itself."""
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), answer)


def _end_with_host(number: int, frame: FrameType | None) -> None:
    """Whatever is being done or waited for is left, by way of what must be cleared away."""
    _answer_ends(signal.SIG_IGN)  # once is enough
    sys.exit(1)


if __name__ == "__main__":
    main()
