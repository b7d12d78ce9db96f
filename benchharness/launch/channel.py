"""A command on a device, its standard streams at hand here as pipes: what reads and writes them knows no line."""

from __future__ import annotations

import contextlib
import os
import threading
from abc import ABC, abstractmethod
from io import BufferedReader
from typing import BinaryIO, cast

from benchharness.errors import ConnectionLost

_MOST_WORDS_BYTES = 1 << 16
_TOLD_CHARACTERS = 2000
_GRACE_S = 5.0


class Channel(ABC):
    """A running command. `code` is its exit code once it has ended, minus the signal that ended it.

    None as a code means that nobody will know: the line broke. What is written to `stdin` comes out of `inner`, and
    what is written to `outer` is read from `stdout`: those two descriptors are the line's end, which closes them.
    """

    def __init__(self) -> None:
        self.inner, stdin = os.pipe()
        stdout, self.outer = os.pipe()
        self.stdin: BinaryIO = cast("BinaryIO", os.fdopen(stdin, "wb", 0))
        self.stdout: BufferedReader = os.fdopen(stdout, "rb")
        self.code: int | None = None
        self._ended = threading.Event()
        self._words = bytearray()

    @abstractmethod
    def end(self) -> None:
        """Closes its streams, there too. What goes on without them is the device side's business."""

    def ends_within(self, patience_s: float) -> bool:
        """Whether it has ended, or the line to it, waited for so long."""
        return self._ended.wait(patience_s)

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
        """Reads past what the shell there says by itself. Raises `ConnectionLost`."""
        left = most_bytes
        while left > 0 and (line := self.stdout.readline(left)):
            if line.strip() == mark:
                return
            left -= len(line)
        self.close()
        raise ConnectionLost(f"the command was not started; {self.words() or 'its shell said nothing of ours'}")

    def _says(self, words: bytes) -> None:
        """Keeps the end of its standard error."""
        self._words += words
        del self._words[:-_MOST_WORDS_BYTES]

    def _never_began(self) -> None:
        """Gives all four descriptors back."""
        for descriptor in (self.inner, self.outer):
            with contextlib.suppress(OSError):
                os.close(descriptor)
        self.stdin.close()
        self.stdout.close()
