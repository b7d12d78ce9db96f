"""How a session or a failure is told in messages: the same words from a worker and from a scorer."""

from __future__ import annotations

from typing import Any

from benchharness.contract import EffectiveConfiguration
from benchharness.device import protocol
from benchharness.device.want_of_memory import speaks_of_memory
from benchharness.errors import AttemptError, InvalidOutput, Unsupported


def effective_facts(effective: EffectiveConfiguration) -> dict[str, Any]:
    """What a runtime really did, as JSON."""
    return {
        "accelerators": list(effective.accelerators),
        "threads": effective.threads,
        "cache": effective.cache,
        "runtime_version": effective.runtime_version,
        "execution": effective.execution,
        "precision": effective.precision,
        "model_precision": effective.model_precision,
        **({"unit": effective.unit} if effective.unit else {}),
        "facts": dict(effective.facts),
    }


def failure(error: Exception) -> dict[str, Any]:
    """The `failed` message for an exception. One with an `outcome` was a scorer's: its conductor passes it on."""
    reason = protocol.text(error) or type(error).__name__
    told = getattr(error, "outcome", None)
    if isinstance(error, AttemptError) and isinstance(told, str):
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
    return {"type": "failed", "outcome": kind, "reason": reason}
