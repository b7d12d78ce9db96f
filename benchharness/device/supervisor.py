"""The supervisor: starts and watches one worker at a time, and tells the host how each attempt ended.

It talks to the host on standard input and a duplicate of standard output (`protocol`), keeps finished attempts in a
spool until the host acknowledges them, and ends, with its worker, when the host's end of standard input closes.
Reading happens in threads; everything else in one loop over one inbox.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import queue
import shutil
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from benchharness import __version__
from benchharness.device import conditions, leftovers, protocol
from benchharness.device.attempt import RunningAttempt
from benchharness.device.entry_gate import EntryGate
from benchharness.device.groups import remove_stale
from benchharness.device.libraries import Libraries
from benchharness.device.lifeline import die_with_parent
from benchharness.device.protocol import Message
from benchharness.device.spool import Spool
from benchharness.errors import ProtocolError

if TYPE_CHECKING:
    from benchharness.device.orders import Order

#: How often the entry gate is asked.
_GATE_TICK_S = 0.1


class Supervisor:
    """Serves one host until it says `stop` or is gone."""

    def __init__(self, *, work: Path, bundle: str, host: BinaryIO, writer: protocol.Writer) -> None:
        self._work = work
        self._bundle = bundle
        self._writer = writer
        self._spool = Spool(work / "spool")
        self._libraries = Libraries(work.parent)  # beside the runs' own folders, which do not last
        self._inbox: queue.SimpleQueue[tuple[str, Message | None]] = queue.SimpleQueue()
        self._attempt: RunningAttempt | None = None
        self._next_look_s = 0.0
        self._gate = EntryGate()
        self._at_gate: Order | None = None  # the order that waits to begin
        threading.Thread(target=self._read_host, args=(host,), daemon=True).start()

    def _read_host(self, host: BinaryIO) -> None:
        try:
            while (message := protocol.read_message(host)) is not None:
                self._inbox.put(("host", message))
        except ProtocolError as error:
            self._writer.send({"type": "refused", "id": "", "reason": str(error)})
        self._inbox.put(("host", None))

    def serve(self) -> None:
        """The loop. Returns when the host is gone or says `stop`; the worker is dead by then."""
        waiting = list(self._spool.waiting())
        self._writer.send(
            {
                "type": "ready",
                "protocol": protocol.VERSION,
                "version": __version__,
                "clock_unix_ns": time.time_ns(),
                "facts": conditions.device_facts(),
                "waiting": len(waiting),  # finished attempts that follow at once, from before
            }
        )
        for finished in waiting:
            self._writer.send(finished)
        try:
            while self._step():
                pass
        finally:
            if self._attempt is not None:
                self._attempt.kill()
                remove_stale()
            leftovers.end_orphans(at_once=True)  # of a worker whose start was cut short

    def _step(self) -> bool:
        try:
            source, message = self._inbox.get(timeout=self._patience_s())
        except queue.Empty:
            self._tick()
            return True
        if source == "host":
            return self._on_host(message)
        self._on_worker(source, message)
        if time.monotonic() >= self._next_look_s:  # a worker that tells much is looked at all the same
            self._tick()
        return True

    def _patience_s(self) -> float | None:
        if self._at_gate is not None:
            return _GATE_TICK_S
        if self._attempt is None:
            return None
        return max(0.0, min(self._next_look_s - time.monotonic(), self._attempt.remaining_s()))

    def _on_host(self, message: Message | None) -> bool:
        kind = "stop" if message is None else message["type"]
        if message is None or kind == "stop":
            return False
        if kind == "attempt":
            self._receive(cast("Order", message))
        elif kind == "acknowledge":
            self._spool.forget(message["id"])
        elif kind == "cancel":
            self._cancel(message["id"])
        else:
            self._writer.send({"type": "refused", "id": message.get("id", ""), "reason": f"{kind} is not for me"})
        return True

    def _receive(self, order: Order) -> None:
        busy = self._attempt.id if self._attempt is not None else self._at_gate and self._at_gate["id"]
        if busy:
            self._writer.send({"type": "refused", "id": order["id"], "reason": f"attempt {busy} is still running"})
            return
        self._at_gate = order
        self._gate.begin(order.get("entry_gate_s", 0))
        self._wait_at_gate()
        if self._at_gate is not None:
            self._writer.send({"type": "progress", "id": order["id"], "phase": "entry gate", "done": 0, "total": 0})

    def _wait_at_gate(self) -> None:
        """Starts the order that waits, once the gate is open."""
        order, facts = self._at_gate, self._gate.step()
        if order is None or facts is None:
            return
        self._at_gate = None
        self._start(order, facts)

    def _cancel(self, attempt: str) -> None:
        if self._attempt is not None and self._attempt.id == attempt:
            self._finish(self._attempt.cancelled())
        elif self._at_gate is not None and self._at_gate["id"] == attempt:
            order, self._at_gate = self._at_gate, None
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
        except (OSError, KeyError) as error:
            reason = f"the worker could not be started: {type(error).__name__}: {error}"
            self._writer.send({"type": "refused", "id": order["id"], "reason": reason})

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
            self._writer.send(message)
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
            self._writer.send(each)


def main(arguments: Sequence[str] | None = None) -> None:
    """Serves the host on standard input and output: `supervisor --work FOLDER --bundle FILE`."""
    parser = argparse.ArgumentParser(prog="supervisor", description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder for the spool and for scratch files")
    parser.add_argument("--bundle", required=True, help="the zip file this device side came in, for other interpreters")
    options = parser.parse_args(arguments)
    # Not by SIGKILL: then nobody would end what the worker has started.
    signal.signal(signal.SIGTERM, _end_with_host)
    die_with_parent(os.getppid(), signal.SIGTERM)
    leftovers.adopt_orphans()
    leftovers.mark_what_is_started()
    os.umask(0o077)
    options.work.mkdir(parents=True, exist_ok=True)
    if not _lock(options.work):
        sys.exit(f"{options.work}: another supervisor is at work in this folder; is the run still going on?")
    shutil.rmtree(options.work / "scratch", ignore_errors=True)  # what a killed one left behind
    leftovers.end_strays()
    remove_stale()
    writer = protocol.Writer(protocol.claim_standard_output())
    with contextlib.suppress(SystemExit):  # the host is gone
        Supervisor(work=options.work, bundle=options.bundle, host=sys.stdin.buffer, writer=writer).serve()
    os._exit(0)  # reader threads still wait for input that nobody will send


def _end_with_host(number: int, frame: FrameType | None) -> None:
    """Whatever is being done or waited for is left, by way of what must be cleared away."""
    signal.signal(number, signal.SIG_IGN)  # once is enough
    sys.exit(1)


def _lock(work: Path) -> Any:
    """Holds the folder until this process ends, however it ends; None where somebody else holds it."""
    try:
        import fcntl
    except ImportError:  # not on this system; a run's folder is its own, so nothing but a double resume is missed
        return True
    descriptor = os.open(work / "lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return None
    return descriptor or True


if __name__ == "__main__":
    main()
