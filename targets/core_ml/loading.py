"""Loads a compiled model into Core ML, and tells whether what was loaded is Core ML."""

from __future__ import annotations

import inspect
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.machinery import ExtensionFileLoader
from pathlib import Path
from typing import Any

from benchharness.contract import EXECUTION_DEVICE, EXECUTION_REFERENCE, FALLBACK_FAIL, Refusal
from benchharness.errors import ModelFailure, Unsupported
from targets.core_ml.options import CPU_AND_GPU, CPU_AND_NE, CPU_ONLY, GPU, NEURAL_ENGINE, Request

_NATIVE = "coremltools.libcoremlpython"
#: What a set of compute units adds to the CPU, where it names one accelerator.
_ACCELERATOR = {CPU_AND_GPU: GPU, CPU_AND_NE: NEURAL_ENGINE}


@dataclass(frozen=True)
class Loaded:
    """A `CompiledMLModel`, the compute units that it got, and how long loading took."""

    model: Any
    units: str
    load_ns: int
    refusal: Refusal | None = None


def load(artefact: Path, compiled: Path, request: Request, fallback: str, devices: Sequence[str]) -> Loaded:
    """Loads a compiled model with the compute units of the request. `devices`: those of this Mac, empty if unknown.

    Where the GPU or the Neural Engine refuses the model and the CPU takes it, it runs there, and `refusal` tells.
    Raises `Unsupported` where this Mac lacks the accelerator or `fallback` forbids that, `ModelFailure` for a model
    that Core ML cannot load.
    """
    units = request.units
    assert units is not None, "reference execution loads nothing into Core ML"
    accelerator = _ACCELERATOR.get(units)
    if accelerator is not None and devices and accelerator not in devices:
        raise Unsupported(f"accelerator {units!r}: Core ML has no {accelerator} here (it has {', '.join(devices)})")
    started = time.perf_counter_ns()
    try:
        return _load(compiled, units, request)
    except MemoryError:
        raise
    except Exception as error:  # what coremltools raises shares no base class
        lost_ns = time.perf_counter_ns() - started
        failure = ModelFailure(f"{artefact}: Core ML cannot load it with {units}: {error}")
        if accelerator is None:
            raise failure from error
        try:
            loaded = _load(compiled, CPU_ONLY, request)
        except MemoryError:
            raise
        except Exception:  # no compute unit takes it: the first refusal says more
            raise failure from error
        if fallback == FALLBACK_FAIL:
            raise Unsupported(f'fallback = "fail": {failure}; with {CPU_ONLY} it loads') from error
        return Loaded(loaded.model, CPU_ONLY, loaded.load_ns, Refusal(str(error), lost_ns))


def execution_of(model: Any) -> str:
    """EXECUTION_DEVICE only for what coremltools' compiled extension loaded on macOS, EXECUTION_REFERENCE for all else.

    A stand-in for Core ML, however true, is Python on some processor: nothing it does is a measurement of a device.
    """
    native = sys.modules.get(_NATIVE)
    loader = getattr(getattr(native, "__spec__", None), "loader", None)
    kind = type(getattr(model, "_proxy", None))
    real = (
        sys.platform == "darwin"
        and isinstance(loader, ExtensionFileLoader)
        and kind is getattr(native, "_MLModelProxy", None)
        and not inspect.isfunction(kind.predict)
    )
    return EXECUTION_DEVICE if real else EXECUTION_REFERENCE


def _load(compiled: Path, units: str, request: Request) -> Loaded:
    from coremltools import ComputeUnit
    from coremltools.models import CompiledMLModel

    started = time.perf_counter_ns()
    model = CompiledMLModel(
        str(compiled),
        compute_units=ComputeUnit[units],
        function_name=request.function,
        optimization_hints=native_hints(request) or None,
    )
    return Loaded(model, units, time.perf_counter_ns() - started)


def native_hints(request: Request) -> dict[str, Any]:
    """The hints with coremltools' own values."""
    from coremltools import ReshapeFrequency, SpecializationStrategy

    kinds = {"reshapeFrequency": ReshapeFrequency, "specializationStrategy": SpecializationStrategy}
    return {name: kinds[name][value] if name in kinds else value for name, value in request.hints.items()}
