"""The two packages that run `.tflite` files: `ai-edge-litert`, and its forerunner `tflite-runtime`.

They share one interface, `Interpreter`. `CompiledModel`, whose buffers stay where they are between two runs, is in
`ai-edge-litert` only.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

from benchharness.errors import Unsupported

LITERT, TFLITE_RUNTIME = "ai-edge-litert", "tflite-runtime"

#: Packages by the name they are installed under, in the order in which they are tried.
MODULES = {LITERT: "ai_edge_litert", TFLITE_RUNTIME: "tflite_runtime"}


@dataclass(frozen=True)
class Package:
    """An imported package: its name on PyPI, its version, its modules."""

    name: str
    version: str
    interpreter: Any  # the module with Interpreter, OpResolverType and load_delegate
    compiled_model: Any  # the module with CompiledModel; None where the package has none


def import_package(name: str | None = None) -> Package:
    """The package of that name, or the first one there is. Raises `Unsupported`, saying why each cannot be used."""
    reasons = []
    for candidate in MODULES if name is None else (name,):
        try:
            return _import(candidate)
        except Exception as error:  # a wheel for another numpy or C++ library fails in ways of its own
            reasons.append(f"{candidate} cannot be imported ({type(error).__name__}: {error})")
    raise Unsupported(f"{'; '.join(reasons)}; install benchharness[tflite]")


def _import(name: str) -> Package:
    module = MODULES[name]
    interpreter = importlib.import_module(f"{module}.interpreter")
    compiled_model = None
    if name == LITERT:
        try:
            compiled_model = importlib.import_module(f"{module}.compiled_model")
        except ImportError:  # releases before 2.0 have none
            compiled_model = None
    elif _numpy_is_too_new():
        raise ImportError("tflite-runtime was built for numpy 1 and fails with numpy 2; install 'numpy<2' beside it")
    version = str(getattr(importlib.import_module(module), "__version__", "unknown"))
    return Package(name=name, version=version, interpreter=interpreter, compiled_model=compiled_model)


def _numpy_is_too_new() -> bool:
    import numpy as np

    return int(np.__version__.partition(".")[0]) > 1
