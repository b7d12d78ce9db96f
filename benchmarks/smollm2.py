"""The model that benchmarks run, where `make smollm2` puts it."""

from __future__ import annotations

from pathlib import Path

from benchharness.errors import UsageError
from benchmarks.options import Options


def folder(options: Options, variant: str) -> Path:
    """A variant's folder. Raises `UsageError` where it was not built."""
    found = options.models / f"onnx-{variant}"
    if not (found / "model.onnx").is_file():
        raise UsageError(f"SmolLM2 {variant} is not in {found}; build it with: make smollm2")
    return found
