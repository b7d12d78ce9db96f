"""Calibration data: reads it, holds it against the model's inputs, and says which samples it holds.

`.npz` holds arrays by input name whose first axis counts samples, or one array for a model of one input; an array
`labels` is no input. `.jsonl` holds a sample a line, a mapping of input names to nested lists. `.txt` is text for a
causal language model. Arrays find their inputs and their types by the rules of evaluation data (`pairing`, `layouts`,
`conversion`): nothing is scaled or guessed, and what would change a value is refused, with what is expected. So are
arrays of whole numbers for an input of floats: pixels, and nobody here knows how they were scaled in training.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchharness.contract import TensorSpec
from benchharness.device.inputs.conversion import converted
from benchharness.device.inputs.layouts import arranged
from benchharness.device.inputs.pairing import Pairing, listed, pair
from benchharness.device.inputs.tokenizer import Tokenizer
from benchharness.device.inputs.tokenizer_apart import TokenizerApart
from benchharness.device.scenarios.quality.sampling import evenly
from benchharness.errors import Unsupported, UsageError

Array = NDArray[Any]
Sample = Mapping[str, Array]  # input names to arrays of the input's shape

#: In an array file: which class each sample is of.
_LABELS = "labels"
MOST_SAMPLES = 10_000
_MOST_BYTES = 4 << 30
_MOST_TEXT_BYTES = 16 << 20
#: Text becomes samples of this many tokens, and no more of them than so many: ranges settle long before.
CHUNK_TOKENS = 128
MOST_CHUNKS = 64
#: Of a longer text, stretches that make so many are looked at: tokenizing all of it takes a second for each of these.
_ENOUGH_CHARACTERS = 1 << 20
_DIGITS = 16


class Fed(dict[str, Array]):
    """A sample as the model takes it. `given` is the same as it stands in the file: an evaluation knows it by that."""

    def __init__(self, arrays: Sample, given: Sample) -> None:
        super().__init__(arrays)
        self.given = given


@dataclass(frozen=True, kw_only=True)
class Text:
    """Calibration text as token ids, and what it was."""

    chunks: Sequence[Sequence[int]]
    lines: Sequence[str]  # those that went into the chunks, whole or in part
    characters: int  # of the text, in the chunks
    of_characters: int

    @property
    def used(self) -> str:
        """How much of the text that is."""
        return f"{self.characters} of {self.of_characters} characters"


def sample_digest(sample: Sample) -> str:
    """What a sample is known by: SHA-256 over the bytes of its arrays in order of their names, 16 hex digits.

    Names and shapes do not count, so that an evaluation finds a sample again that it batches or names otherwise.
    """
    arrays = sample.given if isinstance(sample, Fed) else sample
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    return digest.hexdigest()[:_DIGITS]


def line_digest(line: str) -> str:
    """What a line of text is known by: SHA-256 of it without blanks around it, in UTF-8, 16 hex digits."""
    return hashlib.sha256(line.strip().encode()).hexdigest()[:_DIGITS]


def describe(samples: Sequence[Sample], lines: Sequence[str] = (), used: str = "") -> dict[str, Any]:
    """What `recipe.json` tells of calibration data: a digest of all, how many, and a digest of each.

    Of a text also the digests of its lines, and how many of its characters were used: of arrays all samples are.
    """
    digests = [sample_digest(sample) for sample in samples]
    whole = hashlib.sha256("\n".join(digests).encode()).hexdigest()
    found: dict[str, Any] = {"digest": whole, "count": len(samples), "samples": digests}
    return {**found, "used": used, "lines": [line_digest(line) for line in lines]} if lines else found


def read_samples(path: Path, inputs: Sequence[TensorSpec]) -> list[Sample]:
    """The samples of an .npz or .jsonl file. Raises `UsageError` that says what does not fit and what would."""
    if path.suffix == ".npz":
        return _from_arrays(path, _load_arrays(path), inputs)
    if path.suffix == ".jsonl":
        return _from_lines(path, inputs)
    if path.suffix == ".txt":
        raise UsageError(f"{path}: text calibrates causal language models, and this model takes {listed(inputs)}")
    raise UsageError(f"{path}: calibration data ends in .npz, .jsonl or .txt")


def read_text(path: Path, tokenizer: Path, longest: int) -> Text:
    """Text in chunks of token ids, none longer than `longest`, spread evenly over it. Raises `UsageError`.

    Each begins with what the tokenizer puts before a text, as it does where the model is evaluated and used.
    """
    if not tokenizer.is_file():
        raise UsageError(f"{path}: text needs the model's tokenizer.json, and {tokenizer.parent} has none")
    try:
        if path.stat().st_size > _MOST_TEXT_BYTES:
            raise UsageError(f"{path}: longer than {_MOST_TEXT_BYTES} bytes; calibration needs no more than pages")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read as UTF-8 text: {error}") from error
    try:
        speaker = TokenizerApart(tokenizer)
        try:
            stretches = [_spoken(text, start, end, speaker) for start, end in _stretches(text)]
        finally:
            speaker.end()
    except Unsupported as error:
        raise UsageError(f"{tokenizer.parent}: {error}") from error
    length = min(CHUNK_TOKENS, longest, max(len(each) for each in stretches))
    leading = speaker.leading
    if length <= len(leading):
        raise UsageError(f"{path}: holds no text")
    chunks = [each[at : at + length] for each in stretches for at in range(0, len(each) - length + 1, length)]
    picked = [chunks[number] for number in evenly(len(chunks), MOST_CHUNKS)]
    ranges = [(chunk[0].start, chunk[-1].end) for chunk in picked]
    return Text(
        chunks=[[*leading, *(each.token for each in chunk[len(leading) :])] for chunk in picked],
        lines=list(_lines(text, ranges)),
        characters=sum(end - start for start, end in ranges),
        of_characters=len(text),
    )


def _stretches(text: str) -> Iterator[tuple[int, int]]:
    """Where to look for chunks: everywhere; in a long text one stretch a chunk, spread evenly, from a line's start."""
    if len(text) <= _ENOUGH_CHARACTERS:
        yield 0, len(text)
        return
    size = _ENOUGH_CHARACTERS // MOST_CHUNKS
    for start in evenly(len(text) - size + 1, MOST_CHUNKS):
        line = text.find("\n", start, start + size // 2) if start else -1
        yield (line + 1 if line >= 0 else start), start + size


class _Spoken(NamedTuple):
    token: int
    start: int  # the characters that it stands for
    end: int


def _spoken(text: str, start: int, end: int, speaker: Tokenizer) -> list[_Spoken]:
    """A stretch of the text in tokens, after what the tokenizer puts before one. A word that it cuts is left out."""
    tokens, spans = speaker.spans(text[start:end])
    found = [_Spoken(token, start + first, start + last) for token, (first, last) in zip(tokens, spans, strict=True)]
    return [_Spoken(token, start, start) for token in speaker.leading] + found[: None if end == len(text) else -1]


def _lines(text: str, ranges: Sequence[tuple[int, int]]) -> Iterator[str]:
    """The lines that have a part in ranges of characters, which are in order."""
    start, waiting = 0, list(reversed(ranges))
    for line in text.splitlines(keepends=True):
        end = start + len(line)
        while waiting and waiting[-1][1] <= start:
            waiting.pop()
        if waiting and waiting[-1][0] < end and line.strip():
            yield line.rstrip("\r\n")
        start = end


def _load_arrays(path: Path) -> dict[str, Array]:
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > _MOST_BYTES:
            raise UsageError(f"{path}: {size} bytes unpacked, {_MOST_BYTES} at most; give fewer samples")
        with np.load(path, allow_pickle=False) as loaded:
            return {name: np.asarray(loaded[name]) for name in loaded.files if name != _LABELS}
    except (OSError, ValueError, zipfile.BadZipFile, EOFError) as error:
        raise UsageError(f"{path}: cannot be read as .npz ({error}); write it with numpy.savez") from error


def _from_arrays(path: Path, arrays: Mapping[str, Array], inputs: Sequence[TensorSpec]) -> list[Sample]:
    counts = {name: len(array) if array.ndim else 0 for name, array in arrays.items()}
    if len(set(counts.values())) != 1 or not next(iter(counts.values())):
        told = ", ".join(f"{name}: {count}" for name, count in counts.items()) or "nothing"
        raise UsageError(f"{path}: the first axis of every array counts samples, and they differ or are none ({told})")
    count = next(iter(counts.values()))
    if count > MOST_SAMPLES:
        raise UsageError(f"{path}: {count} samples; {MOST_SAMPLES} at most, and some hundreds do")
    pairing = _paired(str(path), {name: array[0] for name, array in arrays.items()}, inputs)
    for each in pairing.pairs:
        _refuse_unscaled(f"{path}: {each.given}", arrays[each.given], next(s for s in inputs if s.name == each.wanted))
    return [
        _fed(str(path), {name: np.asarray(array[position]) for name, array in arrays.items()}, pairing, inputs)
        for position in range(count)
    ]


def _from_lines(path: Path, inputs: Sequence[TensorSpec]) -> list[Sample]:
    samples: list[Sample] = []
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise UsageError(f"{path}: larger than {_MOST_BYTES} bytes; give fewer samples")
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    samples.append(_from_line(f"{path}:{number}", line, inputs))
                if len(samples) > MOST_SAMPLES:
                    raise UsageError(f"{path}: more than {MOST_SAMPLES} samples; some hundreds do")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read as UTF-8 text: {error}") from error
    if not samples:
        raise UsageError(f"{path}: holds no samples")
    return samples


def _from_line(where: str, line: str, inputs: Sequence[TensorSpec]) -> Sample:
    try:
        values = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{where}: not JSON: {error}") from error
    if not isinstance(values, dict):
        raise UsageError(f"{where}: a sample is a mapping of input names to nested lists")
    arrays = {name: _as_array(f"{where}: {name}", value) for name, value in values.items()}
    return _fed(where, arrays, _paired(where, arrays, inputs), inputs)


def _as_array(where: str, value: Any) -> Array:
    try:
        return np.asarray(value)
    except ValueError as error:
        raise UsageError(f"{where}: its lists differ in length") from error


def _paired(where: str, arrays: Sample, inputs: Sequence[TensorSpec]) -> Pairing:
    """The inputs with what is given. Raises `UsageError` where one has nothing for certain."""
    given = [TensorSpec(name, _type(array), array.shape) for name, array in arrays.items()]
    found = pair(inputs, given)
    if found.missing:
        parts = [f"lacks {', '.join(found.missing)}", *([f"has {', '.join(found.spare)}"] if found.spare else [])]
        raise UsageError(f"{where}: {' and '.join(parts)}; the model's inputs are {listed(inputs)}: name arrays so")
    return found


def _type(array: Array) -> str:
    return array.dtype.name if array.dtype.kind in "fiub" else "str"


def _refuse_unscaled(where: str, array: Array, spec: TensorSpec) -> None:
    if array.dtype.kind in "iub" and spec.dtype.startswith("float"):
        raise UsageError(
            f"{where}: is {array.dtype} of shape {array.shape}; the model takes {listed([spec])}. "
            "Prepare the data as the model expects it (scaled as in training): nothing is scaled here"
        )


def _fed(where: str, given: Sample, pairing: Pairing, inputs: Sequence[TensorSpec]) -> Sample:
    """A sample in the model's own shapes and types. Raises `UsageError` where one of its values would change."""
    specs = {spec.name: spec for spec in inputs}
    sample = {}
    for each in pairing.pairs:
        spec, array = specs[each.wanted], given[each.given]
        try:
            shaped = arranged(array, spec, array_name=each.given, given=None, wanted=None)
            sample[spec.name] = converted(shaped, spec, None).array
        except Unsupported as error:
            raise UsageError(
                f"{where}: {error}; a sample of {each.given} is {array.dtype} of shape {array.shape}, and the model "
                f"takes {listed([spec])}. Prepare the data as the model expects it, scaled as in training"
            ) from error
        _check_finite(f"{where}: {spec.name}", array)
    return Fed(sample, given)


def _check_finite(where: str, array: Array) -> None:
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise UsageError(f"{where}: holds NaN or infinite values, from which no range can be taken")
