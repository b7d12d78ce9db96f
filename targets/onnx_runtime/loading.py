"""Loads a file into ONNX Runtime, says in words why it was refused, and reads back what the session really does."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnxruntime

from benchharness.contract import FALLBACK_FAIL, Configuration, Refusal
from benchharness.errors import AttemptError, ModelFailure, Unsupported
from targets.onnx_runtime.files import is_ort
from targets.onnx_runtime.graph import GraphFacts, read_graph
from targets.onnx_runtime.options import (
    CPU,
    ERRORS_ONLY,
    blamed_option,
    choose_provider,
    confirm_provider_options,
    make_session_options,
    read_back,
)

_UPDATE = "update onnxruntime, or"
_OPERATOR = (
    f"has an operator that onnxruntime does not know; {_UPDATE} name the library that has it in the configuration: "
    'options = { custom_op_libraries = ["…"] }'
)

#: Parts of ONNX Runtime's messages about a file, and what they mean to the user. The first that occurs is taken.
_OF_THE_FILE: tuple[tuple[str, type[AttemptError], str], ...] = (
    ("under development", Unsupported, f"needs a newer opset; {_UPDATE} export with an older one"),
    ("Unsupported model IR version", Unsupported, f"has a newer IR version; {_UPDATE} save with an older one"),
    ("No Op registered", Unsupported, _OPERATOR),
    ("is not a registered", Unsupported, _OPERATOR),
    (
        "ORT format model version",
        Unsupported,
        "is in a version of the ORT format that onnxruntime does not read; "
        "make it anew: python -m onnxruntime.tools.convert_onnx_models_to_ort",
    ),
    ("Could not find an implementation for", Unsupported, "has an operator that onnxruntime has no kernel for"),
    ("ORT model verification failed", ModelFailure, "is no ORT model, or one cut short; make it again"),
    ("xternal data", ModelFailure, "has weights outside it that are missing or cut short; copy the whole folder"),
    ("Protobuf parsing failed", ModelFailure, "is no ONNX model, or one cut short; build or download it again"),
    ("No graph was found", ModelFailure, "is no ONNX model, or one cut short; build or download it again"),
)
#: The same about a file and a provider together.
_OF_THE_PROVIDER = (
    ("NOT_IMPLEMENTED", Unsupported, "has an operator that this provider does not run with these types"),
)

#: Standard error as a file, to which ONNX Runtime logs.
_STANDARD_ERROR = Path("/proc/self/fd/2")
_LOGGED = re.compile(r"\[E:onnxruntime:[^\]]*\] (.*)")
#: Colours, and the file, line and function of ONNX Runtime's source that stand before the words.
_NOT_WORDS = re.compile(r"\x1b\[[0-9;]*m|^/\S+:\d+ .*?\) (?=[A-Z\[])")
_MOST_LOGGED_BYTES = 64 * 1024
_LONGEST_REASON = 1000


@dataclass(frozen=True)
class Loaded:
    """A session, and what ONNX Runtime did with the request."""

    session: Any  # onnxruntime.InferenceSession
    threads: int | None  # that run an operator; None: not known
    refusal: Refusal | None
    facts: dict[str, Any]


def load(model: Path, configuration: Configuration) -> Loaded:
    """Loads a file, on the accelerator asked for or, where the configuration allows it, without.

    Raises `Unsupported` for a request that cannot be met, `ModelFailure` for a file that cannot be loaded.
    """
    onnxruntime.set_default_logger_severity(ERRORS_ONLY)
    options = make_session_options(configuration)
    provider, provider_options = choose_provider(configuration)
    session, refusal, threads_before = None, None, None
    if provider != CPU:
        session, refusal = _try_accelerator(model, options, configuration)
    if session is None:
        threads_before = _count_threads()
        try:
            session = _make_session(model, options, CPU, {} if refusal else provider_options)
        except MemoryError:
            raise
        except Exception as error:  # ONNX Runtime's exceptions share no base class of their own
            raise _failure(model, error) from error
    threads, source = _threads(session, threads_before)
    facts = {
        "threads_source": source,
        **read_back(session, configuration),
        **confirm_provider_options(session, configuration),
    }
    return Loaded(session, threads, refusal, facts)


def read_graph_facts(model: Path) -> GraphFacts:
    """What the file says of itself; nothing where it is not the plain protobuf that it should be."""
    if is_ort(model):
        return GraphFacts()
    try:
        return read_graph(model)
    except (OSError, ValueError):
        return GraphFacts()


def _make_session(model: Path, options: Any, provider: str, provider_options: dict[str, str]) -> Any:
    # The fallback of ONNX Runtime's Python class prints to standard output and hides what failed.
    providers = [(provider, provider_options)]
    return onnxruntime.InferenceSession(str(model), options, providers=providers, enable_fallback=0)


def _try_accelerator(model: Path, options: Any, configuration: Configuration) -> tuple[Any, Refusal | None]:
    """A session, or None where ONNX Runtime would not make one, and the accelerator's refusal where it refused.

    ONNX Runtime raises for some accelerators that do not start. Others it leaves out, with a line in its log, and goes
    on loading without them: what trying took is then a part of one load and cannot be told apart, so it is unknown.
    """
    provider, provider_options = choose_provider(configuration)
    logged, began_ns = _logged_bytes(), time.perf_counter_ns()
    session, lost_ns = None, None
    try:
        session = _make_session(model, options, provider, provider_options)
        if provider in session.get_providers():
            return session, None
        words = _logged_since(logged) or "onnxruntime left it out while loading, and says why in its log only"
    except MemoryError:
        raise
    except Exception as error:
        lost_ns = time.perf_counter_ns() - began_ns
        failure = _meaning(model, error, _OF_THE_FILE)
        if failure is not None:
            raise failure from error
        words = "; ".join(filter(None, (_words(str(error)), _logged_since(logged))))
    words = words[:_LONGEST_REASON] or "onnxruntime does not say why"
    blamed = blamed_option(configuration, words)
    if blamed is not None:
        raise Unsupported(f"accelerator_options.{blamed}: {provider} does not take it: {words}")
    if configuration.fallback == FALLBACK_FAIL:
        raise Unsupported(f'fallback = "fail": {provider} takes no part in {model}: {words}')
    return session, Refusal(words, lost_ns)


def _failure(model: Path, error: Exception) -> AttemptError:
    known = _meaning(model, error, (*_OF_THE_FILE, *_OF_THE_PROVIDER))
    return known or ModelFailure(f"{model}: onnxruntime {onnxruntime.__version__} cannot load it: {error}")


def _meaning(
    model: Path, error: Exception, known: tuple[tuple[str, type[AttemptError], str], ...]
) -> AttemptError | None:
    message = str(error)
    for part, kind, meaning in known:
        if part in message:
            return kind(f"{model}: {meaning}. onnxruntime {onnxruntime.__version__} says: {message}")
    return None


def _logged_bytes() -> int:
    try:
        return _STANDARD_ERROR.stat().st_size
    except OSError:
        return 0


def _logged_since(start: int) -> str:
    """The errors that ONNX Runtime logged since; "" where standard error is no file that can be read back.

    Its Python class hands out no log. A worker's standard error is a file, whose place Linux shows.
    """
    try:
        if not _STANDARD_ERROR.is_file():
            return ""
        with _STANDARD_ERROR.open("rb") as stream:
            stream.seek(start)
            text = stream.read(_MOST_LOGGED_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""
    return "; ".join(dict.fromkeys(_words(line) for line in _LOGGED.findall(text)))


def _words(message: str) -> str:
    return _NOT_WORDS.sub("", message).strip()


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
    if before is None or after is None or not sequential or set(session.get_providers()) != {CPU}:
        return None, "unknown"
    return after - before + 1, "counted"


def _count_threads() -> int | None:
    """Threads of this process; None where the system does not show them as files."""
    try:
        return sum(1 for _ in Path("/proc/self/task").iterdir())
    except OSError:
        return None
