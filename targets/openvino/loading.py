"""Compiles a model in OpenVINO, says in words why it was refused, and reads back what the compiled model really does.

OpenVINO chooses what it is not told: where a processor has bfloat16 it computes float32 models in it. And it takes less
than it was told without a word: fewer streams than asked for. Both show in the compiled model only.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import openvino

from benchharness.contract import Configuration, Refusal
from benchharness.errors import ModelFailure, Unsupported
from targets.asked import nearest, refuse_plugins, refused
from targets.openvino_format.names import FLOATS

CPU = "CPU"
#: Release and build number; behind them stand a commit and a branch, which the build number implies.
VERSION = "-".join(openvino.__version__.split("-")[:2])
_HETERO = "HETERO:"
_THREADS, _STREAMS, _DEVICES = "INFERENCE_NUM_THREADS", "NUM_STREAMS", "EXECUTION_DEVICES"
#: Properties that tell what a figure is of: read back of every model, and judged where they were asked for.
_TOLD = (
    *("INFERENCE_PRECISION_HINT", "KV_CACHE_PRECISION", "DYNAMIC_QUANTIZATION_GROUP_SIZE", _THREADS, _STREAMS),
    *("PERFORMANCE_HINT", "EXECUTION_MODE_HINT", "SCHEDULING_CORE_TYPE"),
    *("ENABLE_CPU_PINNING", "ENABLE_HYPER_THREADING"),
)
#: Of the core and not of a device, so no device lists them.
_OF_THE_CORE = ("CACHE_DIR", "CACHE_MODE")
#: Values that leave the choice to OpenVINO.
_OWN_CHOICE = frozenset(("undefined", "dynamic", "auto", ""))
#: Layers that hold, move or convert numbers and compute none.
_HOLDING = frozenset(("Const", "Input", "Output"))
_MOVING = _HOLDING | {
    *("Broadcast", "Concatenation", "Convert", "Gather", "GatherElements", "GatherND", "MemoryInput", "MemoryOutput"),
    *("Pad", "Reorder", "Reshape", "ScatterElementsUpdate", "ScatterNDUpdate", "ScatterUpdate", "ShapeOf", "Split"),
    *("StridedSlice", "Tile", "Transpose"),
}
#: What OpenVINO says of an ONNX graph that it could read and has no operators for.
_UNCONVERTED = "wasn't fully converted"
_NO_WORDS = re.compile(r"Exception from \S+:\d+:|Check '.*' failed at \S+:\d+:")


@dataclass(frozen=True)
class Request:
    """What to compile for and with, checked as far as it can be before."""

    configuration: Configuration
    device: str
    properties: Mapping[str, Any]


@dataclass(frozen=True)
class Layer:
    """A layer of a compiled model: its kind and the type it runs in, by OpenVINO's names."""

    kind: str
    precision: str


