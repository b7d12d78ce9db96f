"""In what type TFLite computes a file's floating-point operators: by the file, and by who takes part.

The built-in kernels compute in float32, whatever type weights are stored in. XNNPACK does so too, but for files whose
metadata say that float16 will do: there it computes in float16 on processors that can, and does not tell.
Source: https://github.com/tensorflow/tensorflow/blob/master/tensorflow/lite/delegates/xnnpack/README.md
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from targets.tflite.options import CPU, XNNPACK
from targets.tflite.schema import IDENTIFIER
from targets.wire.flatbuffers import mapped

# Field numbers of schema.fbs.
_MODEL_GRAPHS, _MODEL_METADATA = 2, 6
_GRAPH_TENSORS, _TENSOR_TYPE, _METADATA_NAME = 0, 1, 0
_FLOATS = {0: "float32", 1: "float16", 10: "float64", 18: "bfloat16"}

_REDUCED = "reduced_precision_support"


@dataclass(frozen=True)
class Precision:
    """`computed` is None where that is not known, with the reason in `unknown`."""

    computed: str | None
    of_model: str | None
    unknown: str = ""


def read_precision(model: Path, parts: Sequence[str]) -> Precision:
    """For a session in which these take part: CPU, XNNPACK, a delegate's library."""
    try:
        floats, reduced = _read(model)
    except (ValueError, OSError) as error:
        return Precision(None, None, f"the types in the file cannot be read ({error})")
    # Weights in float16 are widened before they are used; activations say what is computed in.
    of_model = "float32" if "float32" in floats else "+".join(sorted(floats)) or None
    if not floats:
        return Precision(None, None, "the file has no floating-point types")
    others = [part for part in parts if part not in (CPU, XNNPACK)]
    if others:
        return Precision(None, of_model, "a delegate does not tell in what type it computes")
    if reduced and XNNPACK in parts:
        unknown = "the file allows XNNPACK to compute in float16, and XNNPACK does not tell whether it does"
        return Precision(None, of_model, unknown)
    if of_model != "float32":
        return Precision(None, of_model, f"the runtime does not tell how it computes in {of_model}")
    return Precision("float32", of_model)


def _read(model: Path) -> tuple[set[str], bool]:
    """The floating-point types of all tensors, and whether the file says that less will do."""
    floats: set[str] = set()
    with mapped(model) as wire:
        root = wire.root(IDENTIFIER)
        for graph in root.children(_MODEL_GRAPHS):
            for tensor in graph.children(_GRAPH_TENSORS):
                floats.add(_FLOATS.get(tensor.number(_TENSOR_TYPE, "u8"), ""))
        reduced = any(entry.text(_METADATA_NAME) == _REDUCED for entry in root.children(_MODEL_METADATA))
    return floats - {""}, reduced
