"""Describes an .onnx file without ONNX Runtime: signature, operators, stored numbers, how it is quantized.

Reads the file and no weights, so a model of gigabytes takes as long as its graph. Files are not trusted: what cannot be
read becomes a `ModelFailure`.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchharness.contract import ModelDescription, StoredNumbers, TensorSpec
from benchharness.errors import ModelFailure, Unsupported
from targets.model_files import named_in, reading
from targets.onnx_format.causality import evidence_of
from targets.onnx_format.contents import Contents, Tensor, read_contents
from targets.onnx_format.files import Description, describe, find_model, is_ort
from targets.onnx_format.quantization import find_quantization, packed_weights, scale_tensors
from targets.onnx_format.signature import told_task
from targets.stored_numbers import SCALES, WEIGHTS, add_up
from targets.wire.protobuf import mapped


def inspect_model(artefact: Path) -> ModelDescription:
    """Describes a `.onnx` file or the one in a folder.

    Raises `ModelFailure` for what is none, or is damaged; `Unsupported` for a `.ort` file.
    """
    with reading(artefact, "ONNX model"):
        model = find_model(artefact)
        if is_ort(model):
            raise Unsupported(
                f"{model}: is in ONNX Runtime's own format, which runs and of which inspect reads nothing; inspect the "
                ".onnx file that it was made from"
            )
        with mapped(model) as wire:
            contents = read_contents(wire)
        return _describe(model, contents, describe(model))


def declared_specs(model: Path) -> Mapping[str, TensorSpec]:
    """Inputs and outputs by name, with their dimensions' own names; none where the file cannot be read."""
    try:
        with mapped(model) as wire:
            graph = read_contents(wire).graphs[0]
    except (OSError, ValueError, IndexError):
        return {}
    return {spec.name: spec for spec in (*graph.inputs, *graph.outputs)}


def _describe(model: Path, contents: Contents, beside: Description) -> ModelDescription:
    graph = contents.graphs[0]
    operators: dict[str, Counter[str]] = {}
    for each in contents.everywhere:
        for node in each.nodes:
            operators.setdefault(node.domain, Counter())[node.operator] += 1
    task, language = told_task(graph.inputs, graph.outputs, beside, lambda: evidence_of(contents), str(model))
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


def _stored(contents: Contents) -> Iterator[Tensor]:
    for graph in contents.everywhere:
        yield from graph.initializers
        yield from graph.constants


def _parameters(contents: Contents) -> list[StoredNumbers]:
    """Initializers and tensors of `Constant`s, of graphs and functions, each once, by type and role; largest first."""
    packed, scales = packed_weights(contents), scale_tensors(contents)
    return add_up(
        (SCALES if tensor in scales else WEIGHTS, *_counted(tensor, packed), tensor.bytes)
        for tensor in _stored(contents)
    )


def _counted(tensor: Tensor, packed: Mapping[Tensor, tuple[str, int]]) -> tuple[str, int, int]:
    """Type, tensors and numbers of one, as they are meant: several may share a byte of another type."""
    dtype, numbers = packed.get(tensor, (tensor.dtype, tensor.numbers))
    return dtype, 1, numbers


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