@dataclass(frozen=True)
class Compiled:
    """A compiled model, and what OpenVINO did with the request."""

    model: Any  # openvino.CompiledModel
    device: str  # as it was compiled for, in the spelling of the request
    layers: Sequence[Layer]
    properties: Mapping[str, str]  # of _TOLD and those asked for, as they are held
    places: Mapping[str, Mapping[str, int]]
    refusal: Refusal | None = None

    @property
    def devices(self) -> Sequence[str]:
        """What it runs on; one that was asked for keeps its spelling, as "GPU" for GPU.0."""
        told = [str(device) for device in self.model.get_property(_DEVICES)]
        return [self.device if each == f"{self.device}.0" else each for each in told]

    @property
    def threads(self) -> int | None:
        """Threads that run an inference: a stream has its share. None where the device has no such number."""
        if _THREADS not in self.properties:
            return None
        return max(1, int(self.properties[_THREADS]) // max(1, int(self.properties.get(_STREAMS, 1))))

    @property
    def precision(self) -> str | None:
        """What floating-point layers are computed in, by numpy's names; None where no layer is one."""
        computed = {layer.precision for layer in self.layers if layer.kind not in _MOVING}
        return "+".join(sorted(FLOATS[each] for each in computed & FLOATS.keys())) or None


def shared_among(device: str) -> Sequence[str]:
    """The devices that one is asked to be shared among, preferred ones first; empty where it is one."""
    return device[len(_HETERO) :].split(",") if device.startswith(_HETERO) else ()


def check_request(core: Any, configuration: Configuration) -> Request:
    """The request as OpenVINO takes it. Raises `Unsupported`."""
    device = configuration.accelerator or CPU
    here = list(core.available_devices)
    for part in shared_among(device) or [device]:
        if part not in here and f"{part}.0" not in here:
            raise Unsupported(
                f"accelerator {device!r}: OpenVINO has no device {part!r} here{nearest(part, here)}; it has "
                f"{', '.join(here)}. Devices that choose among others while they run (AUTO, MULTI) are not measured"
            )
    refuse_plugins(configuration, "OpenVINO's devices are named by accelerator alone, as in GPU.1")
    for name in configuration.accelerator_options:
        raise Unsupported(f"accelerator_options.{name}: OpenVINO's properties are options; give it there")
    known = _settable(core, device.partition(":")[0])
    asked = dict(configuration.options)
    for name in asked:
        if name not in known:
            raise Unsupported(f"options.{name}: {device} has no such property{nearest(name, known)}")
    if configuration.threads is not None:
        if _THREADS not in known:
            raise Unsupported(f"threads: {device} takes no number of threads; leave it out")
        if _THREADS in asked:
            raise Unsupported(f"options.{_THREADS}: threads says it already; leave one out")
        asked[_THREADS] = configuration.threads
    return Request(configuration, device, asked)


def read(core: Any, model: Path) -> Any:
    """The file as an `openvino.Model`. Raises `ModelFailure`, `Unsupported` for operators that OpenVINO lacks."""
    try:
        return core.read_model(str(model))
    except RuntimeError as error:
        words = words_of(error)
        if _UNCONVERTED in words:
            raise Unsupported(f"{model}: has operators that OpenVINO {VERSION} does not convert: {words}") from error
        raise ModelFailure(f"{model}: OpenVINO {VERSION} cannot read it: {words}") from error


def compile_model(core: Any, model: Any, name: Path, request: Request) -> Compiled:
    """Compiles for the device asked for or, where that refuses and the configuration allows it, for the CPU.

    Raises `Unsupported` for a request that cannot be met, `ModelFailure` for a model that the CPU refuses.
    """
    device, asked = request.device, request.properties
    began_ns = time.perf_counter_ns()
    try:
        compiled = _compiled(core, model, device, asked)
    except RuntimeError as error:
        words = words_of(error)
        if device == CPU:
            raise ModelFailure(f"{name}: OpenVINO {VERSION} cannot compile it: {words}") from error
        refusal = refused(device, name, words, time.perf_counter_ns() - began_ns, request.configuration)
        # With what was asked of the other device, as far as the CPU has it: the figures are still of the request.
        known = _settable(core, CPU)
        shared = {key: value for key, value in asked.items() if key in known}
        if len(shared) < len(asked):
            without = ", ".join(key for key in asked if key not in known)
            refusal = replace(refusal, reason=f"{words}; the CPU has no {without}")
        on_cpu = replace(request, device=CPU, properties=shared)
        return replace(compile_model(core, model, name, on_cpu), refusal=refusal)
    layers = [_layer(node) for node in compiled.get_runtime_model().get_ordered_ops()]
    properties = _properties(compiled, asked)
    _judge(asked, properties)
    return Compiled(compiled, device, layers, properties, _places(core, model, device, layers))


def _compiled(core: Any, model: Any, device: str, asked: Mapping[str, Any]) -> Any:
    """The compiled model. Raises `Unsupported` for a property's value, and OpenVINO's `RuntimeError` for all else."""
    try:
        return core.compile_model(model, device, asked)
    except RuntimeError as error:
        words = words_of(error)
        blamed = next((key for key in asked if re.search(rf"\b{key}\b", words)), None)
        if blamed is None:
            raise
        raise Unsupported(f"options.{blamed}: OpenVINO does not take {asked[blamed]!r}: {words}") from error


def _settable(core: Any, device: str) -> set[str]:
    """The properties that a device, or the core with it, can be told."""
    listed = core.get_property(device, "SUPPORTED_PROPERTIES")
    return {name for name, may in listed.items() if may != "RO"}.union(_OF_THE_CORE)


def words_of(error: Exception) -> str:
    """OpenVINO's words, without the places in its source."""
    return " ".join(_NO_WORDS.sub(" ", str(error)).split())


def floats_of(model: Any) -> str | None:
    """The floating-point types that occur in an `openvino.Model`, by numpy's names; None for none."""
    types = {output.get_element_type().get_type_name() for node in model.get_ops() for output in node.outputs()}
    return "+".join(sorted(FLOATS[each] for each in types & FLOATS.keys())) or None


def by_precision(layers: Iterable[Layer]) -> dict[str, dict[str, int]]:
    """How many layers of each kind run in each type: {"FullyConnected": {"bf16": 29}}."""
    found: dict[str, Counter[str]] = {}
    for layer in layers:
        if layer.kind not in _HOLDING:
            found.setdefault(layer.kind, Counter())[layer.precision] += 1
    return {kind: dict(counts) for kind, counts in sorted(found.items())}


def _layer(node: Any) -> Layer:
    told = node.get_rt_info()
    return Layer(*(told[key].astype(str) if key in told else "unknown" for key in ("layerType", "runtimePrecision")))


def _places(core: Any, model: Any, device: str, layers: Iterable[Layer]) -> Mapping[str, Mapping[str, int]]:
    """Layers by device. Of several OpenVINO tells how it shares out the model's operators, not its own layers."""
    if not shared_among(device):
        return {device: dict(Counter(layer.kind for layer in layers if layer.kind not in _HOLDING))}
    found: dict[str, Counter[str]] = {}
    kinds = {node.get_friendly_name(): node.get_type_name() for node in model.get_ops()}
    for name, place in core.query_model(model, device).items():
        if kinds.get(name) not in (None, "Constant", "Parameter", "Result"):
            found.setdefault(place, Counter())[kinds[name]] += 1
    return {place: dict(counts) for place, counts in found.items()}


def _properties(compiled: Any, asked: Iterable[str]) -> dict[str, str]:
    held = {str(name) for name in compiled.get_property("SUPPORTED_PROPERTIES")}
    names = [name for name in (*_TOLD, *asked) if name in held]
    if "CACHE_DIR" in asked:  # told only then, and not listed
        names.append("LOADED_FROM_CACHE")
    return {name: _text(compiled.get_property(name)) for name in names}


def _judge(asked: Mapping[str, Any], held: Mapping[str, str]) -> None:
    """Raises `Unsupported` where OpenVINO took something else than was asked for; threads the harness judges."""
    for name, value in asked.items():
        wanted, got = _text(value).casefold(), held.get(name, "").casefold()
        if name in _TOLD and name in held and name != _THREADS and wanted not in _OWN_CHOICE and wanted != got:
            raise Unsupported(f"options.{name}: {value!r} was asked for, and OpenVINO took {held[name]}")


def _text(value: Any) -> str:
    """A property's value as one writes it: "f32", "LATENCY", "YES", "2"."""
    if isinstance(value, bool):
        return "YES" if value else "NO"
    if hasattr(value, "get_type_name"):
        return str(value.get_type_name())
    return str(getattr(value, "name", value))
