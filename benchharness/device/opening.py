"""Opens a session, and where that fails tells what the runtime wrote meanwhile: many say only there why.

A worker's standard error is a file that it can read back itself, so nothing is redirected and nothing is lost.
"""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from benchharness.device.keys import key_from
from benchharness.device.sealed import Unsealed, is_sealed, unseal
from benchharness.errors import ModelFailure, Unsupported

if TYPE_CHECKING:
    from benchharness.contract import Adapter, Configuration, Session
    from benchharness.device.line.orders import Opened

_STANDARD_ERROR = 2
_MOST_BYTES = 64 * 1024
_LONGEST_TOLD = 1000
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
#: So much of a line's end in a message already, and the line says nothing new: loggers put time and place before it.
_SAME_END = 40


def unsealed(adapter: Adapter, order: Opened, ended: Callable[[str], None] = lambda _: None) -> Unsealed | None:
    """What the order's artefact holds, where it is sealed; None where it is not. `ended` as for `unseal`.

    Raises `Unsupported` before the key is asked for where the adapter's runtime reads nothing but files.
    """
    artefact = Path(order["artefact"])
    if not is_sealed(artefact):
        return None
    from benchharness.contract import OpensBytes

    if not isinstance(adapter, OpensBytes):
        raise Unsupported(
            f"{artefact.name} is sealed, and the adapter {adapter.name!r} opens models from files only: what was "
            "decrypted would have to be written to the disk"
        )
    source = order.get("key_from")
    if not source:
        raise Unsupported(f"{artefact.name} is sealed; say in the suite where its key is: key_from")
    return unseal(artefact, lambda: key_from(source), ended)


@contextmanager
def opened(
    adapter: Adapter, order: Opened, configuration: Configuration, content: Unsealed | None = None
) -> Iterator[Session]:
    """The adapter's session on the order's artefact; a sealed one is unsealed first, where that is not done already.

    A failure to open it has beside its message what was `written` on standard error.
    """
    from benchharness.contract import OpensBytes

    content = content or unsealed(adapter, order)
    with ExitStack() as stack:
        start = _written()
        try:
            if content is not None and isinstance(adapter, OpensBytes):
                began_ns = time.perf_counter_ns()
                session = stack.enter_context(adapter.open_bytes(content.artefact, content.content, configuration))
                content.open_ns = time.perf_counter_ns() - began_ns
            else:
                session = stack.enter_context(adapter.open(Path(order["artefact"]), configuration))
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
