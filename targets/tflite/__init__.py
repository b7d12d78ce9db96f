"""Runs `.tflite` models in LiteRT: any network, and causal language models with their cache kept inside.

Importing this package imports the runtime: the package `ai-edge-litert` or, where it is missing, its forerunner
`tflite-runtime`. A configuration's `accelerator` is `XNNPACK` (the delegate for CPUs that both packages have on by
default), `CPU` (the built-in kernels alone), the path of a delegate's library, or any name for the delegate in the
library that `library` names; its options are `accelerator_options`. `options` are `package` (one of the two by name),
`signature` (which one to run of a file that has several) and `xnnpack` (on or off, also beside a delegate from a
library).

Its modules: `files` finds the model, `package` the runtime, `options` checks the request, `loading` loads, `signature`
and `placement` tell what was loaded, `session` runs it, `language` and `cache` run it as a language model.
`inspection`, `contents` and `quantization` describe a file without running it, on `schema` and `wire`;
`cache_updates` and `known_faults` say of one what no runtime does.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchharness.contract import ArtefactFiles, Availability, Configuration, EffectiveConfiguration, ModelDescription
from benchharness.errors import ModelFailure, Unsupported
from targets.tflite import loading
from targets.tflite.cache import CompiledSteps, RunnerSteps, Steps, fits_buffers, sizes
from targets.tflite.cache_updates import read_updates
from targets.tflite.files import MODEL_ENDING, find_model, find_tokenizer, list_files, model_file
from targets.tflite.language import TfliteLanguageSession
from targets.tflite.loading import Loaded
from targets.tflite.options import CPU, XNNPACK, Request, read_request
from targets.tflite.package import LITERT, TFLITE_RUNTIME, Package, import_package
from targets.tflite.placement import parts_of, place, read_nodes
from targets.tflite.precision import read_precision
from targets.tflite.session import Placement, TfliteSession, runs_main_graph
from targets.tflite.signature import (
    LanguageLayout,
    Signature,
    choose_signature,
    language_signatures,
    read_layout,
    read_signatures,
    why_no_language_model,
    with_open_lengths,
)
from targets.wire.held import content_of, holding

try:
    _default: Package | None = import_package()
    _missing = ""
except Unsupported as _reason:
    _default, _missing = None, str(_reason)


class TFLite:
    """The adapter for LiteRT, by its former name TensorFlow Lite."""

    name = "tflite"
    formats: Sequence[str] = (".tflite", ".litertlm")

    def files(self, artefact: Path) -> ArtefactFiles:
        """The model or bundle, and beside a model its configuration and tokenizer. Raises `ModelFailure`."""
        return list_files(Path(artefact))

    def inspect(self, artefact: Path) -> ModelDescription:
        """What a `.tflite` file, a bundle, or the one in a folder holds; reads no weights. Raises `ModelFailure`."""
        from targets.tflite.inspection import inspect_model

        return inspect_model(Path(artefact))

    def tokenizer(self, artefact: Path) -> Path | None:
        """The `tokenizer.json` of a bundle, unpacked; None where there is none. `ModelFailure`, `Unsupported`."""
        return find_tokenizer(Path(artefact))

    def availability(self) -> Availability:
        """The package's version and what runs operators here, or the reason why there is none. Never raises."""
        if _default is None:
            return Availability(available=False, reason=_missing)
        return Availability(available=True, version=_default.version, accelerators=(XNNPACK, CPU))

    @contextmanager
    def open(self, artefact: Path, configuration: Configuration) -> Iterator[TfliteSession | TfliteLanguageSession]:
        """Loads a `.tflite` file, a bundle, or a folder with one; a causal language model gives a `LanguageSession`.

        Raises, on entering, `ModelFailure` for a bad file and `Unsupported` for a request that cannot be met.
        """
        request = read_request(configuration)
        session = _open(Path(artefact), _package(request), request)
        try:
            yield session
        finally:
            session.close()

    @contextmanager
    def open_bytes(
        self, artefact: Path, content: bytes, configuration: Configuration
    ) -> Iterator[TfliteSession | TfliteLanguageSession]:
        """The same for a `.tflite` that was sealed, without a delegate from a library: it may keep a copy in a file."""
        model = Path(artefact)
        if model.suffix != MODEL_ENDING:
            raise Unsupported(
                f"{model.name} is sealed, and is unpacked to the disk to be opened; seal its {MODEL_ENDING}"
            )
        request = read_request(configuration)
        if request.library is not None:
            raise Unsupported(
                f"accelerator {request.delegate}: it may keep a compiled copy of the model in files, which a sealed "
                f"one must not be in; use {XNNPACK} or {CPU}"
            )
        with holding(model, content), self.open(model, configuration) as session:
            yield session


