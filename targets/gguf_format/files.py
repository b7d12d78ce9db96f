"""Finds the model in an artefact: a `.gguf` file, the first of a split one, or a folder that holds one of either."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from benchharness.contract import ArtefactFiles
from benchharness.errors import ModelFailure
from targets.model_files import check_is_there, checked, language_files, listing, only_one, with_ending

ENDING = ".gguf"
_SPLIT = re.compile(r"(.*)-(\d{5})-of-(\d{5})\.gguf", re.DOTALL)
#: The eyes and ears of another model, which llama.cpp opens by another interface.
_PROJECTOR = re.compile(r"mmproj", re.IGNORECASE)


def find_model(artefact: Path) -> Path:
    """The file that is opened. Raises `ModelFailure` where there is none, several, or not the first of a split one."""
    model = _find_in_folder(artefact) if artefact.is_dir() else artefact
    check_is_there(model)
    split = _SPLIT.fullmatch(model.name)
    if split and int(split[2]) != 1:
        raise ModelFailure(f"{model}: is part {int(split[2])} of {int(split[3])}; name the first part")
    return model


def parts_of(model: Path) -> Sequence[Path]:
    """The model, or all parts of a split one. Raises `ModelFailure` for a part that is missing."""
    split = _SPLIT.fullmatch(model.name)
    if not split:
        return [model]
    parts = [model.with_name(f"{split[1]}-{number:05}-of-{split[3]}{ENDING}") for number in range(1, int(split[3]) + 1)]
    for part in parts:
        check_is_there(part)
    return [model, *(checked(part, model.parent) for part in parts[1:])]


def list_files(artefact: Path) -> ArtefactFiles:
    """The model with all its parts, and the configuration and tokenizer beside it. Raises `ModelFailure`."""
    model = find_model(artefact)
    root = model.parent
    files = [*parts_of(model), *language_files(root, root)]
    return listing(root, model, files, with_ending(root, ENDING))


def _find_in_folder(folder: Path) -> Path:
    found = [path for path in with_ending(folder, ENDING) if not _PROJECTOR.search(path.name)]
    first = [path for path in found if not (split := _SPLIT.fullmatch(path.name)) or int(split[2]) == 1]
    return only_one(folder, first, ENDING)
