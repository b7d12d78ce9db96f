"""The model that is to be made smaller: its format, its files, its digest. Nothing here imports a tool."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchharness.compress.recipes import CORE_ML, FORMATS, GGUF, ONNX, TFLITE
from benchharness.device.sealed import is_sealed
from benchharness.errors import UsageError
from benchharness.suite.artefact import DigestCache, Manifest, manifest_of
from benchharness.suite.listing import list_files
from benchharness.suite.planning import HUB_FOLDER, artefact_format

#: Whose word it is which files a model is.
_ADAPTERS = {ONNX: "onnxruntime", TFLITE: "tflite", CORE_ML: "coreml", GGUF: "llama-cpp"}

#: Files beside a model that a harness or an application needs: taken along from wherever the model lies.
COMPANIONS = frozenset(
    [
        *("added_tokens.json", "chat_template.jinja", "config.json", "genai_config.json", "generation_config.json"),
        *("labels.txt", "merges.txt", "preprocessor_config.json", "special_tokens_map.json", "tokenizer.json"),
        *("tokenizer.model", "tokenizer_config.json", "vocab.json", "vocab.txt"),
    ]
)
#: Of a folder that is given as the model, other small texts are taken along too.
_COMPANION_ENDINGS = (".json", ".txt", ".jinja")
_MOST_COMPANION_BYTES = 64 << 20

#: What is no model that a recipe starts from, and what to do with it.
_ADVICE = {
    ".mlmodel": "only programs (.mlpackage) can be compressed; convert the model anew with coremltools.convert",
    ".mlmodelc": "a compiled model cannot be compressed; give the .mlpackage that it was compiled from",
    ".litertlm": "a bundle cannot be compressed; give the .tflite that it was made from",
    ".safetensors": "weights alone; export the model to .onnx, .tflite or .mlpackage first",
    ".pt": "export the model to .onnx, .tflite or .mlpackage first",
    ".pth": "export the model to .onnx, .tflite or .mlpackage first",
}


@dataclass(frozen=True, kw_only=True)
class Source:
    """The model to start from. `path` is absolute; digest and bytes cover all files that it reads."""

    path: Path
    format: str  # one of recipes.FORMATS
    digest: str
    bytes: int


def find_format(path: Path) -> str:
    """The format of a model file or folder. Raises `UsageError` where no recipe starts from it."""
    if not path.exists():
        raise UsageError(f"{path}: no such file or folder; check the path")
    for ending, advice in _ADVICE.items():
        if path.name.endswith(ending):
            raise UsageError(f"{path}: {advice}")
    if is_sealed(path):
        raise UsageError(f"{path}: is sealed; compress the model, and seal what comes out")
    format_ = artefact_format(path, FORMATS)
    if format_ is None:
        raise UsageError(f"{path}: no recipe starts from it; models end in {', '.join(FORMATS)}, or are folders of one")
    return format_


def find_source(path: Path, format_: str, cache: DigestCache) -> Source:
    """Hashes a model: the files that are read when it runs."""
    manifest = manifest_as(format_, path, cache)
    return Source(path=path, format=format_, digest=manifest.digest, bytes=manifest.bytes)


def manifest_as(format_: str, path: Path, cache: DigestCache) -> Manifest:
    """An artefact's files, as the adapter of its format lists them. Raises `UsageError` where it cannot."""
    listing = list_files({path: [_ADAPTERS[format_]]})[path]
    if listing.unknown:
        raise UsageError(listing.unknown)
    return manifest_of(path, cache, listing)


def is_lone(path: Path) -> bool:
    """Whether an artefact is the model itself, and not a folder that holds it. A Core ML package is a folder too."""
    return path.is_file() or path.suffix == CORE_ML


def companions(path: Path, model: Path) -> Iterator[Path]:
    """Small files that belong to a model: known ones beside it, and any small text of the folder given as artefact."""
    if is_lone(path):
        folders = [path.parent, *([path.parent.parent] if path.parent.name == HUB_FOLDER else [])]
    else:
        folders = list(dict.fromkeys([path, model.parent]))
    for folder in folders:
        for file in sorted(folder.iterdir()):
            known = file.name in COMPANIONS or (not is_lone(path) and file.suffix in _COMPANION_ENDINGS)
            if known and file.is_file() and file.stat().st_size <= _MOST_COMPANION_BYTES:
                yield file
