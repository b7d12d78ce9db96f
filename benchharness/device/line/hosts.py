"""Who a supervisor serves: the host at its standard streams, or, detached, one host after the other at its door.

The door is a Unix socket in the run's work folder, which nobody but its user can enter. It is bound by a relative name,
because the whole path of a socket may have 107 bytes only. Android lets adb's user make no socket in any folder
(SELinux): there the door has a name of its own that is in no folder, and both sides look whose process the other is.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Callable

from benchharness.device.line import protocol
from benchharness.device.line.protocol import Message
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
        self._listening = socket.socket(socket.AF_UNIX)
        _bind(self._listening, folder)
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
            if not _is_ours(line):
                line.close()
                continue
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
    for name in (DOOR, *_outside_folders(folder)):
        line = socket.socket(socket.AF_UNIX)
        try:
            with _inside(folder):
                line.connect(name)
        except OSError:
            line.close()
            continue
        if _is_ours(line):
            return line
        line.close()
    return None


def _bind(listening: socket.socket, folder: Path) -> None:
    """Gives the door its name. Raises `OSError`."""
    with _inside(folder):
        Path(DOOR).unlink(missing_ok=True)  # of a supervisor that was killed: this one holds the folder's lock
        try:
            listening.bind(DOOR)
        except PermissionError:
            if not (names := _outside_folders(folder)):
                raise
            listening.bind(names[0])


def _outside_folders(folder: Path) -> tuple[str, ...]:
    """The name of a folder's door where none may be in it: Linux's abstract ones, which end with their process."""
    if not hasattr(socket, "SO_PEERCRED"):
        return ()
    return (f"\0benchharness {hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:32]}",)


def _is_ours(line: socket.socket) -> bool:
    """Whether the process at the other end is this user's: any may knock at a door that is in no folder."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    told = line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return bool(struct.unpack("3i", told)[1] == os.getuid())


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
