"""Endpoints whose answer can be followed, and given up, as it comes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from benchharness.contract.configuration import EffectiveConfiguration

#: How the answer of an endpoint ends; all but the first are failures.
STREAM_ENDS = (
    "complete",
    "no key",
    "unauthorised",
    "too many requests",
    "server error",
    "refused",
    "redirected",
    "wrong content",
    "malformed",
    "too long",
    "tls failure",
    "unreachable",
    "cut",
)


@dataclass(frozen=True)
class TextPiece:
    """What came with one event of a stream; most servers send a token with each."""

    stamp_ns: int  # of `HARNESS_CLOCK`, when it was there
    text: str


@dataclass(frozen=True)
class StreamEnd:
    """How a stream ended. `detail` has neither key nor prompt nor answer, nor anything else that a server wrote."""

    why: str  # one of STREAM_ENDS
    stamp_ns: int
    detail: str = ""
    tokens: int | None = None  # of the answer, as the server counts them
    prompt_tokens: int | None = None


class TextStream(Protocol):
    """An answer that is on its way."""

    def next(self, patience_s: float) -> TextPiece | StreamEnd | None:
        """What comes next within so long; None where nothing does. After an end there is nothing more."""
        ...

    def close(self) -> None:
        """Wants no more of it: the connection is closed when this returns."""
        ...


@runtime_checkable
class StreamsText(Protocol):
    """An optional ability of a session: an endpoint whose answer can be followed, and given up, as it comes."""

    effective: EffectiveConfiguration
    address: tuple[str, int]  # host and port
    context_length: int

    def stream(self, prompt: str, count: int, *, stop: Sequence[str] = (), port: int | None = None) -> TextStream:
        """Asks for at most `count` tokens, greedily; `stop` are texts before which an answer ends.

        `port`: of this machine, where a relay stands that leads to `address`; whoever answers there is held to be the
        endpoint in every other respect. Never raises: what goes wrong is the stream's end.
        """
        ...
