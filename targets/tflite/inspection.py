"""Describes a `.tflite` file or a bundle without a runtime: signatures, operators, stored numbers, quantization.

Reads the file and no weights. Files are not trusted: what cannot be read becomes a `ModelFailure`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchharness.contract import ModelDescription, StoredNumbers, TensorSpec
from benchharness.errors import Unsupported
from targets.litert_lm_bundle import read_sections
from targets.model_files import reading
from targets.stored_numbers import SCALES, WEIGHTS, add_up
from targets.tflite.cache_updates import read_updates
from targets.tflite.contents import Contents, Graph, Tensor, read_contents
from targets.tflite.files import BUNDLE_ENDING, find_model, model_file
from targets.tflite.quantization import find_quantization
from targets.tflite.signature import (
    DECODE,
    Signature,
    choose_signature,
    read_layout,
    why_no_language_model,
)
from targets.wire.flatbuffers import mapped

#: Operators that hand on the numbers of their first input, whatever shape, type or scale they give them.
_HANDING_ON = frozenset({"QUANTIZE", "DEQUANTIZE", "CAST", "RESHAPE", "SQUEEZE", "EXPAND_DIMS"})
_BUILT_IN, _CUSTOM = "built-in", "custom"
#: Bytes of a scale and of a zero point, which the file keeps beside each tensor.
_SCALE_BYTES, _ZERO_POINT_BYTES = 4, 8


def inspect_model(artefact: Path) -> ModelDescription:
    """Describes a `.tflite` file, a bundle or the one in a folder. Raises `ModelFailure` for what is none."""
    found = find_model(artefact)
    model = model_file(found)
    return _describe(found, model, read_model(model))


def read_model(model: Path) -> Contents:
    """The contents of a `.tflite` file. Raises `ModelFailure` for what is none, or is damaged."""
    with reading(model, "TFLite model"), mapped(model) as wire:
        return read_contents(wire)


def signatures_of(contents: Contents) -> list[Signature]:
    """The signatures that a file declares; one without a key where it declares none."""
    found = []
    for entry in contents.signatures:
        graph = contents.graphs[entry.graph]
        found.append(_signature(entry.key, graph, entry.inputs, entry.outputs))
    if not found:
        graph = contents.graphs[0]
        found.append(_signature("", graph, _names(graph, graph.inputs), _names(graph, graph.outputs)))
    return found


def last_operators(contents: Contents, key: str) -> dict[str, str]:
    """By output of a signature, the operator that computes it, those that only hand numbers on seen through."""
    entry = next((each for each in contents.signatures if each.key == key), None)
    graph = contents.graphs[entry.graph if entry else 0]
    outputs = entry.outputs if entry else _names(graph, graph.outputs)
    makers = {number: operator for operator in graph.operators for number in operator.outputs}
    found = {}
    for name, number in outputs.items():
        maker, seen = makers.get(number), {number}
        while maker is not None and maker.name in _HANDING_ON and maker.inputs and maker.inputs[0] not in seen:
            seen.add(maker.inputs[0])
            maker = makers.get(maker.inputs[0])
        if maker is not None and maker.name not in _HANDING_ON:
            found[name] = maker.name
    return found


def _names(graph: Graph, numbers: tuple[int, ...]) -> dict[str, int]:
    names = [graph.tensors[number].name for number in numbers]
    return {name if names.count(name) == 1 else f"{name}#{number}": number for name, number in zip(names, numbers)}


def _signature(key: str, graph: Graph, inputs: Mapping[str, int], outputs: Mapping[str, int]) -> Signature:
    def specs(names: Mapping[str, int]) -> dict[str, TensorSpec]:
        found = {}
        for name, number in names.items():
            tensor = graph.tensors[number]
            found[name] = TensorSpec(name, tensor.dtype, tensor.open_shape)
        return found

    return Signature(key, specs(inputs), specs(outputs), dict(inputs), dict(outputs), {})


def _describe(found: Path, model: Path, contents: Contents) -> ModelDescription:
    signatures = signatures_of(contents)
    operators: dict[str, Counter[str]] = {}
    for graph in contents.graphs:
        for operator in graph.operators:
            operators.setdefault(_CUSTOM if operator.custom else _BUILT_IN, Counter())[operator.name] += 1
    task, shown, language = _task(signatures, model, str(found))
    return ModelDescription(
        format="tflite",
        task=task,
        inputs=list(shown.inputs.values()),
        outputs=list(shown.outputs.values()),
        operators={domain: dict(counts.most_common()) for domain, counts in sorted(operators.items())},
        parameters=_parameters(contents),
        quantization=find_quantization(contents),
        external_files={name: _size_beside(found, name) for name in contents.groups},
        facts={
            "file": found.name,
            "schema_version": contents.version,
            "description": contents.description,
            "min_runtime_version": contents.min_runtime_version,
            "signatures": {entry.key: len(contents.graphs[entry.graph].operators) for entry in contents.signatures},
            "graphs": len(contents.graphs),
            "buffers": contents.buffers,
            "metadata": sorted(contents.metadata),
            "stateful": any(operator.name == "VAR_HANDLE" for graph in contents.graphs for operator in graph.operators),
            **_bundle_facts(found),
            **language,
        },
    )


def _task(signatures: list[Signature], model: Path, where: str) -> tuple[str, Signature, dict[str, Any]]:
    """The task that the adapter would see, the signature that it would run, and what a language model's sizes are."""
    reason = why_no_language_model(signatures)
    if reason:
        try:
            shown = choose_signature(signatures, None, where, reason)
        except Unsupported as error:
            return "tensor", signatures[0], {"no_language_model": reason, "cannot_run": str(error)}
        return "tensor", shown, {"no_language_model": reason}
    decode = next(signature for signature in signatures if signature.key == DECODE)
    try:
        layout = read_layout(signatures, read_updates(model, [DECODE]), where)
    except Unsupported as error:
        return "causal-lm", decode, {"cannot_run": str(error)}
    return (
        "causal-lm",
        decode,
        {
            "vocabulary_size": layout.vocabulary_size,
            "context_length": layout.context_length,
            "context_length_source": layout.context_length_source,
            "prefill_lengths": [prefill.length for prefill in layout.prefills],
            "cache_tensors": len(layout.cache),
        },
    )


