"""A daemon that speaks adb's protocol as an Android device's does, for the real adb client: run in a root of its own.

`adbd.py PORT UID STATE SHELL [ROOT]`: STATE is `ready`, `unauthorized`, `offline` or `gone`, and what the file
/system/state says goes before it; SHELL is `v2`, `v1` (no framed
shell, as before Android 7) or `none`. Commands run as the user UID, in a root of their own where one is named. On
SIGUSR1 it hangs up on everybody.

By https://android.googlesource.com/platform/packages/modules/adb: protocol.txt, SERVICES.TXT and shell_protocol.h.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO

_HEADER = struct.Struct("<6I")
_VERSION, _MOST_BYTES = 0x01000001, 1 << 18
_STDIN, _STDOUT, _STDERR, _EXIT, _CLOSE_STDIN = 0, 1, 2, 3, 4
_TOKEN, _SIGNATURE = 1, 2
_STATE = Path("/system/state")
_ENVIRONMENT = {
    "PATH": "/system/bin:/usr/bin:/bin",
    "ANDROID_ROOT": "/system",
    "HOME": "/",
    "TMPDIR": "/data/local/tmp",
}


def _word(name: bytes) -> int:
    return int.from_bytes(name, "little")


CNXN, AUTH, OPEN, OKAY, CLSE, WRTE = (_word(each) for each in (b"CNXN", b"AUTH", b"OPEN", b"OKAY", b"CLSE", b"WRTE"))


class Stream:
    """One service that a host opened."""

    def __init__(self, line: Line, number: int, theirs: int) -> None:
        self.line, self.number, self.theirs = line, number, theirs
        self.heard: queue.Queue[bytes | None] = queue.Queue()
        self.may_write = threading.Event()
        self.is_open = True

    def write(self, data: bytes) -> None:
        """A packet at a time: the next one when the last was taken."""
        view = memoryview(data)
        while view and self.is_open:
            self.may_write.clear()
            self.line.send(WRTE, self.number, self.theirs, bytes(view[: self.line.most_bytes]))
            view = view[self.line.most_bytes :]
            self.may_write.wait()

    def read(self) -> bytes | None:
        """What came next; None when the host closed it."""
        data = self.heard.get()
        if data is not None:
            self.line.send(OKAY, self.number, self.theirs)
        return data

    def close(self) -> None:
        """Tells the host, once."""
        if self.is_open:
            self.is_open = False
            self.line.send(CLSE, self.number, self.theirs)

    def cut(self) -> None:
        """The host is gone, or closed it."""
        self.is_open = False
        self.may_write.set()
        self.heard.put(None)


class Line:
    """One adb server's connection."""

    def __init__(self, peer: socket.socket, device: Device) -> None:
        self.peer, self.device = peer, device
        self.most_bytes = 4096
        self._lock = threading.Lock()
        self._streams: dict[int, Stream] = {}
        self._next = 0

    def send(self, command: int, first: int, second: int, data: bytes = b"") -> None:
        packet = _HEADER.pack(command, first, second, len(data), sum(data) & 0xFFFFFFFF, command ^ 0xFFFFFFFF) + data
        with contextlib.suppress(OSError), self._lock:
            self.peer.sendall(packet)

    def serve(self) -> None:
        """Until the line breaks."""
        try:
            while len(header := self._read(_HEADER.size)) == _HEADER.size:
                command, first, second, size, _, _ = _HEADER.unpack(header)
                self._packet(command, first, second, self._read(size))
        finally:
            for stream in list(self._streams.values()):
                stream.cut()
            self.peer.close()

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            try:
                more = self.peer.recv(size - len(data))
            except OSError:
                more = b""
            if not more:
                break
            data += more
        return data

    def _packet(self, command: int, first: int, second: int, data: bytes) -> None:
        if command == CNXN:
            self.most_bytes = min(second, _MOST_BYTES)
            self._greet()
        elif command == AUTH and first == _SIGNATURE:
            self._greet()  # no signature is good; a new key after that waits for somebody at the screen
        elif command == OPEN:
            self._next += 1
            stream = self._streams[self._next] = Stream(self, self._next, first)
            threading.Thread(target=self._serve, args=(stream, data.rstrip(b"\0").decode()), daemon=True).start()
        elif (found := self._streams.get(second)) is not None:
            if command == OKAY:
                found.may_write.set()
            elif command == WRTE:
                found.heard.put(data)
            elif command == CLSE:
                found.close()
                found.cut()
                self._streams.pop(second, None)

    def _greet(self) -> None:
        state = self.device.state
        if state == "unauthorized":
            self.send(AUTH, _TOKEN, 0, bytes(range(20)))
        elif state == "ready":
            features = "features=cmd,shell_v2" if self.device.shell == "v2" else "features=cmd"
            self.send(
                CNXN,
                _VERSION,
                _MOST_BYTES,
                f"device::ro.product.name=stand_in;ro.product.model=Stand In;ro.product.device=x;{features}".encode(),
            )

    def _serve(self, stream: Stream, service: str) -> None:
        kind, _, command = service.partition(":")
        name, *options = kind.split(",")
        known = {"v2": {"shell", "exec"}, "v1": {"shell", "exec"}, "none": set[str]()}[self.device.shell]
        framed = "v2" in options
        if name not in known or (framed and self.device.shell != "v2"):
            self.send(CLSE, 0, stream.theirs)
            return
        self.send(OKAY, stream.number, stream.theirs)
        try:
            Shell(stream, framed).run(self.device, command)
        finally:
            stream.close()