def _package(request: Request) -> Package:
    if request.package is not None and (_default is None or request.package != _default.name):
        return import_package(request.package)
    if _default is None:
        raise Unsupported(_missing)
    return _default


def _open(artefact: Path, package: Package, request: Request) -> TfliteSession | TfliteLanguageSession:
    found = find_model(artefact)
    began_ns = time.perf_counter_ns()
    model = model_file(found)
    facts: dict[str, Any] = {"package": package.name}
    if model != found:
        facts.update(bundle=found.name, unpack_ns=time.perf_counter_ns() - began_ns)
    if content_of(model) is not None:
        facts.update(opened_from="memory", content_kept="by the adapter: the runtime reads its weights where they are")
    if package.name == TFLITE_RUNTIME:
        _check_for_tflite_runtime(model, package)
    threads_before = loading.count_threads()
    loaded = loading.load(model, package, request)
    with loading.refusing(model, package):
        signatures = read_signatures(loaded.interpreter)
    named = "" if request.signature is None else "options.signature names one to run"
    reason = request.why_tensors or named or why_no_language_model(signatures)
    if not reason:
        return _open_language_model(model, package, request, loaded, signatures, threads_before, facts)
    signature = choose_signature(signatures, request.signature, str(model), reason)
    try:
        loaded = loading.allocate(loaded, model, package, request)
    except ModelFailure as error:
        return _open_late(model, package, request, signature, {**facts, "no_language_model": reason}, error)
    facts.update(api="Interpreter", layout="tensors", no_language_model=reason, signature=signature.key or None)
    if signature.details:
        facts["quantization"] = dict(signature.details)
    main_graph = runs_main_graph(loaded.interpreter, signature)
    return TfliteSession(
        loaded.interpreter,
        signature,
        str(model),
        _with_precision(_effective(package, request, loaded, facts, threads_before), model),
        _interpreter_placement(loaded, main_graph=main_graph),
        main_graph=main_graph,
        last_operators=lambda: _last_operators(model, signature.key),
    )


def _open_late(
    model: Path, package: Package, request: Request, signature: Signature, facts: dict[str, Any], error: ModelFailure
) -> TfliteSession:
    """A model whose declared shapes cannot be allocated: its inputs get theirs first. Raises `error` if all are fixed.

    Where the file leaves no length open, a 1 may be what an older converter wrote for an open one.
    """
    signature = with_open_lengths(signature)
    threads_before = loading.count_threads()
    loaded = loading.load(model, package, request)
    main_graph = runs_main_graph(loaded.interpreter, signature)
    if not main_graph or all(isinstance(each, int) for spec in signature.inputs.values() for each in spec.shape):
        raise error
    facts.update(api="Interpreter", layout="tensors", signature=signature.key or None)
    facts["allocated"] = "with the shapes of the first inputs: the declared ones cannot be"
    if signature.details:
        facts["quantization"] = dict(signature.details)

    def allocated() -> EffectiveConfiguration:
        return _with_precision(_effective(package, request, loaded, dict(facts), threads_before), model)

    before = _compiled_effective(package, request, dict(facts), None, None)
    before = dataclasses.replace(
        before, facts={**before.facts, "accelerators_source": "as asked for, until the first inputs are there"}
    )
    return TfliteSession(
        loaded.interpreter,
        signature,
        str(model),
        before,
        _interpreter_placement(loaded, main_graph=main_graph),
        main_graph=main_graph,
        last_operators=lambda: _last_operators(model, signature.key),
        late=allocated,
    )


def _last_operators(model: Path, key: str) -> Mapping[str, str]:
    """By output of a signature; nothing of a file that the runtime takes and the reader here does not."""
    from targets.tflite.inspection import last_operators, read_model

    try:
        return last_operators(read_model(model), key)
    except ModelFailure:
        return {}


def _open_language_model(
    model: Path,
    package: Package,
    request: Request,
    loaded: Loaded,
    signatures: Sequence[Signature],
    threads_before: int | None,
    facts: dict[str, Any],
) -> TfliteLanguageSession:
    used = language_signatures(signatures)
    layout = read_layout(used, read_updates(model, [one.key for one in used]), str(model))
    facts.update(_language_facts(layout))
    if package.compiled_model is not None and loaded.delegate is None and fits_buffers(used):
        refusal = loaded.refusal
        del loaded  # the interpreter has verified the file, which CompiledModel does not
        compiled = loading.compile_model(model, package, request)
        steps: Steps = CompiledSteps(compiled, used, layout)
        facts["api"] = "CompiledModel"
        effective = _compiled_effective(package, request, facts, steps.kind, threads_before)
        effective = dataclasses.replace(effective, refusal=refusal)
        placement = _compiled_placement(model, used, request)
    else:
        loaded = loading.allocate(loaded, model, package, request)
        steps = RunnerSteps(loaded.interpreter, used, layout.cache)
        facts["api"] = "SignatureRunner"
        facts["binding_copy_ns_per_token"] = steps.copy_ns_per_run()
        effective = _effective(package, request, loaded, facts, threads_before, steps.kind)
        placement = _interpreter_placement(loaded, main_graph=False)
    effective = _with_precision(effective, model)
    return TfliteLanguageSession(steps, layout, used, str(model), effective, placement)


