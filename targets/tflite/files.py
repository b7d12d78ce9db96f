"""Finds the model in an artefact: a `.tflite` file, a folder that holds one, or a `.litertlm` bundle.

A bundle packs a model with its tokenizer; what is needed of it is unpacked once into a cache folder, because the
runtime maps a model into memory from a file of its own. What reads bundles is imported where there is one: importing
the adapter is part of every cold start.
"""

from __future__ import annotations

from pathlib import Path

from benchharness.contract import ArtefactFiles
from benchharness.errors import ModelFailure
from targets.model_files import TOKENIZER, check_is_there, checked, language_files, listing, several

MODEL_ENDING, BUNDLE_ENDING = ".tflite", ".litertlm"


def find_model(artefact: Path) -> Path:
    """The file of an artefact that holds the model. Raises `ModelFailure` where there is none, or several."""
    model = _find_in_folder(artefact) if artefact.is_dir() else artefact
    check_is_there(model)
    return model


def model_file(found: Path) -> Path:
    """The `.tflite` file of what `find_model` found: itself, or what a bundle unpacks to."""
    if found.suffix != BUNDLE_ENDING:
        return found
    from targets.litert_lm_bundle import unpack_model

    return unpack_model(found)


def find_tokenizer(artefact: Path) -> Path | None:
    """The `tokenizer.json` that a bundle holds, unpacked; None where there is no bundle, or none in it.

    Raises `ModelFailure` for a damaged bundle, `Unsupported` for a tokenizer of another format.
    """
    bundles = sorted(artefact.glob(f"*{BUNDLE_ENDING}")) if artefact.is_dir() else [artefact]
    if len(bundles) != 1 or bundles[0].suffix != BUNDLE_ENDING:
        return None
    from targets.litert_lm_bundle import unpack_tokenizer

    return unpack_tokenizer(bundles[0])


def list_files(artefact: Path) -> ArtefactFiles:
    """The model or bundle, and beside a language model its configuration and tokenizer. Raises `ModelFailure`.

    A bundle holds its own. Of a folder with both, the model runs, and the bundle counts where its tokenizer is the
    one that is used.
    """
    model = find_model(artefact)
    root = model.parent
    others = [path for ending in (MODEL_ENDING, BUNDLE_ENDING) for path in sorted(root.glob(f"*{ending}"))]
    files = [model]
    if model.name.endswith((MODEL_ENDING, f"{MODEL_ENDING}.sealed")):
        if (root / TOKENIZER).is_file():
            files += language_files(root, root)
        elif artefact.is_dir() and len(bundles := [path for path in others if path.suffix == BUNDLE_ENDING]) == 1:
            files.append(checked(bundles[0], root))
    return listing(root, model, files, others)


def _find_in_folder(folder: Path) -> Path:
    """The only `.tflite` of a folder, else its only bundle: exporters leave both, of the same model."""
    for ending in (MODEL_ENDING, BUNDLE_ENDING):
        found = sorted(folder.glob(f"*{ending}"))
        if len(found) == 1:
            return found[0]
        if found:
            raise several(folder, found)
    raise ModelFailure(f"{folder}: no {MODEL_ENDING} or {BUNDLE_ENDING} file in this folder")
