"""A process of ours: how it is started, spoken to, heard, and ended with all that it started.

One class for an attempt's worker, the scorers of a quality pass, trials, background loads, and questions to an adapter.
Its rules: nobody waits for a stream once its process is gone, though a process that it forked holds the stream open;
nobody waits for it to read; every wait has a limit; and what it left running is ended and told (`leftovers`).

Windows has no streams that can be waited for: there the threads may outlast the process, and keep nothing from ending.
"""

from __future__ import annotations

import contextlib
import io
import os
import queue
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, BinaryIO, NamedTuple

from benchharness.device.processes import leftovers
from benchharness.device.processes.lifeline import die_with_parent
from benchharness.errors import ProtocolError

_POSIX = os.name == "posix"
#: How often an end is looked for where the kernel does not tell of it.
_POLL_S = 0.05
_REAP_S = 0.002
#: What a pipe can hold at most by default: more than this after its process's end is somebody else's words.
_PIPE_BYTES = 1 << 20
_BUFFER_BYTES = 1 << 20
_WORDS_BYTES, _MOST_WORDS_BYTES = 8192, 1 << 16

Receive = Callable[[BinaryIO], Any]


class Child:
    """A started process.

    `receive` reads one message from its output, None at the end; `hears` gets each in a thread of its own, then None.
    A `ProtocolError` is handed on and ends the listening. `stderr`: as for `Popen`; with `PIPE` its end is kept
    (`words`). `prepare` runs in the child just before it becomes the command.
    """

    def __init__(
        self,
        command: Sequence[str],
        receive: Receive,
        hears: Callable[[Any], None],
        *,
        stderr: int | IO[bytes] | None = None,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        prepare: Callable[[], None] = lambda: None,
        tied: bool = True,
    ) -> None:
        parent = os.getpid()

        def before() -> None:
            die_with_parent(parent)
            prepare()

        self.code: int | None = None  # its exit code; minus the signal that ended it
        self.page_ins = 0  # major page faults, known when it has ended
        self._receive, self._hears = receive, hears
        self._words = bytearray()
        self._outbox: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._reaping = threading.Lock()
        self.spawned_ns = time.perf_counter_ns()
        self._process = subprocess.Popen(
            command,
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            cwd=cwd,
            env=env,
            start_new_session=True,
            preexec_fn=before if _POSIX and tied else None,  # noqa: PLW1509 - system calls only
        )
        self.pid = self._process.pid
        leftovers.started(self.pid)
        self._end_told = _open_pidfd(self.pid)
        tasks = [(self._listen, self._process.stdout), (self._write, self._process.stdin)]
        if self._process.stderr is not None:
            tasks.append((self._keep_words, self._process.stderr))
        self._threads = [threading.Thread(target=task, args=(stream,), daemon=True) for task, stream in tasks]
        for thread in self._threads:
            thread.start()

    def write(self, data: bytes) -> None:
        """Sends bytes to its standard input, soon; where it has died nobody reads them."""
        self._outbox.put(data)

    def close_input(self) -> None:
        """Ends its standard input, its lifeline, when everything has been sent."""
        self._outbox.put(None)

    def words(self) -> bytes:
        """The end of its standard error."""
        return bytes(self._words)

    def ends_within(self, patience_s: float) -> bool:
        """Whether it has ended, waited for so long."""
        if self._end_told is not None and self.code is None:
            return bool(_wait_for({self._end_told: select.POLLIN}, patience_s))
        deadline_s = time.monotonic() + patience_s
        while not self._has_ended():
            if time.monotonic() >= deadline_s:
                return False
            time.sleep(_REAP_S)
        return True

    def end(self, patience_s: float = 0.0, *, orphans: bool = True) -> None:
        """Ends it, after so long a wait for its own end, with everything that it started.

        Without `orphans` those that left its group stay for a later call: they may be another child's.
        """
        if self.code is not None:
            return
        self.close_input()
        killed: set[int] = set()
        late = not self.ends_within(patience_s)
        if late:
            killed = leftovers.tree(self.pid)
            leftovers.kill([self.pid, *killed])  # not by Popen, which would reap it first
            self.ends_within(leftovers.KERNEL_S)
        if not (orphans and leftovers.adopts()):
            leftovers.end_group(self.pid, killed, at_once=late)
        self._reap()
        if orphans:
            leftovers.end_orphans(killed, at_once=late)
        self._close()

    def _close(self) -> None:
        for thread in self._threads:
            thread.join(1)
        if not any(thread.is_alive() for thread in self._threads):
            for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
                if stream is not None:
                    stream.close()
            if self._end_told is not None:
                os.close(self._end_told)

    # How it ended

    def _has_ended(self) -> bool:
        """Without reaping it, where that can be: until then its number is its own."""
        if self.code is not None:
            return True
        if not hasattr(os, "waitid"):
            return self._reap()
        with contextlib.suppress(ChildProcessError):
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        return True

    def _reap(self) -> bool:
        with self._reaping:
            if self.code is not None:
                return True
            if not _POSIX:
                self.code = self._process.poll()
            else:
                try:
                    done, status, usage = os.wait4(self.pid, os.WNOHANG)
                except ChildProcessError:  # somebody in this process reaps whatever ends
                    self.code = 0
                else:
                    if not done:
                        return False
                    self.code = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
                    self.page_ins = usage.ru_majflt
                self._process.returncode = self.code
            leftovers.reaped(self.pid)
            return self.code is not None

    # Its streams

    def _listen(self, raw: BinaryIO) -> None:
        stream: Any = io.BufferedReader(_Output(self, raw.fileno()), _BUFFER_BYTES) if _POSIX else raw
        try:
            while (message := self._receive(stream)) is not None:
                self._hears(message)
        except ProtocolError as error:
            self._hears(error)
        self._hears(None)

    def _keep_words(self, raw: BinaryIO) -> None:
        stream: Any = _Output(self, raw.fileno()) if _POSIX else raw
        while words := stream.read(_WORDS_BYTES):
            self._words += words
            del self._words[:-_MOST_WORDS_BYTES]

    def _write(self, stream: BinaryIO) -> None:
        descriptor = stream.fileno()
        if _POSIX:
            os.set_blocking(descriptor, False)
        with contextlib.suppress(OSError):  # nobody reads any more
            while (data := self._outbox.get()) is not None:
                while data:
                    if _POSIX and self.gone_or_ready(descriptor, select.POLLOUT):
                        return
                    with contextlib.suppress(BlockingIOError):
                        data = data[os.write(descriptor, data) :]
        stream.close()

    def gone_or_ready(self, stream: int, event: int) -> bool:
        """Waits until a stream of it is ready or it has ended; whether it has."""
        watched = {stream: event}
        if self._end_told is not None:
            return self._end_told in _wait_for({**watched, self._end_told: select.POLLIN})
        while not (ready := _wait_for(watched, _POLL_S)) and not self._has_ended():
            pass
        return not ready or self._has_ended()


