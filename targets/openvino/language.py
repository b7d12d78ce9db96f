"""A causal language model in OpenVINO: tokens in, logits of the next one out, the cache in the model's variables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchharness.contract import EffectiveConfiguration, TensorSpec
from benchharness.errors import Unsupported
from targets.onnx_format.signature import CACHE_BRANCH, LOGITS, MASK, POSITIONS, SEGMENTS, TOKENS, LanguageSignature
from targets.openvino.loading import Compiled
from targets.openvino.names import BEAMS
from targets.openvino.session import OpenVinoSession, Ports
from targets.token_checks import check_tokens

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
        self._signature = signature
        self._length = 0  # tokens in the cache
        self._logits = next(place for place, spec in enumerate(ports.outputs) if spec.name == LOGITS)
        self._row = {spec.name: np.dtype(spec.dtype) for spec in ports.inputs}
        self._mask = np.ones((1, self.context_length), self._row.get(MASK, "int64"))
        self._positions = np.arange(self.context_length, dtype=self._row.get(POSITIONS, "int64"))[None]
        self._kept: TensorSpec | None = signature.kept

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
        return self._forward(tokens, kept=1)[-1].astype(np.float32, copy=False)

    def decode(self, token: int) -> Array:
        """Appends one token; the logits of the next one, like `extend([token])`."""
        return self.extend([token])

    def score(self, tokens: Sequence[int]) -> Array:
        """Logits after each token, float32, shape (len(tokens), vocabulary_size). Leaves the cache empty.

        Raises `Unsupported` where the graph yields the last token's logits only.
        """
        self.reset()
        try:
            rows = np.array(self._forward(tokens, kept=0), np.float32)
        finally:
            self.reset()
        if len(rows) != len(tokens):
            raise Unsupported(f"{self._file}: the graph yields the last token's logits only; score by decoding")
        return rows

    def _forward(self, tokens: Sequence[int], *, kept: int) -> Array:
        """Appends tokens; logits (tokens, vocabulary_size), or (1, ...) of the last one where the graph has no more."""
        ids = check_tokens(tokens, self.vocabulary_size, self._length, self.context_length)
        logits = self._run_row(ids[None], self._length, kept)
        self._length += ids.size
        return logits

    def _run_row(self, ids: Array, start: int, kept: int) -> Array:
        """One inference over a row of tokens that begins at a position."""
        stop = start + ids.shape[1]
        whole: dict[str, Array] = {
            TOKENS: ids,
            MASK: self._mask[:, :stop],
            POSITIONS: self._positions[:, start:stop],
            SEGMENTS: np.zeros_like(ids),
            BEAMS: np.zeros(1, np.int32),
            CACHE_BRANCH: np.array([start > 0]),
        }
        if self._kept is not None:
            whole[self._kept.name] = np.full([1] * len(self._kept.shape), kept)
        feed = {place: whole[name].astype(self._row[name], copy=False) for name, place in self._places.items()}
        return self._infer(feed, share_outputs=True)[self._logits][0]  # type: ignore[no-any-return]


class UncachedSession(OpenVinoLanguageSession):
    """A language model without a cache: every step runs over all tokens again."""

    _before: Array = np.zeros(0, np.int64)

    def reset(self) -> None:
        """Forgets the tokens."""
        super().reset()
        self._before = self._before[:0]

    def _forward(self, tokens: Sequence[int], *, kept: int) -> Array:
        ids = check_tokens(tokens, self.vocabulary_size, self._length, self.context_length)
        whole = np.concatenate([self._before, ids])
        logits = self._run_row(whole[None], 0, kept)
        self._before, self._length = whole, len(whole)
        return logits
