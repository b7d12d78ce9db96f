"""What is asked for, checked, and the page that was opened with it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchharness.contract import FALLBACK_FAIL, Configuration, Refusal
from benchharness.errors import ModelFailure, Unsupported
from targets.asked import (
    one_of,
    refuse_accelerator_options,
    refuse_unknown,
    table,
    threads_of,
    true_or_false,
    unconfirmed,
)
from targets.onnx_format.files import list_files
from targets.onnx_format.inspection import inspect_model
from targets.onnx_runtime_web.library import BUILDS, Library, find
from targets.web_page import page as web_page
from targets.web_page import told
from targets.web_page.page import Page

WASM, WEBGPU = "wasm", "webgpu"
_OPTIONS = ("browser", "isolated", "phone", "session_options")
#: What a language model has beside it.
_NO_TENSORS = (".json", ".jinja", ".txt", ".model")


@dataclass(frozen=True)
class Asked:
    """A request that can be met as far as can be told before a browser starts."""

    provider: str  # wanted
    library: Library
    browser: str | None
    phone: str | None
    isolated: bool
    session_options: Mapping[str, Any]


@dataclass
class Opened(Page):
    """A page with a loaded model."""

    provider: str  # effective
    refusal: Refusal | None
    told: Mapping[str, Any]  # by the page, when it had loaded the model
    facts: dict[str, Any] = field(default_factory=dict)


def check(configuration: Configuration) -> Asked:
    """The request. Raises `Unsupported` for what onnxruntime-web does not have."""
    options = configuration.options
    refuse_unknown(configuration, _OPTIONS, "onnxruntime-web")
    for name in ("browser", "phone"):
        if not isinstance(options.get(name), (str, type(None))):
            raise Unsupported(f"options.{name}: {options[name]!r} is no text")
    provider = one_of("accelerator", configuration.accelerator or WASM, BUILDS)
    if configuration.unit is not None:
        raise Unsupported("unit: a browser chooses its graphics processor itself; leave it out")
    if provider == WASM:
        refuse_accelerator_options(configuration, "wasm has none")
    threads_of(configuration)
    isolated = true_or_false("options.isolated", options.get("isolated", True))
    session_options = table("options.session_options", options.get("session_options", {}))
    library = find(configuration.library)
    library.check(provider)
    return Asked(
        provider=provider,
        library=library,
        browser=options.get("browser"),
        phone=options.get("phone"),
        isolated=isolated,
        session_options=session_options,
    )


def open_page(model: Path, asked: Asked, configuration: Configuration) -> Opened:
    """The model in a page, by the provider that was asked for, or where that may be and has to, by WebAssembly."""
    if asked.provider == WASM:
        return _open(model, asked, configuration, WASM, None)
    began_ns = time.perf_counter_ns()
    try:
        return _open(model, asked, configuration, asked.provider, None)
    except ModelFailure as error:
        reason, lost_ns = str(error), time.perf_counter_ns() - began_ns
    if configuration.fallback == FALLBACK_FAIL:
        raise Unsupported(f'fallback = "fail": {asked.provider} takes no part in {model}: {reason}')
    return _open(model, asked, configuration, WASM, Refusal(reason, lost_ns))


def _open(model: Path, asked: Asked, configuration: Configuration, provider: str, refusal: Refusal | None) -> Opened:
    external = _outside(model)
    page = web_page.open_page(
        str(model),
        web_page.content_of("targets.onnx_runtime_web", "page.js"),
        {
            **{f"dist/{name}": asked.library.folder / name for names in BUILDS.values() for name in names},
            "model/0": model,
            **{f"model/{number}": path for number, path in enumerate(external.values(), 1)},
        },
        browser=asked.browser,
        phone=asked.phone,
        isolated=asked.isolated,
        webgpu=provider == WEBGPU,
    )
    try:
        if provider == WEBGPU and not page.around.get("webgpu"):
            raise ModelFailure(f"{model}: this browser has no WebGPU")
        request = {
            "script": BUILDS[provider][0],
            "provider": provider,
            "providerOptions": dict(configuration.accelerator_options) if provider == asked.provider else {},
            "threads": configuration.threads or 0,
            "model": "model/0",
            "external": {name: f"model/{number}" for number, name in enumerate(external, 1)},
            "options": asked.session_options,
            # What stays on the graphics processor: the cache, which is only handed from one step to the next.
            "kept": [each.name for each in inspect_model(model).outputs if each.name.startswith("present.")]
            if provider == WEBGPU
            else [],
        }
        loaded = told.table(page.ask("open", request), page.name)
        opened = Opened(**vars(page), provider=provider, refusal=refusal, told=loaded)
        opened.facts.update(_facts(opened, asked, configuration))
        return opened
    except BaseException:
        page.close()
        raise


def _outside(model: Path) -> dict[str, Path]:
    """The files that hold tensors, by the names that the model has."""
    listed = list_files(model)
    paths = [path for path in (Path(listed.root) / name for name in listed.files) if path != model]
    return {path.relative_to(model.parent).as_posix(): path for path in paths if path.suffix not in _NO_TENSORS}


def _facts(opened: Opened, asked: Asked, configuration: Configuration) -> dict[str, Any]:
    """What the page and the browser tell, for the result; what varies by chance is rounded away or left out."""
    said, around = opened.told, opened.around
    parts = told.table(said.get("parts"), opened.name)
    return {
        "browser": f"Chromium {opened.browser.version}" + (" on a phone" if asked.phone else ""),
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
        **({"computed_on": f"the phone {asked.phone}, by its own browser"} if asked.phone else {}),
        **({"webgpu_adapter": told.words(said.get("adapter"))} if opened.provider == WEBGPU else {}),
        **({"session_options_unconfirmed": dict(asked.session_options)} if asked.session_options else {}),
        **unconfirmed(configuration),
        **({"library": configuration.library} if configuration.library is not None else {}),
    }
