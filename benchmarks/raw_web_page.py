"""A plain page with onnxruntime-web, in the same browser: the rival of the harness's page.

Its own server, its own driver and a browser of its own; both pages of one process share them. `answer` gives the stamps
that the harness takes, by the page's clock.
"""

from __future__ import annotations

import atexit
import functools
import http.server
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.raw_loop import RawAnswer
from targets.onnx_runtime_web.library import find
from targets.web_page.browser import executable

_PAGE = Path(__file__).with_suffix(".html")


class WebPage:
    """The model in a plain page."""

    def __init__(self, folder: Path, threads: int) -> None:
        self._page: Any = _browser().new_page()
        self._page.goto(f"{_served(folder)}/?threads={threads}")
        self._page.wait_for_function("window.answer")

    def answer(self, prompt: Sequence[int], fed: Sequence[int] | None, output_tokens: int) -> RawAnswer:
        """Its own choice, greedily, whatever `fed` says."""
        told = self._page.evaluate("([prompt, count]) => answer(prompt, count)", [list(prompt), output_tokens])
        handed, *chosen = (round(stamp * 1e6) for stamp in told["stamps"])
        return RawAnswer(handed=handed, prefilled=chosen[0], chosen=chosen, tokens=told["tokens"])


@functools.cache
def _browser() -> Any:
    from playwright.sync_api import sync_playwright

    driver = sync_playwright().start()
    atexit.register(driver.stop)
    return driver.chromium.launch(executable_path=executable(), chromium_sandbox=os.geteuid() != 0)


@functools.cache
def _served(folder: Path) -> str:
    files = {"/": _PAGE, "/model.onnx": folder / "model.onnx"}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            found = find().folder / path.removeprefix("/dist/") if path.startswith("/dist/") else files.get(path)
            self.send_response(404 if found is None else 200)
            self.send_header("Cross-Origin-Opener-Policy", "same-origin")
            self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
            types = {".html": "text/html", ".mjs": "text/javascript", ".wasm": "application/wasm"}
            self.send_header("Content-Type", types.get(found.suffix if found else "", "application/octet-stream"))
            self.end_headers()
            if found is not None:
                self.wfile.write(found.read_bytes())

        def log_message(self, *_: Any) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://localhost:{server.server_address[1]}"
