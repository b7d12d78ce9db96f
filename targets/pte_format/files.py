"""Finds the model in an artefact: a `.pte` file, or a folder that holds one."""

from __future__ import annotations

from pathlib import Path

from benchharness.contract import ArtefactFiles
from benchharness.errors import ModelFailure
from targets.model_files import checked, find_only, language_files, listing, with_ending

ENDING = ".pte"
#: Weights that an exporter put beside the program.
WEIGHTS_ENDING = ".ptd"


def find_model(artefact: Path) -> Path:
    """The file that is opened. Raises `ModelFailure` where there is none, or several."""
    return find_only(artefact, ENDING)


def find_weights(model: Path) -> Path | None:
    """The file beside a program that holds its weights: of its name, else the only one. Raises `ModelFailure`."""
    own = model.with_suffix(WEIGHTS_ENDING)
    found = [own] if own.is_file() else with_ending(model.parent, WEIGHTS_ENDING)
    if len(found) > 1 or (found and found != [own] and len(with_ending(model.parent, ENDING)) > 1):
        raise ModelFailure(f"{model}: which of the {WEIGHTS_ENDING} files beside it is its own is unknown; rename it")
    return checked(found[0], model.parent) if found else None


def list_files(artefact: Path) -> ArtefactFiles:
    """The model, its weights, and the configuration and tokenizer beside it. Raises `ModelFailure`."""
    model = find_model(artefact)
    weights, root = find_weights(model), model.parent
    files = [model, *([weights] if weights else []), *language_files(root, root)]
    return listing(root, model, files, with_ending(root, ENDING))
