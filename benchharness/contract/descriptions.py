"""What a model file says of itself, read without running it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from benchharness.contract.tensors import TensorSpec


@dataclass(frozen=True)
class StoredNumbers:
    """All stored tensors of one type and role in a model file."""

    dtype: str  # as they mean it: "float32", "int8", and "uint4" also where two of them share a byte of another type
    role: str  # "weights", or "scales" for the scales and zero points that quantization adds
    tensors: int
    numbers: int
    bytes: int


@dataclass(frozen=True)
class Quantization:
    """One way in which a model file is quantized, and what is quantized in that way."""

    method: str  # {block-wise, static, dynamic, palettized, pruned} weights, {static, dynamic} activations, half
    # precision
    dtype: str  # of the quantized weights or activations
    operators: Mapping[str, int]  # how many do it, by operator; empty where it is no operator's doing
    granularity: str  # what shares a scale: "per-tensor", "per-channel", "blocks of 32"; else "unknown" or "none"
    symmetric: bool | None  # whether every zero point is zero; None: cannot be told


@dataclass(frozen=True)
class ModelDescription:
    """What a model file says of itself, read without running it."""

    format: str  # "onnx"
    task: str  # "causal-lm" where the adapter would open it as one, else "tensor"
    inputs: Sequence[TensorSpec]
    outputs: Sequence[TensorSpec]
    operators: Mapping[str, Mapping[str, int]]  # how many, by domain and name
    parameters: Sequence[StoredNumbers]
    quantization: Sequence[Quantization]
    external_files: Mapping[str, int | None]  # bytes of files beside the model's own; None: not there
    facts: Mapping[str, Any] = field(default_factory=dict)  # anything else worth knowing, JSON values only


@runtime_checkable
class Inspects(Protocol):
    """An optional ability of an adapter: tells what is in a model file without running it."""

    def inspect(self, artefact: Path) -> ModelDescription:
        """What the file says. It is not trusted: raises `ModelFailure` for whatever cannot be read."""
        ...
