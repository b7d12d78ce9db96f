"""Core ML recipes, made by coremltools.optimize.coreml. Only the process that makes one artefact imports this.

The model is never compiled or run, so this works on any system.
"""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchharness.compress.calibration import Sample, Text
from benchharness.compress.look import Look
from benchharness.compress.parts import Weight, check_bytes_left
from benchharness.compress.recipes import CORE_ML, Recipe, plain
from benchharness.errors import ModelFailure, Unsupported
from targets.core_ml.description import load_specification
from targets.core_ml.files import check_artefact, find_specification
from targets.core_ml.program import quiet_coremltools

with quiet_coremltools():
    import coremltools
    from coremltools.optimize import coreml as tool

_PROGRAM = "mlProgram"
#: Element types of a program, https://apple.github.io/coremltools/mlmodel/Format/MIL.html
_FLOATS = {10: ("float16", 2), 11: ("float32", 4)}
#: Identifiers of a package's items are random; these follow from the item's path.
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://apple.github.io/coremltools")


def look(artefact: Path) -> Look:
    """Reads a package's specification. Raises `ModelFailure` for what is none, `Unsupported` for what is no program."""
    path = _find_package(artefact)
    check_artefact(path)
    specification = load_specification(path)
    kind = specification.WhichOneof("Type")
    if kind != _PROGRAM:
        raise Unsupported(
            f"{path}: a {kind}; only programs can be compressed: convert it anew with coremltools.convert"
        )
    functions = len(specification.mlProgram.functions)
    if functions > 1:
        raise Unsupported(
            f"{path}: has {functions} functions, and coremltools compresses models of one; "
            "compress each function before they are put into one model"
        )
    return Look(
        model=path,
        task="tensor",
        inputs=[],
        float_bytes=_float_bytes(specification),
        why_no_static="no Core ML recipe needs calibration data",
        weights=_weights(specification),
    )


def compress(
    found: Look, recipe: Recipe, target: Path, scratch: Path, data: Sequence[Sample] | Text | None
) -> list[str]:
    """Writes the package that a recipe makes to `target`; notes for whoever reads the result.

    Raises `Unsupported` where the recipe does not fit the model.
    """
    model = coremltools.models.MLModel(str(found.model), skip_model_load=True)
    run, configuration = {
        "linear": (tool.linear_quantize_weights, tool.OpLinearQuantizerConfig),
        "palette": (tool.palettize_weights, tool.OpPalettizerConfig),
        "pruning": (tool.prune_weights, tool.OpMagnitudePrunerConfig),
    }[recipe.family]
    settings = configuration(**plain(recipe.settings))
    left = dict.fromkeys(recipe.left)  # no configuration: as it is
    try:
        made = run(model, tool.OptimizationConfig(global_config=settings, op_name_configs=left or None))
    except ValueError as error:
        if "deployment_target" not in str(error):
            raise
        raise Unsupported(
            f"{found.model.name} is of specification version {model.get_spec().specificationVersion}, too old for this "
            f"recipe; convert it anew with minimum_deployment_target=coremltools.target.iOS18 ({error})"
        ) from error
    made.save(str(target))
    specification = load_specification(target)
    after = sum(_float_bytes(specification).values())
    check_bytes_left(found.weights, recipe.left, after)
    if after >= found.floats:
        threshold = recipe.settings["weight_threshold"]
        raise Unsupported(
            f"nothing to compress: no weights of more than {threshold} numbers are stored as floats, or the program is "
            "older than iOS 16; a model that is compressed already stays as it is"
        )
    _make_reproducible(target, specification)
    return []


def _find_package(artefact: Path) -> Path:
    if artefact.suffix == CORE_ML:
        return artefact
    found = sorted(artefact.glob(f"*{CORE_ML}"))
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise ModelFailure(f"{artefact}: expected one {CORE_ML} in this folder ({names}); name it as the model")
    return found[0]


def _float_bytes(specification: Any) -> dict[str, int]:
    """Constants that are stored as floats, small ones too."""
    found: Counter[str] = Counter()
    for _, dtype, size, _ in _constants(specification):
        found[dtype] += size
    return dict(found)


def _weights(specification: Any) -> list[Weight]:
    """Constants of two axes or more that are stored as floats; the tool leaves small ones alone, by its threshold."""
    return [Weight(name, name, size) for name, _, size, axes in _constants(specification) if axes > 1]


def _constants(specification: Any) -> Iterator[tuple[str, str, int, int]]:
    """Of each constant of floats its name, type, bytes, and number of axes."""
    for operation in _operations(specification):
        if operation.type != "const":
            continue
        tensor = operation.attributes["val"].type.tensorType
        if tensor.dataType in _FLOATS:
            dtype, size = _FLOATS[tensor.dataType]
            lengths = [each.constant.size for each in tensor.dimensions]
            # The tool knows operators by the names that they bear themselves, which may differ from their outputs'.
            told = operation.attributes["name"].immediateValue.tensor.strings.values
            yield (
                (told[0] if told else operation.outputs[0].name),
                dtype,
                int(np.prod(lengths, dtype=np.int64)) * size,
                len(lengths),
            )


def _operations(specification: Any) -> Iterator[Any]:
    for function in specification.mlProgram.functions.values():
        for block in function.block_specializations.values():
            yield from block.operations


def _make_reproducible(package: Path, specification: Any) -> None:
    """The same content in the same bytes: maps in order, and identifiers that follow from what they identify."""
    find_specification(package).write_bytes(specification.SerializeToString(deterministic=True))
    manifest = package / "Manifest.json"
    content = json.loads(manifest.read_text())
    names = {old: str(uuid.uuid5(_NAMESPACE, item["path"])) for old, item in content["itemInfoEntries"].items()}
    content["itemInfoEntries"] = {names[old]: item for old, item in content["itemInfoEntries"].items()}
    content["itemInfoEntries"] = dict(sorted(content["itemInfoEntries"].items()))
    content["rootModelIdentifier"] = names[content["rootModelIdentifier"]]
    manifest.write_text(json.dumps(content, indent=4) + "\n")
