"""The files of an ML program: its specification, a protobuf of bounded size, and the weights beside it.

None of it is trusted: a path that leads out of the package is refused, and so is a program larger than any is.
Format: https://apple.github.io/coremltools/mlmodel/Format/Model.html.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from benchharness.errors import ModelFailure, Unsupported
from targets.core_ml.files import COMPILED, PACKAGE, check_artefact, find_specification
from targets.wire.protobuf import mapped

#: What stands for the specification's own folder in the path of a weights file.
_MODEL_PATH = "@model_path/"

#: A program without its weights. One of 8,000 operators has three megabytes.
_MOST_PROGRAM_BYTES = 128 << 20

# Field numbers of Model.proto: its `oneof Type`.
_FIRST_TYPE, _ML_PROGRAM = 200, 502
_OLDER_TYPES = {
    200: "pipeline",
    201: "pipeline",
    202: "pipeline",
    300: "linear model",
    301: "support vector machine",
    302: "tree ensemble",
    303: "neural network",
    304: "Bayesian regressor",
    400: "linear model",
    401: "support vector machine",
    402: "tree ensemble",
    403: "neural network",
    404: "nearest-neighbours classifier",
    500: "neural network",
    501: "recommender",
    555: "custom model",
    556: "linked model",
    560: "confidence threshold",
}


@dataclass(frozen=True)
class Package:
    """Where the files of one model are."""

    artefact: Path  # the .mlpackage or .mlmodel
    specification: Path

    def weights(self, name: str) -> Path:
        """The file that the program calls `@model_path/...`. Raises `ModelFailure` where there is none such."""
        path = PurePosixPath(name[len(_MODEL_PATH) :] if name.startswith(_MODEL_PATH) else name)
        if not path.parts or path.is_absolute() or ".." in path.parts or any(char in name for char in "\0:\\"):
            raise ModelFailure(f"{self.artefact}: the program keeps weights in {name!r}, which is outside the package")
        file = self.specification.parent / path
        if not file.is_file():
            raise ModelFailure(f"{self.artefact}: the weights file {path} is not there; copy the whole package")
        _check_inside(file, self.specification.parent, self.artefact)
        return file


def find_package(artefact: Path) -> Package:
    """The files of a model. Raises `ModelFailure` for a damaged package, `Unsupported` for a compiled model."""
    check_artefact(artefact)
    if artefact.suffix == COMPILED:
        raise Unsupported(
            f"{artefact}: a compiled model is for Apple's devices alone; give the {PACKAGE} that it was made from"
        )
    specification = find_specification(artefact)
    if artefact.is_dir():
        _check_inside(specification, artefact, artefact)
    return Package(artefact, specification)


def _check_inside(file: Path, folder: Path, artefact: Path) -> None:
    """A symbolic link may lead out of a package where its path does not."""
    if folder.resolve() not in file.resolve().parents:
        raise ModelFailure(f"{artefact}: {file.name} is a link that leads out of the package; copy the whole package")


def read_specification(package: Package) -> bytes:
    """The bytes of an ML program. Raises `Unsupported` for older kinds of model, `ModelFailure` for damaged ones."""
    path = package.specification
    try:
        kind = _model_type(path)
        size = path.stat().st_size
        content = path.read_bytes() if kind == _ML_PROGRAM and size <= _MOST_PROGRAM_BYTES else b""
    except (OSError, ValueError) as error:
        raise ModelFailure(f"{path}: is no Core ML model, or one cut short ({error}); save it again") from error
    if kind != _ML_PROGRAM:
        raise Unsupported(
            f"{package.artefact}: a {_OLDER_TYPES.get(kind, f'model of type {kind}')}, which is older than ML "
            'programs; convert the network again with convert_to="mlprogram"'
        )
    if not content:
        raise ModelFailure(f"{path}: a program of {size} bytes, more than the {_MOST_PROGRAM_BYTES} that are read")
    return content


def _model_type(path: Path) -> int:
    """The field of Model.proto that holds the model itself; whatever that is, it is stepped over."""
    with mapped(path) as wire:
        types = [number for number, _, end in wire.fields(0, len(wire.content)) if number >= _FIRST_TYPE and end]
    if not types:
        raise ValueError("it holds no model")
    return types[-1]
