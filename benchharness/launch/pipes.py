"""A connection over the pipes of a child process: the supervisor itself, or a client that carries its streams."""

from __future__ import annotations

import contextlib
import queue
import subprocess
import threading
from pathlib import Path

from benchharness.device import protocol
from benchharness.device.protocol import Message
from benchharness.errors import ConnectionLost, ProtocolError

_LAST_WORDS_BYTES = 2000
#: A supervisor without a host ends its worker and what that left running, which takes a fraction of a second.
_GRACE_S = 5.0


class PipeConnection:
    """Talks to a supervisor through a process's standard streams; its standard error goes to the file `log`."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self._process = process
        self._log = log
        assert process.stdin is not None
        self._writer = protocol.Writer(process.stdin.fileno())
        self._inbox: queue.Queue[Message | ProtocolError | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        try:
            while (message := protocol.read_message(self._process.stdout)) is not None:
                self._inbox.put(message)
        except ProtocolError as error:
            self._inbox.put(error)
        except (OSError, ValueError):
            pass  # closed by kill()
        self._inbox.put(None)

    def send(self, message: Message) -> None:
        """Sends one message. Raises `ConnectionLost`."""
        if not self._writer.send(message):
            raise ConnectionLost(f"the supervisor is gone{self._last_words()}")

    def receive(self, timeout_s: float) -> Message | None:
        """The next message, None if none came in time. Raises `ConnectionLost` or `ProtocolError`."""
        try:
            message = self._inbox.get(timeout=timeout_s)
        except queue.Empty:
            return None
        if message is None:
            self._inbox.put(None)  # it stays lost
            raise ConnectionLost(f"the supervisor is gone{self._last_words()}")
        if isinstance(message, ProtocolError):
            raise message
        return message

    def kill(self) -> None:
        """Closes the lifeline, on which a supervisor ends within a second, and makes sure of it."""
        if self._process.stdin is not None and not self._process.stdin.closed:
            self._process.stdin.close()
        try:
            self._process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_GRACE_S)
        self._reader.join(1)  # its stream has ended with the process
        if self._process.stdout is not None and not self._reader.is_alive():  # closing would wait for a blocked reader
            self._process.stdout.close()

    def _last_words(self) -> str:
        try:
            words = self._log.read_bytes()[-_LAST_WORDS_BYTES:].decode("utf-8", "backslashreplace").strip()
        except OSError:
            return ""
        return f"; it said: {words}" if words else ""
