"""Whence a meter's lines come: a file that another program appends to, or a TCP socket. Both within bounds."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import threading
import time
from collections import deque
from typing import Protocol

from benchharness.device.sensors.meters.lines import LONGEST_LINE_BYTES
from benchharness.device.sensors.readings import Unreadable

#: What is read at one look at most: a meter writes some bytes a second.
_MOST_BYTES_A_LOOK = 1 << 18
_CONNECT_S = 3.0
#: How long a thread waits for bytes before it looks whether anybody still wants them.
_PATIENCE_S = 0.2
_MOST_WAITING_LINES = 20_000
_PIECE_BYTES = 4096

#: A whole line, and when it was here, in ns of the harness's clock.
Arrived = tuple[int, bytes]


class Source(Protocol):
    """Gives lines as they come."""

    name: str

    def lines(self) -> list[Arrived]:
        """Whole lines since the last call. Raises `Unreadable` where no more will come."""
        ...

    def close(self) -> None:
        """Wants no more."""
        ...


class Cutter:
    """Bytes in, whole lines out. Raises `Unreadable` for a line that no meter writes."""

    def __init__(self, *, within: bool) -> None:
        self._rest = b""
        self._skips = within  # the first line may have begun before

    def cut(self, data: bytes) -> list[bytes]:
        """The lines that these bytes end."""
        *whole, self._rest = (self._rest + data).split(b"\n")
        if self._skips and whole:
            del whole[0]
            self._skips = False
        if max(map(len, (*whole, self._rest))) > LONGEST_LINE_BYTES:
            raise Unreadable(f"it wrote a line of more than {LONGEST_LINE_BYTES} bytes")
        return whole


def _flags(*names: str) -> int:
    """Those of `os.open` that this system has."""
    return sum(getattr(os, name, 0) for name in names)


class FileSource:
    """The end of a file, read from when it was opened on."""

    def __init__(self, path: str) -> None:
        """Raises `Unreadable`."""
        self.name = path
        try:
            # A pipe of that name would wait for whoever writes to it.
            self._descriptor = os.open(path, _flags("O_RDONLY", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY"))
        except OSError as error:
            raise Unreadable(f"{path}: {error.strerror or error}") from error
        found = os.fstat(self._descriptor)
        if not stat.S_ISREG(found.st_mode):
            os.close(self._descriptor)
            raise Unreadable(f"{path}: is no file that is appended to; a socket is declared by `connect`")
        self._file, self._at = (found.st_dev, found.st_ino), found.st_size
        self._cutter = Cutter(within=self._at > 0 and self._read(self._at - 1, 1) != b"\n")

    def _read(self, at: int, most: int) -> bytes:
        os.lseek(self._descriptor, at, os.SEEK_SET)  # no pread everywhere
        return os.read(self._descriptor, most)

    def lines(self) -> list[Arrived]:
        """What was appended."""
        try:
            found = os.stat(self.name)  # noqa: PTH116 - one call at a look
            size = os.fstat(self._descriptor).st_size
            data = self._read(self._at, _MOST_BYTES_A_LOOK) if size >= self._at else b""
        except OSError as error:
            raise Unreadable(f"{self.name}: {error.strerror or error}") from error
        if size < self._at or (found.st_dev, found.st_ino) != self._file:
            raise Unreadable("its file was cut or replaced")
        now_ns = time.perf_counter_ns()
        self._at += len(data)
        return [(now_ns, line) for line in self._cutter.cut(data)]

    def close(self) -> None:
        """Gives the file back."""
        with contextlib.suppress(OSError):
            os.close(self._descriptor)


class SocketSource:
    """A connection that streams lines. A thread of its own makes it and stamps them as they come.

    A name that nobody answers for is waited for there, for the worker is running already.
    """

    def __init__(self, host: str, port: int) -> None:
        self.name = f"{host}:{port}"
        self._waiting: deque[Arrived] = deque()
        self._ended = ""
        self._wanted = True
        self._thread = threading.Thread(target=self._listen, args=(host, port), daemon=True)
        self._thread.start()

    def _listen(self, host: str, port: int) -> None:
        try:
            with socket.create_connection((host, port), timeout=_CONNECT_S) as connection:
                connection.settimeout(_PATIENCE_S)
                self._hear(connection)
        except (OSError, ValueError, Unreadable) as error:  # ValueError: a name that can be no host's
            self._ended = str(getattr(error, "strerror", None) or error) or type(error).__name__

    def _hear(self, connection: socket.socket) -> None:
        cutter = Cutter(within=True)  # what hands on bytes begins where it is, which may be within a number
        while self._wanted:
            try:
                data = connection.recv(_PIECE_BYTES)
            except socket.timeout:
                continue
            now_ns = time.perf_counter_ns()
            if not data:
                raise Unreadable("the connection was closed at the other end")
            self._waiting.extend((now_ns, line) for line in cutter.cut(data))
            if len(self._waiting) > _MOST_WAITING_LINES:
                raise Unreadable("it streams more lines than any meter")

    def lines(self) -> list[Arrived]:
        """What has come. Those before the end are given before its reason is raised."""
        ended = self._ended  # first: what came before it is there by now
        found = [self._waiting.popleft() for _ in range(len(self._waiting))]
        if not found and ended:
            raise Unreadable(ended)
        return found

    def close(self) -> None:
        """Wants no more; the thread closes the connection, soon."""
        self._wanted = False
        self._thread.join(2 * _PATIENCE_S)
