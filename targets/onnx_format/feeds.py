"""What a causal language graph is fed beside its tokens and its cache, by the names that exporters agree on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from targets.onnx_format.signature import CACHE_BRANCH, MASK, POSITIONS, SEGMENTS, TOKENS, LanguageSignature

if TYPE_CHECKING:
    from benchharness.contract import Array

    Maker = Callable[[Array, int, int], Array]


class Feeds:
    """Arrays of one sequence as long as the context: a step is fed a part of each, and none is made anew."""

    def __init__(self, signature: LanguageSignature) -> None:
        length, kept = signature.context_length, signature.kept
        self.mask: Array = np.ones((1, length), signature.mask_dtype or "int64")
        self.positions: Array = np.arange(length, dtype=signature.position_dtype or "int64")[None]
        self.segments: Array = np.zeros((1, length), signature.segment_dtype or "int64")
        #: Of how many tokens from the end logits are computed: 0 for all.
        self.kept: Array = np.ones([1] * len(kept.shape) if kept else [1], kept.dtype if kept else "int64")
        self._kept_name = kept.name if kept else ""

    def makers(self) -> dict[str, Maker]:
        """By input, what is fed for a row of tokens (1, n) from one position up to another."""
        return {
            TOKENS: lambda row, start, stop: row,
            MASK: lambda row, start, stop: self.mask[:, :stop],
            POSITIONS: lambda row, start, stop: self.positions[:, start:stop],
            SEGMENTS: lambda row, start, stop: self.segments[:, : stop - start],
            CACHE_BRANCH: lambda row, start, stop: np.array([start > 0]),
            self._kept_name: lambda row, start, stop: self.kept,
        }
