"""Finds the model in an artefact: a `.pte` file, or a folder that holds one."""

from __future__ import annotations

from pathlib import Path

from benchharness.contract import ArtefactFiles
from benchharness.errors import ModelFailure
from targets.model_files import check_is_there, checked, language_files, listing, several

ENDING = ".pte"
#: Weights that an exporter put beside the program.
WEIGHTS_ENDING = ".ptd"


def find_model(artefact: Path) -> Path:
    """The file that is opened. Raises `ModelFailure` where there is none, or several."""
    model = _in_folder(artefact) if artefact.is_dir() else artefact
    check_is_there(model)
    return model


def find_weights(model: Path) -> Path | None:
    """The file beside a program that holds its weights: of its name, else the only one. Raises `ModelFailure`."""
    own = model.with_suffix(WEIGHTS_ENDING)
    found = [own] if own.is_file() else sorted(model.parent.glob(f"*{WEIGHTS_ENDING}"))
    if len(found) > 1 or (found and found != [own] and len(_programs(model.parent)) > 1):
        raise ModelFailure(f"{model}: which of the {WEIGHTS_ENDING} files beside it is its own is unknown; rename it")
    return checked(found[0], model.parent) if found else None


def list_files(artefact: Path) -> ArtefactFiles:
    """The model, its weights, and the configuration and tokenizer beside it. Raises `ModelFailure`."""
    model = find_model(artefact)
    weights, root = find_weights(model), model.parent
    files = [model, *([weights] if weights else []), *language_files(root, root)]
    return listing(root, model, files, _programs(root))


def _in_folder(folder: Path) -> Path:
    found = _programs(folder)
    if len(found) > 1:
        raise several(folder, found)
    if not found:
        raise ModelFailure(f"{folder}: no {ENDING} file in this folder")
    return found[0]


def _programs(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob(f"*{ENDING}") if path.is_file())
