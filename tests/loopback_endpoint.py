"""An OpenAI-compatible endpoint on loopback that streams scripted words, or goes wrong in a way of its own."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

#: What it answers, a token an event.
ANSWER = (" sesquipedalian", " quokkas", " juggle", " marzipan", " obelisks", " nightly")


class Endpoint:
    """What it does, and what it was asked. `behave` writes the answer; by default as asked, `pause_s` a token."""

    def __init__(self) -> None:
        self.behave: Callable[[Asked], None] = words
        self.pause_s = 0.0
        self.key: str | None = None  # that has to be sent
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.port = 0

    def file(self, **more: Any) -> str:
        """The text of an endpoint file."""
        return json.dumps({"url": f"http://127.0.0.1:{self.port}/v1", "model": "scripted", **more})


class Asked(BaseHTTPRequestHandler):
    """One request."""

    endpoint: Endpoint

    def do_POST(self) -> None:
        """Reads what is asked, and behaves."""
        self.body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.endpoint.bodies.append({"path": self.path, **self.body})
        self.endpoint.headers.append(dict(self.headers))
        if self.endpoint.key and self.headers.get("Authorization") != f"Bearer {self.endpoint.key}":
            status(401)(self)
            return
        with contextlib.suppress(ConnectionError):
            self.endpoint.behave(self)

    def begin(self, kind: str = "text/event-stream") -> None:
        """The head of an answer."""
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.end_headers()

    def event(self, told: Any) -> None:
        """One event; text goes as it is."""
        data = told if isinstance(told, str) else json.dumps(told)
        self.wfile.write(f"data: {data}\n\n".encode())
        self.wfile.flush()

    def word(self, text: str) -> None:
        """One token, in the way that is asked."""
        delta = {"delta": {"content": text}} if "messages" in self.body else {"text": text}
        self.event({"choices": [{"index": 0, "finish_reason": None, **delta}]})

    def end(self, tokens: int) -> None:
        """What comes after the last token."""
        self.event({"choices": [{"index": 0, "text": "", "finish_reason": "length"}]})
        self.event({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": tokens}})
        self.event("[DONE]")

    def log_message(self, *arguments: Any) -> None:
        """Nothing."""


def words(asked: Asked) -> None:
    """As many tokens as are asked for, and a proper end."""
    asked.begin()
    count = asked.body["max_tokens"]
    for number in range(count):
        time.sleep(asked.endpoint.pause_s)
        asked.word(ANSWER[number % len(ANSWER)])
    asked.end(count)


def status(code: int, **headers: str) -> Callable[[Asked], None]:
    """Refuses so, and says in words what must be in no log."""

    def behave(asked: Asked) -> None:
        told = json.dumps({"error": {"message": f"{asked.headers.get('Authorization')} {asked.body}"}}).encode()
        asked.send_response(code)
        for name, value in {"Content-Length": str(len(told)), **headers}.items():
            asked.send_header(name.replace("_", "-"), value)
        asked.end_headers()
        asked.wfile.write(told)

    return behave


@contextmanager
def serving(endpoint: Endpoint | None = None) -> Iterator[Endpoint]:
    """A server while the context lasts."""
    made = endpoint or Endpoint()
    handler = type("Handler", (Asked,), {"endpoint": made})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    made.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
