"""Loads a file into an `Interpreter`, with or without a delegate, and says in words why it was refused."""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchharness.contract import Refusal
from benchharness.errors import AttemptError, ModelFailure, Unsupported
from targets.tflite.options import XNNPACK, Request
from targets.tflite.package import Package
from targets.tflite.placement import count_nodes, parts_of
from targets.wire.held import content_of

#: What a delegate's library has to export.
_PLUGIN_FUNCTIONS = ("tflite_plugin_create_delegate", "tflite_plugin_destroy_delegate")
#: What the runtime says behind a delegate's own words.
_UNDONE = "Restored original execution plan after delegate application failure."

#: The runtime reports no error, and no operator of the file's first graph is the accelerator's.
_TAKES_NOTHING = "it takes no operator of the model"

#: What both packages' Python interfaces use where they are not told.
DEFAULT_THREADS = 1

#: Parts of the runtimes' messages, and what they mean to the user. The first that occurs is taken.
_REFUSALS: tuple[tuple[str, type[AttemptError], str], ...] = (
    ("unresolved custom op", Unsupported, "has a custom operator that this runtime does not have"),
    ("Didn't find op for builtin opcode", Unsupported, "has an operator newer than this runtime; update the package"),
    ("builtin_code out of range", Unsupported, "has an operator that this runtime does not know; update the package"),
    ("not a valid TensorFlow Lite model", ModelFailure, "is no TFLite model, or one cut short"),
    ("not a valid Flatbuffer", ModelFailure, "is no TFLite model, or one cut short"),
    ("not a valid flatbuffer", ModelFailure, "is no TFLite model, or one cut short"),
    ("model identifier", ModelFailure, "is no TFLite model, or one cut short"),
    ("invalidly specified in schema", ModelFailure, "is no TFLite model, or one cut short"),
    ("type == kTfLite", Unsupported, "has an operator that this runtime does not run with these types"),
)


@dataclasses.dataclass
class Loaded:
    """An interpreter, not yet allocated, and how it came about."""

    interpreter: Any
    delegate: str | None  # the library that takes part; None: none was asked for, or it refused
    nodes_with_delegate: int  # nodes of the main graph once the delegate had its turn, before XNNPACK's
    refusal: Refusal | None = None


def load(model: Path, package: Package, request: Request) -> Loaded:
    """An interpreter for a file. Raises `ModelFailure` for a bad file, `Unsupported` for what cannot be met.

    A delegate that refuses the whole model is left out where the configuration allows it, and `refusal` tells.
    """
    if request.delegate is None or request.library is None:
        return Loaded(_interpreter(model, package, request), None, 0)
    _check_library(request.library)
    began_ns = time.perf_counter_ns()
    try:
        interpreter, nodes = _delegated(model, package, request)
        return Loaded(interpreter, request.delegate, nodes)
    except _Refused as refused:
        lost_ns = time.perf_counter_ns() - began_ns
        interpreter = _interpreter(model, package, request)  # what is refused without it too is not its fault
        if not request.fallback_allowed:
            raise Unsupported(f"accelerator {request.delegate}: refuses {model}: {refused}") from refused
        return Loaded(interpreter, None, 0, Refusal(reason=str(refused), lost_ns=lost_ns))


class _Refused(Exception):
    """A delegate took nothing, in its own words."""


def _check_library(path: str) -> None:
    """Raises `Unsupported` for what is no library with a delegate: the packages leave an error behind at exit."""
    if not Path(path).is_file():
        raise Unsupported(f"accelerator {path}: no such file; give the path of a delegate's library")
    try:
        library = ctypes.CDLL(path)
        for function in _PLUGIN_FUNCTIONS:
            getattr(library, function)
    except (OSError, AttributeError) as error:  # in the words of the system's loader
        raise Unsupported(f"accelerator {path}: cannot be loaded: {error}") from error


