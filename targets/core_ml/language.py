"""A causal language model in Core ML: tokens in, logits of the next token out.

The cache is Core ML's own state, which a prediction reads and writes in place. How many tokens one prediction takes is
the model's choice (`StepLengths`): a prompt goes in one call, in several, or one token at a time. The batch is always
one sequence.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from benchharness.contract import CACHE_IN_PLACE, CACHE_NONE, EffectiveConfiguration
from benchharness.errors import Unsupported
from targets.core_ml.description import Description
from targets.core_ml.session import CoreMLSession, Placement
from targets.core_ml.signature import LanguageSignature
from targets.token_checks import check_token, check_tokens

if TYPE_CHECKING:
    from benchharness.contract import Array

#: What a mask adds to the score of a token that must not be seen: exp of it is zero, and float16 can hold it.
HIDDEN = -1e4


class CoreMLLanguageSession(CoreMLSession, ABC):
    """What every causal language model here shares: the limits and the counting."""

    def __init__(
        self,
        model: Any,
        name: str,
        effective: EffectiveConfiguration,
        description: Description,
        placement: Placement,
        signature: LanguageSignature,
    ) -> None:
        super().__init__(model, name, effective, description, placement)
        self.vocabulary_size = signature.vocabulary_size
        self.context_length = signature.context_length
        self._signature = signature
        self._length = 0  # tokens in the cache

    def reset(self) -> None:
        """Empties the cache."""
        self._length = 0

    def extend(self, tokens: Sequence[int]) -> Array:
        """Appends one or more tokens; the logits of the next one, shape (vocabulary_size,), in the model's type."""
        ids = check_tokens(tokens, self.vocabulary_size, self._length, self.context_length)
        logits: Array = self._append(ids)[-1][-1]
        return logits

    def decode(self, token: int) -> Array:
        """Appends one token; the logits of the next one, shape (vocabulary_size,), in the model's type."""
        return self.extend([token])

    def score(self, tokens: Sequence[int]) -> Array:
        """Logits after each token, shape (len(tokens), vocabulary_size). Leaves the cache empty.

        Raises `Unsupported` where the model yields the last token's logits only, or takes one token at a time.
        """
        if not self._signature.all_logits or self._signature.lengths.only == 1:
            raise Unsupported(f"{self._name}: the model yields the logits of one token at a time; score by decoding")
        self.reset()
        ids = check_tokens(tokens, self.vocabulary_size, 0, self.context_length)
        try:
            return np.concatenate(self._append(ids))
        finally:
            self.reset()

    @abstractmethod
    def _append(self, ids: Array) -> list[Array]:
        """Appends token ids (tokens,); the logits of each prediction that it takes, (its tokens or 1, vocabulary)."""


class CachedSession(CoreMLLanguageSession):
    """A language model that keeps its keys and values in Core ML's state."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        signature = self._signature
        self._state = self._make_state()
        self._one_at_once = signature.lengths.choose(1, self.context_length, pads=False) == 1
        self._token = np.zeros((1, 1), np.int32)
        self._position = np.zeros((1,) * signature.positions_rank, np.int32)
        # coremltools turns every float16 input into float32 on its way: masks are float32 from the start.
        self._row = np.full((1, 1, 1, self.context_length), 0 if signature.mask_grows else HIDDEN, np.float32)
        self._seen = 0  # positions of the row that are not hidden

    def reset(self) -> None:
        """Empties the cache: Core ML hands out a new state, all zeros."""
        super().reset()
        self._state = None  # first, so that there are never two
        self._state = self._make_state()
        if not self._signature.mask_grows:
            self._row[:] = HIDDEN
            self._seen = 0

    def decode(self, token: int) -> Array:
        """Appends one token; the logits of the next one, shape (vocabulary_size,), in the model's type."""
        if not self._one_at_once:
            return self.extend([token])
        signature, used = self._signature, self._length
        check_token(token, self.vocabulary_size, used, self.context_length)
        self._token[0, 0] = token
        data: dict[str, Any] = {signature.tokens: self._token}
        if signature.positions is not None:
            self._position.fill(used)
            data[signature.positions] = self._position
        if signature.mask is not None:
            data[signature.mask] = self._row_up_to(used + 1)
        outputs = self._predict(data, self._state)
        self._length = used + 1
        logits: Array = outputs[signature.logits][0, -1]
        return logits

    def close(self) -> None:
        """Frees the model and its state. The session cannot run any more."""
        del self._state
        super().close()

    def _append(self, ids: Array) -> list[Array]:
        return [self._step(ids[start:stop], length) for start, stop, length in self._plan_steps(ids.size)]

    def _plan_steps(self, tokens: int) -> list[tuple[int, int, int]]:
        """(first token, end, length) of each prediction. Raises `Unsupported`, before any, where they do not fit."""
        steps, start = [], 0
        while start < tokens:
            room = self.context_length - self._length - start
            length = self._signature.lengths.choose(tokens - start, room, pads=self._signature.pads)
            if length is None:
                raise Unsupported(
                    f"{self._name}: {tokens - start} tokens with room for {room} fit none of the lengths that the "
                    f"model takes; convert it with a query length that begins at 1"
                )
            steps.append((start, min(start + length, tokens), length))
            start += length
        return steps

    def _step(self, ids: Array, length: int) -> Array:
        """One prediction of `length` tokens, of which those behind `ids` are padding that the next one overwrites."""
        signature, used = self._signature, self._length
        tokens = np.zeros((1, length), np.int32)
        tokens[0, : ids.size] = ids
        data: dict[str, Any] = {signature.tokens: tokens}
        if signature.positions is not None:
            positions = np.arange(used, used + length, dtype=np.int32)
            data[signature.positions] = positions if signature.positions_rank == 1 else positions[None]
        if signature.mask is not None:
            data[signature.mask] = self._mask(used, length)
        outputs = self._predict(data, self._state)
        self._length = used + ids.size
        logits: Array = outputs[signature.logits][0]
        return logits[: ids.size]

    def _mask(self, used: int, length: int) -> Array:
        """What `length` tokens behind `used` ones may see: the mask (1, 1, length, tokens or whole context)."""
        if length == 1:
            return self._row_up_to(used + 1)
        columns = used + length if self._signature.mask_grows else self.context_length
        return _causal_mask(used, length, columns)

    def _row_up_to(self, tokens: int) -> Array:
        """The mask of a single token: all of the `tokens` so far are seen, itself among them."""
        if self._signature.mask_grows:
            return self._row[..., :tokens]
        if self._seen < tokens:
            self._row[..., self._seen : tokens] = 0
            self._seen = tokens
        return self._row


