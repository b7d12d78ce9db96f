"""Core ML packages: weights compressed by coremltools, and files whose bytes depend on the model alone."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import tempfile
import uuid
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Any

import coremltools
from coremltools.converters.mil.frontend.milproto import load as milproto
from coremltools.optimize.coreml import (
    OpLinearQuantizerConfig,
    OpPalettizerConfig,
    OptimizationConfig,
    linear_quantize_weights,
    palettize_weights,
)
from coremltools.proto import Model_pb2

BLOCK = 32
"""Weights that share one scale at int4, along the input side of a matrix."""

DATE = "com.github.apple.coremltools.conversion_date"
"""The one entry of a model's metadata that is another one every day."""

logging.getLogger("coremltools").setLevel(logging.ERROR)  # it warns of every torch that is newer than itself


def compress_int8(model: Any, keep: Collection[str] = ()) -> Any:
    """Linear int8, symmetric, a scale per output channel. Constants named in `keep` stay as they are.

    coremltools compresses every constant of rank 2 or more with over 2048 numbers, tables that are no weights too.
    """
    config = OpLinearQuantizerConfig(mode="linear_symmetric", dtype="int8")
    return linear_quantize_weights(model, _config(config, keep))


def compress_int4(model: Any, keep: Collection[str] = (), *, symmetric: bool = True) -> Any:
    """Linear int4, a scale for every 32 weights; with a zero point beside it, where not symmetric."""
    mode = "linear_symmetric" if symmetric else "linear"
    config = OpLinearQuantizerConfig(mode=mode, dtype="int4", granularity="per_block", block_size=BLOCK)
    return linear_quantize_weights(model, _config(config, keep))


def compress_palette4(model: Any, keep: Collection[str] = (), channels: int | None = None) -> Any:
    """16 values chosen by k-means for each tensor, or for each group of `channels` output channels."""
    grouped = {"granularity": "per_grouped_channel", "group_size": channels} if channels else {}
    return palettize_weights(model, _config(OpPalettizerConfig(mode="kmeans", nbits=4, **grouped), keep))


def _config(everywhere: Any, keep: Collection[str]) -> OptimizationConfig:
    return OptimizationConfig(global_config=everywhere, op_name_configs=dict.fromkeys(keep))


def save(model: Any, package: Path) -> None:
    """Write an .mlpackage, whole or not at all. The same model and coremltools give the same bytes."""
    package.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=package.parent) as folder:
        unfinished = Path(folder) / package.name
        model.save(str(unfinished))
        _make_reproducible(unfinished)
        shutil.rmtree(package, ignore_errors=True)
        unfinished.rename(package)


def _make_reproducible(package: Path) -> None:
    """Take out the date, sort what protobuf leaves unsorted, name items by what they hold, let everybody read."""
    manifest_file = package / "Manifest.json"
    manifest = json.loads(manifest_file.read_text(encoding="utf-8"))
    root = package / "Data" / manifest["itemInfoEntries"][manifest["rootModelIdentifier"]]["path"]
    specification = Model_pb2.Model.FromString(root.read_bytes())
    specification.description.metadata.userDefined.pop(DATE, None)
    root.write_bytes(specification.SerializeToString(deterministic=True))

    names = {}
    for name, item in manifest["itemInfoEntries"].items():
        path = package / "Data" / item["path"]
        files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
        digest = hashlib.sha256(b"".join(hashlib.sha256(file.read_bytes()).digest() for file in files))
        names[name] = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{item['path']} {digest.hexdigest()}"))
    manifest["itemInfoEntries"] = {names[name]: item for name, item in manifest["itemInfoEntries"].items()}
    manifest["rootModelIdentifier"] = names[manifest["rootModelIdentifier"]]
    manifest_file.write_text(json.dumps(manifest, indent=4, sort_keys=True) + "\n", encoding="utf-8")
    for path in (package, *package.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


def operators(package: Path) -> Counter[str]:
    """How many of each operator the program has, read back from the file without running it."""
    model = coremltools.models.MLModel(str(package), skip_model_load=True)
    specification = model.get_spec()
    program = milproto.load(specification, specification.specificationVersion, file_weights_dir=model.weights_dir)
    return Counter(operation.op_type for operation in program.functions["main"].operations)


def size(package: Path) -> int:
    """Bytes of all files."""
    return sum(file.stat().st_size for file in package.rglob("*") if file.is_file())
