"""The two ways in which an ONNX graph keeps its key/value cache, without a copy through Python.

`InPlaceCache`: the graph appends to a buffer (GroupQueryAttention). One buffer is bound as both past and present.
`GrownCache`: the graph writes a longer copy (Concat). What one step gave is bound as what the next one takes.
Both live in the memory that the session reads and writes its cache in, the host's or an accelerator's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime

from benchharness.contract import CACHE_GROWN_BY_GRAPH, CACHE_IN_PLACE
from targets.onnx_format.signature import CacheTensor
from targets.onnx_runtime.memory import HOST, Memory

#: Free positions that a prompt leaves behind it, so that the first tokens decoded after it find room. An in-place
#: cache that outgrows them doubles, and that one step pays for a copy: `cache_capacity` avoids it.
HEADROOM_TOKENS = 256


class InPlaceCache:
    """One buffer for each tensor, bound once. It grows when a request needs more, and `clear` keeps its size.

    `capacity` is the number of tokens to reserve at once; 0: `HEADROOM_TOKENS`, and as many behind each prompt.
    """

    kind = CACHE_IN_PLACE

    def __init__(
        self, binding: Any, tensors: Sequence[CacheTensor], limit: int, capacity: int, memory: Memory = HOST
    ) -> None:
        self._binding = binding
        self._tensors = tensors
        self._memory = memory
        self._limit = limit  # tokens of the context
        self._headroom = 0 if capacity else HEADROOM_TOKENS  # who says how much is needed gets no more
        self._buffers: list[Any] = [None] * len(tensors)  # onnxruntime.OrtValue
        self.capacity = 0
        self._resize(tensors[0].capacity or min(capacity or HEADROOM_TOKENS, limit), used=0)

    def clear(self) -> None:
        """Nothing: what lies beyond the tokens of the mask is never read."""

    def reserve(self, tokens: int, used: int) -> None:
        """Makes room for a prompt that ends at `tokens`, and for some tokens after it. Keeps the first `used`."""
        wanted = min(tokens + self._headroom, self._limit)
        if wanted > self.capacity:
            blocks = -(-wanted // HEADROOM_TOKENS)
            self._resize(min(blocks * HEADROOM_TOKENS, self._limit), used)

    def before_step(self, tokens: int) -> None:
        """Makes room for the last of `tokens`."""
        if tokens > self.capacity:
            self._resize(min(2 * self.capacity, self._limit), used=tokens - 1)

    def after_step(self) -> None:
        """Nothing: the graph has written to the buffers."""

    def _resize(self, capacity: int, used: int) -> None:
        """Moves the first `used` positions to buffers of `capacity`, one tensor at a time to keep the peak low."""
        for index, tensor in enumerate(self._tensors):
            # Zeros: no kernel may meet a stray NaN, and untouched pages stay unused until the graph writes there.
            buffer = np.zeros((1, tensor.heads, capacity, tensor.head_size), tensor.dtype)
            old = self._buffers[index]
            if old is not None:
                buffer[:, :, :used] = old.numpy()[:, :, :used]
            value = onnxruntime.OrtValue.ortvalue_from_numpy(buffer, *self._memory)
            self._binding.bind_ortvalue_input(tensor.past, value)
            self._binding.bind_ortvalue_output(tensor.present, value)
            self._buffers[index] = value
        self.capacity = capacity


class GrownCache:
    """Hands the tensors that one step gave to the next, as ONNX Runtime's own values."""

    kind = CACHE_GROWN_BY_GRAPH
    capacity = None  # as long as what it holds

    def __init__(self, binding: Any, tensors: Sequence[CacheTensor], memory: Memory = HOST) -> None:
        self._binding = binding
        self._tensors = tensors
        self._memory = memory
        self._empty = [
            onnxruntime.OrtValue.ortvalue_from_numpy(np.zeros((1, t.heads, 0, t.head_size), t.dtype)) for t in tensors
        ]
        self._held = self._empty

    def clear(self) -> None:
        """Drops what is held."""
        self._held = self._empty

    def reserve(self, tokens: int, used: int) -> None:
        """Nothing: the graph allocates."""

    def before_step(self, tokens: int) -> None:
        """Binds what is held as the past, and asks for new values as the present."""
        bind_past, bind_present = self._binding.bind_ortvalue_input, self._binding.bind_output
        for tensor, value in zip(self._tensors, self._held):
            bind_past(tensor.past, value)
            bind_present(tensor.present, *self._memory)

    def after_step(self) -> None:
        """Takes over what the step gave. The logits are bound first, so the cache starts at the second output."""
        self._held = self._binding.get_outputs()[1:]
