"""An agent's own folder, in which no second agent works: what lies there from before it clears away when it begins."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from benchharness.errors import UsageError

_LOCK = "agent.lock"


@contextlib.contextmanager
def alone_in(work: Path) -> Iterator[None]:
    """Holds a folder as long as this process lives. Raises `UsageError` where another agent works in it."""
    work.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(work / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _lock(descriptor, work)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, work: Path) -> None:
    try:
        import fcntl
    except ModuleNotFoundError:  # Windows: nobody says who else is there
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise UsageError(f"{work}: another agent works there; give this one a folder of its own: --work") from error
