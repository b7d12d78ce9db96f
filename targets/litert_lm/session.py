"""LiteRT-LM's own loop, each token stamped where it comes: in the callback, on the thread that computed it.

The package's own iterator hands tokens on through a queue, whose reader sees gaps of microseconds long after. So the
callback is registered here, through the package's private names; a version without them is refused.
"""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import litert_lm
from litert_lm._ffi import STREAM_CALLBACK_TYPE, _get_lib

from benchharness.contract import HARNESS_CLOCK, EffectiveConfiguration, StampClock, TensorSpec, TokenStream
from benchharness.errors import ModelFailure, Unsupported
from targets.token_checks import refuse_length, smallest_step_ns

if TYPE_CHECKING:
    from benchharness.contract import Array


class StreamSession:
    """One engine; every answer has a session of LiteRT-LM's own, so that it begins with an empty context."""

    inputs: Sequence[TensorSpec] = ()
    outputs: Sequence[TensorSpec] = ()
    takes_text = True
    vocabulary_size = None  # it takes no token ids

    def __init__(self, engine: Any, bundle: Path, context_length: int, effective: EffectiveConfiguration) -> None:
        self.effective, self.context_length = effective, context_length
        self.clock = StampClock(HARNESS_CLOCK, stamped_at="device", resolution_ns=smallest_step_ns())
        self._engine, self._bundle = engine, bundle
        self._sampler = litert_lm.SamplerConfig(top_k=1, top_p=1.0, temperature=1.0, seed=0)

    def run(self, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        """Refused."""
        raise Unsupported(f"{self._bundle}: LiteRT-LM takes a text, and no tensors; `tflite` takes them")

    def generate(self, prompt: Sequence[int] | str, count: int) -> TokenStream:
        """Exactly `count` tokens after a text. Raises `Unsupported` for token ids or too many, `ModelFailure`."""
        if not isinstance(prompt, str):
            raise Unsupported(f"{self._bundle}: LiteRT-LM takes a prompt as text only")
        needed = len(self._engine.tokenize(prompt)) + (self._engine.bos_token_id is not None) + count
        if needed > self.context_length:
            refuse_length(needed, self.context_length)
        session = self._engine.create_session(
            apply_prompt_template=False, sampler_config=self._sampler, max_output_tokens=count
        )
        try:
            began_ns = time.perf_counter_ns()
            session.run_prefill([prompt])
            chunks = _Chunks(session)
            chunks.wait()
            report = session.get_benchmark_info()
        except RuntimeError as error:
            raise self._failure(words_of(error)) from error
        finally:
            session.close()  # before the engine, which otherwise waits for it
        if chunks.failed:
            raise self._failure(chunks.failed)
        return TokenStream(
            prompt_tokens=report.last_prefill_token_count,
            began_ns=began_ns,
            stamps_ns=chunks.stamps_ns,
            tokens_per_stamp=self._tokens_of(chunks.texts, report.last_decode_token_count, count),
            text="".join(chunks.texts),
        )

    def _tokens_of(self, texts: Sequence[str], written: int, count: int) -> Sequence[int]:
        """How many tokens each chunk covers. `written`: what LiteRT-LM says of all of them.

        A character of several tokens comes when the last of them is there; tokens without a text come in no chunk.
        """
        if written < count or not texts:
            raise ModelFailure(
                f"{self._bundle}: LiteRT-LM ended its answer after {written if texts else 0} of {count} tokens, as at "
                "an end of text; ask for fewer"
            )
        counts = [1] * len(texts) if len(texts) == count else [len(self._engine.tokenize(text)) for text in texts]
        if sum(counts) != count:
            raise ModelFailure(
                f"{self._bundle}: {count} tokens came in {len(texts)} chunks of text, how many in each is unknown"
            )
        return counts

    def _failure(self, words: str) -> ModelFailure:
        return ModelFailure(f"{self._bundle}: LiteRT-LM failed while running: {words}")


class _Chunks:
    """What the callback of one answer was given. Alive until the last one, or the library would call into nothing."""

    def __init__(self, session: Any) -> None:
        self.stamps_ns: list[int] = []
        self.texts: list[str] = []
        self.failed = ""
        self._done = threading.Event()
        self._raw: list[bytes] = []
        library = session._lib
        text_of, failure_of = library.litert_lm_stream_chunk_get_text, library.litert_lm_stream_chunk_get_error
        is_last = library.litert_lm_stream_chunk_is_final
        stamps, raw, clock = self.stamps_ns, self._raw, time.perf_counter_ns

        def take(_: Any, chunk: Any) -> None:
            now_ns = clock()
            failed = failure_of(chunk)
            text = None if failed else text_of(chunk)
            if text:
                stamps.append(now_ns)
                raw.append(text)
            if failed:
                self.failed = failed.decode("utf-8", "replace")
            if failed or is_last(chunk):
                self._done.set()

        self._callback = STREAM_CALLBACK_TYPE(take)
        if library.litert_lm_session_run_decode_async(session._ptr, self._callback, None):
            raise RuntimeError("litert_lm_session_run_decode_async failed")

    def wait(self) -> None:
        """Until the last chunk is there. A runtime that hangs is ended by the harness's limit."""
        self._done.wait()
        self.texts = [text.decode("utf-8", "replace") for text in self._raw]


def words_of(error: Exception) -> str:
    """The library's own words about its last failure on this thread, else the package's."""
    tell = _get_lib().litert_lm_get_last_error_message
    tell.restype = ctypes.c_char_p
    told = (tell() or b"").decode("utf-8", "replace").strip()
    return " ".join(f"{error}: {told}".split()) if told else str(error)
