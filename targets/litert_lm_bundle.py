"""Reads `.litertlm` bundles: a header that lists sections, and among these a model and its tokenizer.

Bundles are not trusted: every length is checked, and what is unpacked is bounded.
Format: https://github.com/google-ai-edge/LiteRT-LM/blob/main/schema/core/litertlm_header_schema.fbs.
"""

from __future__ import annotations

import functools
import hashlib
import os
import struct
import tempfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from benchharness.errors import ModelFailure, Unsupported
from targets.model_files import reading
from targets.wire.flatbuffers import Table, Wire

_MAGIC = b"LITERTLM"
_HEADER_STARTS = 32  # behind the magic, three version numbers, padding and the header's end
_KNOWN_MAJOR = 1
_LONGEST_HEADER = 1 << 24

# Field numbers of litertlm_header_schema.fbs.
_FILE_SECTIONS, _SECTIONS_OBJECTS = 1, 0
_SECTION_ITEMS, _SECTION_BEGIN, _SECTION_END, _SECTION_KIND = 0, 1, 2, 3
_ITEM_KEY, _ITEM_KIND, _ITEM_VALUE = 0, 1, 2
_TEXT_VALUE = 9  # VData.StringValue

_KINDS = {
    1: "binary data",
    2: "deprecated",
    3: "model",
    4: "sentencepiece tokenizer",
    5: "language model metadata",
    6: "tokenizer.json",
    7: "weights",
    8: "executor metadata",
}
MODEL, SENTENCEPIECE, TOKENIZER_JSON = "model", "sentencepiece tokenizer", "tokenizer.json"

#: The item by which a section of a bundle with several models says what its model does, and the one that is run.
_MODEL_TYPE, _RUN_TYPE = "model_type", "prefill_decode"

#: A tokenizer larger than this is none.
_LONGEST_TOKENIZER = 1 << 28


@dataclass(frozen=True)
class Section:
    """A part of a bundle, from byte `begin` up to `end`."""

    kind: str
    begin: int
    end: int
    items: Mapping[str, str]


def read_sections(bundle: Path) -> list[Section]:
    """The sections of a bundle. Raises `ModelFailure` for what is none, or is damaged."""
    with reading(bundle, "LiteRT-LM bundle"), bundle.open("rb") as file:
        return _read_header(file, bundle.stat().st_size)


def _read_header(file: BinaryIO, size: int) -> list[Section]:
    start = file.read(_HEADER_STARTS)
    if start[: len(_MAGIC)] != _MAGIC:
        raise ValueError(f"it does not begin with {_MAGIC.decode()}")
    major, _, _, _, end = struct.unpack("<4IQ", start[len(_MAGIC) :])
    if major != _KNOWN_MAJOR:
        raise ValueError(f"version {major} of the format, and {_KNOWN_MAJOR} is the one known here")
    if not _HEADER_STARTS < end <= min(size, _LONGEST_HEADER):
        raise ValueError(f"a header up to byte {end}, in a file of {size}")
    header = Wire(file.read(end - _HEADER_STARTS))
    listed = header.table(header.number("u32", 0)).child(_FILE_SECTIONS)
    if listed is None:
        raise ValueError("it lists no sections")
    return [_read_section(section, size) for section in listed.children(_SECTIONS_OBJECTS)]


def _read_section(section: Table, size: int) -> Section:
    begin, end = section.number(_SECTION_BEGIN, "u64"), section.number(_SECTION_END, "u64")
    if not begin <= end <= size:
        raise ValueError(f"a section from byte {begin} to {end}, in a file of {size}")
    number = section.number(_SECTION_KIND, "u8")
    items = {}
    for item in section.children(_SECTION_ITEMS):
        value = item.child(_ITEM_VALUE)
        if value is not None and item.number(_ITEM_KIND, "u8") == _TEXT_VALUE:
            items[item.text(_ITEM_KEY)] = value.text(0)
    return Section(_KINDS.get(number, f"kind {number}"), begin, end, items)


