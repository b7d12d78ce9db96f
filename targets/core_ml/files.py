"""Finds the parts of a Core ML model: the specification of a package, and whether a folder is what its name says.

An `.mlpackage` is a folder: `Manifest.json` names the specification in it, which names the weights. An `.mlmodel` is
the specification alone, with its weights in it. An `.mlmodelc` is what the compiler made of either, a folder too.
Nothing here is trusted, and the framework's own readers are not asked: on a folder that is no compiled model they end
the process instead of raising.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from benchharness.contract import ArtefactFiles
from benchharness.errors import ModelFailure
from targets.model_files import (
    LFS_POINTER,
    TOKENIZER,
    beginning,
    check_is_there,
    checked,
    language_files,
    listing,
    several,
)

PACKAGE, COMPILED, SPECIFICATION = ".mlpackage", ".mlmodelc", ".mlmodel"
FORMATS = (PACKAGE, COMPILED, SPECIFICATION)

#: Every compiled model holds this file; Core ML aborts the process where it is missing.
COMPILED_MARK = "coremldata.bin"
#: What the compiler tells of a model, and its program as text where it is one.
COMPILED_METADATA, COMPILED_PROGRAM = "metadata.json", "model.mil"

_MANIFEST = "Manifest.json"
_DATA = "Data"
_LONGEST_JSON_BYTES = 16 << 20
#: First bytes of a zip archive.
_ZIP = b"PK\x03\x04"


def find_model(artefact: Path) -> Path:
    """The model of an artefact: itself, or the one in a folder, the package first where a compiled one lies beside it.

    Raises `ModelFailure` where a folder holds none, or more than one to choose from.
    """
    if artefact.suffix in FORMATS or not artefact.is_dir():
        return artefact
    for ending in FORMATS:
        found = sorted(artefact.glob(f"*{ending}"))
        if len(found) == 1:
            return found[0]
        if found:
            raise several(artefact, found)
    raise ModelFailure(f"{artefact}: no Core ML model in this folder; expected model{PACKAGE}")


def list_files(artefact: Path) -> ArtefactFiles:
    """The model: of a package or a compiled model its whole folder; a tokenizer beside it. Raises `ModelFailure`."""
    model = find_model(artefact)
    check_artefact(model)
    root = model.parent
    files = [model]
    if model.is_dir():
        files = [checked(path, model) for path in _all_files(model)]
    if (root / TOKENIZER).is_file():
        files += language_files(root, root)
    return listing(root, model, files, [path for ending in FORMATS for path in root.glob(f"*{ending}")])


def _all_files(folder: Path) -> Iterator[Path]:
    for found, _, names in os.walk(folder):
        yield from (path for path in (Path(found, name) for name in names) if path.is_file())


def check_artefact(path: Path) -> None:
    """Raises `ModelFailure`, with what to do, for a path that cannot be what its ending says."""
    if not path.exists():
        raise ModelFailure(f"{path}: no such file or folder; check the artefact's path")
    if path.suffix not in FORMATS:
        raise ModelFailure(f"{path}: no Core ML model; expected a name ending in {PACKAGE}, {COMPILED} or .mlmodel")
    if path.suffix == SPECIFICATION:
        check_is_there(path)
    elif not path.is_dir():
        raise ModelFailure(f"{path}: a file, where an {path.suffix} is a folder; {_advice(path)}")
    elif path.suffix == COMPILED and not (path / COMPILED_MARK).is_file():
        raise ModelFailure(f"{path}: no {COMPILED_MARK} in it, so it is no compiled model; compile it again")


def find_specification(path: Path) -> Path:
    """The specification of an `.mlpackage` or `.mlmodel`. Raises `ModelFailure` where the package is damaged."""
    if path.suffix == SPECIFICATION:
        return path
    manifest = read_json(path / _MANIFEST)
    try:
        item = manifest["itemInfoEntries"][manifest["rootModelIdentifier"]]["path"]
        inside = PurePosixPath(item)
    except (KeyError, TypeError) as error:
        raise ModelFailure(f"{path / _MANIFEST}: names no root model; save the package again") from error
    if inside.is_absolute() or ".." in inside.parts:
        raise ModelFailure(f"{path / _MANIFEST}: names {item}, which is outside the package")
    specification = path / _DATA / inside
    if not specification.is_file():
        raise ModelFailure(f"{path}: {_DATA}/{item} is missing; copy the whole folder")
    check_is_there(specification)
    return specification


def read_json(path: Path) -> Any:
    """A JSON file of a model. Raises `ModelFailure` where it is missing, too long or none."""
    try:
        if path.stat().st_size > _LONGEST_JSON_BYTES:
            raise ModelFailure(f"{path}: longer than {_LONGEST_JSON_BYTES} bytes, so it is no Core ML file")
        return json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise ModelFailure(f"{path}: missing; copy the whole folder") from error
    except (OSError, ValueError, RecursionError) as error:
        raise ModelFailure(f"{path}: cannot be read as JSON: {error}") from error


def _advice(path: Path) -> str:
    if beginning(path, len(_ZIP)) == _ZIP:
        return "unpack the archive first"
    if beginning(path, len(LFS_POINTER)) == LFS_POINTER:
        return "it is a Git LFS pointer; run `git lfs pull`"
    return "save or download the model again"
