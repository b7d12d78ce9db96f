"""Runs Core ML models on an iPhone or iPad that is connected to this Mac: coremltools' experimental `remote_device`.

coremltools (9.0 and later, with Xcode) builds its model runner for the device, installs it, hands it compiled models
and inputs as files, and gets answers and durations back; the durations are the device's own clock's. Predictions are
seconds apart, because files go to and fro: of a device that is kept busy they do not tell.

`MLModelAsyncWrapper` is used and not `MLModelBenchmarker`, which sits on it: that one makes its inputs itself, drops
the first prediction, and hands out no answer that could be looked at.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchharness.contract import (
    EXECUTION_DEVICE,
    EXECUTION_REFERENCE,
    ArtefactFiles,
    Availability,
    Configuration,
    EffectiveConfiguration,
    OwnFigure,
    OwnReport,
    OwnRequest,
    TensorSpec,
)
from benchharness.errors import InvalidOutput, ModelFailure, Unsupported
from targets.core_ml import compilation, system
from targets.core_ml.compute_plan import ALLOWED_PLACES, WANTED_PLACES, placed_by
from targets.core_ml.description import ARRAY, Description, Feature, check_inputs, describe
from targets.core_ml.files import COMPILED, check_artefact, find_model, list_files
from targets.core_ml.loading import native_hints
from targets.core_ml.options import ALL, Request, check_request
from targets.core_ml.program import quiet_coremltools
from targets.core_ml_remote.remote_device import connected, prepared, release, temporary_folder

try:
    with quiet_coremltools():
        import coremltools
        from coremltools.models.ml_program.experimental import async_wrapper
except Exception as error:  # it is experimental: whatever goes wrong in it, it is not there
    _missing = (
        f"coremltools has no remote devices here ({type(error).__name__}: {error}); install coremltools 9.0 or later"
    )
else:
    _missing = ""

#: What its model runner takes for a tensor.
_TYPES = ("float16", "float32", "float64", "int32")
_CREDENTIALS = {
    "development_team": re.compile(r"[A-Z0-9]{10}"),
    "provisioning_profile_uuid": re.compile(r"[0-9A-Fa-f-]{36}"),
    "bundle_identifier": re.compile(r"[A-Za-z0-9-]{1,60}(\.[A-Za-z0-9-]{1,60}){1,10}"),
}
#: coremltools tells a device the names of hints' values, and this one's has none.
_NO_NAME = "allowLowPrecisionAccumulationOnGPU"
#: coremltools puts paths into a shell's command as they are.
_PLAIN_PATH = re.compile(r"[A-Za-z0-9/._+-]+")
_LONGEST_LENGTH = 4096
_DIFFERS = "inputs are drawn by chance; predictions are seconds apart, timed by the device's own clock"
_TOLD = ("first_inference", "steady_inference")
_UNKNOWN = {
    "inference_rate": "predictions through a Mac are seconds apart: how many a second a busy device makes is not known",
    "cold_start_inference": "the device's own application is installed and started before: not a product's start",
    "peak_memory": "the device does not tell what its application holds",
}


class CoreMLRemote:
    """The adapter. One device is reached, the one that the device side is told of."""

    name = "coreml-remote"
    formats: Sequence[str] = (".mlpackage", ".mlmodel")

    def availability(self) -> Availability:
        """coremltools' version, or the reason why no device can be reached. Never raises."""
        if _missing:
            return Availability(available=False, reason=_missing)
        if why := _why_not():
            return Availability(available=False, version=str(coremltools.__version__), reason=why)
        return Availability(True, str(coremltools.__version__), tuple(ALLOWED_PLACES))

    def files(self, artefact: Path) -> ArtefactFiles:
        """The model, of a package its whole folder. Raises `ModelFailure`."""
        return list_files(Path(artefact))

    @contextmanager
    def open(self, artefact: Path, configuration: Configuration) -> Iterator[RemoteSession]:
        """Loads a model on the device. Raises `ModelFailure`, `Unsupported`."""
        if _missing:
            raise Unsupported(_missing)
        if why := _why_not():
            raise Unsupported(why)
        credentials, request = _checked(configuration)
        path = find_model(Path(artefact))
        check_artefact(path)
        description = describe(path, request.function)
        check_inputs(path, description)
        _check_description(path, description)
        folder = _working_folder()
        with temporary_folder(), closing(asyncio.new_event_loop()) as loop:
            device = prepared(loop, connected(), credentials, folder)
            try:
                with closing(_loaded(loop, device, path, description, request)) as session:
                    yield session
            finally:
                release(device)


