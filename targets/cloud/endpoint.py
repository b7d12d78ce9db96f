"""What an endpoint file says, which is the artefact of a cloud target. It holds the name of a key and never a key."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchharness.errors import ModelFailure

ENDING = ".endpoint"
#: Which of the two ways of an OpenAI-compatible server, and the path of each below the URL.
WAYS = {"completions": "/completions", "chat": "/chat/completions"}
_MOST_BYTES = 1 << 16
_PORTS = {"http": 80, "https": 443}
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_DEFAULT_CONTEXT = 4096
_MOST_CONTEXT = 100_000_000
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
_EXAMPLE = '{"url": "https://HOST/v1", "model": "NAME", "key": "NAME_OF_AN_ENVIRONMENT_VARIABLE"}'


@dataclass(frozen=True)
class Endpoint:
    """Where to ask, and for which model."""

    secure: bool
    host: str
    port: int
    path: str  # of requests, from the root
    model: str
    way: str  # one of WAYS
    key: str | None  # the name of the environment variable that holds it; None: nothing is asked for
    context_length: int

    def body(self, prompt: str, count: int, stop: tuple[str, ...]) -> dict[str, Any]:
        """A request for at most `count` tokens, greedily."""
        asked: dict[str, Any] = (
            {"prompt": prompt} if self.way == "completions" else {"messages": [{"role": "user", "content": prompt}]}
        )
        return {
            "model": self.model,
            **asked,
            "max_tokens": count,
            "temperature": 0,
            "stream": True,
            "stream_options": {"include_usage": True},
            **({"stop": list(stop)} if stop else {}),
        }


def read_endpoint(file: Path) -> Endpoint:
    """The endpoint of a file. Raises `ModelFailure` that quotes no value: somebody may have written a key there."""
    try:
        if file.stat().st_size > _MOST_BYTES:
            raise ModelFailure(f"{file.name}: larger than {_MOST_BYTES} bytes; an endpoint is such as {_EXAMPLE}")
        told = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelFailure(f"{file.name}: cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError):
        raise ModelFailure(f"{file.name}: is no JSON; an endpoint is such as {_EXAMPLE}") from None
    if not isinstance(told, dict):
        raise ModelFailure(f"{file.name}: is no JSON object; an endpoint is such as {_EXAMPLE}")
    unknown = set(told) - {"url", "model", "api", "key", "context_length"}
    if unknown:
        raise ModelFailure(f"{file.name}: has {len(unknown)} keys that no endpoint has; it is such as {_EXAMPLE}")
    return _endpoint(file.name, told)


def _endpoint(name: str, told: Mapping[str, Any]) -> Endpoint:
    url, model, way, key = (told.get(each) for each in ("url", "model", "api", "key"))
    way = "completions" if way is None else way
    if not isinstance(model, str) or not model.isprintable() or not 1 <= len(model) <= 200:
        raise ModelFailure(f"{name}: 'model' is the model's name on one line")
    if way not in WAYS:
        raise ModelFailure(f"{name}: 'api' is one of {', '.join(WAYS)}")
    if key is not None and not (isinstance(key, str) and _VARIABLE.fullmatch(key)):
        raise ModelFailure(f"{name}: 'key' is the name of an environment variable, such as CLOUD_KEY, never a key")
    secure, host, port, path = _parts(name, url)
    if key is not None and not secure and host not in _LOOPBACK:
        raise ModelFailure(f"{name}: a key would go over the network in clear text; the URL has to begin with https://")
    length = told.get("context_length", _DEFAULT_CONTEXT)
    if not isinstance(length, int) or isinstance(length, bool) or not 2 <= length <= _MOST_CONTEXT:
        raise ModelFailure(f"{name}: 'context_length' is a number of tokens")
    return Endpoint(secure, host, port, f"{path}{WAYS[way]}", model, way, key, length)


def _parts(name: str, url: Any) -> tuple[bool, str, int, str]:
    """Whether it is secure, host, port and path of a URL."""
    wrong = ModelFailure(f"{name}: 'url' is such as https://HOST/v1, without a user's name, a query or a fragment")
    if not isinstance(url, str) or not url.isascii() or not url.isprintable() or " " in url or len(url) > 2000:
        raise wrong
    try:
        found = urlsplit(url)
        port = found.port
    except ValueError:
        raise wrong from None
    if found.scheme not in _PORTS or not found.hostname or "@" in found.netloc or found.query or found.fragment:
        raise wrong
    return found.scheme == "https", found.hostname, port or _PORTS[found.scheme], found.path.rstrip("/")
