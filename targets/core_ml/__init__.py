"""Runs Core ML models: any network, and causal language models with their cache in Core ML's own state.

Importing this package imports coremltools. On macOS a configuration's `accelerator` is a set of compute units (`ALL`,
which is also the default, `CPU_ONLY`, `CPU_AND_GPU`, `CPU_AND_NE`). Anywhere, `reference` computes what the weights say
in another runtime: quality, never latency or memory. `threads` is for the reference; Core ML lets no one choose.
`options` are `function` (of a model with several), `optimization_hints` (coremltools' names: `reshapeFrequency`,
`specializationStrategy`, `allowLowPrecisionAccumulationOnGPU`) and `compile_cache` (`"warm"`, the default, keeps
compiled models; `"cold"` compiles anew).

Its modules: `files` finds the parts of a model, `description` reads its signature, `system` tells which system this is,
`options` checks the request, `compilation` compiles, `loading` loads, `compute_plan` tells where operators run,
`signature` tells a language model, `session` and `language` run it. `package`, `program` and `weights` read an ML
program; on them, `inspection` and `compression` describe it, and `reference`, which is fenced, runs it anywhere.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchharness.contract import (
    EXECUTION_REFERENCE,
    ArtefactFiles,
    Availability,
    Configuration,
    EffectiveConfiguration,
    ModelDescription,
)
from benchharness.errors import AttemptError, Unsupported
from targets.core_ml import reference, system
from targets.core_ml.compilation import Compiled, compiled
from targets.core_ml.compute_plan import ALLOWED_PLACES, WANTED_PLACES, available_devices, read_plan
from targets.core_ml.description import Description, check_inputs, describe
from targets.core_ml.files import COMPILED, FORMATS, PACKAGE, check_artefact, find_model, list_files
from targets.core_ml.language import cache_kind, language_facts, open_language_session
from targets.core_ml.loading import Loaded, execution_of, load
from targets.core_ml.options import (
    ALL,
    COLD,
    CPU_AND_GPU,
    CPU_AND_NE,
    GPU,
    NEURAL_ENGINE,
    NOT_HERE,
    REFERENCE,
    UNITS,
    Request,
    check_request,
    check_specification,
)
from targets.core_ml.program import last_operators, quiet_coremltools, read_program
from targets.core_ml.session import CoreMLSession, Placement
from targets.core_ml.signature import NoLanguageModel, read_signature
from targets.onnx_format.quiet import keep_quiet

try:
    with quiet_coremltools():
        import coremltools
except ImportError as error:
    _missing = f"coremltools cannot be imported ({error}); install benchharness[coreml]"
else:
    _missing = ""

REFERENCE_LABEL = "reference execution, weights only"


class CoreML:
    """The adapter for Core ML."""

    name = "coreml"
    formats: Sequence[str] = FORMATS

    def availability(self) -> Availability:
        """coremltools' version and the compute units here, or the reason why there are none. Never raises."""
        if _missing:
            return Availability(available=False, reason=_missing)
        no_units, no_reference = _why_no_units(), reference.why_not_here()
        accelerators = (*(() if no_units else _units_here()), *(() if no_reference else (REFERENCE,)))
        reason = "; ".join(filter(None, (no_reference, no_units)))
        return Availability(bool(accelerators), _version(), accelerators, reason)

    def files(self, artefact: Path) -> ArtefactFiles:
        """The model, of a package its whole folder; and a tokenizer beside it. Raises `ModelFailure`."""
        return list_files(Path(artefact))

    def inspect(self, artefact: Path) -> ModelDescription:
        """What a model holds; reads no weights. Raises `ModelFailure`."""
        from targets.core_ml.inspection import inspect_model

        return inspect_model(find_model(Path(artefact)))

    @contextmanager
    def open(self, artefact: Path, configuration: Configuration) -> Iterator[CoreMLSession]:
        """Loads a model, or the one in a folder; a causal language model gives a `LanguageSession`.

        Raises, on entering, `ModelFailure` for a bad file and `Unsupported` for a request that cannot be met.
        """
        if _missing:
            raise Unsupported(_missing)
        request = check_request(configuration)
        path = find_model(Path(artefact))
        check_artefact(path)
        with ExitStack() as stack:
            opened = (
                _open_reference(path, request, configuration)
                if request.units is None
                else _open_native(path, request, configuration, stack)
            )
            yield stack.enter_context(contextlib.closing(opened))


def _why_no_units() -> str:
    """The reason why Core ML itself cannot be reached; empty where it can."""
    if not system.on_macos():
        return NOT_HERE
    try:
        importlib.import_module("coremltools.libcoremlpython")
    except ImportError as error:
        return (
            f"coremltools has no native part for this Python ({error}); install it from a wheel, which there is for "
            "some versions of Python only"
        )
    return ""


def _units_here() -> Sequence[str]:
    devices = available_devices()
    lacking = {units for units, device in ((CPU_AND_GPU, GPU), (CPU_AND_NE, NEURAL_ENGINE)) if device not in devices}
    return tuple(units for units in UNITS if not devices or units not in lacking)


