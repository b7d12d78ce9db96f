"""Describes an .onnx file without ONNX Runtime: signature, operators, stored numbers, how it is quantized.

Reads the file and no weights, so a model of gigabytes takes as long as its graph. Files are not trusted: what cannot be
read becomes a `ModelFailure`.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchharness.contract import ModelDescription, StoredNumbers
from benchharness.errors import ModelFailure, Unsupported
from targets.model_files import named_in
from targets.onnx_format.causality import evidence_of
from targets.onnx_format.contents import Contents, Tensor, read_contents
from targets.onnx_format.files import Description, describe, find_model, is_ort
from targets.onnx_format.quantization import find_quantization, packed_weights, scale_tensors
from targets.onnx_format.signature import read_signature, why_no_language_model
from targets.wire.protobuf import mapped


def inspect_model(artefact: Path) -> ModelDescription:
    """Describes a `.onnx` file or the one in a folder.

    Raises `ModelFailure` for what is none, or is damaged; `Unsupported` for a `.ort` file.
    """
    try:
        model = find_model(artefact)
        if is_ort(model):
            raise Unsupported(
                f"{model}: is in ONNX Runtime's own format, which runs and of which inspect reads nothing; inspect the "
                ".onnx file that it was made from"
            )
        with mapped(model) as wire:
            contents = read_contents(wire)
        return _describe(model, contents, describe(model))
    except ValueError as error:
        raise ModelFailure(
            f"{artefact}: is no ONNX model, or one cut short ({error}); build or download it again"
        ) from error
    except OSError as error:
        raise ModelFailure(f"{artefact}: cannot be read ({error.strerror or error})") from error


def _describe(model: Path, contents: Contents, beside: Description) -> ModelDescription:
    graph = contents.graphs[0]
    operators: dict[str, Counter[str]] = {}
    for each in contents.everywhere:
        for node in each.nodes:
            operators.setdefault(node.domain, Counter())[node.operator] += 1
    task, language = _task(model, contents, beside)
    return ModelDescription(
        format="onnx",
        task=task,
        inputs=graph.inputs,
        outputs=graph.outputs,
        operators={domain: dict(counts.most_common()) for domain, counts in sorted(operators.items())},
        parameters=_parameters(contents),
        quantization=find_quantization(contents),
        external_files=_external_files(model, contents),
        facts={
            "file": model.name,
            "ir_version": contents.ir_version,
            "opsets": contents.opsets,
            "producer": f"{contents.producer} {contents.producer_version}".strip(),
            "domain": contents.domain,
            "model_version": contents.model_version,
            "metadata": contents.metadata,
            "initializers": sum(len(each.initializers) for each in contents.everywhere),
            "constants": sum(len(each.constants) for each in contents.everywhere),
            "nested_graphs": len(contents.graphs) - 1,
            "functions": contents.functions,
            **language,
        },
    )


def _task(model: Path, contents: Contents, beside: Description) -> tuple[str, dict[str, Any]]:
    """The task that the adapter would see in the signature, and what a language model's says of its sizes."""
    inputs, outputs = contents.graphs[0].inputs, contents.graphs[0].outputs
    reason = why_no_language_model(inputs, outputs, beside, lambda: evidence_of(contents))
    if reason:
        return "tensor", {"no_language_model": reason}
    try:
        signature = read_signature(inputs, outputs, beside, str(model))
    except Unsupported as error:
        return "causal-lm", {"cannot_run": str(error)}
    return "causal-lm", {
        "vocabulary_size": signature.vocabulary_size,
        "context_length": signature.context_length,
        "context_length_source": signature.context_length_source,
        "cache_tensors": len(signature.cache),
    }


def _stored(contents: Contents) -> Iterator[Tensor]:
    for graph in contents.everywhere:
        yield from graph.initializers
        yield from graph.constants


def _parameters(contents: Contents) -> list[StoredNumbers]:
    """Initializers and tensors of `Constant`s, of graphs and functions, each once, by type and role; largest first."""
    packed, scales = packed_weights(contents), scale_tensors(contents)
    sums: dict[tuple[str, str], list[int]] = {}
    for tensor in _stored(contents):
        dtype, numbers = packed.get(tensor, (tensor.dtype, tensor.numbers))
        total = sums.setdefault(("scales" if tensor in scales else "weights", dtype), [0, 0, 0])
        for index, more in enumerate((1, numbers, tensor.bytes)):
            total[index] += more
    found = [
        StoredNumbers(dtype=dtype, role=role, tensors=tensors, numbers=numbers, bytes=size)
        for (role, dtype), (tensors, numbers, size) in sums.items()
    ]
    return sorted(found, key=lambda stored: (stored.role != "weights", -stored.bytes, stored.dtype))


def _external_files(model: Path, contents: Contents) -> dict[str, int | None]:
    """Files beside the model that hold its numbers, with their size. Nothing outside its folder is looked at."""
    found: dict[str, int | None] = {}
    for tensor in _stored(contents):
        location = tensor.location
        if location is None or location in found:
            continue
        found[location] = None
        with contextlib.suppress(OSError, ModelFailure):
            found[location] = named_in(model, location, model.parent).stat().st_size
    return found
