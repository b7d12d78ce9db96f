"""Loads a file into ONNX Runtime, says in words why it was refused, and reads back what the session really does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnxruntime

from benchharness.contract import Configuration
from benchharness.errors import AttemptError, ModelFailure, Unsupported
from targets import onnx_options
from targets.onnx_graph import GraphFacts, read_graph

_UPDATE = "update onnxruntime, or"

#: Parts of ONNX Runtime's messages, and what they mean to the user. The first that occurs is taken.
_REFUSALS: tuple[tuple[str, type[AttemptError], str], ...] = (
    ("under development", Unsupported, f"needs a newer opset; {_UPDATE} export with an older one"),
    ("Unsupported model IR version", Unsupported, f"has a newer IR version; {_UPDATE} save with an older one"),
    ("No Op registered", Unsupported, f"has an unknown operator; {_UPDATE} set options.custom_op_libraries"),
    ("is not a registered", Unsupported, f"has an unknown operator; {_UPDATE} set options.custom_op_libraries"),
    ("NOT_IMPLEMENTED", Unsupported, "has an operator that this provider does not run with these types"),
    ("xternal data", ModelFailure, "has weights outside it that are missing or cut short; copy the whole folder"),
    ("Protobuf parsing failed", ModelFailure, "is no ONNX model, or one cut short; build or download it again"),
    ("No graph was found", ModelFailure, "is no ONNX model, or one cut short; build or download it again"),
)


def load(model: Path, configuration: Configuration) -> tuple[Any, dict[str, Any]]:
    """An `onnxruntime.InferenceSession`, and what it did with the request: options, providers, threads started.

    Raises `Unsupported` for a request that cannot be met, `ModelFailure` for a file that cannot be loaded.
    """
    onnxruntime.set_default_logger_severity(onnx_options.ERRORS_ONLY)
    options = onnx_options.make_session_options(configuration)
    providers = onnx_options.choose_providers(configuration)
    threads_before = _count_threads()
    try:
        # The fallback of ONNX Runtime's Python class prints to standard output and hides what failed.
        session = onnxruntime.InferenceSession(str(model), options, providers=providers, enable_fallback=0)
    except MemoryError:
        raise
    except Exception as error:  # ONNX Runtime's exceptions share no base class of their own
        raise _refusal(model, error) from error
    threads, source = _threads(session, threads_before)
    return session, {
        "threads": threads,
        "threads_source": source,
        **onnx_options.read_back(session, configuration),
        **onnx_options.confirm_provider_options(session, configuration),
        **_dropped(session, providers[0][0]),
    }


def read_graph_facts(model: Path) -> GraphFacts:
    """What the file says of itself; nothing where it is not the plain protobuf that it should be."""
    try:
        return read_graph(model)
    except (OSError, ValueError):
        return GraphFacts()


def _refusal(model: Path, error: Exception) -> AttemptError:
    message = str(error)
    for part, kind, meaning in _REFUSALS:
        if part in message:
            return kind(f"{model}: {meaning}. onnxruntime {onnxruntime.__version__} says: {message}")
    return ModelFailure(f"{model}: onnxruntime {onnxruntime.__version__} cannot load it: {message}")


def _dropped(session: Any, asked: str) -> dict[str, str]:
    """ONNX Runtime leaves out a provider that fails to start, and runs on the next."""
    return {} if asked in session.get_providers() else {"accelerator_dropped": asked}


def _threads(session: Any, before: int | None) -> tuple[int | None, str]:
    """Threads that run an operator, and how that is known.

    Without a request ONNX Runtime chooses, and does not tell. Where the process shows its threads, they are counted:
    the pool holds one less than run, because the calling thread takes part.
    """
    options = session.get_session_options()
    if options.intra_op_num_threads > 0:
        return options.intra_op_num_threads, "session options"
    after = _count_threads()
    sequential = options.execution_mode == onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    if before is None or after is None or not sequential or set(session.get_providers()) != {onnx_options.CPU}:
        return None, "unknown"
    return after - before + 1, "counted"


def _count_threads() -> int | None:
    """Threads of this process; None where the system does not show them as files."""
    try:
        return sum(1 for _ in Path("/proc/self/task").iterdir())
    except OSError:
        return None
