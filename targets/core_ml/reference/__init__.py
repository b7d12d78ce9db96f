"""The reference execution: an ML program translated to ONNX and computed in float32, on any operating system.

A fenced part of the adapter: what stands in this module is all that the rest of it knows. Each function loads its part
when it is called, so that an adapter which runs models natively pays for none of it.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from targets.core_ml.reference.execution import ReferenceModel

_NEEDS = ("onnx", "onnxruntime")


def why_not_here() -> str:
    """What it needs and is not installed; empty where it runs."""
    lacking = [name for name in _NEEDS if importlib.util.find_spec(name) is None]
    return f"reference execution needs {' and '.join(lacking)}; install benchharness[coreml]" if lacking else ""


def lacking(operators: Iterable[str]) -> list[str]:
    """Those of an ML program's operators that it does not compute, in order of their names."""
    from targets.core_ml.reference.operators import OPERATORS
    from targets.core_ml.reference.to_onnx import HANDLED

    return sorted(set(operators) - OPERATORS.keys() - HANDLED)


def load(path: Path, threads: int | None) -> ReferenceModel:
    """A model that can be predicted with, as `ReferenceModel` says what it raises."""
    from targets.core_ml.reference.execution import ReferenceModel

    return ReferenceModel(path, threads=threads)
