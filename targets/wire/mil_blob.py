"""Reads Core ML's weights files: a row of records, each of which tells a type, a size and where the numbers lie.

Format: https://github.com/apple/coremltools/blob/main/mlmodel/src/MILBlob/Blob/StorageFormat.hpp.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass

#: A record: mark, element type, bytes of numbers, where they start. More follows that is of no use here.
_RECORD = struct.Struct("<IIQQ")
_MARK = 0xDEADBEEF
RECORD_BYTES = _RECORD.size
#: Records start at multiples of this.
_ALIGNMENT = 64
#: A file: how many records, and the version of the format.
_HEAD = struct.Struct("<II")
HEAD_BYTES, VERSION = _HEAD.size, 2
_TYPES = {
    1: "float16",
    2: "float32",
    3: "uint8",
    4: "int8",
    5: "bfloat16",
    6: "int16",
    7: "uint16",
    8: "int4",
    9: "uint1",
    10: "uint2",
    11: "uint4",
    12: "uint3",
    13: "uint6",
    14: "int32",
    15: "uint32",
    16: "float8e4m3fn",
    17: "float8e5m2",
}


@dataclass(frozen=True)
class Record:
    """Where numbers lie in a weights file."""

    dtype: str  # "type 99" for one that is not known
    start: int
    size: int

    @property
    def end(self) -> int:
        """The byte after the last."""
        return self.start + self.size


def is_blob(head: bytes) -> bool:
    """Whether a file that begins so is a weights file of this version."""
    return len(head) == HEAD_BYTES and bool(_HEAD.unpack(head)[1] == VERSION)


def record_of(content: bytes) -> Record | None:
    """The record that these `RECORD_BYTES` bytes are; None where they are none. It may name what is not in the file."""
    mark, kind, size, start = _RECORD.unpack(content)
    return Record(_TYPES.get(kind, f"type {kind}"), start, size) if mark == _MARK else None


def records(content: bytes | mmap.mmap) -> Iterator[Record]:
    """The records of a file, one after another, as far as they are some and lie in it."""
    at = _ALIGNMENT
    while at + RECORD_BYTES <= len(content):
        record = record_of(bytes(content[at : at + RECORD_BYTES]))
        if record is None or record.end > len(content) or record.start < at:
            return
        yield record
        at = -(-record.end // _ALIGNMENT) * _ALIGNMENT
