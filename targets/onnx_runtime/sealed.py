"""What holds of a model that was sealed: it is in memory, in one piece, and nothing of it may be written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchharness.contract import Configuration
from benchharness.errors import Unsupported
from targets.onnx_format.external_data import external_files
from targets.onnx_runtime.options import CPU
from targets.wire.held import content_of

#: Providers that compute from what the session holds. Others compile a model, and keep it in files on their own.
_IN_MEMORY = (CPU, "XnnpackExecutionProvider")
#: Session entries that have a compiled or optimised model written, by the first words of their keys.
_WRITING = ("ep.context_", "session.optimized_model_", "session.debug_", "session.save_")


def check_writes_nothing(configuration: Configuration) -> None:
    """Raises `Unsupported` for a request by which what was decrypted could come to the disk."""
    if (configuration.accelerator or CPU) not in _IN_MEMORY:
        raise Unsupported(
            f"accelerator {configuration.accelerator!r}: it may keep a compiled copy of the model in files, which a "
            f"sealed one must not be in; use {' or '.join(_IN_MEMORY)}"
        )
    entries = configuration.options.get("session_config", {})
    writing = [str(key) for key in entries if str(key).startswith(_WRITING)] if isinstance(entries, dict) else []
    if writing:
        raise Unsupported(f"options.session_config.{writing[0]}: has a model written, which a sealed one must not be")


def check_is_whole(model: Path) -> None:
    """Raises `Unsupported` for a model whose weights are in other files; `ModelFailure` where these are not there."""
    if outside := external_files(model, model.parent):
        raise Unsupported(
            f"{model}: is sealed, and {outside[0].name} with its weights is not; save it as one file and seal that"
        )


def facts(session: Any, model: Path) -> dict[str, Any]:
    """Whether the second copy lives as long as the session: onnxruntime's Python class keeps it, C++ does not."""
    kept = getattr(session, "_model_bytes", None) is content_of(model)
    return {"opened_from": "memory", "content_kept": "by onnxruntime's Python class" if kept else "not known"}
