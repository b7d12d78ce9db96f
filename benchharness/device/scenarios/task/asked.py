"""What a task asks a language model: requests in a file, which the host makes and the device reads.

Three kinds, as lm-eval has them: how likely a text is after another, how likely a text is by itself, and what the model
writes after a text. Texts, not tokens: they are tokenized where the model is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from benchharness.errors import Unsupported

LIKELIHOOD, ROLLING, GENERATE = "likelihood", "rolling", "generate"
KINDS = (LIKELIHOOD, ROLLING, GENERATE)
#: A larger file is a mistake: its requests would not be answered in a day.
MOST_BYTES = 256 << 20
_VERSION = 1
#: What a request may ask to be written.
MOST_TOKENS = 1_000_000


class Request(NamedTuple):
    """One request. `text` is what is scored; of `generate` nothing. `until` ends what is written."""

    kind: str
    before: str
    text: str = ""
    until: tuple[str, ...] = ()
    most_tokens: int = 0


def written(requests: Iterable[Request]) -> bytes:
    """The file of some requests: the same ones make the same bytes."""
    told = {"version": _VERSION, "requests": [list(each) for each in requests]}
    return json.dumps(told, separators=(",", ":")).encode()


def read(data: Mapping[str, Any]) -> list[Request]:
    """The requests of a file. It is not trusted: raises `Unsupported` for another than was hashed, or no such file."""
    path = Path(data["path"])
    try:
        if path.stat().st_size > MOST_BYTES:
            raise Unsupported(f"{path.name}: {path.stat().st_size} bytes of requests; {MOST_BYTES} at most")
        content = path.read_bytes()
    except OSError as error:
        raise Unsupported(f"{path.name}: the requests cannot be read: {error}") from error
    if hashlib.sha256(content).hexdigest() != data.get("sha256"):
        raise Unsupported(f"{path.name} has changed since this run began; start a new run")
    try:
        told = json.loads(content)
        if told["version"] != _VERSION:
            raise ValueError(f"version {told['version']}")
        found = [_request(each) for each in told["requests"]]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise Unsupported(f"{path.name}: these are no requests: {error}") from error
    if not found:
        raise Unsupported(f"{path.name}: holds no request")
    return found


def _request(told: Any) -> Request:
    kind, before, text, until, most = told
    made = Request(kind, before, text, tuple(until), most)
    texts = (before, text, *made.until)
    if kind not in KINDS or not all(isinstance(each, str) for each in texts) or type(most) is not int:
        raise ValueError(f"{str(told)[:60]} is none")
    if kind == GENERATE and not 1 <= most <= MOST_TOKENS:
        raise ValueError(f"{most} tokens to be written")
    return made
