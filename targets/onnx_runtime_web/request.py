"""What is asked for, checked, and the page that was opened with it: what it says of itself is looked at first."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from pkgutil import get_data
from typing import Any

from benchharness.contract import FALLBACK_FAIL, Configuration, Refusal, StampClock
from benchharness.errors import ModelFailure, Unsupported
from targets.onnx_format.files import list_files
from targets.onnx_format.inspection import inspect_model
from targets.onnx_runtime_web.browser import Browser
from targets.onnx_runtime_web.library import BUILDS, Library, find
from targets.onnx_runtime_web.server import GIVE, Server

WASM, WEBGPU = "wasm", "webgpu"
_OPTIONS = ("browser", "isolated", "phone", "session_options")
_MOST_WORDS = 300
_SECOND_NS = 1_000_000_000


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
class Opened:
    """A page with a loaded model. It is closed with `close`."""

    name: str  # the model's file, for messages
    browser: Browser
    server: Server
    provider: str  # effective
    refusal: Refusal | None
    told: Mapping[str, Any]  # by the page, when it had loaded the model
    around: Mapping[str, Any]  # by the page of itself
    clock: StampClock
    facts: dict[str, Any] = field(default_factory=dict)

    def ask(self, verb: str, asked: Any = None) -> Any:
        """What the page answers. Raises `ModelFailure`."""
        return self.browser.ask(verb, asked, of=self.name)

    def close(self) -> None:
        """Ends the browser, then what served it."""
        self.browser.close()
        self.server.close()


def check(configuration: Configuration) -> Asked:
    """The request. Raises `Unsupported` for what onnxruntime-web does not have."""
    options = configuration.options
    for name in options:
        if name not in _OPTIONS:
            raise Unsupported(f"options.{name}: onnxruntime-web has no such option; it has {', '.join(_OPTIONS)}")
    for name in ("browser", "phone"):
        if not isinstance(options.get(name), (str, type(None))):
            raise Unsupported(f"options.{name}: {options[name]!r} is no text")
    if not isinstance(options.get("isolated", True), bool):
        raise Unsupported(f"options.isolated: {options['isolated']!r} is neither true nor false")
    if not isinstance(options.get("session_options", {}), Mapping):
        raise Unsupported(f"options.session_options: {options['session_options']!r} is no table of names and values")
    provider = configuration.accelerator or WASM
    if provider not in BUILDS:
        raise Unsupported(f"accelerator {provider!r}: onnxruntime-web has {' and '.join(BUILDS)} here")
    if configuration.unit is not None:
        raise Unsupported("unit: a browser chooses its graphics processor itself; leave it out")
    if provider == WASM:
        for name in configuration.accelerator_options:
            raise Unsupported(f"accelerator_options.{name}: wasm has none; leave it out")
    library = find(configuration.library)
    library.check(provider)
    return Asked(
        provider=provider,
        library=library,
        browser=options.get("browser"),
        phone=options.get("phone"),
        isolated=options.get("isolated", True),
        session_options=dict(options.get("session_options", {})),
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
    server = Server(isolated=asked.isolated)
    try:
        external = _serve(server, model, asked.library)
        browser = Browser(program=asked.browser, phone=asked.phone, port=server.port, webgpu=provider == WEBGPU)
    except BaseException:
        server.close()
        raise
    try:
        browser.show(server.address)
        name = str(model)
        around = _told(browser.ask("surroundings", of=name), name)
        if provider == WEBGPU and not around.get("webgpu"):
            raise ModelFailure(f"{name}: this browser has no WebGPU")
        request = {
            "script": BUILDS[provider][0],
            "provider": provider,
            "providerOptions": dict(configuration.accelerator_options) if provider == asked.provider else {},
            "threads": configuration.threads or 0,
            "model": "model/0",
            "external": external,
            "options": asked.session_options,
            # What stays on the graphics processor: the cache, which is only handed from one step to the next.
            "kept": _presents(model) if provider == WEBGPU else [],
        }
        told = _told(browser.ask("open", request, of=name), name)
    except BaseException:
        browser.close()
        server.close()
        raise
    clock = StampClock("performance.now", stamped_at="browser", resolution_ns=_step_ns(around.get("resolution"), name))
    opened = Opened(name, browser, server, provider, refusal, told, around, clock)
    opened.facts.update(_facts(opened, asked, configuration))
    return opened


def _serve(server: Server, model: Path, library: Library) -> dict[str, str]:
    """Lists what the page may have; where it finds the files that hold tensors, by the names that the model has."""
    for name in ("page.html", "page.js"):
        content = get_data("targets.onnx_runtime_web", name)
        assert content is not None, name
        server.files["" if name == "page.html" else name] = content
    for names in BUILDS.values():
        for name in names:
            server.files[f"dist/{name}"] = library.folder / name
    server.files["model/0"], server.files["give"] = model, GIVE
    listed = list_files(model)
    external = {}
    for number, name in enumerate(listed.files, 1):
        path = Path(listed.root) / name
        if path != model and path.suffix not in (".json", ".jinja", ".txt", ".model"):
            server.files[f"model/{number}"] = path
            external[path.relative_to(model.parent).as_posix()] = f"model/{number}"
    return external


def _presents(model: Path) -> list[str]:
    """Outputs that are a language model's cache, by the names that exporters give them."""
    return [spec.name for spec in inspect_model(model).outputs if spec.name.startswith("present.")]


