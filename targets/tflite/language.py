"""A causal language model in LiteRT: tokens in, logits of the next token out.

How a prompt is fed. The exported prefill gives no logits, so all tokens but the last go through `prefill_N` and the
last one through `decode`, whose logits are the answer. Where prefill gives the logits of every token, all go through
it, but for a last one that is left alone.
Chunks are chosen as LiteRT-LM does: the shortest prefill that holds all that is left, filled up with padding; as long
as none does, the longest one. So a prompt shorter than the shortest prefill is padded too, except near the end of the
context: a padded chunk that would reach beyond it would be moved back by the graph, onto tokens that are in the cache.
There, shorter chunks are taken that fit, and single decodes where none does.

Padding takes the positions after the chunk's own tokens. What it writes into the cache there is not visible to any
token, and the next tokens overwrite it before they look.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from benchharness.contract import EffectiveConfiguration, TensorSpec
from benchharness.errors import ModelFailure
from targets.tflite.cache import Steps
from targets.tflite.session import Placement
from targets.tflite.signature import DECODE, MASK, POSITIONS, LanguageLayout, Prefill, Signature
from targets.token_checks import check_token, check_tokens

if TYPE_CHECKING:
    from benchharness.contract import Array

PADDING_TOKEN = 0

#: What hides a position from a token, where masks are added to scores: far below any score, and no infinity.
_HIDDEN = -1e9


class TfliteLanguageSession:
    """A causal language model with its cache inside. The batch is always one sequence."""

    def __init__(
        self,
        steps: Steps,
        layout: LanguageLayout,
        signatures: Sequence[Signature],
        name: str,
        effective: EffectiveConfiguration,
        placement: Placement,
    ) -> None:
        decode = next(signature for signature in signatures if signature.key == DECODE)
        self.inputs: Sequence[TensorSpec] = tuple(decode.inputs.values())
        self.outputs: Sequence[TensorSpec] = tuple(decode.outputs.values())
        self.vocabulary_size = layout.vocabulary_size
        self.context_length = layout.context_length
        self.effective = effective
        self._steps = steps
        self._layout = layout
        self._name = name
        self._placement = placement
        self._length = 0  # tokens in the cache
        self._inputs = {signature.key: _Inputs(signature, layout) for signature in signatures}

    def reset(self) -> None:
        """Empties the cache: what lies in it is hidden from every token to come."""
        self._length = 0

    def extend(self, tokens: Sequence[int]) -> Array:
        """Appends one or more tokens; the logits of the next one, float32, shape (vocabulary_size,)."""
        ids = check_tokens(tokens, self.vocabulary_size, self._length, self.context_length).tolist()
        logits: Array | None = None
        last = 0 if self._layout.prefill_returns_logits else 1
        done = 0
        while done < len(ids):
            left = len(ids) - last - done
            prefill = self._choose(left)
            if prefill is None:
                logits = self._append(DECODE, ids[done : done + 1])
                done += 1
            else:
                count = min(left, prefill.length)
                logits = self._append(prefill.key, ids[done : done + count])
                done += count
        assert logits is not None, "the last chunk gives logits"
        return logits

    def decode(self, token: int) -> Array:
        """Appends one token; the logits of the next one, float32, shape (vocabulary_size,)."""
        check_token(token, self.vocabulary_size, self._length, self.context_length)
        logits = self._append(DECODE, (token,))
        assert logits is not None, "the signature was chosen for its logits"
        return logits

    def run(self, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        """One inference of `decode` on raw inputs, the cache among them, beside the session's own. `ModelFailure`."""
        missing = [spec.name for spec in self.inputs if spec.name not in inputs]
        if missing:
            raise ModelFailure(f"{self._name}: the input {missing[0]!r} is missing")
        try:
            return self._steps.run_beside(DECODE, inputs)
        except MemoryError:
            raise
        except Exception as error:
            raise self._failure(DECODE, error) from error

    def placement(self) -> Mapping[str, Mapping[str, int]]:
        """Operators per place. Raises `Unsupported` where the runtime does not tell."""
        return self._placement()

    def close(self) -> None:
        """Frees the model and its cache. The session cannot run any more."""
        self._steps.close()

    def _choose(self, left: int) -> Prefill | None:
        """The prefill for the next of `left` tokens; None: a single decode. What does not fit the context is out."""
        if left < 1 or (left == 1 and self._layout.prefill_returns_logits):
            return None
        room = self.context_length - self._length
        fitting = [prefill for prefill in self._layout.prefills if prefill.length <= room]
        for prefill in fitting:
            if prefill.length >= left:
                return prefill
        return fitting[-1] if fitting else None

    def _append(self, key: str, ids: Sequence[int]) -> Array | None:
        """Runs one signature on its share of the tokens; the last one's logits."""
        inputs = self._inputs[key].fill(ids, self._length)
        try:
            logits = self._steps.run(key, inputs)
        except MemoryError:
            raise
        except Exception as error:  # the packages raise RuntimeError and ValueError for anything
            raise self._failure(key, error) from error
        self._length += len(ids)
        if logits is None:
            return None
        rows = logits.reshape(-1, self.vocabulary_size)
        return rows[len(ids) - 1].astype(np.float32, copy=False)  # type: ignore[no-any-return]

    def _failure(self, key: str, error: Exception) -> ModelFailure:
        return ModelFailure(f"{self._name}: the runtime failed while running {key}: {error}")


class _Inputs:
    """The arrays that one signature is fed, written anew for each run: tokens (1, N), positions (N,), mask."""

    def __init__(self, signature: Signature, layout: LanguageLayout) -> None:
        self._tokens = _zeros(signature.inputs[layout.tokens])
        self._positions = _zeros(signature.inputs[POSITIONS])
        self._arrays: dict[str, Any] = {layout.tokens: self._tokens, POSITIONS: self._positions}
        self._length = self._tokens.shape[-1]
        self._mask: Any = None
        if layout.masked is not None:
            mask = _zeros(signature.inputs[MASK])
            self._seen, self._hidden = _mask_values(mask.dtype)
            mask.fill(self._hidden)
            self._arrays[MASK] = mask
            self._mask = mask.reshape(-1, self._length, mask.shape[-1])  # a view; heads may have a mask each
            self._columns = np.arange(mask.shape[-1])
            self._visible = np.zeros(self._length, np.int64)  # positions that each row sees now

    def fill(self, ids: Sequence[int], depth: int) -> Mapping[str, Any]:
        """The arrays for tokens at positions from `depth`; padding follows them."""
        self._tokens.fill(PADDING_TOKEN)
        self._tokens[..., : len(ids)] = ids
        self._positions[...] = np.arange(depth, depth + self._length)
        if self._mask is not None:
            for row in range(self._length):
                self._show(row, depth + row + 1)
        return self._arrays

    def _show(self, row: int, positions: int) -> None:
        """Lets a row see the first so many positions, changing only what differs from the last time."""
        visible = int(self._visible[row])
        if positions > visible:
            self._mask[:, row, visible:positions] = self._seen
        else:
            self._mask[:, row, positions:visible] = self._hidden
        self._visible[row] = positions


def _mask_values(dtype: Any) -> tuple[Any, Any]:
    """What shows a position and what hides it."""
    if dtype == np.bool_:
        return True, False
    return 0.0, max(_HIDDEN, 0.7 * float(np.finfo(dtype).min))


def _zeros(spec: TensorSpec) -> Any:
    return np.zeros(tuple(length for length in spec.shape if isinstance(length, int)), spec.dtype)
