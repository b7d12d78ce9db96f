"""A causal language model in ONNX Runtime: tokens in, logits of the next token out.

One IO binding serves the session. What stays the same between two tokens stays bound: a decoded token writes its id
and position to buffers that are bound already, and lengthens the mask. Where binding copies to an accelerator, what was
rewritten is bound again. The batch is always one sequence.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from benchharness.contract import CACHE_COPIED_BY_BINDING, CACHE_NONE, EffectiveConfiguration, TokenStream
from benchharness.errors import Unsupported
from targets.causal_session import CausalSession
from targets.onnx_format.feeds import Feeds
from targets.onnx_format.signature import CACHE_BRANCH, LOGITS, MASK, POSITIONS, SEGMENTS, TOKENS, LanguageSignature
from targets.onnx_runtime.cache import GrownCache, InPlaceCache
from targets.onnx_runtime.memory import HOST, Memories, Memory
from targets.onnx_runtime.session import OnnxSession
from targets.several import greedy, in_threads
from targets.token_checks import check_kept, check_prompts, check_token

if TYPE_CHECKING:
    from benchharness.contract import Array

#: Further texts have a thread and a cache each.
MOST_AT_ONCE = 64


class OnnxLanguageSession(CausalSession, OnnxSession):
    """What every causal language model here shares: the mask, the binding, the logits; and several texts at once.

    Those have each a binding and a cache of their own, and a thread; the weights are the one session's, whose calls may
    overlap and share its threads.
    """

    most_at_once = MOST_AT_ONCE
    answers_by = "a thread each, on one session of ONNX Runtime with its threads in common"

    def __init__(
        self, session: Any, name: str, effective: EffectiveConfiguration, signature: LanguageSignature
    ) -> None:
        OnnxSession.__init__(self, session, name, effective)
        CausalSession.__init__(self, name, signature)
        self._beside: list[OnnxLanguageSession] = []
        self._signature = signature
        self._binding = session.io_binding()
        self._binding.bind_output(LOGITS)  # first, so that it is the first of the binding's outputs
        self._masked = signature.mask_dtype is not None
        feeds = Feeds(signature)
        self._mask, self._positions, self._segments = feeds.mask, feeds.positions, feeds.segments
        self._mask_address = self._mask.ctypes.data
        self._kept = feeds.kept
        self._keep(1)

    def rewind(self, tokens: int) -> None:
        """Keeps the first `tokens` of the text. Raises `Unsupported` where there are fewer."""
        check_kept(tokens, self._length)
        self._length = tokens  # what lies beyond is masked, and written over

    def close(self) -> None:
        """Frees the model and its cache. The session cannot run any more."""
        for each in self._beside:
            each.close()
        del self._binding
        super().close()

    def answer_several(self, prompts: Sequence[Sequence[int] | str], count: int) -> Sequence[TokenStream]:
        """Greedy answers to token ids; see `AnswersSeveral`."""
        if len(prompts) > self.most_at_once:
            raise Unsupported(f"{len(prompts)} requests at once: {self.most_at_once} threads at most are made here")
        given = check_prompts(prompts, count, self.vocabulary_size, self.context_length)
        while len(self._beside) < len(given):
            self._beside.append(self._another())
        return in_threads([partial(greedy, one, ids, count) for one, ids in zip(self._beside, given)])

    @abstractmethod
    def _another(self) -> OnnxLanguageSession:
        """A further text on the same weights."""

    def _keep(self, logits: int) -> None:
        super()._keep(logits)
        if self._signature.kept is not None:
            self._bind(self._signature.kept.name, self._kept)

    def _bind(self, name: str, array: np.ndarray[Any, Any]) -> None:
        """Binds memory that this object owns and rewrites; on an accelerator, what stands there now."""
        self._binding.bind_input(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)

    def _bind_segments(self, tokens: int) -> None:
        if self._signature.segment_dtype is not None:
            row = self._segments
            self._binding.bind_input(SEGMENTS, "cpu", 0, row.dtype, (1, tokens), row.ctypes.data)

    def _bind_mask(self, tokens: int) -> None:
        self._binding.bind_input(MASK, "cpu", 0, self._mask.dtype, (1, tokens), self._mask_address)

    def _run(self) -> None:
        try:
            self._session.run_with_iobinding(self._binding)
        except MemoryError:
            raise
        except Exception as error:  # ONNX Runtime's exceptions share no base class of their own
            raise self._failure(error) from error

    def _read_logits(self) -> np.ndarray[Any, Any]:
        """All logits of the last run (tokens, vocabulary_size), a view where ONNX Runtime allows one."""
        return self._binding.get_outputs()[0].numpy()[0]  # type: ignore[no-any-return]


class CachedSession(OnnxLanguageSession):
    """A language model that keeps its keys and values. `in_place`: its graph can append to a shared buffer."""

    def __init__(
        self,
        session: Any,
        name: str,
        effective: EffectiveConfiguration,
        signature: LanguageSignature,
        *,
        in_place: bool,
        capacity: int,
        memories: Memories,
    ) -> None:
        super().__init__(session, name, effective, signature)
        self._another_with = partial(
            CachedSession,
            session,
            name,
            effective,
            signature,
            in_place=in_place,
            capacity=capacity,
            memories=memories,
        )
        memory = _cache_memory(signature, memories)
        self._cache: InPlaceCache | GrownCache = (
            InPlaceCache(self._binding, signature.cache, self.context_length, capacity, memory)
            if in_place and memory is not None
            else GrownCache(self._binding, signature.cache, memory or HOST)
        )
        self._binding_copies = memories.copy_inputs()
        self._position = np.zeros((1, 1), signature.position_dtype or "int64")
        self._step_logits = np.zeros((1, 1, self.vocabulary_size), signature.logits_dtype)
        self._converts = signature.logits_dtype != "float32"
        self._bound_for_step = False
        self._cache_branch = np.zeros((1,), np.bool_)
        if signature.has_cache_branch:
            self._bind(CACHE_BRANCH, self._cache_branch)

    def _another(self) -> OnnxLanguageSession:
        return self._another_with()

    def reset(self) -> None:
        """Empties the cache. An in-place cache keeps its memory for the next request."""
        super().reset()
        self._cache.clear()

    def rewind(self, tokens: int) -> None:
        """Keeps the first `tokens` of the text. Raises `Unsupported` for a cache that the graph writes anew."""
        if isinstance(self._cache, GrownCache):
            raise Unsupported(f"{self._name}: the graph writes its cache anew at every step, and it is not cut")
        super().rewind(tokens)

    def decode(self, token: int) -> Array:
        """Appends one token; the logits of the next one, float32, shape (vocabulary_size,).

        The next call overwrites them.
        """
        position = self._length
        check_token(token, self.vocabulary_size, position, self.context_length)
        self._token[0, 0] = token
        self._position[0, 0] = position
        if not self._bound_for_step or self._binding_copies:
            self._bind_step()
        self._step_to(position + 1)
        logits: Array = self._step_logits[0, 0]
        return logits.astype(np.float32) if self._converts else logits

    def close(self) -> None:
        """Frees the model and its cache. The session cannot run any more."""
        del self._cache
        super().close()

    def _append(self, row: Array) -> Array:
        start, stop = self._length, self._length + row.size
        self._cache.reserve(stop, used=start)
        self._bound_for_step = False
        self._binding.bind_cpu_input(TOKENS, row)
        if self._signature.position_dtype is not None:
            self._binding.bind_cpu_input(POSITIONS, self._positions[:, start:stop])
        self._bind_segments(row.size)
        self._binding.bind_output(LOGITS)  # ONNX Runtime allocates: a long prompt's logits are no buffer to keep
        self._step_to(stop)
        return self._read_logits()

    def _step_to(self, tokens: int) -> None:
        """Runs the bound tokens, after which the cache holds `tokens`."""
        if self._signature.has_cache_branch and self._cache_branch[0] != (self._length > 0):
            self._cache_branch[0] = self._length > 0
            self._bind(CACHE_BRANCH, self._cache_branch)
        if self._masked:
            self._bind_mask(tokens)
        self._cache.before_step(tokens)
        self._run()
        self._cache.after_step()
        self._length = tokens

    def _bind_step(self) -> None:
        """Binds the buffers of a single token, which stay bound until the next longer chunk."""
        self._bind(TOKENS, self._token)
        if self._signature.position_dtype is not None:
            self._bind(POSITIONS, self._position)
        self._bind_segments(1)
        logits = self._step_logits
        self._binding.bind_output(LOGITS, "cpu", 0, logits.dtype, logits.shape, logits.ctypes.data)
        self._bound_for_step = True


class UncachedSession(OnnxLanguageSession):
    """A language model without a cache: every step runs over all tokens again."""

    def __init__(
        self, session: Any, name: str, effective: EffectiveConfiguration, signature: LanguageSignature
    ) -> None:
        super().__init__(session, name, effective, signature)
        self._another_with = partial(UncachedSession, session, name, effective, signature)
        self._tokens = np.zeros((1, self.context_length), signature.token_dtype)

    def _another(self) -> OnnxLanguageSession:
        return self._another_with()

    def _append(self, row: Array) -> Array:
        start, stop = self._length, self._length + row.size
        self._tokens[:, start:stop] = row
        self._binding.bind_cpu_input(TOKENS, self._tokens[:, :stop])
        if self._signature.position_dtype is not None:
            self._binding.bind_cpu_input(POSITIONS, self._positions[:, :stop])
        if self._masked:
            self._bind_mask(stop)
        self._binding.bind_output(LOGITS)
        self._run()
        self._length = stop
        return self._read_logits()


def open_language_session(
    session: Any,
    name: str,
    effective: EffectiveConfiguration,
    signature: LanguageSignature,
    *,
    in_place: bool,
    capacity: int,
    memories: Memories,
) -> CachedSession | UncachedSession:
    """The session that fits the signature; `memories` are its tensors'.

    Raises `Unsupported` for a cache that this adapter cannot keep.
    """
    if not signature.cache:
        return UncachedSession(session, name, effective, signature)
    if signature.cache[0].capacity is not None:
        if not in_place:
            raise Unsupported(
                f"{name}: a cache of fixed length that the graph does not append to in place; "
                "export it with a dynamic length"
            )
        if _cache_memory(signature, memories) is None:
            raise Unsupported(
                f"{name}: a cache of fixed length in memory that no buffer can be kept in from Python; "
                "export it with a dynamic length"
            )
    return CachedSession(session, name, effective, signature, in_place=in_place, capacity=capacity, memories=memories)


def cache_kind(signature: LanguageSignature, *, in_place: bool, memories: Memories) -> str:
    """How the cache is kept, one of the contract's CACHE_*."""
    if not signature.cache:
        return CACHE_NONE
    if _cache_memory(signature, memories) is None:
        return CACHE_COPIED_BY_BINDING
    return InPlaceCache.kind if in_place else GrownCache.kind


def _cache_memory(signature: LanguageSignature, memories: Memories) -> Memory | None:
    """Where the cache is kept; None where each step copies it to the host and back."""
    return memories.shared([each.past for each in signature.cache], [each.present for each in signature.cache])


def cache_facts(signature: LanguageSignature) -> Mapping[str, Any]:
    """Sizes of the cache, for the report."""
    if not signature.cache:
        return {}
    first = signature.cache[0]
    values = sum(tensor.heads * tensor.head_size * np.dtype(tensor.dtype).itemsize for tensor in signature.cache)
    return {
        "layers": len(signature.cache) // 2,
        "kv_heads": first.heads,
        "head_size": first.head_size,
        "cache_dtype": first.dtype,
        "cache_bytes_per_token": values,
    }