def _told(answer: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(answer, dict):
        raise ModelFailure(f"{name}: the page answered what cannot be")
    return answer


def _step_ns(told: Any, name: str) -> int:
    """The clock's smallest step, as measured in the page."""
    step_ns = milliseconds_ns(told, name)
    if not 0 < step_ns <= _SECOND_NS:
        raise ModelFailure(f"{name}: the page's clock steps by {step_ns} ns, which cannot be")
    return step_ns


def milliseconds_ns(told: Any, name: str) -> int:
    """A number of the page's clock in ns. Raises `ModelFailure` for what is none."""
    if isinstance(told, bool) or not isinstance(told, (int, float)) or not math.isfinite(told) or abs(told) > 1e12:
        raise ModelFailure(f"{name}: the page told {str(told)[:40]!r} for a time")
    return round(told * 1e6)


def stamps_ns(told: Any, count: int, name: str) -> Sequence[int]:
    """Stamps of the page, as many as there have to be."""
    if not isinstance(told, list) or len(told) != count:
        raise ModelFailure(f"{name}: the page did not give {count} stamps")
    return [milliseconds_ns(stamp, name) for stamp in told]


def words(told: Any) -> str:
    """A text of the page, cut where it is too long."""
    return str(told)[:_MOST_WORDS] if isinstance(told, str) else "unknown"


def _facts(opened: Opened, asked: Asked, configuration: Configuration) -> dict[str, Any]:
    """What the page and the browser tell, for the result; what varies by chance is rounded away or left out."""
    told, around = opened.told, opened.around
    parts = _told(told.get("parts"), opened.name)
    return {
        "browser": f"Chromium {opened.browser.version}" + (" on a phone" if asked.phone else ""),
        "user_agent": words(around.get("agent")),
        "cross_origin_isolated": around.get("isolated") is True,
        "simd": f"{words(told.get('simd'))}; {BUILDS[opened.provider][2]}",
        "processors_told": around.get("cores") if type(around.get("cores")) is int else "unknown",
        "load_parts_ns": {
            part: milliseconds_ns(parts.get(part), opened.name) for part in ("page", "script", "fetch", "create")
        },
        "peak_memory": "at least what is told: Chromium sets the peaks of its processes back by itself now and then",
        "precision_unknown": "onnxruntime-web does not tell in what type it computes",
        **({"sandbox": "off: a browser of root has none"} if not opened.browser.sandboxed else {}),
        **({"computed_on": f"the phone {asked.phone}, by its own browser"} if asked.phone else {}),
        **({"webgpu_adapter": words(told.get("adapter"))} if opened.provider == WEBGPU else {}),
        **({"session_options_unconfirmed": dict(asked.session_options)} if asked.session_options else {}),
        **(
            {"accelerator_options_unconfirmed": dict(configuration.accelerator_options)}
            if configuration.accelerator_options
            else {}
        ),
        **({"library": configuration.library} if configuration.library is not None else {}),
    }
