"""An adapter that computes nothing: logits out of a random generator, as fast as memory can be copied.

A model file holds three words: the vocabulary's size, a seed, and how much noise (standard deviation) is added to what
the seed gives. Two files that differ in the noise alone are a reference and a variant of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchharness.contract import Availability, Configuration, EffectiveConfiguration, TensorSpec
from benchharness.errors import ModelFailure, Unsupported

if TYPE_CHECKING:
    Array = np.ndarray[Any, np.dtype[Any]]

#: Different rows of logits; which one follows depends on the token and on the position.
_ROWS = 61
_NOISE_SEED = 1
_SPREAD = 3.0


class SeededLogits:
    """The adapter."""

    name = "seeded-logits"
    formats: Sequence[str] = (".seeded",)

    def availability(self) -> Availability:
        """Always there."""
        return Availability(available=True, version="1.0", accelerators=("none",))

    @contextmanager
    def open(self, artefact: Path, configuration: Configuration) -> Iterator[SeededSession]:
        """Makes the rows. Raises `ModelFailure` where the file is not three numbers."""
        try:
            size, seed, noise = artefact.read_text(encoding="utf-8").split()
            logits = rows(int(size), int(seed), float(noise))
        except ValueError as error:
            raise ModelFailure(f"{artefact.name}: not 'VOCABULARY SEED NOISE': {error}") from error
        yield SeededSession(logits)


def rows(vocabulary_size: int, seed: int, noise: float) -> Array:
    """The logits that a model file stands for, float32, shape (rows, vocabulary_size)."""
    clean = np.random.default_rng(seed).normal(size=(_ROWS, vocabulary_size)) * _SPREAD
    if noise:
        clean += np.random.default_rng((seed, _NOISE_SEED)).normal(size=clean.shape) * noise
    return clean.astype(np.float32)


def row_after(token: Any, position: Any) -> Any:
    """Which row holds the logits after a token at a position: numbers, or arrays of them."""
    return (7 * token + position) % _ROWS


class SeededSession:
    """A language model as far as the harness can see."""

    context_length = 1 << 20

    def __init__(self, logits: Array) -> None:
        self._logits = logits
        self._position = 0
        self.vocabulary_size = logits.shape[1]
        self.inputs: Sequence[TensorSpec] = (TensorSpec("input_ids", "int64", (1, "sequence")),)
        self.outputs: Sequence[TensorSpec] = (TensorSpec("logits", "float32", (1, self.vocabulary_size)),)
        self.effective = EffectiveConfiguration(accelerators=("none",), threads=1, cache="none")

    def run(self, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        """Raises `Unsupported`: there are only tokens."""
        raise Unsupported("only tokens")

    def reset(self) -> None:
        """Back to the first position."""
        self._position = 0

    def extend(self, tokens: Sequence[int]) -> Array:
        """The logits after the last of them, shape (vocabulary_size,)."""
        self._position += len(tokens)
        found: Array = self._logits[row_after(tokens[-1], self._position - 1)]
        return found

    def decode(self, token: int) -> Array:
        """The logits after one more token."""
        return self.extend([token])
