"""Describes a Core ML model without running it: signature, operators, stored numbers, how they are compressed.

Of an ML program everything is told; of a compiled one what the compiler left beside it, and of the models that are
older than ML programs their signature and layers. No weights are read but zero points. Files are not trusted: what
cannot be read becomes a `ModelFailure`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from benchharness.contract import ModelDescription, StoredNumbers
from benchharness.errors import ModelFailure, Unsupported
from targets.core_ml.compression import Compression
from targets.core_ml.description import Description, Feature, describe
from targets.core_ml.files import COMPILED, COMPILED_METADATA, find_specification, read_json
from targets.core_ml.program import BITS, Program, protobuf, read_program
from targets.core_ml.reference import lacking
from targets.core_ml.signature import NoLanguageModel, read_signature
from targets.core_ml.weights import Weights
from targets.wire.mil_blob import records
from targets.wire.protobuf import LONGEST_TEXT, Wire, mapped

_FORMAT, _ML_PROGRAM = "coreml", "mlProgram"

#: The first release that opens a specification of this version.
_RELEASES = {
    1: "iOS 11, macOS 10.13",
    2: "iOS 11.2, macOS 10.13.2",
    3: "iOS 12, macOS 10.14",
    4: "iOS 13, macOS 10.15",
    5: "iOS 14, macOS 11",
    6: "iOS 15, macOS 12",
    7: "iOS 16, macOS 13",
    8: "iOS 17, macOS 14",
    9: "iOS 18, macOS 15",
    10: "iOS 26, macOS 26",
}

#: A compiled model's weights file, and records above which none has any.
_COMPILED_WEIGHTS, _MOST_RECORDS = "weights/weight.bin", 1_000_000

#: Texts of a model's own that are told.
_MOST_TEXTS = 1000

# Field numbers of Model.proto and NeuralNetwork.proto.
_NETWORKS, _NETWORK_LAYERS, _FIRST_LAYER_TYPE = (303, 403, 500), 1, 100


def inspect_model(artefact: Path) -> ModelDescription:
    """Describes a `.mlpackage`, `.mlmodel` or `.mlmodelc`. Raises `ModelFailure` for what is none, or is damaged."""
    protobuf()  # says what to install where it is missing
    try:
        described = describe(artefact)
        if artefact.suffix == COMPILED:
            return _compiled(artefact, described)
        if described.kind != _ML_PROGRAM:
            return _older(artefact, described)
        return _program(described, read_program(artefact))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelFailure(f"{artefact}: cannot be read as a Core ML model ({error}); save it again") from error


def _program(described: Description, program: Program) -> ModelDescription:
    weights = Weights(program.package)
    try:
        compression = Compression(program, weights)
        parameters, schemes = compression.stored(), compression.schemes()
    finally:
        weights.close()
    unknown = lacking(kind for kinds in _kinds(program).values() for kind in kinds)
    return _description(
        described,
        operators=_kinds(program),
        parameters=parameters,
        quantization=schemes,
        external_files=_external_files(program, compression.files()),
        facts={
            "compute_precision": _compute_precision(program),
            "functions": ", ".join(sorted(program.functions)) if len(program.functions) > 1 else "",
            "images": _images(program.description),
            "sparsity": compression.sparsity(),
            "reference_execution": f"lacks {', '.join(unknown)}" if unknown else "possible",
            **_metadata(program.description.metadata),
        },
    )


def _description(described: Description, *, facts: dict[str, Any], **parts: Any) -> ModelDescription:
    task, language = _task(described)
    return ModelDescription(
        format=_FORMAT,
        task=task,
        inputs=[feature.spec for feature in described.inputs],
        outputs=[feature.spec for feature in described.outputs],
        facts={
            "model_type": described.kind,
            "specification_version": described.specification_version,
            "minimum_deployment_target": _RELEASES.get(described.specification_version, "unknown"),
            "states": {feature.name: _shown(feature) for feature in described.states},
            "flexible_shapes": {
                feature.name: _lengths(feature) for feature in described.inputs if _is_flexible(feature)
            },
            **facts,
            **language,
        },
        **parts,
    )


def _task(described: Description) -> tuple[str, dict[str, Any]]:
    """The task that the adapter would see in the signature, and what a language model's says of its sizes."""
    try:
        signature = read_signature(described)
    except NoLanguageModel as reason:
        return "tensor", {"no_language_model": str(reason)}
    except Unsupported as error:
        return "causal-lm", {"cannot_run": str(error)}
    return "causal-lm", {
        "vocabulary_size": signature.vocabulary_size,
        "context_length": signature.context_length,
        "context_length_source": signature.context_length_source,
        "layout": signature.layout,
        "cache_tensors": len(signature.states),
    }


def _shown(feature: Feature) -> str:
    return f"{feature.dtype} {' × '.join(str(length or '?') for length in feature.shape)}"


def _is_flexible(feature: Feature) -> bool:
    return None in feature.shape or bool(feature.shapes)


def _lengths(feature: Feature) -> str:
    """The lengths that each dimension may have."""
    if feature.shapes:
        return "one of " + ", ".join(" × ".join(map(str, shape)) for shape in feature.shapes)
    ends = [(low, "any" if high is None else high) for low, high in feature.bounds]
    return " × ".join(str(low) if low == high else f"{low} to {high}" for low, high in ends)


def _kinds(program: Program) -> dict[str, dict[str, int]]:
    """How often each operator occurs, by the operators' version; of several functions each has its own."""
    found: dict[str, dict[str, int]] = {}
    for name, function in sorted(program.functions.items()):
        kinds = Counter(each.kind for each in function.block.all_operations() if not each.is_constant)
        domain = function.opset if len(program.functions) == 1 else f"{function.opset}, function {name}"
        found[domain] = dict(kinds.most_common())
    return found


