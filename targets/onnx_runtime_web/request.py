"""What is asked for, checked, and the page that was opened with it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchharness.contract import Configuration, Refusal
from benchharness.errors import ModelFailure, Unsupported
from targets.asked import (
    one_of,
    read_options,
    refuse_accelerator_options,
    refused,
    table,
    text,
    threads_of,
    true_or_false,
    unconfirmed,
)
from targets.onnx_format.inspection import inspect_model
from targets.onnx_runtime_web.library import BUILDS, Library, find
from targets.web_page import page as web_page
from targets.web_page import told
from targets.web_page.page import Page

WASM, WEBGPU = "wasm", "webgpu"
_OPTIONS = {"browser": text, "isolated": true_or_false, "phone": text, "session_options": table}


@dataclass(frozen=True)
class Asked:
    """A request that can be met as far as can be told before a browser starts."""

    configuration: Configuration
    options: Mapping[str, Any]  # its own, looked at
    provider: str  # wanted
    library: Library


@dataclass
class Opened(Page):
    """A page with a loaded model."""

    provider: str  # effective
    refusal: Refusal | None
    told: Mapping[str, Any]  # by the page, when it had loaded the model
    facts: dict[str, Any] = field(default_factory=dict)


def check(configuration: Configuration) -> Asked:
    """The request. Raises `Unsupported` for what onnxruntime-web does not have."""
    options = read_options(configuration, _OPTIONS, "onnxruntime-web")
    provider = one_of("accelerator", configuration.accelerator or WASM, BUILDS)
    if configuration.unit is not None:
        raise Unsupported("unit: a browser chooses its graphics processor itself; leave it out")
    if provider == WASM:
        refuse_accelerator_options(configuration, "wasm has none")
    threads_of(configuration)
    library = find(configuration.library)
    library.check(provider)
    return Asked(configuration, options, provider, library)


def open_page(model: Path, outside: Sequence[Path], asked: Asked) -> Opened:
    """The model in a page, by the provider that was asked for, or where that may be and has to, by WebAssembly.

    `outside`: the files that hold its tensors. Raises `ModelFailure`, `Unsupported`.
    """
    if asked.provider == WASM:
        return _open(model, outside, asked, WASM, None)
    began_ns = time.perf_counter_ns()
    try:
        return _open(model, outside, asked, asked.provider, None)
    except ModelFailure as error:
        words, lost_ns = str(error), time.perf_counter_ns() - began_ns
    refusal = refused(asked.provider, model, words, lost_ns, asked.configuration)
    return _open(model, outside, asked, WASM, refusal)


def _open(model: Path, outside: Sequence[Path], asked: Asked, provider: str, refusal: Refusal | None) -> Opened:
    webgpu, configuration = provider == WEBGPU, asked.configuration
    places = {path: f"model/{number}" for number, path in enumerate([model, *outside])}
    library = {f"dist/{name}": asked.library.folder / name for names in BUILDS.values() for name in names}
    page = web_page.open_page(
        str(model),
        web_page.content_of("targets.onnx_runtime_web", "page.js"),
        {**library, **{place: path for path, place in places.items()}},
        browser=asked.options.get("browser"),
        phone=asked.options.get("phone"),
        isolated=asked.options.get("isolated", True),
        webgpu=webgpu,
    )
    try:
        if webgpu and not page.around.get("webgpu"):
            raise ModelFailure(f"{model}: this browser has no WebGPU")
        # What stays on the graphics processor: the cache, which is only handed from one step to the next.
        kept = (
            [each.name for each in inspect_model(model).outputs if each.name.startswith("present.")] if webgpu else []
        )
        request = {
            "script": BUILDS[provider][0],
            "provider": provider,
            "providerOptions": dict(configuration.accelerator_options) if provider == asked.provider else {},
            "threads": configuration.threads or 0,
            "model": places[model],
            "external": {path.relative_to(model.parent).as_posix(): places[path] for path in outside},
            "options": asked.options.get("session_options", {}),
            "kept": kept,
        }
        opened = Opened(**vars(page), provider=provider, refusal=refusal, told=page.ask_table("open", request))
        opened.facts.update(_facts(opened, asked))
        return opened
    except BaseException:
        page.close()
        raise


def _facts(opened: Opened, asked: Asked) -> dict[str, Any]:
    """What the page and the browser tell, for the result; what varies by chance is rounded away or left out."""
    said, around, configuration = opened.told, opened.around, asked.configuration
    phone, session_options = asked.options.get("phone"), asked.options.get("session_options")
    parts = told.table(said.get("parts"), opened.name)
    return {
        "browser": f"Chromium {opened.browser.version}" + (" on a phone" if phone else ""),
        "user_agent": told.words(around.get("agent")),
        "cross_origin_isolated": around.get("isolated") is True,
        "simd": f"{told.words(said.get('simd'))}; {BUILDS[opened.provider][2]}",
        "processors_told": around.get("cores") if type(around.get("cores")) is int else "unknown",
        "load_parts_ns": {
            part: told.milliseconds_ns(parts.get(part), opened.name) for part in ("page", "script", "fetch", "create")
        },
        "peak_memory": "at least what is told: Chromium sets the peaks of its processes back by itself now and then",
        "precision_unknown": "onnxruntime-web does not tell in what type it computes",
        **({"sandbox": "off: a browser of root has none"} if not opened.browser.sandboxed else {}),
        **({"computed_on": f"the phone {phone}, by its own browser"} if phone else {}),
        **({"webgpu_adapter": told.words(said.get("adapter"))} if opened.provider == WEBGPU else {}),
        **({"session_options_unconfirmed": session_options} if session_options else {}),
        **unconfirmed(configuration),
        **({"library": configuration.library} if configuration.library is not None else {}),
    }
