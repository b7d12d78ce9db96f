"""Evaluation data on the device: texts and token ids as chunks of tokens, arrays as samples."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchharness.device.requests import Tokenizer
from benchharness.errors import Unsupported

if TYPE_CHECKING:
    Array = np.ndarray[Any, np.dtype[Any]]

LABELS = "labels"


def chunks_of(data: Mapping[str, Any], tokenizer: Tokenizer | None, *, length: int, most: int) -> list[list[int]]:
    """Chunks of `length` tokens, at most `most`, spread evenly over the data; what is left over is not used.

    Raises `Unsupported` for text without a tokenizer, lines that are no JSON, and data shorter than one chunk.
    """
    documents = _documents(Path(data["path"]), data["kind"], tokenizer)
    chunks = [
        list(tokens[start : start + length])
        for tokens in documents
        for start in range(0, len(tokens) - length + 1, length)
    ]
    if not chunks:
        longest = max((len(tokens) for tokens in documents), default=0)
        raise Unsupported(
            f"the evaluation data is shorter than one chunk: {longest} tokens, and chunk_tokens = {length}; give more "
            "text, or set a smaller chunk_tokens under [scenarios.quality]"
        )
    if len(chunks) <= most:
        return chunks
    return [chunks[round(index * (len(chunks) - 1) / max(1, most - 1))] for index in range(most)]


def _documents(path: Path, kind: str, tokenizer: Tokenizer | None) -> list[Sequence[int]]:
    text = path.read_text(encoding="utf-8", errors="replace")
    if kind == "tokens":
        return [_token_ids(text.strip().strip("[]").replace(",", " ").split(), "the token file")]
    if kind == "jsonl":
        return [_of_line(line, number, tokenizer) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if kind == "text":
        return [_encoded(text, tokenizer)]
    raise Unsupported("arrays are no text: a language model is evaluated on .txt, .jsonl or .tokens")


def _of_line(line: str, number: int, tokenizer: Tokenizer | None) -> Sequence[int]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise Unsupported(f"line {number} of the evaluation data is not JSON: {error}") from error
    if isinstance(value, dict) and isinstance(value.get("tokens"), list):
        return _token_ids(value["tokens"], f"line {number}")
    if isinstance(value, dict) and isinstance(value.get("text"), str):
        return _encoded(value["text"], tokenizer)
    raise Unsupported(f'line {number} of the evaluation data has neither "text" nor "tokens"')


def _token_ids(words: Sequence[Any], where: str) -> list[int]:
    try:
        tokens = [int(word) for word in words]
    except (TypeError, ValueError) as error:
        raise Unsupported(f"{where}: not token ids: {error}") from error
    if tokens and min(tokens) < 0:
        raise Unsupported(f"{where}: token {min(tokens)} is below 0")
    return tokens


def _encoded(text: str, tokenizer: Tokenizer | None) -> list[int]:
    if tokenizer is None:
        raise Unsupported(
            "the evaluation data is text, and there is no tokenizer.json beside the reference; name one with "
            "'tokenizer', or give token ids"
        )
    return tokenizer.encode(text)


def read_arrays(path: Path) -> dict[str, Array]:
    """The arrays of an `.npz` file but its labels, first axis samples. Objects are never read."""
    return {name: array for name, array in _all_arrays(path).items() if name != LABELS}


def has_labels(path: Path) -> bool:
    """Whether the file says which class each sample is of, as only a classifier's does."""
    return LABELS in _all_arrays(path)


def read_labels(path: Path, classes: int) -> Array | None:
    """The labels, shape (samples,), whole numbers below `classes`; None where there are none."""
    labels = _all_arrays(path).get(LABELS)
    if labels is None:
        return None
    wrong = labels[(labels < 0) | (labels >= classes)] if labels.dtype.kind in "iu" else labels[:1]
    if labels.ndim != 1 or wrong.size:
        told = f"label {wrong.flat[0]}" if wrong.size else f"the shape {labels.shape}"
        raise Unsupported(f"labels: whole numbers 0 to {classes - 1}, one a sample, are wanted; there is {told}")
    return labels


def count_samples(path: Path) -> int:
    """How many samples there are. Raises `Unsupported` where arrays differ in it, or there is none."""
    lengths = {name: len(array) if array.ndim else 0 for name, array in _all_arrays(path).items()}
    if len(set(lengths.values())) != 1 or not min(lengths.values()) or set(lengths) == {LABELS}:
        told = ", ".join(f"{name} {length}" for name, length in lengths.items()) or "nothing"
        raise Unsupported(f"the arrays must have one row for each sample, inputs and labels alike; there are: {told}")
    return next(iter(lengths.values()))


def _all_arrays(path: Path) -> dict[str, Array]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except Exception as error:  # zipfile, numpy and zlib each have their own
        raise Unsupported(f"{path.name}: not an .npz file of plain arrays: {error}") from error
