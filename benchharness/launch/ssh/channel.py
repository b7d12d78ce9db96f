"""A command on a device over SSH."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from benchharness.launch.channel import Channel

if TYPE_CHECKING:
    import asyncssh

_WORDS_BYTES = 8192


class SshChannel(Channel):
    """A running command, watched in the loop of its line."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._loop = loop
        self._process: asyncssh.SSHClientProcess[bytes] | None = None
        self._watching: asyncio.Task[None] | None = None  # kept: a loop keeps its tasks weakly

    @classmethod
    async def open(cls, connection: asyncssh.SSHClientConnection, command: str) -> SshChannel:
        """Starts a command. Raises what asyncssh raises where the line is gone."""
        import asyncssh

        made = cls(asyncio.get_running_loop())
        try:
            process = await connection.create_process(
                command, stdin=made.inner, stdout=made.outer, stderr=asyncssh.PIPE, encoding=None
            )
        except BaseException:
            made._never_began()
            raise
        made._process = process
        made._watching = asyncio.create_task(made._watch(process))
        return made

    async def _watch(self, process: asyncssh.SSHClientProcess[bytes]) -> None:
        try:
            while words := await process.stderr.read(_WORDS_BYTES):
                self._says(words)
        except Exception as error:
            self._says(f"\n{error}".encode())
        finally:
            with contextlib.suppress(Exception):  # of a broken line: no more is to be known
                await process.wait_closed()
            self.code = process.returncode
            self._ended.set()

    def end(self) -> None:
        """Closes its streams, there too. What goes on without them is the device side's business."""
        process = self._process
        if process is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed, and with it every line
                self._loop.call_soon_threadsafe(process.close)
