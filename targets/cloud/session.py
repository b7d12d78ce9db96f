"""A session at an endpoint: each answer is followed in a thread of its own, event by event.

Every request opens a connection of its own. No proxy of the environment is taken, no redirect followed, nothing tried a
second time. What is told of a failure is its kind and a status, never what the server wrote or was sent.
"""

from __future__ import annotations

import asyncio
import os
import queue
import ssl
import threading
import time
from collections.abc import Coroutine, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import httpx

from benchharness.contract import (
    HARNESS_CLOCK,
    EffectiveConfiguration,
    StampClock,
    StreamEnd,
    TextPiece,
    TokenStream,
)
from benchharness.errors import ModelFailure, Unsupported
from targets.cloud.events import Event, Events, Malformed, ServerError, TooLong
from targets.several import in_threads

if TYPE_CHECKING:
    from benchharness.contract import Array
    from targets.cloud.endpoint import Endpoint

#: Of an answer: what a token may take at most on average, and what may stand around it.
_BYTES_A_TOKEN, _BYTES_AROUND = 1 << 13, 1 << 18
_MOST_KEY = 4096
#: `generate` waits no longer for anything new.
_PATIENCE_S = 120.0
_CLOSE_S = 5.0
_STATUS = {401: "unauthorised", 403: "unauthorised", 429: "too many requests"}
_COMPLETE = "complete"


class NoKey(Exception):
    """There is no key where it should be."""


class CloudSession:
    """An endpoint that can be asked. `close` ends its thread."""

    takes_text = True
    vocabulary_size: int | None = None
    most_at_once = 64
    answers_by = "a connection each, at the same moment"

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self.address = (endpoint.host, endpoint.port)
        self.context_length = endpoint.context_length
        self.clock = StampClock(
            HARNESS_CLOCK, "host", max(1, round(time.get_clock_info("perf_counter").resolution * 1e9))
        )
        self.effective = EffectiveConfiguration(
            accelerators=("cloud",),
            threads=None,
            runtime_version=httpx.__version__,
            facts={
                "endpoint": endpoint.host,
                "endpoint_model": endpoint.model,
                "endpoint_api": endpoint.way,
                "precision_unknown": "an endpoint does not tell",
            },
        )
        # Made once: reading the system's certificates takes hundreds of milliseconds.
        self._tls = ssl.create_default_context() if endpoint.secure else None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        """Refused."""
        raise Unsupported("an endpoint answers with text, and gives no tensors")

    def stream(self, prompt: str, count: int, *, stop: Sequence[str] = (), port: int | None = None) -> Followed:
        """Asks; see `StreamsText`."""
        followed = Followed()
        followed.begin(self._loop, self._follow(prompt, count, tuple(stop), port, followed))
        return followed

    def generate(self, prompt: Sequence[int] | str, count: int) -> TokenStream:
        """The whole answer; see `GeneratesTokens`. Raises `Unsupported` where its events are not its tokens."""
        if not isinstance(prompt, str):
            raise Unsupported("an endpoint takes a prompt as text only")
        began_ns = time.perf_counter_ns()
        stream = self.stream(prompt, count)
        stamps: list[int] = []
        texts: list[str] = []
        while isinstance(came := stream.next(_PATIENCE_S), TextPiece):
            stamps.append(came.stamp_ns)
            texts.append(came.text)
        stream.close()
        if came is None:
            raise ModelFailure(f"the endpoint said nothing for {_PATIENCE_S:g} s")
        if came.why != _COMPLETE:
            raise ModelFailure(told_of(came))
        counted = came.tokens
        if counted is None or came.prompt_tokens is None:
            raise Unsupported("the endpoint does not count the tokens of prompt and answer (`usage` of the stream)")
        if counted != len(stamps):
            raise Unsupported(
                f"the endpoint sent {counted} tokens in {len(stamps)} events: which came when is not known"
            )
        if counted != count:
            raise Unsupported(f"the endpoint ended its answer after {counted} of {count} tokens; ask for no more")
        return TokenStream(came.prompt_tokens, began_ns, stamps, [1] * counted, text="".join(texts))

    def answer_several(self, prompts: Sequence[Sequence[int] | str], count: int) -> Sequence[TokenStream]:
        """An answer to each, asked for at the same time; see `AnswersSeveral`. Raises as `generate` does."""
        if len(prompts) > self.most_at_once:
            raise Unsupported(f"{len(prompts)} requests at once: {self.most_at_once} connections at most are opened")
        return in_threads([partial(self.generate, prompt, count) for prompt in prompts])

    def close(self) -> None:
        """Ends the thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_CLOSE_S)
        if not self._thread.is_alive():
            self._loop.close()

    async def _follow(
        self, prompt: str, count: int, stop: tuple[str, ...], port: int | None, followed: Followed
    ) -> None:
        """Puts what comes into the queue, the end always."""
        why, detail, counted = "cut", "", Event()
        try:
            counted = await self._answer(prompt, count, stop, port, followed)
            why = _COMPLETE
        except asyncio.CancelledError:
            return  # nobody waits for it any more
        except NoKey:
            why, detail = "no key", f"the environment variable {self._endpoint.key} holds no key"
        except _Status as status:
            why, detail = status.why, f"status {status.code}"
        except (Malformed, httpx.DecodingError, httpx.RemoteProtocolError) as error:
            why = "cut" if isinstance(error, httpx.RemoteProtocolError) else "malformed"
        except ServerError:
            why, detail = "server error", "told in the middle of the answer"
        except TooLong:
            why = "too long"
        except _WrongContent:
            why = "wrong content"
        except httpx.ConnectError as error:
            why = "tls failure" if _is_tls(error) else "unreachable"
        except httpx.TransportError as error:
            why = "tls failure" if _is_tls(error) else "cut"
        except Exception as error:
            detail = type(error).__name__  # its words may have the key or the prompt in them
        followed.put(StreamEnd(why, time.perf_counter_ns(), detail, counted.tokens, counted.prompt_tokens))

    async def _answer(
        self, prompt: str, count: int, stop: tuple[str, ...], port: int | None, followed: Followed
    ) -> Event:
        endpoint = self._endpoint
        host, there = (endpoint.host, endpoint.port) if port is None else ("127.0.0.1", port)
        scheme = "https" if endpoint.secure else "http"
        named = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host
        headers = {
            "Host": f"{named}:{endpoint.port}",
            "Accept": "text/event-stream",
            "Accept-Encoding": "identity",
            "Connection": "close",
            **_authorisation(endpoint.key),
        }
        url = httpx.URL(scheme=scheme, host=host, port=there, path=endpoint.path)
        reader = _Reader(count, followed)
        # How long to wait is for whoever asks to say: it gives up by closing.
        never = httpx.Timeout(None)
        async with httpx.AsyncClient(verify=self._tls or False, timeout=never, trust_env=False) as client:
            request = client.build_request("POST", url, headers=headers, json=endpoint.body(prompt, count, stop))
            request.extensions["sni_hostname"] = endpoint.host
            response = await client.send(request, stream=True)
            try:
                _check(response)
                async for data in response.aiter_raw():
                    if reader.over(data):
                        break
            finally:
                await response.aclose()
        return reader.end()


class Followed:
    """An answer on its way: what came waits in a queue."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[TextPiece | StreamEnd] = queue.SimpleQueue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None  # of the loop's own thread
        self._over = threading.Event()

    def begin(self, loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, None]) -> None:
        """Begins to follow."""

        def start() -> None:
            self._task = loop.create_task(work)
            # Not in the coroutine: one that is cancelled before its first step runs none of its own.
            self._task.add_done_callback(lambda _: self._over.set())

        self._loop = loop
        loop.call_soon_threadsafe(start)

    @property
    def over(self) -> bool:
        """Whether the connection is closed."""
        return self._over.is_set()

    def put(self, came: TextPiece | StreamEnd) -> None:
        """Something came."""
        self._queue.put(came)

    def next(self, patience_s: float) -> TextPiece | StreamEnd | None:
        """What comes next, None where nothing does within so long."""
        try:
            return self._queue.get(timeout=max(0.0, patience_s))
        except queue.Empty:
            return None

    def close(self) -> None:
        """Wants no more; the connection is closed then."""
        if self._loop is not None and not self._over.is_set():
            self._loop.call_soon_threadsafe(lambda: self._task and self._task.cancel())
            self._over.wait(_CLOSE_S)


