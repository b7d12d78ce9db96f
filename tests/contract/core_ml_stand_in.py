"""Stands in for the part of coremltools that exists on macOS only: its compiled extension, `libcoremlpython`.

coremltools' own Python runs in full on top of it: `compile_model`, `CompiledMLModel`, `MLModel`, `MLState`,
`MLComputePlan`, with their checks and their messages. What Core ML would compute, the reference execution does.
Messages of the framework are written after those that users of coremltools reported. What a stand-in does is never a
measurement: the adapter must call it reference execution (`loading.execution_of`).
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coremltools.models import _compiled_model, compute_device, compute_plan, model, utils
from coremltools.models.compute_plan import (
    MLComputePlan,
    MLComputePlanCost,
    MLComputePlanDeviceUsage,
    MLModelStructure,
    MLModelStructureProgram,
    MLModelStructureProgramBlock,
    MLModelStructureProgramFunction,
    MLModelStructureProgramOperation,
)

from targets.core_ml import system
from targets.core_ml.description import Feature, describe
from targets.core_ml.files import COMPILED_MARK, COMPILED_METADATA, COMPILED_PROGRAM
from targets.core_ml.program import read_program
from targets.core_ml.reference.execution import ReferenceModel
from targets.core_ml.reference.to_onnx import count_operators

MACOS, BUILD = (15, 6), "24G84"
#: What the compiler keeps of the model that it compiled.
_SOURCE = "source.mlpackage"

_TYPES = {"float16": "Float16", "float32": "Float32", "float64": "Double", "int32": "Int32"}
_MIL_TYPES = {"float16": "fp16", "float32": "fp32", "float64": "fp64", "int32": "int32"}
#: Operators that this Mac's accelerators do not take.
CPU_ONLY_OPERATORS = {"gather", "cast"}


class Mac:
    """The Mac that is stood in for. Tests change it."""

    devices = ("CPU", "GPU", "NeuralEngine")
    refused_units: frozenset[str] = frozenset()  # compute units with which no model loads
    predictions_fail = ""  # what Core ML says of every prediction; empty: they work
    compilations = 0


class CPUDevice:
    """Stands in for `_MLCPUComputeDeviceProxy`."""


class GPUDevice:
    """Stands in for `_MLGPUComputeDeviceProxy`."""


class NeuralEngineDevice:
    """Stands in for `_MLNeuralEngineComputeDeviceProxy`."""

    def get_total_core_count(self) -> int:
        return 16


def device(name: str) -> Any:
    """coremltools' own object for a device."""
    kinds = {
        "CPU": (compute_device.MLCPUComputeDevice, CPUDevice),
        "GPU": (compute_device.MLGPUComputeDevice, GPUDevice),
        "NeuralEngine": (compute_device.MLNeuralEngineComputeDevice, NeuralEngineDevice),
    }
    kind, proxy = kinds[name]
    return kind(proxy())


class State:
    """Stands in for the native state that `MLState` wraps."""

    def __init__(self, held: Any) -> None:
        self.held = held

    def read_state(self, name: str) -> Any:
        raise NotImplementedError(name)

    def write_state(self, name: str, value: Any) -> None:
        raise NotImplementedError(name)