def _stored(contents: Contents) -> Iterator[tuple[Tensor, bool]]:
    """Every stored tensor once, however many graphs share its numbers, and whether it holds other tensors' scales."""
    seen: set[int] = set()
    for graph in contents.graphs:
        scales = {one.quantized.scales_tensor for one in graph.tensors if one.quantized is not None}
        for number, tensor in enumerate(graph.tensors):
            if not tensor.stored or tensor.buffer in seen:
                continue
            if tensor.group is None:
                seen.add(tensor.buffer)
            yield tensor, number in scales


def _parameters(contents: Contents) -> list[StoredNumbers]:
    """Stored tensors, summed by type and role; the largest first. Scales lie beside the tensors, or are some."""
    found = []
    for tensor, scales in _stored(contents):
        found.append((SCALES if scales else WEIGHTS, tensor.dtype, 1, tensor.numbers, tensor.bytes))
        if tensor.quantized is not None and tensor.quantized.scales:
            count = tensor.quantized.scales
            found.append((SCALES, "float32", 1, count, count * _SCALE_BYTES))
            found.append((SCALES, "int64", 1, count, count * _ZERO_POINT_BYTES))
    return add_up(found)


def _size_beside(model: Path, name: str) -> int | None:
    """The size of a file beside the model; None where it is missing, or named outside the folder."""
    if not name or name != Path(name).name:
        return None
    try:
        return (model.parent / name).stat().st_size
    except (OSError, ValueError):
        return None


def _bundle_facts(found: Path) -> dict[str, Any]:
    if found.suffix != BUNDLE_ENDING:
        return {}
    return {"sections": [section.kind for section in read_sections(found)]}
