"""The host's end of `benchharness.device.line.porter`: sends that program through the line, and talks to it."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, BinaryIO

from benchharness.errors import ConnectionLost, LaunchError, NoPython
from benchharness.launch import Sent
from benchharness.launch.channel import Channel
from benchharness.launch.line import Line
from benchharness.launch.route import ENVIRONMENTS, Route
from benchharness.launch.shell import BEGIN

#: What the device side needs.
_OLDEST_PYTHON = (3, 9)
#: For an answer that needs no hash of a large file, on a slow board with a slow login shell.
_PATIENCE_S = 60.0
#: For one that does: what a slow card reads in so long is more than any model has.
_HASHING_S = 600.0
_LONGEST_ANSWER_BYTES = 1 << 16
_CHUNK_BYTES = 1 << 18
_LONGEST_WORD = 1000
_GRACE_S = 5.0
#: What ends says why on a stream of its own, which may come a moment later.
_LAST_WORDS_S = 1.0
#: What shells end with where there is no such command, or none that can be started; 9009 is Windows's.
_NOT_FOUND = (126, 127, 9009)

_DOOR = """
import sys
if sys.version_info < ({major}, {minor}):
    sys.stdout.write('{{"old": "%d.%d.%d"}}\\n' % sys.version_info[:3])
    sys.stdout.flush()
    sys.exit(0)