class Model:
    """Stands in for `_MLModelProxy`."""

    def __init__(
        self, path: str, compute_units: str, function_name: str, optimization_hints: dict[str, str], asset: Any
    ) -> None:
        assert all(isinstance(value, str) for value in optimization_hints.values())
        folder = Path(path)
        if not (folder / COMPILED_MARK).is_file():
            pytest.fail(f"Core ML would end the process: {path} is no compiled model")
        if compute_units in Mac.refused_units:
            raise failure(
                "Failed to build the model execution plan using a model architecture file "
                f"'{folder / COMPILED_PROGRAM}' with error code: -14."
            )
        self._folder = folder
        started = time.perf_counter_ns()
        self._description = describe(folder / _SOURCE, function_name or None)
        try:
            self._reference = ReferenceModel(folder / _SOURCE)
        except Exception as error:  # whatever is wrong with it, the framework says in its own way
            raise failure(
                f"at {folder / COMPILED_PROGRAM}:11:258: Error parsing MIL model: "
                f"Could not open {folder}/weights/weight.bin ({error})"
            ) from error
        self._load_ns = time.perf_counter_ns() - started

    def predict(self, data: dict[str, Any], state: Any) -> dict[str, Any]:
        if Mac.predictions_fail:
            raise failure(Mac.predictions_fail)
        for feature in self._description.inputs:
            if feature.name not in data:
                raise failure(f"Feature {feature.name} is required but not specified.")
            _check_input(feature, data[feature.name])
        if self._description.states and state is None:
            name = self._description.states[0].name
            raise failure(f"The input feature for {name} must be an MLState, but it was not.")
        given = {
            feature.name: data[feature.name].astype(feature.dtype, copy=False) for feature in self._description.inputs
        }
        outputs = self._reference.predict(given, state.held if state is not None else None)
        # The binding has no float16: such outputs arrive as float32.
        return {
            name: value.astype(np.float32) if value.dtype == np.float16 else value for name, value in outputs.items()
        }

    def batchPredict(self, data: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [self.predict(each, None) for each in data]

    def newState(self) -> State:
        return State(self._reference.make_state())

    def get_compiled_model_path(self) -> str:
        return str(self._folder)

    def get_load_duration_in_nano_seconds(self) -> int:
        return self._load_ns

    def get_last_predict_duration_in_nano_seconds(self) -> int | None:
        return None

    @staticmethod
    def maximum_supported_specification_version() -> int:
        return 9

    @staticmethod
    def compileModel(path: str) -> str:
        Mac.compilations += 1
        return str(compile_to_temporary(Path(path)))

    @staticmethod
    def get_available_compute_devices() -> list[Any]:
        return [device(name) for name in Mac.devices]

    @staticmethod
    def get_all_compute_devices() -> list[Any]:
        return Model.get_available_compute_devices()

    @staticmethod
    def get_model_structure(path: str) -> MLModelStructure:
        return structure(Path(path))

    @staticmethod
    def get_compute_plan(path: str, compute_units: str) -> MLComputePlan:
        if not (Path(path) / COMPILED_MARK).is_file():
            pytest.fail(f"Core ML would end the process: {path} is no compiled model")
        return MLComputePlan(Plan(Path(path), compute_units))

    @staticmethod
    def create_model_asset_from_path(path: str) -> Any:
        raise NotImplementedError

    @staticmethod
    def create_model_asset_from_memory(spec_data: bytes, blob_mapping: Mapping[str, bytes]) -> Any:
        raise NotImplementedError

    @staticmethod
    def auto_set_specification_version(spec: bytes) -> bytes:
        return spec


class Asset:
    """Stands in for `_MLModelAssetProxy`."""


class Plan:
    """Stands in for `_MLComputePlanProxy`: operators go to the best device of the units, but for a few."""

    def __init__(self, path: Path, compute_units: str) -> None:
        self.model_structure = structure(path)
        wanted = {"ALL": Mac.devices, "CPU_ONLY": (), "CPU_AND_GPU": ("GPU",), "CPU_AND_NE": ("NeuralEngine",)}
        self._allowed = ["CPU", *(name for name in wanted[compute_units] if name in Mac.devices and name != "CPU")]

    def get_compute_device_usage_for_mlprogram_operation(
        self, operation: MLModelStructureProgramOperation
    ) -> MLComputePlanDeviceUsage | None:
        name = operation.operator_name.rpartition(".")[2]
        if name == "const" or name.startswith("constexpr_"):
            return None
        allowed = ["CPU"] if name in CPU_ONLY_OPERATORS else self._allowed
        return MLComputePlanDeviceUsage(device(allowed[-1]), [device(each) for each in allowed])

    def get_compute_device_usage_for_neuralnetwork_layer(self, layer: Any) -> MLComputePlanDeviceUsage | None:
        raise NotImplementedError

    def get_estimated_cost_for_mlprogram_operation(
        self, operation: MLModelStructureProgramOperation
    ) -> MLComputePlanCost | None:
        computing = [each for each in _operations(self.model_structure) if each.operator_name != "const"]
        return MLComputePlanCost(weight=1 / len(computing))


def failure(text: str) -> RuntimeError:
    """An error as the extension raises it: the dictionary that came with Core ML's own."""
    return RuntimeError(f'{{\n    NSLocalizedDescription = "{text}";\n}}')


def compile_to_temporary(source: Path) -> Path:
    """What the compiler makes of a model: a folder in a temporary place, named after the model."""
    description = describe(source)
    folder = Path(tempfile.mkdtemp()) / f"{source.stem}.mlmodelc"
    folder.mkdir()
    (folder / COMPILED_MARK).write_bytes(b"stand-in")
    shutil.copytree(source, folder / _SOURCE)
    metadata = {
        "metadataOutputVersion": "3.0",
        "specificationVersion": description.specification_version,
        "modelType": {"name": f"MLModelType_{description.kind}"},
        "inputSchema": [_schema(each, "MultiArray") for each in description.inputs],
        "outputSchema": [_schema(each, "MultiArray") for each in description.outputs],
        "stateSchema": [_schema(each, "State") for each in description.states],
        "generatedClassName": source.stem,
        "method": "predict",
        "mlProgramOperationTypeHistogram": {f"Ios18.{name}": count for name, count in _operators(source).items()},
    }
    (folder / COMPILED_METADATA).write_text(json.dumps([metadata]))
    made = "".join(f"            {_mil_type(each)} {each.name} = op();\n" for each in description.outputs)
    (folder / COMPILED_PROGRAM).write_text(f"program(1.3)\n{{\n    func main<ios18>() {{\n{made}        }}\n}}\n")
    return folder


def structure(compiled: Path) -> MLModelStructure:
    """A program of one function with the model's operators, and a constant for each."""
    names = [f"ios18.{name}" for name, count in _operators(compiled / _SOURCE).items() for _ in range(count)]
    operations = [
        MLModelStructureProgramOperation({}, each, [], [], None) for name in names for each in ("const", name)
    ]
    block = MLModelStructureProgramBlock([], operations, [])
    program = MLModelStructureProgram({"main": MLModelStructureProgramFunction([], block)})
    return MLModelStructure(neuralnetwork=None, program=program, pipeline=None)


def _operators(source: Path) -> Mapping[str, int]:
    return count_operators(read_program(source))


def _operations(whole: MLModelStructure) -> Iterator[MLModelStructureProgramOperation]:
    assert whole.program is not None
    yield from whole.program.functions["main"].block.operations


def _check_input(feature: Feature, array: Any) -> None:
    assert isinstance(array, np.ndarray)
    assert array.dtype != np.float16, "coremltools widens float16 inputs on their way"
    limits = zip(array.shape, feature.bounds, strict=False)
    fits = array.ndim == len(feature.bounds) and all(
        low <= length and (high is None or length <= high) for length, (low, high) in limits
    )
    shape = " x ".join(map(str, array.shape))
    if feature.shapes and tuple(array.shape) not in feature.shapes:
        raise failure(f"MultiArray shape ({shape}) was not in enumerated set of allowed shapes")
    if not fits:
        expected = " x ".join(map(str, feature.shape))
        raise failure(f"MultiArray shape ({shape}) does not match the shape ({expected}) specified in the model")
    if np.dtype(feature.dtype).kind != array.dtype.kind:
        raise failure(f"MultiArray of type {array.dtype} where {feature.dtype} is specified in the model description")


def _schema(feature: Feature, kind: str) -> dict[str, str]:
    """One input, output or state in the compiler's own words. Texts, all of it."""
    schema = {
        "isOptional": "0",
        "dataType": _TYPES[feature.dtype],
        "shape": json.dumps([length for length in feature.shape if None not in feature.shape]),
        "name": feature.name,
        "type": kind,
        "hasShapeFlexibility": "0",
    }
    if feature.shapes:
        schema.update(hasShapeFlexibility="1", enumeratedShapes=json.dumps(feature.shapes))
    elif None in feature.shape and kind == "MultiArray" and feature.bounds:
        limits = [[low, -1 if high is None else high] for low, high in feature.bounds]
        schema.update(hasShapeFlexibility="1", shapeRange=json.dumps(limits))
    return schema


def _mil_type(feature: Feature) -> str:
    lengths = ", ".join("?" if length is None else str(length) for length in feature.shape)
    return f"tensor<{_MIL_TYPES[feature.dtype]}, [{lengths}]>"


def native() -> types.ModuleType:
    """The module that stands in for `coremltools.libcoremlpython`."""
    module = types.ModuleType("coremltools.libcoremlpython")
    module.__dict__.update(
        _MLModelProxy=Model,
        _MLModelAssetProxy=Asset,
        _MLComputePlanProxy=Plan,
        _MLCPUComputeDeviceProxy=CPUDevice,
        _MLGPUComputeDeviceProxy=GPUDevice,
        _MLNeuralEngineComputeDeviceProxy=NeuralEngineDevice,
    )
    return module


def install(monkeypatch: pytest.MonkeyPatch, home: Path) -> type[Mac]:
    """Makes this machine a Mac for the adapter and for coremltools, until `monkeypatch` undoes it."""
    module = native()
    monkeypatch.setitem(sys.modules, module.__name__, module)
    for importer in (model, _compiled_model, compute_plan, compute_device):
        for name, value in vars(module).items():
            if hasattr(importer, name) and name.startswith("_ML"):
                monkeypatch.setattr(importer, name, value)
    for importer in (utils, model, _compiled_model):
        monkeypatch.setattr(importer, "_macos_version", lambda: MACOS)
        if hasattr(importer, "_is_macos"):
            monkeypatch.setattr(importer, "_is_macos", lambda: True)
    monkeypatch.setattr(system, "on_macos", lambda: True)
    monkeypatch.setattr(system, "macos_version", lambda: MACOS)
    monkeypatch.setattr(system, "macos_build", lambda: BUILD)
    monkeypatch.setenv("HOME", str(home))
    for name, value in (("devices", Mac.devices), ("refused_units", frozenset()), ("predictions_fail", "")):
        monkeypatch.setattr(Mac, name, value)
    monkeypatch.setattr(Mac, "compilations", 0)
    return Mac
