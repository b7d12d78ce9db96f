"""Reads what a GGUF file says of itself: metadata and the list of its tensors, no weights.

The files are not trusted: what cannot be raises `ModelFailure`, and entries and texts have limits.
Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchharness.errors import Unsupported
from targets.model_files import reading
from targets.wire.held import Buffer, looked_into

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_MOST_ENTRIES, _MOST_TENSORS, _MOST_TEXTS = 100_000, 1_000_000, 4_000_000
_LONGEST_NAME, _LONGEST_KEPT = 65_536, 10_000
_MOST_DIMENSIONS, _MOST_NUMBERS = 4, 1 << 50

#: Types of metadata: how `struct` calls a number of it; texts and arrays stand apart.
_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_TEXT, _ARRAY = 8, 9
_LENGTH = struct.Struct("<Q")  # of a text

#: Types of tensors: name, numbers in a block, bytes of a block (`ggml.h`). Floats and whole numbers by numpy's names.
TYPES = {
    0: ("float32", 1, 4),
    1: ("float16", 1, 2),
    30: ("bfloat16", 1, 2),
    28: ("float64", 1, 8),
    24: ("int8", 1, 1),
    25: ("int16", 1, 2),
    26: ("int32", 1, 4),
    27: ("int64", 1, 8),
    2: ("q4_0", 32, 18),
    3: ("q4_1", 32, 20),
    6: ("q5_0", 32, 22),
    7: ("q5_1", 32, 24),
    8: ("q8_0", 32, 34),
    9: ("q8_1", 32, 40),
    10: ("q2_K", 256, 84),
    11: ("q3_K", 256, 110),
    12: ("q4_K", 256, 144),
    13: ("q5_K", 256, 176),
    14: ("q6_K", 256, 210),
    15: ("q8_K", 256, 292),
    16: ("iq2_xxs", 256, 66),
    17: ("iq2_xs", 256, 74),
    18: ("iq3_xxs", 256, 98),
    19: ("iq1_s", 256, 50),
    20: ("iq4_nl", 32, 18),
    21: ("iq3_s", 256, 110),
    22: ("iq2_s", 256, 82),
    23: ("iq4_xs", 256, 136),
    29: ("iq1_m", 256, 56),
    34: ("tq1_0", 256, 54),
    35: ("tq2_0", 256, 66),
    39: ("mxfp4", 32, 17),
    40: ("nvfp4", 64, 36),
    41: ("q1_0", 128, 18),
}


@dataclass(frozen=True)
class Tensor:
    """One stored tensor."""

    name: str
    dtype: str  # as `TYPES` calls it
    shape: tuple[int, ...]  # the fastest dimension first, as GGUF has it
    numbers: int
    bytes: int
    block: int  # numbers that share a scale; 1: none


@dataclass
class Contents:
    """All parts of a model. `metadata` holds numbers, texts, and of arrays how long they are."""

    version: int = 0
    metadata: dict[str, Any] = field(default_factory=dict)
    lengths: dict[str, int] = field(default_factory=dict)  # of arrays
    tensors: list[Tensor] = field(default_factory=list)

    @property
    def architecture(self) -> str:
        """What llama.cpp builds the graph by."""
        return str(self.metadata.get("general.architecture", ""))

    def of_architecture(self, key: str) -> Any:
        """A value whose key begins with the architecture: `llama.block_count`. None where it is not there."""
        return self.metadata.get(f"{self.architecture}.{key}")

    @property
    def floats(self) -> list[str]:
        """The floating-point types that occur."""
        return sorted({tensor.dtype for tensor in self.tensors if "float" in tensor.dtype})

    @property
    def quantized(self) -> bool:
        """Whether any weights share scales."""
        return any(tensor.block > 1 for tensor in self.tensors)


def read_files(parts: Sequence[Path]) -> Contents:
    """What the parts of a model say, the first one's metadata. Raises `ModelFailure`, `Unsupported` for big-endian."""
    found = Contents()
    for part in parts:
        try:
            with reading(part, "GGUF model"), looked_into(part) as content:
                read = _Reader(content).contents()
        except Unsupported as error:
            raise Unsupported(f"{part}: {error}") from error
        if not found.version:
            found.version, found.metadata, found.lengths = read.version, read.metadata, read.lengths
        found.tensors += read.tensors
    return found