exec(compile(sys.stdin.buffer.read({size}), "porter.py", "exec"), {{"__name__": "__main__"}})
"""


@dataclass(frozen=True, kw_only=True)
class Contact:
    """What a device says of itself at the door. It is not trusted: its words are bounded, and go back to it alone."""

    work: str
    python: str
    executable: str
    system: str
    machine: str
    user: str
    free_bytes: int
    clock_unix_ns: int


class Porter:
    """Brings files to a device and fetches what it has written, over one command that runs as long as it is wanted."""

    def __init__(self, line: Line, route: Route, sent: Sent) -> None:
        self._line = line
        self._route = route
        self._sent = sent
        self._channel: Channel | None = None

    def contact(self) -> Contact:
        """Makes the work folder and says what is there. Raises `LaunchError`."""
        told = self._ask({"wants": "contact"})
        try:
            words = {
                key: str(told[key])[:_LONGEST_WORD]
                for key in ("work", "python", "executable", "system", "machine", "user")
            }
            return Contact(**words, free_bytes=int(told["free_bytes"]), clock_unix_ns=int(told["clock_unix_ns"]))
        except (KeyError, TypeError, ValueError) as error:
            raise LaunchError(f"{self._route.name} does not say what it is: {str(told)[:200]}") from error

    def put(self, file: Path, name: str, digest: str) -> str:
        """Brings what is missing of a file; its path there. Raises `LaunchError`."""
        size = file.stat().st_size
        request = {"wants": "put", "name": name, "size": size, "digest": digest}
        have = self._ask(request, _HASHING_S).get("have")
        if not isinstance(have, int) or not 0 <= have <= size:
            raise self._nonsense({"have": have})
        if have < size:
            self._send(file, have, size)
        return str(self._answer(_HASHING_S).get("path"))

    def give(self, name: str, most_bytes: int) -> bytes:
        """A file of the work folder. Raises `LaunchError`."""
        count = self._ask({"wants": "give", "name": name}).get("bytes")
        if not isinstance(count, int) or not 0 <= count <= most_bytes:
            raise self._nonsense({"bytes": count})
        with self._patience(_PATIENCE_S) as channel:
            data = channel.stdout.read(count)
        if len(data) < count:
            raise self._lost()
        return data

    def remove(self, name: str) -> None:
        """Removes what goes by a name in the work folder. Raises `LaunchError`."""
        self._ask({"wants": "remove", "name": name})

    def close(self) -> None:
        """Lets it end; the next request starts another."""
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.stdin.close()
            channel.ends_within(_GRACE_S)
            channel.close()

    def _open(self) -> Channel:
        if self._channel is None:
            program = files("benchharness").joinpath("device/line/porter.py").read_bytes()
            major, minor = _OLDEST_PYTHON
            door = _DOOR.format(major=major, minor=minor, size=len(program)).encode()
            self._channel = self._line.start([self._route.python, "-I", "-c", BEGIN.format(len(door))])
            self._write(self._channel.stdin, door + program)
        return self._channel

    def _ask(self, request: dict[str, Any], patience_s: float = _PATIENCE_S) -> dict[str, Any]:
        channel = self._open()
        self._write(channel.stdin, json.dumps({**request, "work": self._route.work}).encode() + b"\n")
        return self._answer(patience_s)

    def _write(self, stream: BinaryIO, data: bytes) -> bool:
        """False where it has ended: what it said first tells why."""
        try:
            view = memoryview(data)
            while view:
                view = view[stream.write(view) :]
        except OSError:
            return False
        return True

    def _send(self, file: Path, have: int, size: int) -> None:
        channel = self._open()
        with file.open("rb") as stream:
            stream.seek(have)
            while have < size and (data := stream.read(min(_CHUNK_BYTES, size - have))):
                if not self._write(channel.stdin, data):
                    return
                have += len(data)
                self._sent(f"sending {file.name}, MiB", have >> 20, size >> 20)
        if have < size:
            self.close()
            raise LaunchError(f"{file}: it has become shorter while it was sent")

    def _answer(self, patience_s: float) -> dict[str, Any]:
        with self._patience(patience_s) as channel:
            line = channel.stdout.readline(_LONGEST_ANSWER_BYTES)
        if not line.endswith(b"\n"):
            raise self._lost()
        try:
            told = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise self._nonsense(line[:200]) from error
        if not isinstance(told, dict):
            raise self._nonsense(line[:200])
        if "old" in told:
            version, oldest = str(told["old"])[:40], ".".join(map(str, _OLDEST_PYTHON))
            raise NoPython(
                f"{self._route.name}: its {self._route.python} is Python {version}; the device side needs {oldest} "
                "or later: name another one as 'python' in its profile"
            )
        if "refused" in told:
            self.close()  # what it still expects is not known
            raise LaunchError(f"{self._route.name}: {str(told['refused'])[:_LONGEST_WORD]}")
        return told

    def _patience(self, patience_s: float) -> _Patience:
        return _Patience(self._open(), patience_s)

    def _nonsense(self, told: object) -> LaunchError:
        self.close()
        return LaunchError(f"{self._route.name} answers nonsense: {str(told)[:200]}")

    def _lost(self) -> LaunchError:
        """Why nothing more comes: the line is gone, or the interpreter is not there or ended."""
        channel, self._channel = self._channel, None
        assert channel is not None
        channel.ends_within(_LAST_WORDS_S)
        channel.close()
        words = channel.words()
        if channel.code in _NOT_FOUND:
            prepare = f"benchharness device prepare {self._route.name} --for SUITE.toml"
            helps = f", or have one brought there: {prepare}" if self._route.python == Route.python else ""
            helps = f", or make it again: {prepare}" if ENVIRONMENTS in self._route.python else helps
            return NoPython(
                f"{self._route.name}: {self._route.python!r} cannot be started there ({words}); name a Python 3.9 or "
                f"later as 'python' in its profile{helps}"
            )
        return ConnectionLost(f"{self._route.name}: the line broke, or what runs there ended; {words}")


class _Patience:
    """Ends a channel on which nothing has come in time, so that whoever reads it goes on."""

    def __init__(self, channel: Channel, patience_s: float) -> None:
        self._channel = channel
        self._timer = threading.Timer(patience_s, channel.end)
        self._timer.daemon = True

    def __enter__(self) -> Channel:
        self._timer.start()
        return self._channel

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
