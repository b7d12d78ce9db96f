"""A causal language model in OpenVINO: tokens in, logits of the next one out, the cache in the model's variables."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchharness.contract import EffectiveConfiguration
from benchharness.errors import Unsupported
from targets.causal_session import CausalSession
from targets.onnx_format.feeds import Feeds
from targets.onnx_format.signature import LOGITS, LanguageSignature
from targets.openvino.loading import Compiled
from targets.openvino.session import OpenVinoSession, Ports
from targets.openvino_format.names import BEAMS

if TYPE_CHECKING:
    from benchharness.contract import Array


class OpenVinoLanguageSession(CausalSession, OpenVinoSession):
    """A causal language model whose cache is its state. One request serves it, and the batch is one sequence."""

    _overwrites_logits = True

    def __init__(
        self,
        compiled: Compiled,
        file: Path,
        effective: EffectiveConfiguration,
        ports: Ports,
        signature: LanguageSignature,
    ) -> None:
        OpenVinoSession.__init__(self, compiled, file, effective, ports)
        CausalSession.__init__(self, str(file), signature)
        self._logits = next(place for place, spec in enumerate(ports.outputs) if spec.name == LOGITS)
        beams = next((spec.dtype for spec in ports.inputs if spec.name == BEAMS), "int32")
        feeds, first = Feeds(signature), np.zeros(1, beams)
        self._kept = feeds.kept
        makers = feeds.makers()
        makers[BEAMS] = lambda row, start, stop: first
        self._makers = [(place, makers[name]) for name, place in self._places.items()]

    def run(self, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        """Refused: raw inputs would change the cache, which is inside."""
        raise Unsupported(f'{self._file}: its cache is inside the model; say task = "tensor" to run it on tensors')

    def reset(self) -> None:
        """Empties the cache."""
        self._request.reset_state()
        super().reset()

    def _append(self, row: Array) -> Array:
        logits = self._run_row(row, self._length)
        self._length += row.shape[1]
        return logits

    def _run_row(self, row: Array, start: int) -> Array:
        """One inference over a row of tokens that begins at a position."""
        stop = start + row.shape[1]
        feed = {place: make(row, start, stop) for place, make in self._makers}
        return self._infer(feed, share_outputs=True)[self._logits][0]  # type: ignore[no-any-return]


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