class _Reader:
    """Bytes of an answer to pieces of text, no more of them than an answer can have."""

    def __init__(self, count: int, followed: Followed) -> None:
        self._events = Events()
        self._count = count
        self._left_bytes = _BYTES_AROUND + count * _BYTES_A_TOKEN
        self._pieces = 0
        self._finished = False
        self._counted = Event()
        self._followed = followed

    def over(self, data: bytes) -> bool:
        """Whether these bytes ended the answer. Raises what `Events.feed` does."""
        now_ns = time.perf_counter_ns()
        self._left_bytes -= len(data)
        if self._left_bytes < 0:
            raise TooLong
        for event in self._events.feed(data):
            if event.done:
                self._finished = True
                return True
            if event.text:
                self._pieces += 1
                if self._pieces > self._count:
                    raise TooLong
                self._followed.put(TextPiece(now_ns, event.text))
            self._finished = self._finished or event.finished
            if event.tokens is not None:
                self._counted = event
        return False

    def end(self) -> Event:
        """What was counted. Raises `httpx.RemoteProtocolError` where the answer was not over."""
        if not self._finished:
            raise httpx.RemoteProtocolError("the stream ended before the answer did")
        return self._counted


class _Status(Exception):
    def __init__(self, why: str, code: int) -> None:
        super().__init__(why)
        self.why, self.code = why, code


class _WrongContent(Exception):
    pass


def _check(response: httpx.Response) -> None:
    code = response.status_code
    if 300 <= code < 400:
        raise _Status("redirected", code)
    if code != 200:
        raise _Status(_STATUS.get(code, "server error" if code >= 500 else "refused"), code)
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "text/event-stream" or response.headers.get("content-encoding", "identity") != "identity":
        raise _WrongContent


def _authorisation(variable: str | None) -> dict[str, str]:
    """The header with the key, which is read when it is needed and kept nowhere. Raises `NoKey`."""
    if variable is None:
        return {}
    key = os.environ.get(variable, "").strip()
    if not key or len(key) > _MOST_KEY or not key.isascii() or not key.isprintable() or " " in key:
        raise NoKey
    return {"Authorization": f"Bearer {key}"}


def _is_tls(error: BaseException) -> bool:
    """Whether TLS is somewhere among the causes."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLError):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def told_of(end: StreamEnd) -> str:
    """A failure in words."""
    return f"the endpoint's answer failed: {end.why}" + (f" ({end.detail})" if end.detail else "")
