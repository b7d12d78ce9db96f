"""Who a supervisor serves: the host at its standard streams, or, detached, one host after the other at its door.

The door is a Unix socket in the run's work folder, which nobody but its user can enter. It is bound by a relative name,
because the whole path of a socket may have 107 bytes only.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Callable

from benchharness.device import protocol
from benchharness.device.protocol import Message
from benchharness.errors import ProtocolError

DOOR = "door"
#: A host says more often that it lives (`launch.streams`): one that was silent for so long has a dead line.
_SILENCE_S = 45.0

#: Takes a message from the host; None where a host is gone, `NEW_HOST` where one has come.
Hears = Callable[[Any], None]
NEW_HOST: Message = {"type": "new host"}  # never on a line: it is no type of the protocol


class OneHost:
    """The host that started this supervisor, and with which it ends."""

    goes_on = False

    def __init__(self, stream: BinaryIO, writer: protocol.Writer) -> None:
        self._stream, self._writer = stream, writer

    def listen(self, hears: Hears) -> None:
        """Hears it from now on, in a thread of its own."""
        threading.Thread(target=_read, args=(self._stream, self._writer, hears), daemon=True).start()
        hears(NEW_HOST)

    def send(self, message: Message) -> bool:
        """False where nobody reads any more."""
        return self._writer.send(message)


class Door:
    """Hosts that come and go, one at a time. `busy` is what another is told while one is there."""

    goes_on = True

    def __init__(self, folder: Path, busy: Callable[[], Message]) -> None:
        with _inside(folder):
            Path(DOOR).unlink(missing_ok=True)  # of a supervisor that was killed: this one holds the folder's lock
            self._listening = socket.socket(socket.AF_UNIX)
            self._listening.bind(DOOR)
        self._listening.listen(1)
        self._busy = busy
        self._lock = threading.Lock()
        self._line: socket.socket | None = None
        self._heard_s = 0.0

    def listen(self, hears: Hears) -> None:
        """Waits for hosts from now on, in a thread of its own."""
        threading.Thread(target=self._open_up, args=(hears,), daemon=True).start()

    def send(self, message: Message) -> bool:
        """False where nobody is there: what must not be lost is in the spool."""
        with self._lock:
            return self._line is not None and protocol.Writer(self._line.fileno()).send(message)

    def _open_up(self, hears: Hears) -> None:
        while True:
            line, _ = self._listening.accept()
            if self._line is not None and time.monotonic() - self._heard_s < _SILENCE_S:
                protocol.Writer(line.fileno()).send(self._busy())
                line.close()
                continue
            self._leave(self._line)
            with self._lock:
                self._line, self._heard_s = line, time.monotonic()
            hears(NEW_HOST)
            threading.Thread(target=self._serve, args=(line, hears), daemon=True).start()

    def _serve(self, line: socket.socket, hears: Hears) -> None:
        def heard(message: Any) -> None:
            if self._line is line:  # else another host is there by now
                self._heard_s = time.monotonic()
                hears(message)

        with line.makefile("rb") as stream:
            _read(stream, protocol.Writer(line.fileno()), heard)
        self._leave(line)

    def _leave(self, line: socket.socket | None) -> None:
        """Ends a line; nobody writes on it any more when its number is given back."""
        if line is None:
            return
        with contextlib.suppress(OSError):
            line.shutdown(socket.SHUT_RDWR)
        with self._lock:
            if self._line is line:
                self._line = None
            line.close()


def knock(folder: Path) -> socket.socket | None:
    """A line to the supervisor behind a folder's door; None where nobody listens."""
    line = socket.socket(socket.AF_UNIX)
    try:
        with _inside(folder):
            line.connect(DOOR)
    except OSError:
        line.close()
        return None
    return line


def _read(stream: BinaryIO, writer: protocol.Writer, hears: Hears) -> None:
    try:
        while (message := protocol.read_message(stream)) is not None:
            hears(message)
    except ProtocolError as error:
        writer.send({"type": "refused", "id": "", "reason": str(error)})
    except OSError:
        pass  # the line broke
    hears(None)


@contextlib.contextmanager
def _inside(folder: Path) -> Iterator[None]:
    """A relative name in a folder is short enough; nothing else runs in this process yet."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
