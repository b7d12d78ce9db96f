"""Which files belong to a model, whatever its format: what a language model ships with, other models, pipelines.

Models are not trusted: what they name has to lie with them.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from benchharness.contract import ArtefactFiles
from benchharness.errors import ModelFailure, SeveralModels
from targets.wire.held import content_of

TOKENIZER = "tokenizer.json"
#: First bytes of a file whose content was left on a Git LFS server.
LFS_POINTER = b"version https://git-lfs"
#: What a language model's folder says of it, read by this harness or by the library that a product ships with.
_LANGUAGE_FILES = (
    *("config.json", "genai_config.json", "generation_config.json", "chat_template.jinja", "chat_template.json"),
    *(TOKENIZER, "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
)
#: Tokenizers of older kinds: they ship where there is no `tokenizer.json`, which holds the same.
_OLDER_TOKENIZERS = ("tokenizer.model", "vocab.json", "merges.txt", "vocab.txt")

#: Words in a file's name by which exporters call the part of a pipeline that it is.
_PARTS = re.compile(
    r"((?:vision|image|audio|speech|text|prompt|mask|vae|feature)[_-])?(encoder|decoder)"
    r"|(vision|image|audio|speech|text)[_-]model|embed[_-]?tokens|embeddings?(?=[._-]|$)|unet|vocoder|joiner|joint"
    r"|(?:multi[_-]?modal[_-])?projector|preprocessor|predictor",
    re.IGNORECASE,
)
_MERGED, _WITH_PAST = re.compile("merged", re.IGNORECASE), re.compile("with[_-]?past", re.IGNORECASE)
_MOST_OTHERS = 100


def check_is_there(model: Path) -> None:
    """Raises `ModelFailure`, with what to do, where there is no such file, or none of a model's content in it."""
    if content_of(model):
        return
    if model.exists() and not model.is_file():  # a folder; a pipe or a device, which may never end
        raise ModelFailure(f"{model}: no file; check the artefact's path")
    try:
        begins = beginning(model, len(LFS_POINTER))
    except FileNotFoundError:
        raise ModelFailure(f"{model}: no such file; check the artefact's path") from None
    except OSError as error:
        raise ModelFailure(f"{model}: cannot be read ({error.strerror or error})") from error
    if not begins:
        raise ModelFailure(f"{model}: the file is empty; build or download it again")
    if begins == LFS_POINTER:
        raise ModelFailure(f"{model}: a Git LFS pointer and not the model; run `git lfs pull`")


@contextmanager
def reading(model: Path, what: str) -> Iterator[None]:
    """A reader of files that nobody trusts: whatever goes wrong in it is a `ModelFailure` that names the file."""
    try:
        yield
    except (ValueError, LookupError, TypeError, SyntaxError, struct.error) as error:  # a syntax error of XML
        raise ModelFailure(f"{model}: is no {what}, or one cut short ({error}); build or download it again") from error
    except OSError as error:
        raise ModelFailure(f"{model}: cannot be read ({error.strerror or error})") from error


def beginning(path: Path, length: int) -> bytes:
    """The first bytes of a file."""
    with path.open("rb") as file:
        return file.read(length)


def language_files(folder: Path, root: Path) -> list[Path]:
    """The configuration and the tokenizer in a language model's folder, each checked to lie in `root`."""
    names = [*_LANGUAGE_FILES, *(() if (folder / TOKENIZER).is_file() else _OLDER_TOKENIZERS)]
    return [checked(folder / name, root) for name in names if (folder / name).is_file()]


def named_in(owner: Path, name: str, folder: Path) -> Path:
    """A file that a model names by a path relative to `folder`. Raises `ModelFailure` where it is none such."""
    path = PurePosixPath(name)
    reason = ""
    if not path.parts or "\0" in name or "�" in name:
        reason = "no path"
    elif path.is_absolute() or re.match(r"[A-Za-z]:", name):
        reason = "an absolute path"
    elif "\\" in name:
        reason = "a path with a backslash"
    elif ".." in path.parts:
        reason = "a path through '..'"
    if reason:
        raise ModelFailure(
            f"{owner}: names the file {name[:200]!r}: {reason}, and a model may only name files in its own folder; "
            "save it again with its weights beside it"
        )
    return folder / path


