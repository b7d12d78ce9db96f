"""Opens a session, and where that fails tells what the runtime wrote meanwhile: many say only there why.

A worker's standard error is a file that it can read back itself, so nothing is redirected and nothing is lost.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from benchharness.errors import ModelFailure, Unsupported

if TYPE_CHECKING:
    from benchharness.contract import Adapter, Configuration, Session

_STANDARD_ERROR = 2
_MOST_BYTES = 64 * 1024
_LONGEST_TOLD = 1000
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
#: So much of a line's end in a message already, and the line says nothing new: loggers put time and place before it.
_SAME_END = 40


@contextmanager
def opened(adapter: Adapter, artefact: Path, configuration: Configuration) -> Iterator[Session]:
    """The adapter's session. A failure to open it has beside its message what was `written` on standard error."""
    with ExitStack() as stack:
        start = _written()
        try:
            session = stack.enter_context(adapter.open(artefact, configuration))
        except (ModelFailure, Unsupported) as error:
            error.written = _new_words(str(error), _written_since(start))
            raise
        yield session


def _written() -> int:
    """Bytes on standard error so far; -1 where it is no file that can be read back."""
    try:
        told = os.fstat(_STANDARD_ERROR)
        return told.st_size if stat.S_ISREG(told.st_mode) else -1
    except OSError:
        return -1


def _written_since(start: int) -> str:
    """The last of what was written since; "" where that cannot be read back."""
    end = _written()
    if start < 0 or not hasattr(os, "pread"):  # as on Windows
        return ""
    try:
        first = max(start, end - _MOST_BYTES)
        return os.pread(_STANDARD_ERROR, max(0, end - first), first).decode("utf-8", "replace")
    except OSError:  # opened for writing only, as a shell does
        return ""


def _new_words(message: str, written: str) -> str:
    """Its lines that the message does not have already, each once, the last ones where they are many."""
    lines = (_COLOURS.sub("", line).strip() for line in written.splitlines())
    told = "; ".join(dict.fromkeys(line for line in lines if line and line[-_SAME_END:] not in message))
    return told if len(told) <= _LONGEST_TOLD else f"…{told[-_LONGEST_TOLD:]}"