def _check_for_tflite_runtime(model: Path, package: Package) -> None:
    """Looks into a file for a package that does not: damaged ones end its process, and some it computes wrongly."""
    from targets.tflite.inspection import read_model
    from targets.tflite.known_faults import known_fault

    fault = known_fault(read_model(model))
    if fault:
        raise Unsupported(f"{model}: has {fault}. {package.name} {package.version} says nothing; use {LITERT}")


def _language_facts(layout: LanguageLayout) -> dict[str, Any]:
    return {
        "layout": "prefill-decode",
        "prefill_lengths": [prefill.length for prefill in layout.prefills],
        "prefill_returns_logits": layout.prefill_returns_logits,
        "mask": layout.masked,
        "cache_length": layout.context_length,
        "context_length_source": layout.context_length_source,
        "cache_tensors": len(layout.cache),
        "cache_dtype": layout.cache[0].dtype,
        "cache_bytes": sum(math.prod(sizes(spec)) * np.dtype(spec.dtype).itemsize for spec in layout.cache),
    }


def _effective(
    package: Package,
    request: Request,
    loaded: Loaded,
    facts: dict[str, Any],
    threads_before: int | None,
    cache: str | None = None,
) -> EffectiveConfiguration:
    """What an allocated interpreter does: which delegates took part, and the threads that were started."""
    delegates = parts_of(loaded.interpreter, loaded.delegate, loaded.nodes_with_delegate)
    if request.library is not None and loaded.delegate is not None:
        facts["library"] = request.library
    threads, facts["threads_source"] = _threads(request, delegates == [XNNPACK], threads_before)
    return EffectiveConfiguration(
        accelerators=(*delegates, CPU),
        threads=threads,
        cache=cache,
        runtime_version=package.version,
        refusal=loaded.refusal,
        facts=facts,
    )


def _with_precision(effective: EffectiveConfiguration, model: Path) -> EffectiveConfiguration:
    read = read_precision(model, effective.accelerators)
    facts = {**effective.facts, "precision_unknown": read.unknown} if read.unknown else effective.facts
    return dataclasses.replace(effective, precision=read.computed, model_precision=read.of_model, facts=facts)


def _compiled_effective(
    package: Package, request: Request, facts: dict[str, Any], cache: str | None, threads_before: int | None
) -> EffectiveConfiguration:
    threads, facts["threads_source"] = _threads(request, request.xnnpack, threads_before)
    facts["accelerators_source"] = "kernel mode of the CPU options; CompiledModel does not tell who runs what"
    return EffectiveConfiguration(
        accelerators=(XNNPACK, CPU) if request.xnnpack else (CPU,),
        threads=threads,
        cache=cache,
        runtime_version=package.version,
        facts=facts,
    )


def _threads(request: Request, pooled: bool, before: int | None) -> tuple[int | None, str]:
    """Threads that run an operator, and how that is known.

    XNNPACK starts its pool at once: one less than run, because the calling thread takes part. Others start theirs late.
    """
    after = loading.count_threads()
    if pooled and before is not None and after is not None:
        return after - before + 1, "counted"
    return request.threads or loading.DEFAULT_THREADS, "as the runtime was told"


def _interpreter_placement(loaded: Loaded, *, main_graph: bool) -> Placement:
    def placement() -> Mapping[str, Mapping[str, int]]:
        if not main_graph:
            raise Unsupported("the runtime tells where operators of a file's first graph run, and not of the others")
        results = frozenset(int(one["index"]) for one in loaded.interpreter.get_output_details())
        return place(read_nodes(loaded.interpreter), results, loaded.delegate, loaded.nodes_with_delegate)

    return placement


def _compiled_placement(model: Path, used: Sequence[Signature], request: Request) -> Placement:
    def placement() -> Mapping[str, Mapping[str, int]]:
        if request.xnnpack:
            raise Unsupported("LiteRT's CompiledModel does not tell which operators XNNPACK took")
        from targets.tflite.inspection import read_model

        contents = read_model(model)
        graphs = {entry.graph for entry in contents.signatures if entry.key in {one.key for one in used}}
        return {CPU: dict(Counter(one.name for graph in graphs for one in contents.graphs[graph].operators))}

    return placement
