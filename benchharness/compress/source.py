"""The model that is to be made smaller: its format, its files, its digest. Nothing here imports a tool."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchharness.artefact import DigestCache, Manifest, manifest_of
from benchharness.compress.recipes import CORE_ML, FORMATS
from benchharness.errors import UsageError
from benchharness.plan import artefact_format

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
    ".gguf": "export the model to .onnx, .tflite or .mlpackage first",
}


@dataclass(frozen=True, kw_only=True)
class Source:
    """The model to start from. `path` is absolute; digest and bytes cover weights beside a lone file, too."""

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
    format_ = artefact_format(path, FORMATS)
    if format_ is None and path.is_dir() and (path / "onnx" / "model.onnx").is_file():  # the layout of hubs
        format_ = ".onnx"
    if format_ is None:
        raise UsageError(f"{path}: no recipe starts from it; models end in {', '.join(FORMATS)}, or are folders of one")
    return format_


def find_source(path: Path, format_: str, beside: Sequence[str], cache: DigestCache) -> Source:
    """Hashes a model. `beside`: names of files next to a lone model file that hold its weights."""
    manifest = manifest_with(path, beside if is_lone(path) else (), cache)
    return Source(path=path, format=format_, digest=manifest.digest, bytes=manifest.bytes)


def manifest_with(path: Path, beside: Sequence[str], cache: DigestCache) -> Manifest:
    """An artefact's files, and those `beside` it that belong to it."""
    entries = list(manifest_of(path, cache).entries)
    for name in beside:
        entries += [replace(entry, path=name) for entry in manifest_of(path.parent / name, cache).entries]
    return Manifest(entries=tuple(sorted(entries, key=lambda entry: entry.path)))


def is_lone(path: Path) -> bool:
    """Whether an artefact is the model itself, and not a folder that holds it. A Core ML package is a folder too."""
    return path.is_file() or path.suffix == CORE_ML


def companions(path: Path, model: Path) -> Iterator[Path]:
    """Small files that belong to a model: known ones beside it, and any small text of the folder given as artefact."""
    folders = [path.parent] if is_lone(path) else list(dict.fromkeys([path, model.parent]))
    for folder in folders:
        for file in sorted(folder.iterdir()):
            known = file.name in COMPANIONS or (not is_lone(path) and file.suffix in _COMPANION_ENDINGS)
            if known and file.is_file() and file.stat().st_size <= _MOST_COMPANION_BYTES:
                yield file
