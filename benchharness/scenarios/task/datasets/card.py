"""A dataset's card and its documents, read and checked before anything is planned."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, ValidationError

from benchharness.errors import SuiteError
from benchharness.suite.fields import Count, Name, Table
from benchharness.suite.tables import read_toml

CARD = "dataset.toml"
_HERE = "benchharness.scenarios.task.datasets"
#: By name, where each measure is computed.
MEASURES: Mapping[str, str] = {
    "accuracy": f"{_HERE}.classes:accuracy",
    "detection": f"{_HERE}.detection:mean_precision",
    "wer": f"{_HERE}.speech:word_errors",
    "cer": f"{_HERE}.speech:character_errors",
    "retrieval": f"{_HERE}.retrieval:found",
    "schema": f"{_HERE}.structured:fitting",
    "calls": f"{_HERE}.structured:called",
}
#: The package that a measure is computed by, where it is not ours.
PACKAGES: Mapping[str, str] = {
    "detection": "faster_coco_eval",
    "wer": "jiwer",
    "cer": "jiwer",
    "schema": "jsonschema",
}
#: Those of what a language model writes; the others are of tensors.
LANGUAGE = ("schema", "calls")
#: Columns that each measure reads beside the id; a card may call them otherwise.
NEEDED: Mapping[str, tuple[str, ...]] = {
    "accuracy": ("label",),
    "detection": ("boxes", "labels"),
    "wer": ("text",),
    "cer": ("text",),
    "retrieval": (),
    "schema": ("prompt",),
    "calls": ("prompt", "calls"),
}
_COLUMNS = ("id", "label", "boxes", "labels", "text", "prompt", "schema", "calls", "relevant", "target")
_MOST_DOCUMENTS, _MOST_BYTES = 1_000_000, 256 << 20
#: What may be done to a text before its errors are counted, in this order.
Step = Literal["lower", "punctuation", "spaces"]


class _File(Table):
    """What stands in `dataset.toml`."""

    name: Name
    licence: Annotated[str, Field(min_length=1, max_length=200)]
    measure: Literal["accuracy", "detection", "wer", "cer", "retrieval", "schema", "calls"]
    documents: str = "documents.jsonl"
    inputs: str = "inputs.npz"
    after: str = ""
    outputs: tuple[Name, ...] = ()
    columns: dict[str, Name] = Field(default_factory=dict)
    source: str = ""
    normaliser: tuple[Step, ...] = ("lower", "punctuation", "spaces")  # of wer and cer
    k: tuple[Count, ...] = (1, 10)  # of retrieval
    # Binding JSON schema of every document that has none itself.
    schema_file: str = Field(default="", alias="schema")
    until: tuple[str, ...] = ()
    most_tokens: Count = 256


class Card:
    """A checked card. `digest` is of it and of everything that scores depend on: documents, schema, Python."""

    def __init__(self, said: _File, schema: Any, digest: str) -> None:
        self.name, self.measure, self.after = said.name, said.measure, said.after
        self.outputs, self.until, self.most_tokens = said.outputs, said.until, said.most_tokens
        self.normaliser, self.k = said.normaliser, said.k
        self.schema, self.digest = schema, digest
        self._columns = said.columns
        self.told: Mapping[str, Any] = {
            "measure": said.measure,
            "licence": said.licence,
            **({"source": said.source} if said.source else {}),
            **({"after": said.after} if said.after else {}),
        }

    def column(self, name: str) -> str:
        """What the documents call it."""
        return self._columns.get(name, name)


def read_card(folder: Path) -> Card:
    """The card of a folder. Raises `SuiteError` that says what to write."""
    if not folder.is_dir():
        raise SuiteError(f"scenarios.task.datasets: {folder} is no folder; name one with a {CARD}")
    path = folder / CARD
    if not path.is_file():
        raise SuiteError(
            f'{folder}: has no {CARD}; it says at least name = "…", licence = "…" and measure = "accuracy"'
        )
    try:
        said = _File.model_validate(read_toml(path))
    except ValidationError as error:
        told = "; ".join(
            f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors(include_url=False)[:5]
        )
        raise SuiteError(f"{path}: {told} (measures are: {', '.join(MEASURES)})") from error
    package = PACKAGES.get(said.measure)
    if package is not None and find_spec(package) is None:
        raise SuiteError(f"{path}: {said.measure} needs the package {package}; install benchharness[datasets]")
    unknown = [name for name in said.columns if name not in _COLUMNS]
    if unknown:
        raise SuiteError(f"{path}: no measure reads a column {unknown[0]!r} (there are: {', '.join(_COLUMNS)})")
    schema = _json(_within(folder, said.schema_file)) if said.schema_file else None
    read = [path, _within(folder, said.documents)]
    read += [_within(folder, said.schema_file)] if said.schema_file else []
    read += [_within(folder, said.after.partition(":")[0])] if said.after else []
    digest = hashlib.sha256()
    for each in read:
        digest.update(_bytes(each))
    return Card(said, schema, digest.hexdigest()[:32])


def read_documents(folder: Path, card: Card) -> list[Mapping[str, Any]]:
    """The documents, each with an id of its own: its place where it has none. Raises `SuiteError`."""
    path = _within(folder, _said(folder).documents)
    found: list[Mapping[str, Any]] = []
    seen: dict[str, int] = {}
    for number, line in enumerate(_bytes(path).decode("utf-8", "replace").split("\n"), 1):
        if not line.strip():
            continue
        document = _document(line, f"{path}: line {number}")
        name = card.column("id")
        own = {name: len(found), **document}
        id_ = str(own[name])
        if id_ in seen:
            raise SuiteError(
                f"{path}: lines {seen[id_]} and {number} have the same id {id_[:60]!r}; each needs its own"
            )
        seen[id_] = number
        missing = [each for each in NEEDED[card.measure] if card.column(each) not in own]
        if missing:
            raise SuiteError(
                f"{path}: line {number} has no {card.column(missing[0])!r}, which {card.measure} needs; say under "
                f'[columns] what it is called: {missing[0]} = "…"'
            )
        found.append(own)
        if len(found) > _MOST_DOCUMENTS:
            raise SuiteError(f"{path}: more than {_MOST_DOCUMENTS} documents")
    if not found:
        raise SuiteError(f"{path}: holds no document")
    return found


def samples_of(folder: Path, card: Card, documents: int) -> Path:
    """The file of inputs, a row a document. Raises `SuiteError` where it has another number of them."""
    path = _within(folder, _said(folder).inputs)
    _bytes(path)
    try:
        with np.load(path, allow_pickle=False) as arrays:
            counts = {name: len(arrays[name]) if arrays[name].ndim else 0 for name in arrays.files}
    except (ValueError, OSError, KeyError) as error:
        raise SuiteError(f"{path}: not an .npz of plain arrays: {error}") from error
    if set(counts.values()) != {documents}:
        told = ", ".join(f"{name} {count}" for name, count in counts.items()) or "none"
        raise SuiteError(f"{path}: a row is wanted for each of {documents} documents; there are: {told}")
    return path


def _said(folder: Path) -> _File:
    return _File.model_validate(read_toml(folder / CARD))


def _document(line: str, where: str) -> dict[str, Any]:
    try:
        said = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise SuiteError(f"{where} is not JSON: {error}") from error
    if not isinstance(said, dict):
        raise SuiteError(f"{where} is no JSON object, which a document is")
    return said


def _within(folder: Path, name: str) -> Path:
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise SuiteError(f"{folder}: {name!r} is outside of the dataset's folder")
    return path


def _bytes(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise SuiteError(f"{path}: there is no such file, which the card names")
        if path.stat().st_size > _MOST_BYTES:
            raise SuiteError(f"{path}: {path.stat().st_size} bytes; {_MOST_BYTES} at most")
        return path.read_bytes()
    except OSError as error:
        raise SuiteError(f"{path}: cannot be read ({error.strerror})") from error


def _json(path: Path) -> Any:
    try:
        return json.loads(_bytes(path))
    except (ValueError, RecursionError) as error:
        raise SuiteError(f"{path}: not JSON: {error}") from error
