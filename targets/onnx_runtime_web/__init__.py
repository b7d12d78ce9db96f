"""Runs `.onnx` and `.ort` models in a browser: onnxruntime-web in a page of Chromium, timed by the page's own clock.

`accelerator` is `wasm` (WebAssembly, the default) or `webgpu`; `threads` the page's `wasm.numThreads`; `library` a
folder with onnxruntime-web's files. `options`: `browser` (a program), `isolated = false` (a page as most are served:
one thread, a clock of 100 us), `phone` (a serial number: Chrome there, by adb), `session_options` by their own names.

Its modules: `library` finds or fetches onnxruntime-web, `request` opens the page, `sessions` ask it, `page.js` runs the
model. What any page has is in `targets.web_page`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

try:
    from targets.onnx_runtime_web.request import WASM, WEBGPU, Opened, check, open_page
    from targets.onnx_runtime_web.sessions import WebLanguageSession, WebSession
    from targets.web_page.browser import executable, version_of
    from targets.web_page.told import specs, words
except ImportError as error:
    _missing = f"playwright cannot be imported ({error}); install benchharness[web]"
else:
    _missing = ""

from benchharness.contract import (
    CACHE_COPIED_BY_BINDING,
    CACHE_GROWN_BY_GRAPH,
    CACHE_NONE,
    EXECUTION_DEVICE,
    EXECUTION_REFERENCE,
    Availability,
    Configuration,
    EffectiveConfiguration,
)
from benchharness.errors import ModelFailure, Unsupported
from targets.onnx_format.causality import read_evidence
from targets.onnx_format.files import ENDINGS, check_files, describe, find_model, list_files
from targets.onnx_format.graph import GraphFacts, read_graph_facts
from targets.onnx_format.inspection import inspect_model
from targets.onnx_format.signature import LanguageSignature, signature_or_why
from targets.onnx_runtime_web.library import find

#: Graphics processors that are programs: right answers, and times of nothing that ships.
_EMULATED = re.compile("swiftshader|llvmpipe|lavapipe|software|basic render", re.IGNORECASE)


class OnnxRuntimeWeb:
    """The adapter for onnxruntime-web."""

    name = "onnxruntime-web"
    formats: Sequence[str] = ENDINGS
    files, inspect = staticmethod(list_files), staticmethod(inspect_model)

    def availability(self) -> Availability:
        """Versions of onnxruntime-web and the browser here, or what is missing and how to get it. Never raises.

        Whether the browser has a graphics processor for WebGPU only a page can tell, so it is tried where it is asked.
        """
        if _missing:
            return Availability(available=False, reason=_missing)
        try:
            version = f"{find().version} in Chromium {version_of(executable())}"
        except Unsupported as error:
            return Availability(available=False, reason=str(error))
        return Availability(available=True, version=version, accelerators=(WASM,))

    @contextmanager
    def open(self, artefact: Path, configuration: Configuration) -> Iterator[WebSession]:
        """Loads a model in a page of a browser that is started for it; a language model gives both of its kinds.

        Raises, on entering, `ModelFailure` for a bad file and `Unsupported` for a request that cannot be met.
        """
        if _missing:
            raise Unsupported(_missing)
        asked = check(configuration)
        model = find_model(Path(artefact))
        outside = check_files(model)
        with closing(open_page(model, outside, asked)) as opened:
            yield _session(model, opened, configuration)


def _session(model: Path, opened: Opened, configuration: Configuration) -> WebSession:
    graph, description = read_graph_facts(model), describe(model)
    inputs, outputs = (specs(opened.told.get(key), opened.name) for key in ("inputs", "outputs"))
    signature = signature_or_why(configuration, inputs, outputs, description, lambda: read_evidence(model), str(model))
    if isinstance(signature, str):
        opened.facts.update(layout="tensors", no_language_model=signature)
        return WebSession(opened, _effective(opened, graph, None), graph)
    if any(each.capacity is not None for each in signature.cache):
        raise Unsupported(f"{model}: a cache of fixed length, which a page does not keep; export it with a dynamic one")
    opened.facts.update(layout="language", context_length_source=signature.context_length_source)
    return WebLanguageSession(opened, _effective(opened, graph, _cache(signature, opened)), graph, signature)


def _cache(signature: LanguageSignature, opened: Opened) -> str:
    """A page's tensors lie outside WebAssembly's memory, so a cache is copied in and out at every step."""
    if not signature.cache:
        return CACHE_NONE
    return CACHE_COPIED_BY_BINDING if opened.provider == WASM else CACHE_GROWN_BY_GRAPH


def _effective(opened: Opened, graph: GraphFacts, cache: str | None) -> EffectiveConfiguration:
    told = opened.told
    versions = told.get("versions")
    version = words(versions.get("web") if isinstance(versions, dict) else None)
    threads = told.get("threads")
    if type(threads) is not int or not 0 < threads < 1 << 16:
        raise ModelFailure(f"{opened.name}: the page told {str(threads)[:40]!r} threads")
    emulated = opened.provider == WEBGPU and _EMULATED.search(opened.facts["webgpu_adapter"])
    return EffectiveConfiguration(
        execution=EXECUTION_REFERENCE if emulated else EXECUTION_DEVICE,
        accelerators=(opened.provider,) if opened.provider == WASM else (WEBGPU, WASM),
        threads=threads,
        cache=cache,
        runtime_version=f"{version} in {opened.facts['browser']}",
        refusal=opened.refusal,
        model_precision="+".join(sorted(graph.floats or ())) or None,
        facts=opened.facts,
    )