def _compute_precision(program: Program) -> str:
    """The float type of what the main function computes; both with their counts where there are two."""
    kinds = Counter(
        output.type.dtype
        for operation in program.main.block.all_operations()
        if not operation.is_constant and operation.kind != "cast"
        for output in operation.outputs
        if output.type.dtype.startswith("float")
    )
    if len(kinds) <= 1:
        return next(iter(kinds), "none")
    return "mixed: " + ", ".join(f"{dtype} in {count} operators" for dtype, count in kinds.most_common())


def _external_files(program: Program, names: set[str]) -> dict[str, int | None]:
    """The weights files with their size; None for one that is not there."""
    found: dict[str, int | None] = {}
    for name in sorted(names):
        shown = name.rpartition("@model_path/")[2]
        try:
            found[shown] = program.package.weights(name).stat().st_size
        except (ModelFailure, OSError):
            found[shown] = None
    return found


def _images(description: Any) -> dict[str, str]:
    """Inputs and outputs that are images: their colours, width and height."""
    found = {}
    for feature in (*description.input, *description.output):
        if feature.type.WhichOneof("Type") == "imageType":
            image = feature.type.imageType
            colours = image.DESCRIPTOR.fields_by_name["colorSpace"].enum_type.values_by_number.get(image.colorSpace)
            found[feature.name] = f"{colours.name if colours else 'unknown'} {image.width} × {image.height}"
    return found


def _metadata(message: Any) -> dict[str, Any]:
    """Who made the model, and with what."""
    named = {
        "author": message.author,
        "license": message.license,
        "version": message.versionString,
        "description": message.shortDescription,
    }
    return {**{name: _cut(text) for name, text in named.items()}, "metadata": _texts(message.userDefined)}


# Models that are no ML program.


def _older(artefact: Path, described: Description) -> ModelDescription:
    """A neural network of layers, trees, a pipeline: its signature and, of a network, its layers."""
    file = find_specification(artefact)
    layers: Counter[str] = Counter()
    with mapped(file) as wire:
        for number, value, end in wire.fields(0, len(wire.content)):
            if number in _NETWORKS and end:
                layers.update(_layers(wire, value, end))
    return _description(
        described,
        operators={described.kind: dict(layers.most_common())} if layers else {},
        parameters=[],
        quantization=[],
        external_files={},
        facts={
            "older_than_ml_programs": 'stored numbers are not told; convert with convert_to="mlprogram"',
        },
    )


def _layers(wire: Wire, start: int, stop: int) -> Counter[str]:
    names = protobuf().NeuralNetwork__pb2.NeuralNetworkLayer.DESCRIPTOR.fields_by_number
    found: Counter[str] = Counter()
    for number, value, end in wire.fields(start, stop):
        if number != _NETWORK_LAYERS or not end:
            continue
        kinds = [part for part, _, _ in wire.fields(value, end) if part >= _FIRST_LAYER_TYPE]
        found.update(names[kind].name if kind in names else f"layer {kind}" for kind in kinds[:1])
    return found


def _compiled(artefact: Path, described: Description) -> ModelDescription:
    """What Core ML's compiler tells of a model. The types of stored numbers come from the weights file itself."""
    metadata = read_json(artefact / COMPILED_METADATA)
    model = metadata[0] if isinstance(metadata, list) and metadata else metadata
    histogram = model.get("mlProgramOperationTypeHistogram") or {}
    operators: dict[str, dict[str, int]] = {}
    for name, count in histogram.items():
        domain, _, kind = str(name).rpartition(".")
        operators.setdefault(domain or "unknown", {})[kind] = int(count)
    weights = artefact / _COMPILED_WEIGHTS
    return _description(
        described,
        operators=operators,
        parameters=_records(weights) if weights.is_file() else [],
        quantization=[],
        external_files={_COMPILED_WEIGHTS: weights.stat().st_size} if weights.is_file() else {},
        facts={
            "compiled": "stored numbers are told by type alone, and scales among them",
            "compute_precision": str(model.get("computePrecision", "")),
            "storage_precision": str(model.get("storagePrecision", "")),
            **{
                name: _cut(model.get(key, ""))
                for name, key in (
                    ("author", "author"),
                    ("license", "license"),
                    ("version", "version"),
                    ("description", "shortDescription"),
                )
            },
            "metadata": _texts(model.get("userDefinedMetadata")),
        },
    )


def _texts(section: Any) -> Mapping[str, str]:
    """A section of texts by name; neither all of them nor the whole of one are needed where they are many or long."""
    items = section.items() if isinstance(section, Mapping) else ()
    return {_cut(key): _cut(value) for key, value in islice(sorted(items), _MOST_TEXTS)}


def _cut(text: Any) -> str:
    return str(text)[:LONGEST_TEXT]


def _records(file: Path) -> list[StoredNumbers]:
    """The records of a weights file, one after another, summed by type."""
    sums: dict[str, list[int]] = {}
    with mapped(file) as wire:
        for record in islice(records(wire.content), _MOST_RECORDS):
            total = sums.setdefault(record.dtype, [0, 0, 0])
            for index, more in enumerate((1, record.size * 8 // BITS.get(record.dtype, 8), record.size)):
                total[index] += more
    found = [
        StoredNumbers(dtype=dtype, role="weights", tensors=tensors, numbers=numbers, bytes=size)
        for dtype, (tensors, numbers, size) in sums.items()
    ]
    return sorted(found, key=lambda stored: -stored.bytes)
