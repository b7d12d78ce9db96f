"""An adapter that does nothing, instantly: timing it times the harness itself.

An artefact is any file ending in `.null`; its content is not looked at. The session is a causal language model that
keeps no cache and always answers with the same logits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchharness.contract import CACHE_NONE, Availability, Configuration, EffectiveConfiguration, TensorSpec
from benchharness.errors import ModelFailure, Unsupported

if TYPE_CHECKING:
    from benchharness.contract import Array

_VOCABULARY = 32
_CONTEXT = 1 << 20
_LOGITS = np.arange(_VOCABULARY, dtype=np.float32)


class Null:
    """The adapter that does nothing."""

    name = "null"
    formats: Sequence[str] = (".null",)

    def availability(self) -> Availability:
        """Always there."""
        return Availability(available=True, version="1", accelerators=("nothing",))

    @contextmanager
    def open(self, artefact: Path, configuration: Configuration) -> Iterator[NullSession]:
        """A session. Raises `ModelFailure` where there is no such file."""
        if not Path(artefact).is_file():
            raise ModelFailure(f"{artefact}: no such file")
        if configuration.accelerator not in (None, "nothing"):
            raise Unsupported(f"no accelerator is called {configuration.accelerator!r} here (there is: nothing)")
        yield NullSession()


class NullSession:
    """Answers at once, always the same."""

    inputs: Sequence[TensorSpec] = (TensorSpec("input_ids", "int64", (1, "sequence")),)
    outputs: Sequence[TensorSpec] = (TensorSpec("logits", "float32", (1, _VOCABULARY)),)
    effective = EffectiveConfiguration(accelerators=("nothing",), threads=1, cache=CACHE_NONE, runtime_version="1")
    vocabulary_size = _VOCABULARY
    context_length = _CONTEXT

    def run(self, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        """The logits, whatever comes in."""
        return {"logits": _LOGITS}

    def reset(self) -> None:
        """Nothing to empty."""

    def extend(self, tokens: Sequence[int]) -> Array:
        """The logits, whatever comes in; shape (vocabulary_size,)."""
        return _LOGITS

    def decode(self, token: int) -> Array:
        """The logits, whatever comes in; shape (vocabulary_size,)."""
        return _LOGITS
