"""The model that benchmarks run, where `make smollm2` puts it."""

from __future__ import annotations

from pathlib import Path

from benchharness.errors import UsageError
from benchmarks.options import ROOT, Options


def folder(options: Options, variant: str) -> Path:
    """A variant's folder. Raises `UsageError` where it was not built."""
    found = options.models / f"onnx-{variant}"
    if not (found / "model.onnx").is_file():
        raise UsageError(f"SmolLM2 {variant} is not in {found}; build it with: make smollm2")
    return found


def gguf_in_float32(options: Options) -> Path:
    """SmolLM2 in float32: so large that an interpreter is a small part. Raises `UsageError` where it was not made."""
    for place in (options.models / "gguf-f32", ROOT / "build" / "smollm2" / "gguf-f32"):
        if (place / "model.gguf").is_file():
            return place / "model.gguf"
    raise UsageError(f"no model.gguf in {place}; make it with: python examples/smollm2/as_gguf.py")