class _Reader:
    """One file, read from front to back. Every method raises `ValueError` or `struct.error` for what cannot be."""

    def __init__(self, content: Buffer) -> None:
        self._content, self._at, self._texts_left = content, 0, _MOST_TEXTS

    def contents(self) -> Contents:
        """The whole header, held against the length of the file."""
        if self._content[:4] != _MAGIC:
            raise ValueError(f"it begins with {bytes(self._content[:4])!r} instead of {_MAGIC!r}")
        self._at = 4
        version = self._number("I")
        if version not in _VERSIONS:
            if struct.unpack(">I", struct.pack("<I", version))[0] in _VERSIONS:
                raise Unsupported("is big-endian, for other processors; download the little-endian one")
            raise ValueError(f"version {version}; this reader knows {_VERSIONS}")
        tensors = self._count("Q", _MOST_TENSORS, "tensors")
        found = Contents(version)
        for _ in range(self._count("Q", _MOST_ENTRIES, "metadata entries")):
            self._entry(found)
        stored = [self._tensor() for _ in range(tensors)]
        alignment = found.metadata.get("general.alignment", 32)
        if not isinstance(alignment, int) or not 0 < alignment <= _LONGEST_NAME:
            raise ValueError(f"alignment {alignment!r}")
        begin = -(-self._at // alignment) * alignment
        for tensor, offset in stored:
            if begin + offset + tensor.bytes > len(self._content):
                raise ValueError(f"tensor {tensor.name!r} ends beyond the file's {len(self._content)} bytes")
            found.tensors.append(tensor)
        return found

    def _entry(self, found: Contents) -> None:
        key, kind = self._text(_LONGEST_NAME), self._number("I")
        if kind == _TEXT:
            found.metadata[key] = self._text()
        elif kind == _ARRAY:
            found.lengths[key] = self._skip_array()
        else:
            number = self._number(self._letter(kind))
            found.metadata[key] = number if math.isfinite(number) else str(number)

    def _skip_array(self) -> int:
        kind, length = self._number("I"), int(self._number("Q"))
        if kind != _TEXT:
            self._skip(length * struct.calcsize(self._letter(kind)))
            return length
        self._texts_left -= length
        if self._texts_left < 0:
            raise ValueError(f"more than {_MOST_TEXTS} texts up to byte {self._at}")
        content, at, end, unpack = self._content, self._at, len(self._content), _LENGTH.unpack_from
        for _ in range(length):  # a vocabulary has a hundred thousand: this is a part of every cold start
            at += _LENGTH.size + unpack(content, at)[0]
            if at > end:
                raise ValueError(f"a text ends at byte {at}, beyond the file")
        self._at = at
        return length

    def _tensor(self) -> tuple[Tensor, int]:
        """A tensor, and where its bytes begin behind the header."""
        name = self._text(_LONGEST_NAME)
        shape = tuple(self._number("Q") for _ in range(self._count("I", _MOST_DIMENSIONS, "dimensions")))
        kind, offset = self._number("I"), self._number("Q")
        numbers = math.prod(shape)
        if kind not in TYPES:
            raise Unsupported(f"tensor {name!r} is of ggml's type {kind}, newer than what is known here")
        dtype, block, block_bytes = TYPES[kind]
        if not 0 < numbers <= _MOST_NUMBERS or numbers % block:
            raise ValueError(f"tensor {name!r} has the shape {shape}, and {dtype} comes in blocks of {block}")
        return Tensor(name, dtype, shape, numbers, numbers // block * block_bytes, block), offset

    def _letter(self, kind: int) -> str:
        if kind not in _NUMBERS:
            raise ValueError(f"metadata of type {kind} at byte {self._at}")
        return _NUMBERS[kind]

    def _count(self, letter: str, most: int, what: str) -> int:
        count = int(self._number(letter))
        if count > most:
            raise ValueError(f"{count} {what}")
        return count

    def _number(self, letter: str) -> Any:
        (number,) = struct.unpack_from(f"<{letter}", self._content, self._at)
        self._at += struct.calcsize(letter)
        return number

    def _text(self, longest: int | None = None) -> str:
        """A text, cut where it is long; `longest`: refused beyond."""
        length = self._number("Q")
        if longest is not None and length > longest:
            raise ValueError(f"a name of {length} bytes at byte {self._at}")
        start = self._at
        self._skip(length)
        return bytes(self._content[start : start + min(length, _LONGEST_KEPT)]).decode("utf-8", "replace")

    def _skip(self, length: int) -> None:
        if self._at + length > len(self._content):
            raise ValueError(f"{length} bytes at byte {self._at} end beyond the file")
        self._at += length
