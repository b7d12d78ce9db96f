"""A connection over the pipes of a child process: the supervisor itself."""

from __future__ import annotations

import contextlib
import subprocess
from pathlib import Path
from typing import BinaryIO, cast

from benchharness.launch.streams import StreamConnection

_LAST_WORDS_BYTES = 2000


class PipeConnection(StreamConnection):
    """Talks to a supervisor through a process's standard streams; its standard error goes to the file `log`."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        super().__init__(_ChildPeer(process, log))


class _ChildPeer:
    """A child process."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.stdin, self.stdout = cast("BinaryIO", process.stdin), cast("BinaryIO", process.stdout)
        self._process = process
        self._log = log

    @property
    def code(self) -> int | None:
        """Its exit code once it has ended."""
        return self._process.poll()

    def ends_within(self, patience_s: float) -> bool:
        """Whether it has ended, waited for so long."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(patience_s)
        return self._process.poll() is not None

    def end(self) -> None:
        """Ends it at once."""
        self._process.kill()

    def words(self) -> str:
        """The end of its log."""
        try:
            return self._log.read_bytes()[-_LAST_WORDS_BYTES:].decode("utf-8", "backslashreplace").strip()
        except OSError:
            return ""