def checked(file: Path, root: Path) -> Path:
    """The file, if what it links to lies in `root` or in the blobs of the hub's cache that `root` is in.

    The cache keeps `models--ORG--NAME/snapshots/REVISION/...` as links into `models--ORG--NAME/blobs/`. A link to
    anywhere else may have come with the model, and is refused with `ModelFailure`.
    """
    real = file.resolve()
    allowed = [root.resolve()]
    for folder in (root.absolute(), *root.absolute().parents):
        if folder.parent.name == "snapshots":
            allowed.append(folder.parent.parent.resolve() / "blobs")
    if not any(_is_in(real, folder) for folder in allowed):
        raise ModelFailure(
            f"{file}: links to {real}, outside the model's folder {root}; only a hub's cache may keep files elsewhere: "
            "copy the file here instead"
        )
    return file


def _is_in(path: Path, folder: Path) -> bool:
    return folder == path or folder in path.parents


def with_ending(folder: Path, ending: str) -> list[Path]:
    """The files of a folder with an ending, by name."""
    return sorted(path for path in folder.glob(f"*{ending}") if path.is_file())


def only_one(folder: Path, found: Sequence[Path], ending: str) -> Path:
    """The one model of a folder. Raises `ModelFailure` where there is none, or more than one to choose from."""
    if len(found) > 1:
        raise several(folder, found)
    if not found:
        raise ModelFailure(f"{folder}: no {ending} file in this folder")
    return found[0]


def find_only(artefact: Path, ending: str) -> Path:
    """An artefact's model: the file itself, or the only one with the ending in a folder. Raises `ModelFailure`."""
    model = only_one(artefact, with_ending(artefact, ending), ending) if artefact.is_dir() else artefact
    check_is_there(model)
    return model


def several(folder: Path, found: Iterable[Path]) -> SeveralModels:
    """What to say of a folder with more than one model to choose from."""
    names = ", ".join(path.relative_to(folder).as_posix() for path in found)
    return SeveralModels(f"{folder}: several models ({names}); name one of them as the artefact")


def listing(root: Path, model: Path, files: Iterable[Path], others: Iterable[Path]) -> ArtefactFiles:
    """The answer of an adapter. `others`: the models in the same place, among them perhaps `model`."""
    main, seen = _relative(model, root), sorted({_relative(file, root) for file in files})
    rest = sorted({_relative(other, root) for other in others} - {main} - set(seen))
    part, pipeline = _pipeline(main, rest)
    siblings = [name for name in rest if name not in pipeline]
    return ArtefactFiles(root, main, seen, part, pipeline[:_MOST_OTHERS], siblings[:_MOST_OTHERS])


def _pipeline(main: str, others: Sequence[str]) -> tuple[str, list[str]]:
    """Which part of a pipeline a model is, by its name and those of the others; and the models of the other parts."""
    part = _part(main)
    if not part:
        return "", []
    pipeline = [other for other in others if _part(other) and not _same_part(main, other)]
    return (part, pipeline) if pipeline else ("", [])


def _part(name: str) -> str:
    """The part as its file is called, "vision encoder"; empty for one that is called otherwise."""
    stem = PurePosixPath(name).stem
    words = [found.group(0).replace("_", " ").replace("-", " ").lower() for found in _PARTS.finditer(stem)]
    part = " ".join(words).replace(" model", "")
    return f"{part} with past" if part and _WITH_PAST.search(stem) and not _MERGED.search(stem) else part


def _same_part(one: str, other: str) -> bool:
    """Whether two files are one part at two precisions. A merged decoder is both of the others in one."""
    parts = [_part(one), _part(other)]
    if _MERGED.search(PurePosixPath(one).stem) or _MERGED.search(PurePosixPath(other).stem):
        parts = [part.replace(" with past", "") for part in parts]
    return parts[0] == parts[1]


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()
