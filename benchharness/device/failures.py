"""How an exception is told in messages: the same outcome and words from a worker and from a scorer."""

from __future__ import annotations

from typing import Any

from benchharness.device.line import protocol
from benchharness.device.processes.memory_errors import speaks_of_memory
from benchharness.errors import AttemptError, InvalidOutput, Unsupported


def failure(error: Exception) -> dict[str, Any]:
    """The `failed` message for an exception. One with an `outcome` was of another process, a scorer or a program."""
    reason = protocol.text(error) or type(error).__name__
    told = getattr(error, "outcome", None)
    if told == "crashed" and speaks_of_memory(reason):  # C++ aborts where there is none
        kind = "out-of-memory"
    elif isinstance(error, AttemptError) and isinstance(told, str):
        kind = told
    elif isinstance(error, Unsupported):
        kind = "unsupported"
    elif isinstance(error, InvalidOutput):
        kind = "invalid"
    elif isinstance(error, MemoryError) or speaks_of_memory(reason):
        kind = "out-of-memory"
    elif isinstance(error, AttemptError):
        kind = "runtime-error"
    else:
        kind, reason = "runtime-error", f"{type(error).__name__}: {reason}"
    if written := getattr(error, "written", ""):  # chatter of a library's, too: it makes no failure another one
        reason = protocol.text(f"{reason}; on standard error: {written}")
    return {"type": "failed", "outcome": kind, "reason": reason}
