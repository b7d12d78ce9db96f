"""Describes a `.gguf` file without llama.cpp: metadata, stored numbers, how they are quantized."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from benchharness.contract import ModelDescription, Quantization, TensorSpec
from targets.gguf_format.contents import Contents, Tensor, read_files
from targets.gguf_format.files import find_model, parts_of
from targets.stored_numbers import WEIGHTS, add_up

#: Quantized types with a smallest value a block beside the scale; the others are symmetric, as far as this list knows.
_WITH_MINIMUM = ("q4_1", "q5_1", "q2_K", "q4_K", "q5_K")
_SYMMETRIC = ("q4_0", "q5_0", "q8_0", "q3_K", "q6_K")
#: What a text goes in by and comes out by: llama.cpp's tensors have no names outside.
TOKENS, LOGITS = "tokens", "logits"
_SHOWN_METADATA = ("general.", "tokenizer.ggml.model", "tokenizer.ggml.pre")


def inspect_model(artefact: Path) -> ModelDescription:
    """What the `.gguf` file, or the one in a folder, and all its parts hold. Raises `ModelFailure`, `Unsupported`."""
    model = find_model(artefact)
    parts = parts_of(model)
    contents = read_files(parts)
    reason = why_no_language_model(contents)
    vocabulary = _count(contents, "vocab_size") or contents.lengths.get("tokenizer.ggml.tokens")
    layers = _count(contents, "block_count")
    inputs, outputs = tensors(vocabulary)
    return ModelDescription(
        format="gguf",
        task="tensor" if reason else "causal-lm",
        inputs=inputs,
        outputs=outputs,
        # A GGUF holds no graph: llama.cpp has one for each architecture.
        operators={f"llama.cpp's {contents.architecture or 'unknown architecture'}": {"layer": layers or 1}},
        parameters=add_up((WEIGHTS, each.dtype, 1, each.numbers, each.bytes) for each in contents.tensors),
        quantization=_quantization(contents),
        external_files={part.name: part.stat().st_size for part in parts[1:]},
        facts={
            "file": model.name,
            "gguf_version": contents.version,
            "architecture": contents.architecture,
            "no_language_model": reason,
            "vocabulary_size": vocabulary,
            "context_length": _count(contents, "context_length"),
            "layers": layers,
            "embedding_length": _count(contents, "embedding_length"),
            "heads": _count(contents, "attention.head_count"),
            "kv_heads": _count(contents, "attention.head_count_kv"),
            "parts": len(parts),
            "metadata": {key: value for key, value in contents.metadata.items() if key.startswith(_SHOWN_METADATA)},
        },
    )


def tensors(vocabulary: int | None) -> tuple[Sequence[TensorSpec], Sequence[TensorSpec]]:
    """What goes in and what comes out, of a text of any length."""
    return [TensorSpec(TOKENS, "int32", ("tokens",))], [TensorSpec(LOGITS, "float32", ("tokens", vocabulary))]


def _count(contents: Contents, key: str) -> int | None:
    """A size that the file tells; None where it tells none, or an array of one for each layer."""
    value = contents.of_architecture(key)
    return value if isinstance(value, int) and value > 0 else None


def why_no_language_model(contents: Contents) -> str:
    """Why a file is not a causal language model, as it says itself; empty where it may be one."""
    kind = contents.metadata.get("general.type", "model")
    if kind != "model":
        return f"it is of type {str(kind)[:100]!r}, not a whole model"
    if not contents.architecture or not contents.tensors:
        return "it names no architecture, or holds no tensors"
    if contents.of_architecture("attention.causal") is False:
        return f"attention looks ahead in its architecture, {contents.architecture!r}"
    return ""


def _quantization(contents: Contents) -> list[Quantization]:
    counts: Counter[str] = Counter()
    examples: dict[str, Tensor] = {}
    for tensor in contents.tensors:
        if tensor.block > 1 or tensor.dtype in ("float16", "bfloat16"):
            counts[tensor.dtype] += tensor.bytes
            examples[tensor.dtype] = tensor
    return [_scheme(examples[dtype]) for dtype, _ in counts.most_common()]


def _scheme(tensor: Tensor) -> Quantization:
    if tensor.block == 1:
        return Quantization("half precision", tensor.dtype, {}, "none", None)
    symmetric = True if tensor.dtype in _SYMMETRIC else False if tensor.dtype in _WITH_MINIMUM else None
    return Quantization("block-wise weights", tensor.dtype, {}, f"blocks of {tensor.block}", symmetric)
