"""A command on a device, its standard streams at hand here as pipes: what reads and writes them knows no SSH."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from io import BufferedReader
from typing import TYPE_CHECKING, BinaryIO, cast

from benchharness.errors import ConnectionLost

if TYPE_CHECKING:
    import asyncssh

_MOST_WORDS_BYTES = 1 << 16
_WORDS_BYTES = 8192
_TOLD_CHARACTERS = 2000
_GRACE_S = 5.0


class Channel:
    """A running command. `code` is its exit code once it has ended, minus the signal that ended it.

    None as a code means that nobody will know: the line broke.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, stdin: BinaryIO, stdout: BufferedReader) -> None:
        self.stdin, self.stdout = stdin, stdout
        self.code: int | None = None
        self._loop = loop
        self._ended = threading.Event()
        self._words = bytearray()
        self._process: asyncssh.SSHClientProcess[bytes] | None = None
        self._watching: asyncio.Task[None] | None = None  # kept: a loop keeps its tasks weakly

    @classmethod
    async def open(cls, connection: asyncssh.SSHClientConnection, command: str) -> Channel:
        """Starts a command. Raises what asyncssh raises where the line is gone."""
        import asyncssh

        inner, stdin = os.pipe()
        stdout, outer = os.pipe()
        channel = cls(asyncio.get_running_loop(), cast("BinaryIO", os.fdopen(stdin, "wb", 0)), os.fdopen(stdout, "rb"))
        try:
            process = await connection.create_process(
                command, stdin=inner, stdout=outer, stderr=asyncssh.PIPE, encoding=None
            )
        except BaseException:
            for descriptor in (inner, outer):
                with contextlib.suppress(OSError):
                    os.close(descriptor)
            channel.stdin.close()
            channel.stdout.close()
            raise
        channel._process = process
        channel._watching = asyncio.create_task(channel._watch(process))
        return channel

    async def _watch(self, process: asyncssh.SSHClientProcess[bytes]) -> None:
        try:
            while words := await process.stderr.read(_WORDS_BYTES):
                self._words += words
                del self._words[:-_MOST_WORDS_BYTES]
        except Exception as error:
            self._words += f"\n{error}".encode()
        finally:
            with contextlib.suppress(Exception):  # of a broken line: no more is to be known
                await process.wait_closed()
            self.code = process.returncode
            self._ended.set()

    def ends_within(self, patience_s: float) -> bool:
        """Whether it has ended, or the line to it, waited for so long."""
        return self._ended.wait(patience_s)

    def end(self) -> None:
        """Closes its streams, there too. What goes on without them is the device side's business."""
        process = self._process
        if process is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed, and with it every line
                self._loop.call_soon_threadsafe(process.close)

    def close(self) -> None:
        """Ends it and gives its streams back, however much of them was read."""
        self.end()
        self.ends_within(_GRACE_S)
        for stream in (self.stdin, self.stdout):
            with contextlib.suppress(OSError):
                stream.close()

    def words(self) -> str:
        """The end of its standard error."""
        told = bytes(self._words[-_TOLD_CHARACTERS:]).decode("utf-8", "backslashreplace").strip()
        return told or ("the line broke" if self._ended.is_set() and self.code is None else "")

    def skip_greeting(self, mark: bytes, most_bytes: int) -> None:
        """Reads past what the login shell says by itself. Raises `ConnectionLost`."""
        left = most_bytes
        while left > 0 and (line := self.stdout.readline(left)):
            if line.strip() == mark:
                return
            left -= len(line)
        self.close()
        raise ConnectionLost(f"the command was not started; {self.words() or 'its shell said nothing of ours'}")
