"""Loads a file into ONNX Runtime, says in words why it was refused, and reads back what the session really does."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnxruntime

from benchharness.contract import EXECUTION_DEVICE, Configuration, Refusal
from benchharness.errors import AttemptError, ModelFailure, Unsupported
from targets.asked import refused
from targets.onnx_runtime import plugins
from targets.onnx_runtime.options import (
    CPU,
    ERRORS_ONLY,
    Provider,
    blamed_option,
    choose_provider,
    confirm_provider_options,
    make_session_options,
    read_back,
)
from targets.wire.held import content_of

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
    provider: Provider

    @property
    def unit(self) -> str | None:
        """The unit that was taken, as "NPU: what it is"; None where there was no choice or it was left out."""
        unit = self.provider.unit
        return f"{unit.name}: {unit.description}" if unit and not self.refusal else None

    @property
    def execution(self) -> str:
        """What the session's answers are evidence of."""
        return EXECUTION_DEVICE if self.refusal else plugins.execution(self.provider.name, self.provider.options)


def load(model: Path, configuration: Configuration) -> Loaded:
    """Loads a file, on the accelerator asked for or, where the configuration allows it, without.

    Raises `Unsupported` for a request that cannot be met, `ModelFailure` for a file that cannot be loaded.
    """
    onnxruntime.set_default_logger_severity(ERRORS_ONLY)
    make_session_options(configuration)  # a wrong request is told before anything is loaded for it
    provider = choose_provider(configuration)
    session, refusal, threads_before = None, None, None
    if provider.name != CPU:
        session, refusal = _try_accelerator(model, provider, configuration)
    if session is None:
        threads_before = _count_threads()
        try:
            plain = Provider(CPU, {} if refusal else provider.options)
            session = _make_session(model, plain, configuration)
        except MemoryError:
            raise
        except Exception as error:  # ONNX Runtime's exceptions share no base class of their own
            raise _failure(model, error) from error
    threads, source = _threads(session, threads_before)
    facts = {
        "threads_source": source,
        **read_back(session, configuration),
        **confirm_provider_options(session, configuration),
        **({"plugin": provider.plugin.source} if provider.plugin else {}),
    }
    return Loaded(session, threads, refusal, facts, provider)


def _make_session(model: Path, provider: Provider, configuration: Configuration) -> Any:
    options = make_session_options(configuration)
    source = content_of(model) or str(model)
    if provider.unit is not None:
        options.add_provider_for_devices([provider.unit.handle], dict(provider.options))
        return onnxruntime.InferenceSession(source, options, enable_fallback=0)
    # The fallback of ONNX Runtime's Python class prints to standard output and hides what failed.
    providers = [(provider.name, dict(provider.options))]
    return onnxruntime.InferenceSession(source, options, providers=providers, enable_fallback=0)


def _try_accelerator(model: Path, provider: Provider, configuration: Configuration) -> tuple[Any, Refusal | None]:
    """A session, or None where ONNX Runtime would not make one, and the accelerator's refusal where it refused.

    ONNX Runtime raises for some accelerators that do not start. Others it leaves out, with a line in its log, and goes
    on loading without them: what trying took is then a part of one load and cannot be told apart, so it is unknown.
    """
    logged, began_ns = _logged_bytes(), time.perf_counter_ns()
    session, lost_ns = None, None
    try:
        session = _make_session(model, provider, configuration)
        words = _logged_since(logged)
        if provider.name not in session.get_providers():
            words = words or "onnxruntime left it out while loading, and says why in its log only"
        elif not words or _takes_part(session, provider.name):
            _check_options(provider, configuration, words)
            return session, None
        else:  # the session would name an accelerator that could not start: it is loaded again without
            session, lost_ns = None, time.perf_counter_ns() - began_ns
    except (MemoryError, AttemptError):
        raise
    except Exception as error:
        lost_ns = time.perf_counter_ns() - began_ns
        failure = _meaning(model, error, _OF_THE_FILE)
        if failure is not None:
            raise failure from error
        words = "; ".join(filter(None, (_words(str(error)), _logged_since(logged))))
    words = words[:_LONGEST_REASON] or "onnxruntime does not say why"
    _check_options(provider, configuration, words)
    return session, refused(provider.name, model, words, lost_ns, configuration)


def _takes_part(session: Any, provider: str) -> bool:
    """Whether the provider got an operator; True where ONNX Runtime does not tell.

    A plug-in whose backend cannot be loaded stays in the session's list of providers, and everything runs on the CPU.
    """
    try:
        parts = session.get_provider_graph_assignment_info()
    except Exception:  # releases before 1.24 do not tell
        return True
    return not parts or any(part.ep_name == provider for part in parts)


def _check_options(provider: Provider, configuration: Configuration, words: str) -> None:
    """Raises `Unsupported` where a refusal, or a log that a session left, speaks of an option that was given."""
    blamed = blamed_option(configuration, words)
    if blamed is not None:
        raise Unsupported(f"accelerator_options.{blamed}: {provider.name} does not take it: {words}")


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
    if any(plugins.is_registered(provider) for provider in session.get_providers()):
        return None, "unknown: a plug-in has threads of its own"
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
