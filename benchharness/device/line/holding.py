"""Who has a device: one host at a time, told to the next, and let go however the supervisor ends."""

from __future__ import annotations

import contextlib
import json
import os
import time
from pathlib import Path
from typing import Any

from benchharness.device.line.protocol import Message, text

_LONGEST_HOLDER = 200
_MOST_BYTES = 4096


#: Who only asks whether a file is held has it for a moment: so long is waited before it is called somebody's.
_MOMENT_S, _POLL_S = 1.0, 0.05


def lock(path: Path, patience_s: float = _MOMENT_S, *, mode: int = 0o600) -> Any | None:
    """Holds a file until this process ends; None where somebody else holds it for longer than that.

    `mode`: of a file that is made, as none was there.
    """
    try:
        import fcntl
    except ImportError:  # not on this system; a run's folder is its own, so nothing but a double resume is missed
        return True
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | getattr(os, "O_NOFOLLOW", 0), mode)
    deadline_s = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if time.monotonic() >= deadline_s:
                os.close(descriptor)
                return None
            time.sleep(_POLL_S)
        else:
            return descriptor or True


def is_held(path: Path) -> bool:
    """Whether a process holds the file now."""
    if not path.is_file():
        return False
    held = lock(path, patience_s=0.0)
    if held is None:
        return True
    if held is not True:
        os.close(held)
    return False


class Holding:
    """The one lock of a device's work folder, and whose it is."""

    def __init__(self, work: Path) -> None:
        self._path = work / "held"
        self._descriptor: Any = None

    def take(self, holder: str) -> Message | None:
        """Takes it for a host; else what that is to be told."""
        self._descriptor = lock(self._path)
        if self._descriptor is None:
            return {"type": "busy", **self.told()}
        if self._descriptor is not True:
            told = {"holder": text(holder, _LONGEST_HOLDER), "since_unix_ns": time.time_ns()}
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, json.dumps(told).encode(), 0)
        return None

    def told(self) -> Message:
        """Who has it, as far as that is written, and since when."""
        found: Any = {}
        with contextlib.suppress(OSError, ValueError):
            found = json.loads(self._path.read_bytes()[:_MOST_BYTES])
        found = found if isinstance(found, dict) else {}
        since = found.get("since_unix_ns")
        return {
            "holder": text(found.get("holder", "unknown"), _LONGEST_HOLDER),
            "since_unix_ns": since if isinstance(since, int) else 0,
            "now_unix_ns": time.time_ns(),
        }

    def is_held(self) -> bool:
        """Whether a host has it now."""
        return is_held(self._path)
