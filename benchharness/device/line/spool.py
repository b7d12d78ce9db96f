"""Finished attempts on disk until the host has them safe: a lost connection or a killed host loses nothing."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from benchharness.device.line.protocol import Message, decode, encode
from benchharness.errors import ProtocolError

_ID = re.compile(r"[0-9a-fA-F-]{8,64}")


class Spool:
    """One file an attempt; a file appears whole or not at all."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def keep(self, finished: Message) -> bool:
        """Writes a `finished` message; False where the disk does not take it."""
        path = self._path(finished["id"])
        temporary = path.with_suffix(".part")
        try:
            with temporary.open("wb") as stream:
                stream.write(encode(finished))
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            return False
        return True

    def forget(self, attempt: str) -> None:
        """The host has it."""
        self._path(attempt).unlink(missing_ok=True)

    def waiting(self) -> Iterator[Message]:
        """Every attempt that no host has acknowledged yet, oldest first."""
        for path in sorted(self._folder.glob("*.json"), key=lambda file: file.stat().st_mtime_ns):
            try:
                yield decode(path.read_bytes())
            except ProtocolError:  # a file of another version or maker: leave it for a human
                path.replace(path.with_suffix(".unreadable"))

    def _path(self, attempt: str) -> Path:
        if not _ID.fullmatch(attempt):
            raise ProtocolError(f"{attempt[:80]!r} is not an attempt's id")
        return self._folder / f"{attempt}.json"
