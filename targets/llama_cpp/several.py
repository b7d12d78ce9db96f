"""Several texts in one context of llama.cpp, a sequence each: their prompts in turn, then a token of each in one batch.

llama.cpp's library has no scheduler: what llama-server does with requests that come together is done here. Prompts
stand one after the other in batches of `n_batch` tokens; when all have been read, each further batch has a token of
every text. Structures are those of `library`; what is NULL in a batch of one text has to be said of several.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Callable

import numpy as np

from benchharness.contract import TokenStream
from benchharness.errors import ModelFailure, Unsupported
from targets.token_checks import check_prompts

if TYPE_CHECKING:
    from targets.llama_cpp.log import Log

#: llama.cpp's own bound was 64 sequences, and is 256 since 2025.
MOST_AT_ONCE = 64
#: A context's length is rounded up to this by llama.cpp.
_PADDED_TOKENS = 256
#: (token, its position, its sequence, whether its logits are wanted)
Entry = tuple[int, int, int, bool]


class Together:
    """The context for several texts of one model. `make(texts, tokens)` makes one, with room for `tokens` in each text.

    It is made when it is needed, kept, and used for fewer texts, too, as a server's is: memory is taken for the most.
    """

    def __init__(self, functions: Any, batch: Any, make: Callable[[int, int], int], log: Log, name: str) -> None:
        self._lib, self._make_batch, self._make, self._log, self._name = functions, batch, make, log, name
        self._context = self._texts = self._room = 0
        self._types = dict(field[:2] for field in batch._fields_)

    def answer(self, prompts: Sequence[Sequence[int]], count: int, vocabulary_size: int) -> list[TokenStream]:
        """The greedy answers. Raises `ModelFailure`, and `Unsupported` where there is no room for so many texts."""
        longest = max(map(len, prompts)) + count
        context = self._context_for(len(prompts), longest)
        self._lib.llama_memory_clear(self._lib.llama_get_memory(context), True)
        batch_tokens = int(self._lib.llama_n_batch(context))
        chosen: list[list[int]] = [[] for _ in prompts]
        stamps: list[list[int]] = [[] for _ in prompts]
        began_ns = time.perf_counter_ns()
        entries = [
            (token, place, number, place == len(prompt) - 1)
            for number, prompt in enumerate(prompts)
            for place, token in enumerate(prompt)
        ]
        for _ in range(count):
            for start in range(0, len(entries), batch_tokens):
                self._step(context, entries[start : start + batch_tokens], vocabulary_size, chosen, stamps)
            entries = [
                (answer[-1], len(prompt) + len(answer) - 1, number, True)
                for number, (prompt, answer) in enumerate(zip(prompts, chosen))
            ]
        return [
            TokenStream(len(prompt), began_ns, times, [1] * count, tokens=answer)
            for prompt, times, answer in zip(prompts, stamps, chosen)
        ]

    def _step(
        self,
        context: int,
        entries: Sequence[Entry],
        vocabulary_size: int,
        chosen: Sequence[list[int]],
        stamps: Sequence[list[int]],
    ) -> None:
        """One batch; the texts whose logits it gives are each given their next token."""
        answer = self._lib.llama_decode(context, self._batch(entries))
        if answer != 0:
            told = f"llama.cpp failed on {len(entries)} tokens of several texts (llama_decode: {answer})"
            raise ModelFailure(f"{self._name}: {told}: {self._log.reason}")
        for place, (_, _, number, wanted) in enumerate(entries):
            if not wanted:
                continue
            address = self._lib.llama_get_logits_ith(context, place)
            if not address:
                raise ModelFailure(f"{self._name}: llama.cpp gave no logits: {self._log.reason}")
            row = np.frombuffer(memoryview((ctypes.c_float * vocabulary_size).from_address(address)), np.float32)
            chosen[number].append(int(row.argmax()))
            stamps[number].append(time.perf_counter_ns())

    def _batch(self, entries: Sequence[Entry]) -> Any:
        """A batch with everything said; ctypes keeps what it points to."""
        tokens, places, numbers, wanted = zip(*entries)
        size = len(entries)
        sequences = [(ctypes.c_int32 * 1)(number) for number in numbers]
        pointers = (ctypes.c_void_p * size)(*map(ctypes.addressof, sequences))
        arrays: dict[str, Any] = {
            "token": (ctypes.c_int32 * size)(*tokens),
            "pos": (ctypes.c_int32 * size)(*places),
            "n_seq_id": (ctypes.c_int32 * size)(*[1] * size),
            "seq_id": pointers,
            "logits": (ctypes.c_int8 * size)(*wanted),
        }
        made = self._make_batch(n_tokens=size)
        for field, array in arrays.items():
            setattr(made, field, ctypes.cast(array, self._types[field]))
        made.kept = (arrays, sequences)  # a cast to an address keeps nothing alive
        return made

    def _context_for(self, texts: int, tokens: int) -> int:
        """The context, made anew where it has no room for so many texts of so many tokens."""
        if texts > self._texts or tokens > self._room:
            texts, tokens = max(texts, self._texts), max(tokens, self._room)
            self.close()
            room = -(-tokens // _PADDED_TOKENS) * _PADDED_TOKENS
            self._context = self._make(texts, room)
            if not self._context:
                raise Unsupported(f"{self._name}: no context for {texts} texts of {room} tokens: {self._log.reason}")
            self._texts, self._room = texts, room
        return self._context

    def close(self) -> None:
        """Frees the context."""
        if self._context:
            self._lib.llama_free(self._context)
        self._context = self._texts = self._room = 0


class SeveralTexts:
    """The ability of a session whose `_together` keeps their context: see `AnswersSeveral`."""

    most_at_once = MOST_AT_ONCE
    answers_by = "prompts in turn in batches of n_batch tokens, then one batch of a token of each"
    vocabulary_size: int
    context_length: int
    _together: Together

    def answer_several(self, prompts: Sequence[Sequence[int] | str], count: int) -> Sequence[TokenStream]:
        """Greedy answers to token ids."""
        if len(prompts) > self.most_at_once:
            raise Unsupported(f"{len(prompts)} requests at once: llama.cpp takes {self.most_at_once} here")
        given = check_prompts(prompts, count, self.vocabulary_size, self.context_length)
        return self._together.answer(given, count, self.vocabulary_size)