class UncachedSession(CoreMLLanguageSession):
    """A language model without a cache: every step runs over all tokens again."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._ids = np.zeros((1, self.context_length), np.int32)

    def _append(self, ids: Array) -> list[Array]:
        signature, stop = self._signature, self._length + ids.size
        self._ids[0, self._length : stop] = ids
        data: dict[str, Any] = {signature.tokens: self._ids[:, :stop]}
        if signature.positions is not None:
            positions = np.arange(stop, dtype=np.int32)
            data[signature.positions] = positions if signature.positions_rank == 1 else positions[None]
        if signature.mask is not None:
            data[signature.mask] = self._whole_mask(stop)
        outputs = self._predict(data, None)
        self._length = stop
        return [outputs[signature.logits][0][-ids.size :]]

    def _whole_mask(self, tokens: int) -> Array:
        mask = next(each for each in self._description.inputs if each.name == self._signature.mask)
        if len(mask.shape) == 4:
            return _causal_mask(0, tokens, tokens)
        return np.ones((1, tokens), np.int32 if mask.dtype == "int32" else np.float32)


def _causal_mask(used: int, length: int, columns: int) -> Array:
    """Zero where token `used` + row may see column, `HIDDEN` elsewhere; shape (1, 1, length, columns), float32."""
    hidden = np.arange(columns)[None, :] > np.arange(used, used + length)[:, None]
    return np.where(hidden, np.float32(HIDDEN), np.float32(0))[None, None]


def open_language_session(
    model: Any,
    name: str,
    effective: EffectiveConfiguration,
    description: Description,
    placement: Placement,
    signature: LanguageSignature,
) -> CoreMLLanguageSession:
    """The session that fits the signature."""
    kind = CachedSession if signature.states else UncachedSession
    return kind(model, name, effective, description, placement, signature)


def cache_kind(signature: LanguageSignature) -> str:
    """How the cache is kept, one of the contract's CACHE_*."""
    return CACHE_IN_PLACE if signature.states else CACHE_NONE


def language_facts(signature: LanguageSignature) -> Mapping[str, Any]:
    """The convention, how a prompt goes in, and what the cache takes up, for the report."""
    facts: dict[str, Any] = {
        "layout": signature.layout,
        "context_length_source": signature.context_length_source,
        "prefill": _tell_prefill(signature),
    }
    if signature.states:
        facts["cache_dtype"] = signature.states[0].dtype
        facts["cache_bytes"] = sum(
            math.prod(length or 0 for length in each.shape) * np.dtype(each.dtype).itemsize for each in signature.states
        )
    return facts


def _tell_prefill(signature: LanguageSignature) -> str:
    if not signature.states:
        return "all tokens again at every step"
    lengths = signature.lengths
    if lengths.only == 1:
        return "one token at a time"
    if lengths.listed:
        return f"{', '.join(map(str, lengths.listed))} tokens at a time" + (", padded" if signature.pads else "")
    if lengths.only is not None:
        return f"{lengths.only} tokens at a time" + (", padded" if signature.pads else "")
    if lengths.highest is None or lengths.highest >= signature.context_length:
        return "one call"
    return f"up to {lengths.highest} tokens at a time"
