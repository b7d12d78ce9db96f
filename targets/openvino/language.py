"""A causal language model in OpenVINO: tokens in, logits of the next one out, the cache in the model's variables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchharness.contract import EffectiveConfiguration
from benchharness.errors import Unsupported
from targets.onnx_format.signature import CACHE_BRANCH, LOGITS, MASK, POSITIONS, SEGMENTS, TOKENS, LanguageSignature
from targets.openvino.loading import Compiled
from targets.openvino.names import BEAMS
from targets.openvino.session import OpenVinoSession, Ports
from targets.token_checks import check_token, check_tokens

if TYPE_CHECKING:
    from benchharness.contract import Array


class OpenVinoLanguageSession(OpenVinoSession):
    """A causal language model whose cache is its state. One request serves it, and the batch is one sequence."""

    def __init__(
        self,
        compiled: Compiled,
        file: Path,
        effective: EffectiveConfiguration,
        ports: Ports,
        signature: LanguageSignature,
    ) -> None:
        super().__init__(compiled, file, effective, ports)
        self.vocabulary_size = signature.vocabulary_size
        self.context_length = signature.context_length
        self._length = 0  # tokens in the cache
        self._logits = next(place for place, spec in enumerate(ports.outputs) if spec.name == LOGITS)
        dtypes = {spec.name: np.dtype(spec.dtype) for spec in ports.inputs}
        self._token = np.zeros((1, 1), dtypes[TOKENS])
        kept = signature.kept
        # The last token's logits are all that generating takes; `score` asks for all.
        self._kept = np.ones([1] * len(kept.shape) if kept else [1], kept.dtype if kept else "int64")
        makers = _makers(self.context_length, dtypes, self._kept, kept.name if kept else "")
        self._makers = [(place, makers[name]) for name, place in self._places.items()]

    def run(self, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        """Refused: raw inputs would change the cache, which is inside."""
        raise Unsupported(f'{self._file}: its cache is inside the model; say task = "tensor" to run it on tensors')

    def reset(self) -> None:
        """Empties the cache."""
        self._request.reset_state()
        self._length = 0

    def extend(self, tokens: Sequence[int]) -> Array:
        """Appends one or more tokens; the logits of the next one, float32, shape (vocabulary_size,).

        The next call overwrites them.
        """
        logits: Array = self._append(self._checked(tokens))[-1]
        return logits.astype(np.float32, copy=False)

    def decode(self, token: int) -> Array:
        """Appends one token; the logits of the next one, like `extend([token])`."""
        check_token(token, self.vocabulary_size, self._length, self.context_length)
        self._token[0, 0] = token
        logits: Array = self._append(self._token)[-1]
        return logits.astype(np.float32, copy=False)

    def score(self, tokens: Sequence[int]) -> Array:
        """Logits after each token, float32, shape (len(tokens), vocabulary_size). Leaves the cache empty.

        Raises `Unsupported` where the graph yields the last token's logits only.
        """
        self.reset()
        self._kept[...] = 0  # all
        try:
            rows = np.array(self._append(self._checked(tokens)), np.float32)
        finally:
            self._kept[...] = 1
            self.reset()
        if len(rows) != len(tokens):
            raise Unsupported(f"{self._file}: the graph yields the last token's logits only; score by decoding")
        return rows

    def _checked(self, tokens: Sequence[int]) -> Array:
        """Token ids as one row. Raises `Unsupported` where they are none, out of range or too many."""
        ids = check_tokens(tokens, self.vocabulary_size, self._length, self.context_length)
        return ids[None].astype(self._token.dtype, copy=False)

    def _append(self, row: Array) -> Array:
        """Appends a row of tokens (1, n); logits (n, vocabulary_size), or (1, ...) where the graph has no more."""
        logits = self._run_row(row, self._length)
        self._length += row.shape[1]
        return logits

    def _run_row(self, row: Array, start: int) -> Array:
        """One inference over a row of tokens that begins at a position."""
        stop = start + row.shape[1]
        feed = {place: make(row, start, stop) for place, make in self._makers}
        return self._infer(feed, share_outputs=True)[self._logits][0]  # type: ignore[no-any-return]


def _makers(
    context: int, dtypes: Mapping[str, np.dtype[Any]], kept: Array, kept_name: str
) -> Mapping[str, Callable[[Array, int, int], Array]]:
    """By input, what is fed for a row of tokens from one position to another; nothing is made that can be kept."""
    ones = np.ones((1, context), dtypes.get(MASK, "int64"))
    positions = np.arange(context, dtype=dtypes.get(POSITIONS, "int64"))[None]
    segments = np.zeros((1, context), dtypes.get(SEGMENTS, "int64"))
    first = np.zeros(1, dtypes.get(BEAMS, "int32"))
    return {
        TOKENS: lambda row, start, stop: row,
        MASK: lambda row, start, stop: ones[:, :stop],
        POSITIONS: lambda row, start, stop: positions[:, start:stop],
        SEGMENTS: lambda row, start, stop: segments[:, : stop - start],
        BEAMS: lambda row, start, stop: first,
        CACHE_BRANCH: lambda row, start, stop: np.array([start > 0]),
        kept_name: lambda row, start, stop: kept,
    }


class UncachedSession(OpenVinoLanguageSession):
    """A language model without a cache: every step runs over all tokens again."""

    _before: Array | None = None

    def reset(self) -> None:
        """Forgets the tokens."""
        super().reset()
        self._before = None

    def _append(self, row: Array) -> Array:
        whole = row if self._before is None else np.concatenate([self._before, row], axis=1)
        logits = self._run_row(whole, 0)
        self._before, self._length = np.array(whole), whole.shape[1]
        return logits
