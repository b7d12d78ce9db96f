"""Gives a command's output, errors and exit code apart, over a shell that gives them as one.

Android's adb daemon frames a command's streams since Android 7 (its shell protocol, version 2). On a device whose
daemon cannot, this program comes through the line, starts the command, and speaks the same protocol: a byte that says
what, a length in four bytes, the smallest first, and that many bytes.
"""

from __future__ import annotations

import contextlib
import os
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import IO, BinaryIO

#: What a frame holds: what the command hears or says. An exit frame holds the exit code in one byte.
STDIN, STDOUT, STDERR, EXIT, CLOSE_STDIN = 0, 1, 2, 3, 4
HEADER = struct.Struct("<BI")
#: Comes before the first frame, and after a command that gave none.
BEGIN, ENDED = b"benchharness-frames", b"benchharness-ended"
_CHUNK_BYTES = 1 << 15
_CANNOT_START = 127
#: Added to a signal's number where a signal ended the command, as shells do.
OF_SIGNAL = 128


class _Frames:
    """Writes frames; each whole, whoever writes."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def say(self, kind: int, data: bytes) -> None:
        with self._lock:
            try:
                self._stream.write(HEADER.pack(kind, len(data)) + data)
                self._stream.flush()
            except OSError:
                pass  # the line is gone, and who listens for its end ends the command


def run(command: Sequence[str], heard: BinaryIO, said: BinaryIO) -> None:
    """Starts a command and carries its streams until it ends."""
    said.write(BEGIN + b"\n")
    frames = _Frames(said)
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
        )
    except OSError as error:
        frames.say(STDERR, f"{command[0]}: {error.strerror}".encode())
        frames.say(EXIT, bytes([_CANNOT_START]))
        return
    threading.Thread(target=_hear, args=(heard, process), daemon=True).start()
    carrying = [
        threading.Thread(target=_carry, args=(stream, kind, frames))
        for stream, kind in ((process.stdout, STDOUT), (process.stderr, STDERR))
        if stream is not None
    ]
    for each in carrying:
        each.start()
    for each in carrying:
        each.join()
    code = process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()
    frames.say(EXIT, bytes([code & 0xFF if code >= 0 else OF_SIGNAL - code]))


def _carry(stream: IO[bytes], kind: int, frames: _Frames) -> None:
    while data := stream.read(_CHUNK_BYTES):
        frames.say(kind, data)


def _hear(heard: BinaryIO, process: subprocess.Popen[bytes]) -> None:
    """What the host says goes to the command; where the line ends, it is hung up on, as the daemon itself does it."""
    assert process.stdin is not None
    while len(header := heard.read(HEADER.size)) == HEADER.size:
        kind, size = HEADER.unpack(header)
        data = heard.read(size)
        try:
            if kind == STDIN:
                view = memoryview(data)
                while view:
                    view = view[process.stdin.write(view) or 0 :]
            elif kind == CLOSE_STDIN:
                process.stdin.close()
        except (OSError, ValueError):
            continue  # it does not listen any more
    process.send_signal(getattr(signal, "SIGHUP", signal.SIGTERM))


if __name__ == "__main__":
    run(sys.argv[1:], sys.stdin.buffer, sys.stdout.buffer)
    sys.stdout.flush()
    os._exit(0)  # the other thread still waits for input