class _Output(io.RawIOBase):
    """What a child writes, up to its end: what others write who hold the stream open afterwards is not waited for."""

    def __init__(self, child: Child, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self._child, self._descriptor = child, descriptor
        self._gone = False
        self._left_bytes = _PIPE_BYTES

    def readable(self) -> bool:
        """It is for reading."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Waits for some bytes; 0 at the end."""
        while self._left_bytes > 0:
            self._gone = self._gone or self._child.gone_or_ready(self._descriptor, select.POLLIN)
            try:
                count = os.readv(self._descriptor, [buffer])
            except BlockingIOError:
                if self._gone:
                    break
                continue
            if self._gone:
                self._left_bytes -= count
            return count
        return 0


class Answer(NamedTuple):
    """What a process answered. `code`: None where it had not ended in time."""

    out: bytes
    words: str
    code: int | None


def ask(
    command: Sequence[str],
    patience_s: float,
    *,
    told: bytes = b"",
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    most_bytes: int = 1 << 24,
    orphans: bool = True,
) -> Answer:
    """Runs a command to its end, or to the end of patience; its output, not much longer than `most_bytes`.

    `orphans` as for `Child.end`.
    """
    out = bytearray()

    def hears(piece: bytes | None) -> None:
        if piece is not None and len(out) <= most_bytes:
            out.extend(piece)

    def receive(stream: BinaryIO) -> bytes | None:
        return stream.read(_WORDS_BYTES) or None

    child = Child(command, receive, hears, stderr=subprocess.PIPE, cwd=cwd, env=env, tied=False)
    ended = False
    try:
        child.write(told)
        child.close_input()
        ended = child.ends_within(patience_s)
    finally:
        child.end(orphans=orphans)
    return Answer(bytes(out), child.words().decode("utf-8", "backslashreplace"), child.code if ended else None)


def signal_name(code: int) -> str:
    """What ended a process, by its negative exit code; of a signal without a name, as those for real time, `signal 40`.

    A process may end itself by any.
    """
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def _open_pidfd(process: int) -> int | None:
    """A descriptor that tells of a process's end, on Linux."""
    if hasattr(os, "pidfd_open"):
        with contextlib.suppress(OSError):  # an older kernel, or a sandbox
            return os.pidfd_open(process)
    return None


def _wait_for(watched: Mapping[int, int], patience_s: float | None = None) -> set[int]:
    """The descriptors that are ready."""
    poll = select.poll()
    for descriptor, event in watched.items():
        poll.register(descriptor, event)
    return {descriptor for descriptor, _ in poll.poll(None if patience_s is None else max(0.0, patience_s * 1000))}
