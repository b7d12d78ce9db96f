"""What a page is served, by this process and on loopback only: our page, its runtime, the model, and tensors.

A path begins with a random word, the `Host` header has to be ours, and only what is listed is there: another page or
process of the same machine finds nothing, and a page cannot ask for another file. Tensors go and come as they are, for
JSON would take longer than many a model.
"""

from __future__ import annotations

import secrets
import shutil
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".wasm": "application/wasm",  # or it is not compiled while it comes
}
#: What makes a page "cross-origin isolated": threads, and a clock of 5 us instead of 100.
_ISOLATING = {"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp"}
_ALWAYS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:; "
    "connect-src 'self' blob:",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
#: No answer of a page is longer.
_MOST_BYTES = 1 << 31
_LOOK_S = 0.2


class Server:
    """Serves until it is closed. `isolated`: whether pages get what makes them cross-origin isolated."""

    def __init__(self, *, isolated: bool) -> None:
        self.files: dict[str, Path | bytes] = {}  # by path below the random word
        self.taken: bytes = b""  # what the page gave last
        self._word = secrets.token_urlsafe(24)
        self._headers = {**_ALWAYS, **(_ISOLATING if isolated else {})}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(_LOOK_S,), daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    @property
    def address(self) -> str:
        """Of the page. By name, because a phone's browser takes `localhost` for a safe place, as this one's does."""
        return f"http://localhost:{self.port}/{self._word}/"

    def found(self, host: str | None, path: str) -> Path | bytes | None:
        """What lies at a path; None for what is not listed, or where it was not asked for by our name."""
        if host not in (f"localhost:{self.port}", f"127.0.0.1:{self.port}"):
            return None
        parts = path.split("/", 2)
        if len(parts) < 3 or not secrets.compare_digest(parts[1].encode(), self._word.encode()):
            return None
        return self.files.get(parts[2])

    @property
    def headers(self) -> Mapping[str, str]:
        """Of each answer."""
        return self._headers

    def close(self) -> None:
        """Ends serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """One connection of the browser."""

        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            """Gives what is listed."""
            found = server.found(self.headers.get("Host"), self.path)
            if isinstance(found, Path):
                with found.open("rb") as stream:
                    self._answer(200, found.stat().st_size, found.suffix)
                    shutil.copyfileobj(stream, self.wfile, 1 << 20)
            elif found is not None:
                self._answer(200, len(found), Path(self.path).suffix or ".html")
                self.wfile.write(found)
            else:
                self._answer(404, 0, "")

        def do_POST(self) -> None:
            """Takes what the page gives, at the one place for it."""
            length = self.headers.get("Content-Length", "")
            if server.found(self.headers.get("Host"), self.path) != GIVE or not length.isdigit():
                self.close_connection = True
                self._answer(404, 0, "")
            elif int(length) > _MOST_BYTES:
                self.close_connection = True
                self._answer(413, 0, "")
            else:
                server.taken = self.rfile.read(int(length))
                self._answer(204, 0, "")

        def _answer(self, status: int, length: int, suffix: str) -> None:
            self.send_response(status)
            for name, value in server.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Type", _TYPES.get(suffix, "application/octet-stream"))
            if status != 204:
                self.send_header("Content-Length", str(length))
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Nothing: standard error is for failures."""

    return Handler


#: Listed where a page may give its tensors.
GIVE = b"the page's tensors"
