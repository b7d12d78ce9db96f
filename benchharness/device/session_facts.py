"""What is told of a session in messages, and what the user says of it: the same from a worker and from a scorer."""

from __future__ import annotations

from typing import Any

from benchharness.contract import CAUSAL_LM, EffectiveConfiguration
from benchharness.errors import Unsupported


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


def check_task(task: str | None, language: bool, runtime: str, effective: EffectiveConfiguration) -> None:
    """The user's word about the task against what the model was opened as. Raises `Unsupported`."""
    if task == CAUSAL_LM and not language:
        raise Unsupported(f'task = "{CAUSAL_LM}", and this model cannot be run as one{why_no_language(effective)}')
    if task not in (None, CAUSAL_LM) and language:
        raise Unsupported(
            f'task = "{task}", and the adapter {runtime!r} opens this model as a causal language model only'
        )


def why_no_language(effective: EffectiveConfiguration) -> str:
    """What a session's adapter says of why it is no language model, to stand behind a statement; empty for nothing."""
    reason = effective.facts.get("no_language_model")
    return f": {reason}" if reason else ""
