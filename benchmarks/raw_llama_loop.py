"""What a careful programmer writes against llama.cpp's C functions alone: the rival of the harness's path.

One model, one context with llama.cpp's defaults, one batch struct that is used again for every token.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.raw_loop import RawAnswer
from targets.llama_cpp.library import LOG_CALLBACK, load_library

_QUIET = LOG_CALLBACK(lambda level, text, data: None)


class RawLlamaLoop:
    """A loaded model and its context, for one text at a time."""

    def __init__(self, folder: Path, *, threads: int, prompt_tokens: int, output_tokens: int) -> None:
        library = load_library()
        self._lib = lib = library.functions
        lib.llama_log_set(_QUIET, None)
        lib.llama_backend_init()
        model = lib.llama_model_load_from_file(str(folder / "model.gguf").encode(), lib.llama_model_default_params())
        params = lib.llama_context_default_params()
        params.n_ctx = 512
        params.n_threads = params.n_threads_batch = threads
        self._context = lib.llama_init_from_model(model, params)
        assert self._context, "llama.cpp makes no context"
        assert prompt_tokens + output_tokens <= params.n_ctx
        self._memory = lib.llama_get_memory(self._context)
        self._vocabulary = lib.llama_vocab_n_tokens(lib.llama_model_get_vocab(model))
        self._batch = library.batch
        self._token = (ctypes.c_int32 * 1)()
        self._one = self._batch(n_tokens=1, token=self._token)

    def prefill(self, prompt: Sequence[int]) -> np.ndarray[Any, Any]:
        """Runs a prompt into an empty cache; the logits of the next token, shape (vocabulary,)."""
        self._lib.llama_memory_clear(self._memory, True)
        tokens = (ctypes.c_int32 * len(prompt))(*prompt)
        return self._decode(self._batch(n_tokens=len(prompt), token=tokens))

    def answer(self, prompt: Sequence[int], fed: Sequence[int] | None, output_tokens: int) -> RawAnswer:
        """Prefills, then decodes: chooses greedily, and feeds the choice or, where `fed` is given, its tokens."""
        clock = time.perf_counter_ns
        chosen, tokens = [0] * output_tokens, [0] * output_tokens
        handed = clock()
        logits = self.prefill(prompt)
        prefilled = clock()
        tokens[0] = int(logits.argmax())
        chosen[0] = clock()
        for index in range(1, output_tokens):
            self._token[0] = tokens[index - 1] if fed is None else fed[index - 1]
            tokens[index] = int(self._decode(self._one).argmax())
            chosen[index] = clock()
        return RawAnswer(handed=handed, prefilled=prefilled, chosen=chosen, tokens=tokens)

    def _decode(self, batch: Any) -> np.ndarray[Any, Any]:
        assert self._lib.llama_decode(self._context, batch) == 0
        address = self._lib.llama_get_logits_ith(self._context, -1)
        return np.ctypeslib.as_array((ctypes.c_float * self._vocabulary).from_address(address))
