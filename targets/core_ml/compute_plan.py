"""Where Core ML wants to run each operator, and what share of the work it expects there: `MLComputePlan`, read.

A plan is Core ML's own estimate for one set of compute units on this Mac, made without running the model.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchharness.errors import Unsupported
from targets.core_ml.options import ALL, CPU, CPU_AND_GPU, CPU_AND_NE, CPU_ONLY, GPU, NEURAL_ENGINE

#: The place of operators that Core ML plans for no device.
UNTOLD = "untold"

#: The places that a set of compute units allows, fastest first as Core ML's names suggest.
ALLOWED_PLACES = {
    ALL: (NEURAL_ENGINE, GPU, CPU),
    CPU_ONLY: (CPU,),
    CPU_AND_GPU: (GPU, CPU),
    CPU_AND_NE: (NEURAL_ENGINE, CPU),
}
#: The places that it is asked for: operators elsewhere have fallen back.
WANTED_PLACES = {**ALLOWED_PLACES, CPU_AND_GPU: (GPU,), CPU_AND_NE: (NEURAL_ENGINE,)}

_OPERATOR_SET = re.compile(r"^ios\d+\.")
_WEIGHTS = re.compile(r"^(const|constexpr_.*)$")  # stored numbers, which run nowhere


def read_plan(
    compiled: Path, units: str, function: str | None
) -> tuple[Mapping[str, Mapping[str, int]], Mapping[str, Any]]:
    """Operators per compute device, and facts: the estimated share of the cost per device.

    `compiled` is a compiled model for certain: on another folder Core ML ends the process. Raises `Unsupported` where
    this system does not tell.
    """
    from coremltools import ComputeUnit
    from coremltools.models.compute_plan import MLComputePlan

    started = time.perf_counter_ns()
    try:
        plan = MLComputePlan.load_from_path(str(compiled), ComputeUnit[units])
    except MemoryError:
        raise
    except Exception as error:  # what coremltools raises shares no base class
        raise Unsupported(f"Core ML's compute plan: {error}") from error
    return placed_by(plan, function, started)


def placed_by(
    plan: Any, function: str | None, started_ns: int
) -> tuple[Mapping[str, Mapping[str, int]], Mapping[str, Any]]:
    """What a plan says, of whichever device it is; `started_ns` is when it was asked for.

    Raises `Unsupported` where it names no device for any operator.
    """
    placed: dict[str, Counter[str]] = {}
    cost: dict[str, float] = {}
    supported: Counter[str] = Counter()
    for name, usage, weight in _operators(plan, function):
        place = UNTOLD if usage is None else device_name(usage.preferred_compute_device)
        placed.setdefault(place, Counter())[name] += 1
        cost[place] = cost.get(place, 0.0) + weight
        supported.update({device_name(each) for each in usage.supported_compute_devices} if usage else ())
    if set(placed) <= {UNTOLD}:
        raise Unsupported("Core ML's compute plan names no device for any operator")
    facts = {
        "estimated_cost": {place: round(share, 6) for place, share in cost.items()},
        "operators_supported": dict(supported),
        "plan_ns": time.perf_counter_ns() - started_ns,
    }
    return {place: dict(operators) for place, operators in placed.items()}, facts


def available_devices() -> Sequence[str]:
    """The places that Core ML can use on this Mac; empty where it does not tell."""
    from coremltools.models import MLModel

    try:
        return tuple(sorted({device_name(device) for device in MLModel.get_available_compute_devices()}))
    except Exception:  # an older macOS, or coremltools without its native part
        return ()


def device_name(device: Any) -> str:
    """CPU, GPU or NeuralEngine."""
    from coremltools.models import compute_device

    kinds = {
        compute_device.MLCPUComputeDevice: CPU,
        compute_device.MLGPUComputeDevice: GPU,
        compute_device.MLNeuralEngineComputeDevice: NEURAL_ENGINE,
    }
    return kinds.get(type(device), type(device).__name__)


def _operators(plan: Any, function: str | None) -> Iterator[tuple[str, Any, float]]:
    """(name, usage or None, share of the estimated cost) of each operator that computes."""
    structure = plan.model_structure
    if structure.program is not None:
        functions = structure.program.functions
        name = function if function in functions else "main" if "main" in functions else next(iter(functions))
        for operation in _nested(functions[name].block):
            operator = _OPERATOR_SET.sub("", operation.operator_name)
            if not _WEIGHTS.match(operator):
                usage = plan.get_compute_device_usage_for_mlprogram_operation(operation)
                estimate = plan.get_estimated_cost_for_mlprogram_operation(operation)
                yield operator, usage, estimate.weight if estimate is not None else 0.0
    elif structure.neuralnetwork is not None:
        for layer in structure.neuralnetwork.layers:
            yield layer.type, plan.get_compute_device_usage_for_neuralnetwork_layer(layer), 0.0
    else:
        raise Unsupported("Core ML's compute plan tells of ML programs and neural networks, and this model is neither")


def _nested(block: Any) -> Iterator[Any]:
    """A block's operations with those in its branches and loops."""
    for operation in block.operations:
        yield operation
        for inner in operation.blocks:
            yield from _nested(inner)