def _delegated(model: Path, package: Package, request: Request) -> tuple[Any, int]:
    """An allocated interpreter with the delegate, and the nodes of its main graph before XNNPACK had its turn."""
    with heard() as words:
        try:
            delegate = package.interpreter.load_delegate(request.library, dict(request.delegate_options))
            interpreter = _make(model, package, request, [delegate])
            nodes = count_nodes(interpreter)
            interpreter.allocate_tensors()
        except (MemoryError, Unsupported):
            raise
        except Exception as error:  # the packages raise RuntimeError and ValueError for anything
            refused = error
        else:
            return interpreter, nodes
    said = [part for part in (str(refused).replace(_UNDONE, "").strip(), words.text) if part]
    raise _Refused("; ".join(said) or "the delegate gave no reason") from refused


def _interpreter(model: Path, package: Package, request: Request) -> Any:
    with refusing(model, package):
        return _make(model, package, request, None)


def _make(model: Path, package: Package, request: Request, delegates: list[Any] | None) -> Any:
    resolver = package.interpreter.OpResolverType
    content = content_of(model)
    return package.interpreter.Interpreter(
        model_path=None if content else str(model),
        model_content=content,
        num_threads=request.threads,
        experimental_delegates=delegates,
        experimental_op_resolver_type=(
            resolver.AUTO if request.xnnpack else resolver.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        ),
    )


def allocate(loaded: Loaded, model: Path, package: Package, request: Request) -> Loaded:
    """Gives the tensors memory, which is when XNNPACK takes its part. Raises like `load`.

    An accelerator that was asked for by name and took nothing has refused, although the runtime does not call it so.
    """
    with refusing(model, package):
        loaded.interpreter.allocate_tensors()
    wanted = XNNPACK if request.names_xnnpack else loaded.delegate
    taking = parts_of(loaded.interpreter, loaded.delegate, loaded.nodes_with_delegate)
    if wanted is None or wanted in taking:
        return loaded
    if not request.fallback_allowed:
        raise Unsupported(f"accelerator {wanted}: refuses {model}: {_TAKES_NOTHING}")
    return dataclasses.replace(loaded, refusal=Refusal(_TAKES_NOTHING, lost_ns=None))


def compile_model(model: Path, package: Package, request: Request) -> Any:
    """A `CompiledModel` on the CPU, of a file that an interpreter has verified. Raises like `load`."""
    module = package.compiled_model
    options = module.Options(
        hardware_accelerators=module.HardwareAccelerator.CPU,
        cpu_options=module.CpuOptions(
            num_threads=request.threads or DEFAULT_THREADS,
            kernel_mode=None if request.xnnpack else module.CpuKernelMode.BUILTIN,
        ),
    )
    with refusing(model, package):
        content = content_of(model)
        if content is not None:
            return module.CompiledModel.from_buffer(content, options=options)
        return module.CompiledModel.from_file(str(model), options=options)


@contextlib.contextmanager
def refusing(model: Path, package: Package) -> Iterator[None]:
    """Turns whatever a runtime raises about a file into an `AttemptError` that names it."""
    try:
        yield
    except (AttemptError, MemoryError):
        raise
    except Exception as error:  # the packages raise RuntimeError and ValueError for anything
        raise _refusal(model, package, error) from error


def _refusal(model: Path, package: Package, error: Exception) -> AttemptError:
    """What a runtime's message about a file means."""
    message = str(error).strip()
    for part, kind, meaning in _REFUSALS:
        if part in message:
            return kind(f"{model}: {meaning}. {package.name} {package.version} says: {message}")
    return ModelFailure(f"{model}: {package.name} {package.version} cannot load it: {message}")


def count_threads() -> int | None:
    """Threads of this process; None where the system does not show them as files."""
    try:
        return sum(1 for _ in Path("/proc/self/task").iterdir())
    except OSError:
        return None


@dataclasses.dataclass
class Heard:
    """What was printed to standard error."""

    text: str = ""


@contextlib.contextmanager
def heard() -> Iterator[Heard]:
    """Keeps what a library prints to standard error, where delegates explain themselves, and passes it on."""
    import tempfile

    words = Heard()
    with tempfile.TemporaryFile() as file:
        kept = os.dup(2)
        try:
            os.dup2(file.fileno(), 2)
            yield words
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            file.seek(0)
            printed = file.read(10_000)
            words.text = printed.decode("utf-8", "replace").strip()
            os.write(2, printed)
