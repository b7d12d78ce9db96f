"""Server-sent events of an OpenAI-compatible server, read byte by byte as they come, within bounds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

#: An event holds a token or a few, and some words about them.
MOST_EVENT_BYTES = 1 << 18
_DONE = b"[DONE]"


class Malformed(Exception):
    """What came is no event of a completion."""


class TooLong(Exception):
    """An event is longer than any can be."""


class ServerError(Exception):
    """The server tells of an error in the middle of its answer."""


@dataclass(frozen=True)
class Event:
    """What one event says. `text` may be empty."""

    text: str = ""
    finished: bool = False  # the answer is over: the server says why it stopped
    done: bool = False  # nothing comes any more
    tokens: int | None = None  # of the whole answer
    prompt_tokens: int | None = None


class Events:
    """Bytes in, whole events out. An event's lines end with CR LF, LF or CR."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []
        self._held = 0

    def feed(self, data: bytes) -> Iterator[Event]:
        """The events that these bytes complete. Raises `Malformed`, `TooLong` and `ServerError`."""
        lines = (self._rest + data).replace(b"\r\n", b"\n").split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > MOST_EVENT_BYTES:
            raise TooLong
        for line in lines:
            if event := self._line(line.rstrip(b"\r")):
                yield event

    def _line(self, line: bytes) -> Event | None:
        if not line:
            data, self._data, self._held = b"\n".join(self._data), [], 0
            return _event(data) if data else None
        field, _, value = line.partition(b":")
        if field == b"data":
            self._held += len(value)
            if self._held > MOST_EVENT_BYTES:
                raise TooLong
            self._data.append(value[1:] if value[:1] == b" " else value)
        elif field not in (b"", b"event", b"id", b"retry"):  # an empty one is a comment, which keeps a line open
            raise Malformed
        return None


def _event(data: bytes) -> Event:
    if data.strip() == _DONE:
        return Event(done=True)
    try:
        told = json.loads(data)
    except (ValueError, RecursionError):
        raise Malformed from None
    if not isinstance(told, dict):
        raise Malformed
    if told.get("error") is not None:
        raise ServerError
    choices = told.get("choices")
    if not isinstance(choices, list):
        raise Malformed
    usage = told.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    counted, prompt = _count(usage.get("completion_tokens")), _count(usage.get("prompt_tokens"))
    if not choices:
        return Event(tokens=counted, prompt_tokens=prompt)
    text, finished = _choice(choices[0])
    return Event(text, finished, tokens=counted, prompt_tokens=prompt)


def _choice(choice: Any) -> tuple[str, bool]:
    if not isinstance(choice, dict):
        raise Malformed
    delta = choice.get("delta")
    text = choice.get("text") if delta is None else delta.get("content") if isinstance(delta, dict) else 0
    if text is not None and not isinstance(text, str):
        raise Malformed
    # Half a surrogate pair is no text.
    return (text or "").encode("utf-8", "replace").decode(), choice.get("finish_reason") is not None


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 40 else None