def unpack_model(bundle: Path) -> Path:
    """The bundle's model as a file of its own, in the cache folder. Raises `ModelFailure`, `Unsupported`."""
    sections = read_sections(bundle)
    models = [section for section in sections if section.kind == MODEL]
    if not models:
        raise ModelFailure(f"{bundle}: holds no model, only {', '.join(sorted({one.kind for one in sections}))}")
    if len(models) > 1:
        models = [section for section in models if _RUN_TYPE in section.items.get(_MODEL_TYPE, "")] or models
    if len(models) > 1:
        types = ", ".join(section.items.get(_MODEL_TYPE, "unnamed") for section in models)
        raise Unsupported(f"{bundle}: several models ({types}), and none of type {_RUN_TYPE}")
    if any(section.kind == "weights" for section in sections):
        raise Unsupported(f"{bundle}: keeps weights in a section of their own, which only LiteRT-LM can load")
    return _unpacked(bundle, models[0], ".tflite", functools.partial(_copy, bundle, models[0]))


def unpack_tokenizer(bundle: Path) -> Path | None:
    """The bundle's `tokenizer.json`, in the cache folder; None where it has no tokenizer.

    Raises `ModelFailure` for a damaged bundle, `Unsupported` for a tokenizer of another format.
    """
    sections = read_sections(bundle)
    for section in sections:
        if section.kind == TOKENIZER_JSON:
            return _unpacked(bundle, section, ".json", functools.partial(_inflate, bundle, section))
    if any(section.kind == SENTENCEPIECE for section in sections):
        raise Unsupported(f"{bundle}: its tokenizer is a SentencePiece model; name a tokenizer.json in the suite")
    return None


def _inflate(bundle: Path, section: Section, target: BinaryIO) -> None:
    """Writes a compressed text. Eight bytes before it say how long it becomes."""
    with bundle.open("rb") as file:
        file.seek(section.begin)
        packed = file.read(min(section.end - section.begin, _LONGEST_TOKENIZER))
    try:
        unpacking = zlib.decompressobj()
        text = unpacking.decompress(packed[8:], _LONGEST_TOKENIZER)
    except zlib.error as error:
        raise ModelFailure(f"{bundle}: its tokenizer is damaged ({error}); build or download it again") from error
    if not unpacking.eof:
        raise ModelFailure(f"{bundle}: its tokenizer is cut short, or longer than {_LONGEST_TOKENIZER} bytes")
    target.write(text)


def _copy(bundle: Path, section: Section, target: BinaryIO) -> None:
    with bundle.open("rb") as source:
        source.seek(section.begin)
        left = section.end - section.begin
        while left:
            block = source.read(min(left, 1 << 20))
            if not block:
                raise OSError("the bundle ended while it was read")
            target.write(block)
            left -= len(block)


def _unpacked(bundle: Path, section: Section, ending: str, write: Callable[[BinaryIO], object]) -> Path:
    """A section as a file, written once for each state of the bundle; what an earlier state left behind goes."""
    status = bundle.stat()
    folder = _cache_folder() / hashlib.sha256(os.fsencode(bundle.resolve())).hexdigest()[:16]
    state = f"{status.st_size:x}-{status.st_mtime_ns:x}"
    path = folder / f"{state}-{section.begin:x}{ending}"
    if path.is_file():
        return path
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.iterdir():
            if not old.name.startswith(state):
                old.unlink()
        descriptor, name = tempfile.mkstemp(dir=folder, prefix=f"{state}-")
        try:
            with os.fdopen(descriptor, "wb") as file:
                write(file)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink()
            raise
    except OSError as error:
        raise ModelFailure(f"{bundle}: cannot be unpacked into {folder} ({error.strerror or error})") from error
    return path


def _cache_folder() -> Path:
    """Where unpacked sections are kept: the user's cache, else the folder for temporary files."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    if not os.access(base if base.is_dir() else base.parent, os.W_OK):
        base = Path(tempfile.gettempdir())
    return base / "benchharness" / "bundles"
