"""Calls a function of a Python file, so that what a team wrote itself is measured like a model, in fresh processes.

An artefact is the file; the configuration says which function: `options = { function = "encode" }`. It is imported and
called without arguments, so a suite that names it runs it: suites are trusted, and without the option nothing is. What
it returns is an output where numpy can make numbers of it, and else is looked at by nobody.
"""

from __future__ import annotations

import importlib.util
import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable

import numpy as np

from benchharness.contract import Availability, Configuration, EffectiveConfiguration, TensorSpec
from benchharness.errors import ModelFailure, Unsupported

if TYPE_CHECKING:
    from benchharness.contract import Array

_INTERPRETER = "interpreter"
_OUTPUT = "returned"


class PythonFunction:
    """The adapter."""

    name = "python"
    formats: Sequence[str] = (".py",)

    def availability(self) -> Availability:
        """Always there."""
        return Availability(available=True, version=platform.python_version(), accelerators=(_INTERPRETER,))

    @contextmanager
    def open(self, artefact: Path, configuration: Configuration) -> Iterator[FunctionSession]:
        """Imports the file. Raises `Unsupported` without a function's name, `ModelFailure` where it has none such."""
        options = dict(configuration.options)
        name = options.pop("function", None)
        if not isinstance(name, str):
            raise Unsupported('say which function to call: options = { function = "name" } in the configuration')
        if unknown := next(iter((*options, *configuration.accelerator_options)), None):
            raise Unsupported(f"no option is called {unknown!r} here (there is: function)")
        if configuration.accelerator not in (None, _INTERPRETER):
            raise Unsupported(f"no accelerator is called {configuration.accelerator!r} here")
        function = _imported(Path(artefact), name)
        yield FunctionSession(function, _numbers(_called(function)))


class FunctionSession:
    """Calls it. It was called once to see what it returns, as a model's load runs its initialisers."""

    inputs: Sequence[TensorSpec] = ()
    effective = EffectiveConfiguration(
        accelerators=(_INTERPRETER,), threads=None, runtime_version=platform.python_version()
    )

    def __init__(self, function: Callable[[], Any], returned: Array | None) -> None:
        self._function = function
        dtype, shape = (str(returned.dtype), returned.shape) if returned is not None else ("", ())
        self.outputs: Sequence[TensorSpec] = () if returned is None else (TensorSpec(_OUTPUT, dtype, shape),)

    def run(self, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        """One call; what it returned where that is numbers."""
        returned = _called(self._function)
        return {_OUTPUT: np.asarray(returned)} if self.outputs else {}


def _imported(path: Path, name: str) -> Callable[[], Any]:
    spec = importlib.util.spec_from_file_location(f"_measured_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ModelFailure(f"{path}: is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses and pickles look their module up
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
        function = attrgetter(name)(module)
    except MemoryError:
        raise
    except AttributeError as error:
        raise ModelFailure(f"{path}: {error}") from error
    except Exception as error:  # it is somebody's own code, which raises what it likes
        raise ModelFailure(f"{path}: importing it raised {type(error).__name__}: {error}") from error
    if not callable(function):
        raise ModelFailure(f"{path}: {name} cannot be called")
    found: Callable[[], Any] = function
    return found


def _called(function: Callable[[], Any]) -> Any:
    try:
        return function()
    except MemoryError:
        raise
    except Exception as error:
        raise ModelFailure(f"the function raised {type(error).__name__}: {error}") from error


def _numbers(returned: Any) -> Array | None:
    """What was returned as an array; None where it is no numbers."""
    try:
        made = np.asarray(returned)
    except (ValueError, TypeError):
        return None
    return made if made.dtype.kind in "biuf" and made.size else None
