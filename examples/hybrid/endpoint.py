"""A small OpenAI-compatible server on loopback that streams the bundled demo model, to try `scenario = hybrid` with.

`python examples/hybrid/endpoint.py` answers `POST /v1/completions` on port 8123 until it is stopped. It stands for a
cloud and is none: no model is larger here, and nothing leaves this machine.
"""

from __future__ import annotations

import argparse
import json
import os
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from benchharness.contract import Configuration
from benchharness.device import adapters
from benchharness.device.inputs.tokenizer import Tokenizer

MODEL = Path(__file__).parents[1] / "demo_model" / "artefacts" / "onnx-fp32"
#: Where a key is asked for, the variable that holds it.
KEY = "DEMO_ENDPOINT_KEY"
_MOST_BYTES = 1 << 20


class Writer:
    """One model for all requests, one after another."""

    def __init__(self, session: Any) -> None:
        self._session, self._tokenizer = session, Tokenizer(MODEL / "tokenizer.json")
        self._alone = threading.Lock()

    def count(self, text: str) -> int:
        """Tokens of a text."""
        return len(self._tokenizer.encode(text))

    def write(self, prompt: str, count: int) -> Iterator[str]:
        """The text of one token after another."""
        with self._alone:
            self._session.reset()
            tokens, told = self._tokenizer.encode(prompt), ""
            logits, written = self._session.extend(tokens), []
            for _ in range(count):
                written.append(int(logits.argmax()))
                whole = self._tokenizer.decode(written)
                yield whole[len(told) :]
                told = whole
                logits = self._session.decode(written[-1])


class Handler(BaseHTTPRequestHandler):
    """Answers one request with a stream of events."""

    writer: Writer
    token_s: float

    def do_POST(self) -> None:
        """A completion, event by event."""
        expected = os.environ.get(KEY)
        if expected and self.headers.get("Authorization") != f"Bearer {expected}":
            self.send_error(401)
            return
        asked = json.loads(self.rfile.read(min(int(self.headers.get("Content-Length", 0)), _MOST_BYTES)))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        count = 0
        try:
            for text in self.writer.write(str(asked["prompt"]), int(asked["max_tokens"])):
                time.sleep(self.token_s)
                count += 1
                self._event({"choices": [{"index": 0, "text": text, "finish_reason": None}]})
            read = self.writer.count(str(asked["prompt"]))
            self._event({"choices": [{"index": 0, "text": "", "finish_reason": "length"}]})
            self._event({"choices": [], "usage": {"prompt_tokens": read, "completion_tokens": count}})
            self.wfile.write(b"data: [DONE]\n\n")
        except ConnectionError:
            pass  # whoever asked has given up

    def _event(self, told: dict[str, Any]) -> None:
        self.wfile.write(b"data: " + json.dumps(told).encode() + b"\n\n")
        self.wfile.flush()

    def log_message(self, *arguments: Any) -> None:
        """Nothing: a log would have what was asked in it."""


def main() -> None:
    """Serves until it is stopped."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--port", type=int, default=8123)
    options.add_argument("--token-ms", type=float, default=30.0, help="what a token takes beside the model's own time")
    asked = options.parse_args()
    with adapters.load("onnxruntime").open(MODEL, Configuration(runtime="onnxruntime", threads=1)) as session:
        Handler.writer, Handler.token_s = Writer(session), asked.token_ms / 1e3
        server = ThreadingHTTPServer(("127.0.0.1", asked.port), Handler)
        print(f"http://127.0.0.1:{server.server_port}/v1", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
