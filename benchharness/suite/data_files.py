"""Evaluation and calibration data: which kind a file is, its digest, and which samples were calibrated on too."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchharness.errors import SuiteError

#: What a file holds, by its ending.
KINDS = {".txt": "text", ".jsonl": "jsonl", ".tokens": "tokens", ".json": "tokens", ".npz": "npz"}
#: Kinds of data for language models: a tokenizer reads text, and knows the token that goes before one.
TEXT_KINDS = ("text", "jsonl", "tokens")
#: What the texts that a task asks for are as data of a workload: the host's own file.
REQUESTS = "requests"
#: A larger file is a mistake, or wants to be cut first: it is read whole.
MOST_DATA_BYTES = 1 << 30
#: Token ids that are one sample when two files are searched for what they share.
_SAMPLE_TOKENS = 16
#: What `benchharness compress` writes beside an artefact, and how much of a sample's SHA-256 stands in it.
RECORD, _DIGITS = "recipe.json", 16
_MOST_RECORD_BYTES = 16 << 20
#: How far above an artefact its record may lie: OUT/RECIPE/model/onnx/model.onnx.
_RECORD_ABOVE = 3


@dataclass(frozen=True, kw_only=True)
class DataFile:
    """A file of inputs."""

    path: Path
    kind: str
    sha256: str
    bytes: int
    shared_samples: int = 0  # with the calibration data, where that is allowed


def data_file(path: Path) -> DataFile:
    """Reads and hashes a data file. Raises `SuiteError` that says what to give instead."""
    kind = KINDS.get(path.suffix)
    if kind is None:
        raise SuiteError(
            f"{path}: data is read from {', '.join(KINDS)}: text, JSON lines, token ids (one list), or NumPy arrays"
        )
    try:
        if not path.is_file():
            raise SuiteError(f"{path}: there is no such file; 'evaluation', 'calibration' and 'inputs' name files")
        if path.stat().st_size > MOST_DATA_BYTES:
            raise SuiteError(f"{path}: {path.stat().st_size} bytes; data has {MOST_DATA_BYTES} at most, cut it")
        content = path.read_bytes()
    except OSError as error:
        raise SuiteError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    if not content.strip():
        raise SuiteError(f"{path}: is empty; quality needs at least one chunk of text or one sample")
    return DataFile(path=path, kind=kind, sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))


def shared_samples(evaluation: DataFile, calibration: DataFile) -> int:
    """How many samples of the evaluation data stand in the calibration data too."""
    known = set(_samples(calibration))
    return sum(sample in known for sample in _samples(evaluation))


def shared_with(evaluation: DataFile, artefact: Path) -> int:
    """How many samples of the evaluation data a compressed artefact was calibrated on, by the record beside it."""
    known = set().union(*(_calibrated_on(folder / RECORD, artefact) for folder in artefact.parents[:_RECORD_ABOVE]))
    return sum(sample.hex()[:_DIGITS] in known for sample in _samples(evaluation)) if known else 0


def _calibrated_on(record: Path, artefact: Path) -> set[str]:
    """Digests of the samples and the lines that `recipe.json` tells of; none where it is of another artefact.

    The artefact may be named by a file in the folder that the record is of.
    """
    try:
        if record.stat().st_size > _MOST_RECORD_BYTES:
            return set()
        read = json.loads(record.read_text(encoding="utf-8"))
        if record.parent != artefact.parent and record.parent / read["artefact"]["path"] not in artefact.parents:
            return set()
        told = read["calibration"] or {}
        return {str(digest) for name in ("samples", "lines") for digest in told.get(name, ())}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return set()


def _samples(data: DataFile) -> Iterator[bytes]:
    """A digest of every sample: a line of text, a stretch of token ids, a row of the arrays."""
    if data.kind == "npz":
        yield from _rows(data)
        return
    text = data.path.read_text(encoding="utf-8", errors="replace")
    if data.kind == "tokens":
        numbers = text.strip().strip("[]").replace(",", " ").split()
        pieces = [" ".join(numbers[start : start + _SAMPLE_TOKENS]) for start in range(0, len(numbers), _SAMPLE_TOKENS)]
    else:
        pieces = [line.strip() for line in text.splitlines()]
    for piece in pieces:
        if piece:
            yield hashlib.sha256(piece.encode()).digest()


def _rows(data: DataFile) -> Iterator[bytes]:
    import numpy as np  # not every command needs it

    try:
        with np.load(data.path, allow_pickle=False) as arrays:
            named = {name: arrays[name] for name in sorted(arrays.files) if name != "labels"}
    except (ValueError, OSError, KeyError) as error:
        raise SuiteError(f"{data.path}: not an .npz of plain arrays: {error}") from error
    if not named:
        raise SuiteError(f"{data.path}: holds no array of inputs")
    for row in range(min(len(array) for array in named.values())):
        digest = hashlib.sha256()
        for array in named.values():
            digest.update(np.ascontiguousarray(array[row]).tobytes())
        yield digest.digest()
