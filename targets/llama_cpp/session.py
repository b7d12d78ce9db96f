"""A causal language model in llama.cpp: tokens in, logits of the next one out, the cache in llama.cpp's context."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from benchharness.contract import EffectiveConfiguration
from benchharness.errors import ModelFailure, Unsupported
from targets.causal_session import CausalSession, Limits
from targets.gguf_format.inspection import LOGITS, TOKENS, tensors
from targets.llama_cpp.library import Library
from targets.llama_cpp.log import Log
from targets.llama_cpp.several import SeveralTexts, Together
from targets.token_checks import check_kept, check_token

if TYPE_CHECKING:
    from benchharness.contract import Array

_NO_ROOM = 1  # what llama_decode answers where the cache has no place for the tokens


class LlamaSession(CausalSession, SeveralTexts):
    """One model and one context, which keeps the cache of one text. `log` hears why a call failed.

    Several texts at once have a context of their own, which `together` keeps.
    """

    def __init__(
        self,
        library: Library,
        context: int,
        log: Log,
        name: str,
        effective: EffectiveConfiguration,
        limits: Limits,
        together: Together,
    ) -> None:
        super().__init__(name, limits)
        self.effective = effective
        self.inputs, self.outputs = tensors(limits.vocabulary_size)
        self._lib: Any = library.functions
        self._context, self._log, self._together = context, log, together
        self._memory = self._lib.llama_get_memory(context)
        self._batch_tokens = int(self._lib.llama_n_batch(context))
        self._rows_at_once = min(self._batch_tokens, int(self._lib.llama_n_ubatch(context)))
        self._row: Array = np.zeros(limits.vocabulary_size, np.float32)
        self._row_address = 0
        self._make_batch = library.batch
        self._step = self._batch(self._token[0])

    def reset(self) -> None:
        """Empties the cache."""
        self._lib.llama_memory_clear(self._memory, True)
        super().reset()

    def rewind(self, tokens: int) -> None:
        """Keeps the first `tokens` of the text. Raises `Unsupported` where the text is shorter, or the model cannot."""
        check_kept(tokens, self._length)
        if not self._lib.llama_memory_seq_rm(self._memory, 0, tokens, -1):
            raise Unsupported(f"{self._name}: its cache cannot forget the end of a text alone; reset it")
        self._length = tokens

    def decode(self, token: int) -> Array:
        """Appends one token; the logits of the next one, like `extend([token])`. Nothing is made on the way."""
        check_token(token, self.vocabulary_size, self._length, self.context_length)
        self._token[0, 0] = token
        self._decode(self._step)
        return self._last_row()

    def run(self, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        """Logits after each of `tokens` (tokens,), where the cache is empty: a context has room for one text."""
        if TOKENS not in inputs:
            raise ModelFailure(f"{self._name}: the input {TOKENS!r} is missing")
        if self._length:
            raise Unsupported(f"{self._name}: the cache holds {self._length} tokens of another text; reset it first")
        return {LOGITS: self.score(np.asarray(inputs[TOKENS]).reshape(-1).tolist())}

    def placement(self) -> Mapping[str, Mapping[str, int]]:
        """Layers by device, the output layer among them: llama.cpp places layers, and logs which went where."""
        if not self._log.layers:
            raise Unsupported("llama.cpp logged no device for any layer")
        return {device: {"layer": count} for device, count in self._log.layers.items()}

    def close(self) -> None:
        """Frees the context. The session cannot run any more."""
        self._together.close()
        self._lib.llama_free(self._context)

    def _append(self, row: Array) -> Array:
        """In as many batches as it takes: beyond one llama.cpp ends the process. The next call overwrites a row."""
        rows = None if self._wanted else np.empty((row.size, self.vocabulary_size), np.float32)
        most = self._batch_tokens if rows is None else self._rows_at_once
        for start in range(0, row.size, most):
            batch = self._batch(row[0, start : start + most])
            if rows is not None:
                batch.logits = (ctypes.c_int8 * batch.n_tokens)(*[1] * batch.n_tokens)
            self._decode(batch)
            if rows is not None:
                logits = self._lib.llama_get_logits(self._context)
                ctypes.memmove(rows[start:].ctypes.data, logits, batch.n_tokens * rows.strides[0])
        return self._last_row()[None] if rows is None else rows

    def _batch(self, ids: Array) -> Any:
        """A batch of ids (int32), which have to outlive it."""
        return self._make_batch(n_tokens=ids.size, token=ids.ctypes.data_as(ctypes.POINTER(ctypes.c_int32)))

    def _decode(self, batch: Any) -> None:
        answer = self._lib.llama_decode(self._context, batch)
        if answer == 0:
            self._length += batch.n_tokens
            return
        reason = self._log.reason
        if answer == _NO_ROOM:
            raise Unsupported(f"{self._name}: no room in the cache for {batch.n_tokens} more tokens: {reason}")
        raise ModelFailure(f"{self._name}: llama.cpp failed while running (llama_decode: {answer}): {reason}")

    def _last_row(self) -> Array:
        """The last token's logits where llama.cpp keeps them; asking for them waits until they are there."""
        address = self._lib.llama_get_logits_ith(self._context, -1)
        if address != self._row_address:
            if not address:
                raise ModelFailure(f"{self._name}: llama.cpp gave no logits: {self._log.reason}")
            there = (ctypes.c_float * self.vocabulary_size).from_address(address)
            self._row = np.frombuffer(memoryview(there), np.float32)
            self._row_address = address
        return self._row
