"""ML programs made by coremltools' builder, for tests: saved, run, and as coremltools itself computes them."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from targets.core_ml.program import quiet_coremltools
from targets.core_ml.reference.execution import ReferenceModel

with quiet_coremltools():
    ct = pytest.importorskip("coremltools")
    from coremltools.converters.mil import Builder as mb
    from coremltools.converters.mil.mil import types

logging.getLogger("coremltools").setLevel(logging.CRITICAL)

__all__ = ["Array", "Build", "Case", "convert", "ct", "declared", "infer_all", "mb", "run", "run_all", "save", "types"]

Array = np.ndarray[Any, np.dtype[Any]]
Build = Callable[..., Any]
#: What builds operators on its arguments, and what these are.
Case = tuple[Build, dict[str, Array]]

_TYPES = {"float32": types.fp32, "float16": types.fp16, "int32": types.int32}


def declared(*inputs: Any, opset: Any = None) -> Callable[[Build], Any]:
    """Makes a function of the builder's operators a program with these inputs."""
    made: Callable[[Build], Any] = mb.program(input_specs=list(inputs), opset_version=opset)
    return made


def convert(program: Any, folder: Path, **arguments: Any) -> Path:
    """Saves a program by coremltools' converter, in float32 unless told otherwise."""
    path = folder / "model.mlpackage"
    settings = {"convert_to": "mlprogram", "compute_precision": ct.precision.FLOAT32, "skip_model_load": True}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # it leaves its temporary folder to be cleaned up
        ct.convert(program, package_dir=str(path), **{**settings, **arguments})
    return path


def save(build: Build, inputs: Mapping[str, Array], folder: Path, *, opset: Any, precision: str = "FLOAT32") -> Path:
    """Saves a program of one function with inputs of these shapes and types, exactly as `build` wrote it."""
    specs = {name: mb.TensorSpec(array.shape, dtype=_TYPES[array.dtype.name]) for name, array in inputs.items()}
    return convert(
        declared(*specs.values(), opset=opset)(_named(build, list(inputs))),
        folder,
        minimum_deployment_target=opset,
        compute_precision=getattr(ct.precision, precision),
        pass_pipeline=ct.PassPipeline.EMPTY,
    )


def run(build: Build, inputs: Mapping[str, Array], folder: Path, *, opset: Any) -> list[Array]:
    """What the reference execution makes of it."""
    return run_all({"it": (build, dict(inputs))}, folder, opset=opset)["it"]


def run_all(cases: Mapping[str, Case], folder: Path, *, opset: Any) -> dict[str, list[Array]]:
    """What the reference execution makes of each, all of them in one program: converting takes longer than running."""
    counts: dict[str, int] = {}
    inputs: dict[str, Array] = {}
    for number, (_, given) in enumerate(cases.values()):
        inputs.update({f"{name}_{number}": array for name, array in given.items()})

    def together(**values: Any) -> list[Any]:
        outputs: list[Any] = []
        for number, (name, (build, given)) in enumerate(cases.items()):
            made = build(**{each: values[f"{each}_{number}"] for each in given})
            made = list(made) if isinstance(made, (list, tuple)) else [made]
            counts[name] = len(made)
            outputs.extend(mb.identity(x=each, name=f"out_{number}_{index}") for index, each in enumerate(made))
        return outputs

    model = ReferenceModel(save(together, inputs, folder, opset=opset), threads=1)
    try:
        found = model.predict(inputs)
    finally:
        model.close()
    return {
        name: [np.asarray(found[f"out_{number}_{index}"]) for index in range(counts[name])]
        for number, name in enumerate(cases)
    }


def infer_all(cases: Mapping[str, Case], *, opset: Any) -> dict[str, list[Array]]:
    """What coremltools itself computes of each, by the operators' value inference."""
    found: dict[str, list[Any]] = {}

    def function(unused: Any) -> Any:
        for name, (build, inputs) in cases.items():
            made = build(**{each: mb.const(val=array) for each, array in inputs.items()})
            found[name] = [each.val for each in (made if isinstance(made, (list, tuple)) else [made])]
            assert all(each is not None for each in found[name]), f"coremltools cannot infer {name}"
        return mb.identity(x=unused)

    mb.program(input_specs=[mb.TensorSpec((1,))], opset_version=opset)(function)
    return {name: [np.asarray(each) for each in values] for name, values in found.items()}


def _named(build: Build, names: Sequence[str]) -> Any:
    """A function whose parameters have these names: the builder reads them."""
    namespace = {"build": build}
    parameters = ", ".join(names)
    exec(f"def function({parameters}): return build({', '.join(f'{n}={n}' for n in names)})", namespace)
    return namespace["function"]