class RemoteSession:
    """A model that is loaded on a connected device."""

    language = False
    inputs: Sequence[TensorSpec] = ()
    outputs: Sequence[TensorSpec] = ()

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        wrapper: Any,
        path: Path,
        description: Description,
        effective: EffectiveConfiguration,
    ) -> None:
        self.effective = effective
        self._loop, self._wrapper, self._path, self._description = loop, wrapper, path, description
        self._made = 0

    def run(self, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        """Refused."""
        raise Unsupported("a model on a connected device is measured by itself; nothing else can be asked of it")

    def placement(self) -> Mapping[str, Mapping[str, int]]:
        """Operators per compute device, by the device's own compute plan. Raises `Unsupported` where it tells none."""
        began_ns = time.perf_counter_ns()
        try:
            plan = self._loop.run_until_complete(self._wrapper.retrieve_compute_plan())
        except MemoryError:
            raise
        except Exception as error:  # what coremltools raises shares no base class
            raise Unsupported(f"the device's compute plan: {error}") from error
        placed, facts = placed_by(plan, self._description.function, began_ns)
        known = self.effective.accelerators
        self.effective = replace(
            self.effective,
            accelerators=(*known, *(place for place in placed if place not in known)),
            facts={**self.effective.facts, **facts},
        )
        return placed

    def measure(self, request: OwnRequest, metrics: Collection[str]) -> OwnReport:
        """The first prediction after the load, and so many more. Raises `ModelFailure`, `InvalidOutput`."""
        wanted = [name for name in _TOLD if name in metrics]
        inputs = {feature.name: _drawn(feature, at) for at, feature in enumerate(self._description.inputs)}
        began_ns = time.perf_counter_ns()
        figures = []
        first_ns = self._predicted(inputs) if wanted else 0.0
        for name in wanted:
            samples = [first_ns] if name == "first_inference" else [
                self._predicted(inputs) for _ in range(request.repeats)
            ]  # fmt: skip
            figures.append(OwnFigure(name, {}, median(samples), samples, sum(samples)))
        took_ns = time.perf_counter_ns() - began_ns
        facts = {"predictions": self._made, "seconds_a_prediction": round(took_ns / 1e9 / max(self._made, 1), 3)}
        self.effective = replace(self.effective, facts={**self.effective.facts, **facts})
        return OwnReport(figures=figures, unknown=_UNKNOWN, took_ns=took_ns)

    def close(self) -> None:
        """Has the device forget the model."""
        with suppress(Exception):  # whatever goes wrong with it, the attempt is told already
            self._loop.run_until_complete(self._wrapper.unload())

    def _predicted(self, inputs: Mapping[str, Any]) -> float:
        """One prediction: what it took on the device, in ns."""
        try:
            outputs = self._loop.run_until_complete(self._wrapper.predict(inputs=inputs, state=None))
        except MemoryError:
            raise
        except Exception as error:
            raise ModelFailure(f"{self._path}: the device failed while running: {error}") from error
        self._made += 1
        _look_at(outputs, self._description)
        return _nanoseconds(self._wrapper.last_predict_duration_in_nano_seconds, "a prediction")


def _why_not() -> str:
    if not system.on_macos():
        return "iPhones and iPads are reached through a Mac with Xcode"
    missing = [each for each in ("xcrun", "devicectl", "xcodebuild") if shutil.which(each) is None]
    return f"{', '.join(missing)}: not installed; it needs Xcode 15 or later" if missing else ""


def _checked(configuration: Configuration) -> tuple[Mapping[str, str], Request]:
    """The signing credentials, and the request as for Core ML on a Mac. Raises `Unsupported`."""
    options = dict(configuration.options)
    credentials = {name: options.pop(name) for name in _CREDENTIALS if name in options}
    for name, value in credentials.items():
        if not isinstance(value, str) or not _CREDENTIALS[name].fullmatch(value):
            raise Unsupported(f"options.{name}: {str(value)[:80]!r} is none, and goes into a shell's command as it is")
    if "compile_cache" in options:
        raise Unsupported("options.compile_cache: models for a connected device are compiled each time; leave it out")
    if _NO_NAME in (options.get("optimization_hints") or {}):
        raise Unsupported(
            f"options.optimization_hints.{_NO_NAME}: coremltools cannot hand it to a device; leave it out"
        )
    if configuration.threads is not None:
        raise Unsupported("threads: Core ML does not let anyone choose its threads; leave it out")
    request = check_request(replace(configuration, options=options))
    if request.units is None:
        raise Unsupported("accelerator 'reference' computes on this machine, and not on the device")
    return credentials, request


def _check_description(path: Path, description: Description) -> None:
    """Raises `Unsupported` for a model that coremltools' model runner cannot be handed."""
    if path.suffix == COMPILED:
        raise Unsupported(f"{path}: a compiled model; it has to be compiled for the device from its package")
    if description.states:
        raise Unsupported(
            f"{path}: it has states ({description.states[0].name}), and coremltools hands none to a model on a device"
        )
    for feature in description.inputs:
        if feature.kind != ARRAY or feature.dtype not in _TYPES:
            raise Unsupported(
                f"{path}: the input {feature.name} is {feature.dtype if feature.kind == ARRAY else feature.kind}; "
                f"coremltools hands a device arrays of {', '.join(_TYPES)} only"
            )


def _working_folder() -> Path:
    """Where the model runner is built, and kept for the next attempt. Raises `Unsupported`."""
    folder = compilation.cache_folder().parent / "core_ml_remote"
    for each in (folder, Path(tempfile.gettempdir())):
        if not _PLAIN_PATH.fullmatch(str(each)):
            raise Unsupported(
                f"{each}: coremltools tells it to a shell unquoted, and it holds more than plain characters"
            )
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _loaded(
    loop: asyncio.AbstractEventLoop, device: Any, path: Path, description: Description, request: Request
) -> RemoteSession:
    units = request.units or ALL
    try:
        wrapper = async_wrapper.MLModelAsyncWrapper.from_spec_or_path(
            spec_or_path=str(path),
            weights_dir="",
            compute_units=coremltools.ComputeUnit[units],
            function_name=request.function,
            optimization_hints=native_hints(request) or None,
            device=device,
        )
        loop.run_until_complete(wrapper.load())
    except MemoryError:
        raise
    except Exception as error:  # what coremltools raises shares no base class
        raise ModelFailure(f"{path}: cannot be loaded on the device with {units}: {error}") from error
    session = RemoteSession(loop, wrapper, path, description, _effective(device, description, request, units))
    try:
        load_ns = _nanoseconds(wrapper.load_duration_in_nano_seconds, "the load")
    except InvalidOutput:
        session.close()
        raise
    session.effective = replace(
        session.effective, facts={**session.effective.facts, "load_on_device_ns": round(load_ns)}
    )
    return session


def _effective(device: Any, description: Description, request: Request, units: str) -> EffectiveConfiguration:
    """What is known before the model is loaded."""
    version = f"{coremltools.__version__} on {device.type.value} {device.os_version} ({device.os_build_number})"
    return EffectiveConfiguration(
        accelerators=(units, *ALLOWED_PLACES[units]),
        threads=None,
        runtime_version=version[:100],
        execution=EXECUTION_DEVICE if sys.platform == "darwin" else EXECUTION_REFERENCE,
        wanted_places=WANTED_PLACES[units],
        facts={
            "differs": _DIFFERS,
            "model_type": description.kind,
            "specification_version": description.specification_version,
            "precision_unknown": "Core ML does not tell in what type a compute unit computes",
            **({"function": description.function} if description.functions else {}),
            **({"optimization_hints": dict(request.hints)} if request.hints else {}),
        },
    )


def _drawn(feature: Feature, seed: int) -> Any:
    """An input drawn by chance, the same each time; of a length that is open the shortest is taken."""
    shape = feature.shapes[0] if feature.shapes else _shortest(feature)
    drawn = np.random.default_rng(seed)
    if feature.dtype == "int32":
        return drawn.integers(0, 10, shape, dtype=np.int32)
    return drawn.random(shape).astype(feature.dtype)


def _shortest(feature: Feature) -> tuple[int, ...]:
    lows = [low for low, _ in feature.bounds] or [1] * len(feature.shape)
    return tuple(
        max(1, min(low, _LONGEST_LENGTH)) if length is None else length for length, low in zip(feature.shape, lows)
    )


def _look_at(outputs: Any, description: Description) -> None:
    """Raises `InvalidOutput` for an answer that is none."""
    for feature in description.outputs:
        if not isinstance(outputs, Mapping) or feature.name not in outputs:
            raise InvalidOutput(f"the device gives no output {feature.name}")
        answer = np.asarray(outputs[feature.name])
        if answer.dtype.kind == "f" and not np.isfinite(answer).all():
            raise InvalidOutput(f"the output {feature.name} holds NaN or infinity")


def _nanoseconds(told: Any, of: str) -> float:
    """Raises `InvalidOutput` for what is no time."""
    with suppress(TypeError, ValueError, OverflowError):
        if not isinstance(told, bool) and 0 < float(told) < 3.2e16:  # a year
            return float(told)
    raise InvalidOutput(f"coremltools says that {of} took {told!r:.60} ns")
