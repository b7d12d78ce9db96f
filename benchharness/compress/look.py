"""What every format's tools tell of a model before anything is made of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchharness.compress.parts import Weight
from benchharness.contract import TensorSpec


@dataclass(frozen=True, kw_only=True)
class Look:
    """A model as read by a tool of its format, in the process that may die of it."""

    model: Path  # the model's own file, or Core ML package
    task: str  # "causal-lm" or "tensor"
    inputs: Sequence[TensorSpec]  # what calibration data must fit
    float_bytes: dict[str, int]  # bytes of stored weights by type: "float32", "float16"
    beside: Sequence[str] = ()  # names of files next to the model that hold its weights
    context_length: int | None = None  # tokens that calibration text may have; None: the model takes no text
    why_no_static: str = ""  # why static recipes cannot calibrate it; empty where they can
    weights: Sequence[Weight] = ()  # what recipes can make smaller, in the order of the file

    @property
    def floats(self) -> int:
        """Bytes of weights that are not compressed."""
        return sum(self.float_bytes.values())

    @property
    def precision(self) -> str | None:
        """What most weights are stored as, by the suite's names; None where none are floats."""
        if not self.floats:
            return None
        most = max(self.float_bytes, key=self.float_bytes.__getitem__)
        return {"float32": "fp32", "float16": "fp16"}.get(most, most)