class Shell:
    """A command's streams: framed, its errors apart and its exit code told; or all in one, and no code."""

    def __init__(self, stream: Stream, framed: bool) -> None:
        self._stream, self._framed = stream, framed
        self._lock = threading.Lock()

    def run(self, device: Device, command: str) -> None:
        process = subprocess.Popen(
            [*device.enters, "-c", command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if self._framed else subprocess.STDOUT,
            bufsize=0,
            cwd="/",
            env=_ENVIRONMENT,
            start_new_session=True,
        )
        threading.Thread(target=self._hear, args=(process,), daemon=True).start()
        carrying = [
            threading.Thread(target=self._carry, args=(stream, kind), daemon=True)
            for stream, kind in ((process.stdout, _STDOUT), (process.stderr, _STDERR))
            if stream is not None
        ]
        for each in carrying:
            each.start()
        for each in carrying:
            each.join()
        code = process.wait()
        if self._framed:
            self._stream.write(struct.pack("<BIB", _EXIT, 1, code if code >= 0 else 128 - code))

    def _carry(self, stream: IO[bytes], kind: int) -> None:
        while data := stream.read(1 << 15):
            with self._lock:
                self._stream.write(struct.pack("<BI", kind, len(data)) + data if self._framed else data)

    def _hear(self, process: subprocess.Popen[bytes]) -> None:
        """Where the host goes away, the daemon hangs up on the command itself, and on nothing that it started."""
        came = b""
        stdin = process.stdin
        assert stdin is not None
        while (data := self._stream.read()) is not None:
            with contextlib.suppress(OSError, ValueError):
                if not self._framed:
                    _write(stdin, data)
                    continue
                came += data
                while len(came) >= 5 and len(came) >= 5 + int.from_bytes(came[1:5], "little"):
                    size = int.from_bytes(came[1:5], "little")
                    kind, data, came = came[0], came[5 : 5 + size], came[5 + size :]
                    if kind == _STDIN:
                        _write(stdin, data)
                    elif kind == _CLOSE_STDIN:
                        stdin.close()
        with contextlib.suppress(OSError):
            stdin.close()
        if process.poll() is None:
            process.send_signal(signal.SIGHUP)


def _write(stream: IO[bytes], data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[stream.write(view) :]


class Device:
    """What is the same for every line."""

    def __init__(self, uid: int, state: str, shell: str, root: str = "") -> None:
        self._state, self.shell = state, shell
        # What becomes the user's shell: in this root, or in one that has only Android's.
        shell_there = "/system/bin/sh" if root else "/bin/sh"
        self.enters = ["/usr/sbin/chroot", f"--userspec={uid}:{uid}", "--groups=", root or "/", shell_there]
        self.lines: list[Line] = []

    @property
    def state(self) -> str:
        try:
            return _STATE.read_text()
        except OSError:
            return self._state

    def hang_up(self) -> None:
        lines, self.lines = self.lines, []
        for line in lines:
            with contextlib.suppress(OSError):
                line.peer.shutdown(socket.SHUT_RDWR)


def main() -> None:
    port, uid, *rest = sys.argv[1:]
    device = Device(int(uid), *rest)
    signal.signal(signal.SIGUSR1, lambda *_: device.hang_up())
    listening = socket.create_server(("127.0.0.1", int(port)))
    while True:
        peer, _ = listening.accept()
        if device.state == "gone":
            peer.close()
            continue
        line = Line(peer, device)
        device.lines.append(line)
        threading.Thread(target=line.serve, daemon=True).start()


if __name__ == "__main__":
    os.umask(0o022)
    main()
