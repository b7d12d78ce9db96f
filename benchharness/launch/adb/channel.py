"""A command on an Android device: a socket to the adb server, and the shell protocol's frames on it."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading

from benchharness.device.line.shell_frames import (
    BEGIN,
    CLOSE_STDIN,
    ENDED,
    EXIT,
    HEADER,
    OF_SIGNAL,
    STDERR,
    STDIN,
    STDOUT,
)
from benchharness.errors import ConnectionLost
from benchharness.launch.channel import Channel
from benchharness.launch.shell import MARK

_CHUNK_BYTES = 1 << 15
#: A daemon's frame is no longer than one of its packets, of which the largest are 1 MiB.
_LONGEST_FRAME_BYTES = 1 << 21
_LONGEST_LINE_BYTES = 1 << 16
_MOST_SIGNALS = 64
#: How soon it is noticed that a command ended or is to end.
_POLL_S = 0.2


class AdbChannel(Channel):
    """A running command. `bare` where the daemon does not frame: `told_first`, a program, does it there."""

    def __init__(self, line: socket.socket, *, bare: bool = False, told_first: bytes = b"") -> None:
        super().__init__()
        self._line = line
        self._bare = bare
        self._told_first = told_first
        self._ending = threading.Event()
        self._came = bytearray()
        os.set_blocking(self.outer, False)
        threading.Thread(target=self._carry_out, daemon=True).start()
        threading.Thread(target=self._carry_in, daemon=True).start()

    def end(self) -> None:
        """Closes its streams, there too. What goes on without them is the device side's business."""
        self._ending.set()
        with contextlib.suppress(OSError):
            self._line.shutdown(socket.SHUT_RDWR)

    def _carry_in(self) -> None:
        """What is written here goes there, until nothing more is, or nobody listens."""
        with contextlib.suppress(OSError):
            self._line.sendall(self._told_first)
            while not self._ended.is_set():
                if not select.select([self.inner], [], [], _POLL_S)[0]:
                    continue
                if not (data := os.read(self.inner, _CHUNK_BYTES)):
                    self._line.sendall(HEADER.pack(CLOSE_STDIN, 0))
                    break
                self._line.sendall(HEADER.pack(STDIN, len(data)) + data)
        os.close(self.inner)

    def _carry_out(self) -> None:
        try:
            if not self._bare or self._skip_to_frames():
                self._hear_frames()
        except (OSError, ConnectionLost) as error:
            if not self._ending.is_set():
                self._says(f"\n{error}".encode())
        finally:
            os.close(self.outer)
            self._ended.set()
            self._line.close()

    def _hear_frames(self) -> None:
        while self._take(HEADER.size):
            kind, size = HEADER.unpack(self._taken(HEADER.size))
            if size > _LONGEST_FRAME_BYTES:
                raise ConnectionLost(f"the device's shell says a frame of {size} bytes")
            if not self._take(size):
                return
            data = self._taken(size)
            if kind == STDOUT:
                self._write(data)
            elif kind == STDERR:
                self._says(data)
            elif kind == EXIT and data:
                self.code = _code(data[0])
                return

    def _skip_to_frames(self) -> bool:
        """Reads what the shell itself says; False where the command ended, or could not begin."""
        while (line := self._line_of_text()) is not None:
            if line.strip() == BEGIN:
                return True
            before, ended, code = line.rpartition(ENDED)
            if ended and code.strip().isdigit():
                self._says(before)
                self.code = _code(int(code) & 0xFF)
                return False
            if line.strip() == MARK:
                self._write(line)
            else:
                self._says(line)
        return False

    def _line_of_text(self) -> bytes | None:
        while (end := self._came.find(b"\n")) < 0:
            if len(self._came) > _LONGEST_LINE_BYTES or not self._take(len(self._came) + 1):
                return None
        return self._taken(end + 1)

    def _take(self, count: int) -> bool:
        """Whether so many bytes have come; waits for them."""
        while len(self._came) < count:
            if not (data := self._line.recv(max(count - len(self._came), _CHUNK_BYTES))):
                return False
            self._came += data
        return True

    def _taken(self, count: int) -> bytes:
        data = bytes(self._came[:count])
        del self._came[:count]
        return data

    def _write(self, data: bytes) -> None:
        """Waits for who reads it, unless the channel is to end. Raises `OSError` where nobody reads any more."""
        view = memoryview(data)
        while view and not self._ending.is_set():
            if select.select([], [self.outer], [], _POLL_S)[1]:
                with contextlib.suppress(BlockingIOError):
                    view = view[os.write(self.outer, view) :]


def _code(told: int) -> int:
    """An exit code as shells tell it: of a signal, its number added to 128."""
    return OF_SIGNAL - told if OF_SIGNAL < told <= OF_SIGNAL + _MOST_SIGNALS else told
