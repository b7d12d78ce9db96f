"""A page of ours, open in a browser of its own or on a phone, with what it may have and what it is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from pkgutil import get_data
from typing import Any

from benchharness.contract import StampClock
from targets.web_page.browser import Browser
from targets.web_page.server import GIVE, Server
from targets.web_page.told import step_ns, table


@dataclass
class Page:
    """An open page. It is closed with `close`."""

    name: str  # the model's file, for messages
    browser: Browser
    server: Server
    around: Mapping[str, Any]  # what it says of itself
    clock: StampClock

    def ask(self, verb: str, asked: Any = None) -> Any:
        """What the page answers. Raises `ModelFailure`."""
        return self.browser.ask(verb, asked, of=self.name)

    def ask_table(self, verb: str, asked: Any) -> Mapping[str, Any]:
        """An answer with names. Raises `ModelFailure`."""
        return table(self.ask(verb, asked), self.name)

    def close(self) -> None:
        """Ends the browser, then what served it."""
        self.browser.close()
        self.server.close()


def content_of(package: str, name: str) -> bytes:
    """A file beside a package's modules, out of a folder as well as out of the bundle."""
    content = get_data(package, name)
    assert content is not None, name
    return content


def open_page(
    name: str,
    runtime: bytes,
    files: Mapping[str, Path | bytes],
    *,
    browser: str | None,
    phone: str | None,
    isolated: bool,
    webgpu: bool,
) -> Page:
    """A page with the runtime's script in it, which may have these files. Raises `Unsupported`, `ModelFailure`."""
    server = Server(isolated=isolated)
    own = {"": content_of("targets.web_page", "page.html"), "bench.js": content_of("targets.web_page", "bench.js")}
    server.files.update({**own, "runtime.js": runtime, "give": GIVE, **files})
    try:
        driven = Browser(program=browser, phone=phone, port=server.port, webgpu=webgpu)
    except BaseException:
        server.close()
        raise
    try:
        driven.show(server.address)
        around = table(driven.ask("surroundings", of=name), name)
        step = step_ns(around.get("resolution"), name)
    except BaseException:
        driven.close()
        server.close()
        raise
    return Page(name, driven, server, around, StampClock("performance.now", stamped_at="browser", resolution_ns=step))
