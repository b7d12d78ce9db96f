"""The public protocol: versioned JSON lines between host and supervisor, and between supervisor and worker.

One JSON object a line, UTF-8, `type` names the message. `protocol.schema.json` beside this file is the published
description, and what a native runner is held against; here is only what both sides need to speak it.

Host to supervisor: `attempt`, `acknowledge`, `cancel`, `alive`, `stop`. Supervisor to host: `ready` or `busy`,
`progress`, `finished`, `refused`. Supervisor to worker: `order`. Worker to supervisor: `progress`, then `measured` or
`failed`.
All durations and monotonic stamps are nanoseconds of the device's own clock; the host never subtracts one of them
from a stamp of its own.
"""

from __future__ import annotations

import json
import os
import threading
from typing import IO, Any

from benchharness.errors import ProtocolError

VERSION = 1
#: A longer line is a defect or an attack, not an attempt: a million samples take about 10 MB.
LONGEST_LINE_BYTES = 64 * 1024 * 1024

Message = dict[str, Any]  # JSON values

HOST_TO_SUPERVISOR = ("attempt", "acknowledge", "cancel", "alive", "stop")
SUPERVISOR_TO_HOST = ("ready", "busy", "progress", "finished", "refused")
SUPERVISOR_TO_WORKER = ("order",)
WORKER_TO_SUPERVISOR = ("progress", "measured", "failed")
SUPERVISOR_TO_RELAY = ("listening",)  # private to one version: see `relay`
CONDUCTOR_TO_SCORER = ("open", "score", "continue", "run", "close")  # private to one version: see `quality.scorer`
SCORER_TO_CONDUCTOR = ("opened", "continued", "done", "failed")
PUBLIC = frozenset(HOST_TO_SUPERVISOR + SUPERVISOR_TO_HOST + SUPERVISOR_TO_WORKER + WORKER_TO_SUPERVISOR)
TYPES = PUBLIC.union(SUPERVISOR_TO_RELAY, CONDUCTOR_TO_SCORER, SCORER_TO_CONDUCTOR)


def encode(message: Message) -> bytes:
    """One message as a line. NaN and infinity are refused: they are not JSON."""
    return json.dumps(message, allow_nan=False, separators=(",", ":")).encode() + b"\n"


def decode(line: bytes) -> Message:
    """A line as a message. Raises `ProtocolError` for anything that is not an object of a known type."""
    if len(line) > LONGEST_LINE_BYTES:
        raise ProtocolError(f"a line of {len(line)} bytes; at most {LONGEST_LINE_BYTES} are allowed")
    try:
        message: Any = json.loads(line, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"not JSON: {line[:80]!r}") from error
    if not isinstance(message, dict) or not isinstance(message.get("type"), str) or message["type"] not in TYPES:
        raise ProtocolError(f"not a message of protocol {VERSION}: {line[:80]!r}")
    return message


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def read_message(stream: IO[bytes]) -> Message | None:
    """The next message, or None at the end of the stream or on half a line (the writer died in it)."""
    line = stream.readline(LONGEST_LINE_BYTES + 1)
    if not line.endswith(b"\n"):
        if len(line) > LONGEST_LINE_BYTES:
            raise ProtocolError(f"a line of over {LONGEST_LINE_BYTES} bytes")
        return None
    return decode(line)


class Writer:
    """Sends messages down a file descriptor, whole lines only, from any thread."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()

    def send(self, message: Message) -> bool:
        """Writes one message; False where nobody reads any more."""
        data = encode(message)
        with self._lock:
            try:
                while data:
                    data = data[os.write(self._descriptor, data) :]
            except OSError:
                return False
        return True

    def close(self) -> None:
        """Gives the descriptor back."""
        with self._lock:
            os.close(self._descriptor)


def claim_standard_output() -> int:
    """A private duplicate of descriptor 1, which from then on goes where standard error goes.

    Runtimes print to descriptor 1 from C; the protocol must not meet their words.
    """
    private = os.dup(1)
    os.dup2(2, 1)
    return private


def text(value: Any, longest: int = 2000) -> str:
    """Untrusted text (an exception's, a runtime's) made short and safe to encode."""
    return str(value).encode("utf-8", "backslashreplace").decode("utf-8")[:longest]