def _version() -> str:
    """coremltools' version and, where it runs models, that of the system whose framework does."""
    own = str(coremltools.__version__)
    if not system.on_macos():
        return own
    release = ".".join(map(str, system.macos_version())) or "unknown"
    return f"{own} on macOS {release} ({system.macos_build()})"


def _open_reference(path: Path, request: Request, configuration: Configuration) -> CoreMLSession:
    keep_quiet()
    if path.suffix == COMPILED:
        raise Unsupported(f"{path}: a compiled model; reference execution reads the {PACKAGE} that it was made from")
    description = describe(path, request.function)
    check_inputs(path, description)
    if description.kind != "mlProgram":
        raise Unsupported(
            f"{path}: a {description.kind} of specification version {description.specification_version}, older than ML "
            'programs; reference execution computes these only. Convert with convert_to="mlprogram"'
        )
    if description.function != description.default_function:
        raise Unsupported(f"options.function: reference execution computes {description.default_function} only")
    model = reference.load(path, configuration.threads)
    effective = EffectiveConfiguration(
        accelerators=(REFERENCE,),
        threads=configuration.threads,
        runtime_version=_version(),
        execution=EXECUTION_REFERENCE,
        facts={"label": REFERENCE_LABEL, **_description_facts(description)},
        precision="float32",
    )
    operators = dict(model.operators)
    return _session(model, path, effective, description, lambda: ({REFERENCE: operators}, {}), configuration)


def _open_native(path: Path, request: Request, configuration: Configuration, stack: ExitStack) -> CoreMLSession:
    """Compiles and loads; `stack` keeps what has to be there until the session ends."""
    if _why_no_units():
        raise Unsupported(_why_no_units())
    description = describe(path, request.function)
    check_inputs(path, description)
    check_specification(path, description.specification_version, stateful=bool(description.states))
    devices = available_devices()
    made = stack.enter_context(compiled(path, request.compile_cache))
    loaded = load(path, made.path, request, configuration.fallback, devices)
    places = tuple(place for place in ALLOWED_PLACES[loaded.units] if not devices or place in devices)
    effective = EffectiveConfiguration(
        accelerators=(loaded.units, *places),
        threads=None,  # Core ML neither takes nor tells a number
        runtime_version=_version(),
        execution=execution_of(loaded.model),
        refusal=loaded.refusal,
        wanted_places=WANTED_PLACES[request.units or ALL],
        facts={
            **_native_facts(request, configuration, made, loaded),
            **_description_facts(description),
            "devices": list(devices),
            "precision_unknown": "Core ML does not tell in what type a compute unit computes",
        },
    )
    return _session(
        loaded.model,
        path,
        effective,
        description,
        lambda: read_plan(made.path, loaded.units, description.function),
        configuration,
    )


def _session(
    model: Any,
    path: Path,
    effective: EffectiveConfiguration,
    description: Description,
    placement: Placement,
    configuration: Configuration,
) -> CoreMLSession:
    try:
        if configuration.why_tensors:
            raise NoLanguageModel(configuration.why_tensors)
        signature = read_signature(description)
    except NoLanguageModel as reason:
        effective = _with_facts(effective, {"layout": "tensors", "no_language_model": str(reason)})
        return CoreMLSession(
            model, str(path), effective, description, placement, lambda: _last_operators(path, description.function)
        )
    effective = replace(_with_facts(effective, language_facts(signature)), cache=cache_kind(signature))
    return open_language_session(model, str(path), effective, description, placement, signature)


def _last_operators(path: Path, function: str | None) -> Mapping[str, str]:
    """By output; nothing of a compiled model, or one older than ML programs."""
    try:
        return last_operators(read_program(path, function))
    except (AttemptError, OSError):
        return {}


def _with_facts(effective: EffectiveConfiguration, facts: Mapping[str, Any]) -> EffectiveConfiguration:
    return replace(effective, facts={**effective.facts, **facts})


def _description_facts(description: Description) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "model_type": description.kind,
        "specification_version": description.specification_version,
    }
    images = {feature.name: feature.colours for feature in description.inputs if feature.is_image}
    if images:
        facts["image_inputs"] = images  # colours in the order of an array's channels, 0 to 255 each
    if description.functions:
        facts["function"] = description.function
    return facts


def _native_facts(request: Request, configuration: Configuration, made: Compiled, loaded: Loaded) -> dict[str, Any]:
    """What was done with the request, and how long compiling and loading took."""
    facts: dict[str, Any] = {
        "compile_cache": made.cache,
        "load_ns": loaded.load_ns,
    }
    if made.compile_ns is not None:
        facts["compile_ns" if made.cache == COLD else "cached_compile_ns"] = made.compile_ns
    if request.hints:
        facts["optimization_hints"] = dict(request.hints)
    if configuration.threads is not None:
        facts["threads_source"] = "Core ML does not let anyone choose its threads, nor tell how many there are"
    if execution_of(loaded.model) == EXECUTION_REFERENCE:
        facts["label"] = REFERENCE_LABEL
    return facts
