"""Reads FlatBuffers: tables, their fields, vectors and texts, each checked to lie inside the file before it is read.

So a file can be looked into without a runtime, and before a runtime that does not check. Vectors of numbers are only
located, so a model's weights are never read. The files are not trusted: a reader stops at a limit of tables and of
text instead of running as long as the file tells it to, for a table may be named from many places.
Format: https://flatbuffers.dev/internals/.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from targets.wire.held import Buffer, looked_into

#: Tables that one file may have. SmolLM2 with two signatures has 40,000; this many take some ten seconds to walk.
MOST_TABLES = 2_000_000
#: Bytes that one text, and all texts of one file, may have; longer ones are cut or refused.
LONGEST_TEXT, MOST_TEXT = 10_000, 64_000_000

_U8, _U16, _U32, _I32, _U64 = (struct.Struct(f"<{kind}") for kind in ("B", "H", "I", "i", "Q"))
_NUMBERS = {
    "u8": _U8,
    "i8": struct.Struct("<b"),
    "u16": _U16,
    "u32": _U32,
    "i32": _I32,
    "u64": _U64,
    "f32": struct.Struct("<f"),
}
_OFFSET = 4  # bytes of an offset, and of a vector's length


class Wire:
    """One file. Every method raises `ValueError`, naming the byte, where the file is no FlatBuffer."""

    def __init__(self, content: Buffer) -> None:
        self.content = content
        self.size = len(content)
        self._tables_left = MOST_TABLES
        self._text_left = MOST_TEXT

    def root(self, identifier: bytes) -> Table:
        """The table that holds all others, in a file with this four-byte identifier."""
        if self.size < 2 * _OFFSET or bytes(self.content[_OFFSET : 2 * _OFFSET]) != identifier:
            raise ValueError(f"the identifier {identifier.decode()} is not at byte {_OFFSET}")
        return self.table(self.number("u32", 0))

    def number(self, kind: str, at: int) -> int:
        """The whole number at a byte."""
        form = _NUMBERS[kind]
        self._check(at, form.size)
        return form.unpack_from(self.content, at)[0]  # type: ignore[no-any-return]

    def real(self, at: int) -> float:
        """The float32 at a byte."""
        self._check(at, _OFFSET)
        return _NUMBERS["f32"].unpack_from(self.content, at)[0]  # type: ignore[no-any-return]

    def table(self, at: int) -> Table:
        """The table at a byte, its list of fields checked."""
        self._tables_left -= 1
        if self._tables_left < 0:
            raise ValueError(f"more than {MOST_TABLES} tables up to byte {at}")
        fields = at - self.number("i32", at)
        listed, length = self.number("u16", fields), self.number("u16", fields + 2)
        self._check(fields, listed)
        self._check(at, length)
        if listed < _OFFSET or listed % 2 or length < _OFFSET:
            raise ValueError(f"the table at byte {at} has a broken list of fields")
        places = struct.unpack_from(f"<{listed // 2 - 2}H", self.content, fields + 4)
        if places and max(places) >= length:
            raise ValueError(f"the table at byte {at} has a field outside it")
        return Table(self, at, length, places)

    def vector(self, at: int, item_bytes: int) -> tuple[int, int]:
        """(first byte, number of items) of the vector at a byte."""
        count = self.number("u32", at)
        self._check(at + _OFFSET, count * item_bytes)
        return at + _OFFSET, count

    def follow(self, at: int) -> int:
        """The byte that the offset at a byte points to."""
        return at + self.number("u32", at)

    def text(self, at: int) -> str:
        """The text at a byte, cut after `LONGEST_TEXT` bytes."""
        start, length = self.vector(at, 1)
        length = min(length, LONGEST_TEXT)
        self._text_left -= length
        if self._text_left < 0:
            raise ValueError(f"more than {MOST_TEXT} bytes of names up to byte {at}")
        return bytes(self.content[start : start + length]).decode("utf-8", "replace")

    def _check(self, at: int, length: int) -> None:
        if at < 0 or at + length > self.size:
            raise ValueError(f"{length} bytes at byte {at} are not in the file of {self.size}")


class Table:
    """One table. Fields go by their number in the schema, from 0; one that is left out has its default."""

    __slots__ = ("_length", "_places", "_wire", "at")

    def __init__(self, wire: Wire, at: int, length: int, places: tuple[int, ...]) -> None:
        self.at = at
        self._wire = wire
        self._length = length
        self._places = places

    def number(self, field: int, kind: str, default: int = 0) -> int:
        """A whole number."""
        at = self._place(field, _NUMBERS[kind].size)
        return self._wire.number(kind, at) if at else default

    def text(self, field: int) -> str:
        """A text, empty where it is left out."""
        at = self._place(field, _OFFSET)
        return self._wire.text(self._wire.follow(at)) if at else ""

    def child(self, field: int) -> Table | None:
        """A table inside this one, None where it is left out."""
        at = self._place(field, _OFFSET)
        return self._wire.table(self._wire.follow(at)) if at else None

    def children(self, field: int) -> Iterator[Table]:
        """The tables of a vector."""
        start, count = self.vector(field, _OFFSET)
        for index in range(count):
            yield self._wire.table(self._wire.follow(start + _OFFSET * index))

    def vector(self, field: int, item_bytes: int) -> tuple[int, int]:
        """(first byte, number of items) of a vector; (0, 0) where it is left out."""
        at = self._place(field, _OFFSET)
        return self._wire.vector(self._wire.follow(at), item_bytes) if at else (0, 0)

    def numbers(self, field: int, at_most: int) -> tuple[int, ...]:
        """A vector of int32. Raises `ValueError` where it has more than so many."""
        start, count = self.vector(field, _I32.size)
        if count > at_most:
            raise ValueError(f"a list of {count} numbers at byte {start}, where at most {at_most} are expected")
        return struct.unpack_from(f"<{count}i", self._wire.content, start)

    def _place(self, field: int, size: int) -> int:
        """The byte of a field, 0 where it is left out."""
        place = self._places[field] if field < len(self._places) else 0
        if place and place + size > self._length:
            raise ValueError(f"field {field} of the table at byte {self.at} reaches beyond it")
        return self.at + place if place else 0


@contextmanager
def mapped(path: Path) -> Iterator[Wire]:
    """A file, read through a memory map: what is stepped over stays on the disk. Raises `ValueError`, `OSError`."""
    with looked_into(path) as content:
        yield Wire(content)
