"""Finds the model in an artefact: a `.xml` file with its weights in a `.bin` beside it, or an `.onnx` file."""

from __future__ import annotations

from pathlib import Path

from benchharness.contract import ArtefactFiles
from targets.model_files import check_is_there, checked, language_files, listing, only_one, with_ending
from targets.onnx_format import files as onnx_files

XML, ONNX = ".xml", ".onnx"
ENDINGS = (XML, ONNX)
#: What exporters call a folder's model, first found first taken: Optimum's name first.
_MODEL_NAMES = ("openvino_model.xml", "openvino_language_model.xml", "model.xml")
#: Beside a language model lie its tokenizer's two graphs.
_TOKENIZERS = ("openvino_tokenizer.xml", "openvino_detokenizer.xml")


def find_model(artefact: Path) -> Path:
    """The model's file. Raises `ModelFailure` where there is none, or more than one to choose from."""
    model = _in_folder(artefact) if artefact.is_dir() else artefact
    if is_onnx(model):
        model = onnx_files.find_model(model)
        onnx_files.check_files(model)
        return model
    check_is_there(model)
    return model


def is_onnx(model: Path) -> bool:
    """Whether a model is ONNX, and not OpenVINO's own format."""
    return model.suffix == ONNX


def weights_of(model: Path) -> Path:
    """Where the weights of a `.xml` file lie; one without weights has no such file."""
    return model.with_suffix(".bin")


def list_files(artefact: Path) -> ArtefactFiles:
    """The model, its weights, and a language model's files beside it. Raises `ModelFailure`."""
    model = find_model(artefact)
    if is_onnx(model):
        return onnx_files.list_files(model)
    root = model.parent
    files = [model, *([checked(weights_of(model), root)] if weights_of(model).is_file() else [])]
    if (root / onnx_files.HF_CONFIG).is_file():
        files += language_files(root, root)
    return listing(root, model, files, [path for path in _models(root) if path.suffix == XML])


def _in_folder(folder: Path) -> Path:
    """A known name; else the only `.xml` file; else what is taken of a folder with ONNX models."""
    for name in _MODEL_NAMES:
        if (folder / name).is_file():
            return folder / name
    found = _models(folder)
    return only_one(folder, found, XML) if found else onnx_files.find_model(folder)


def _models(folder: Path) -> list[Path]:
    return [path for path in with_ending(folder, XML) if path.name not in _TOKENIZERS]
