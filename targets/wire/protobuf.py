"""Reads protobuf's wire format: the fields of a message one after another, whatever they hold stepped over.

So the device needs neither the `protobuf` nor the `onnx` package, and a model's weights are never read. The files are
not trusted: a reader stops at a limit of fields and of text instead of running as long as the file tells it to.
Format: https://protobuf.dev/programming-guides/encoding/.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from targets.wire.held import Buffer, looked_into

#: Fields that one file may have. SmolLM2 in plain operators, 2,245 of them, has 34,000 outside its weights; this many
#: took three seconds to walk.
MOST_FIELDS = 1_000_000
#: Characters that one text, and all texts of one file, may have; longer ones are cut or refused.
LONGEST_TEXT, MOST_TEXT = 10_000, 32_000_000

# Wire types.
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_VARINT_BITS = 70  # ten bytes, the longest there is


class Limit(ValueError):
    """A file has more in it than is read: what is behind is not known."""


class Wire:
    """The fields of one file. Every method raises `ValueError`, naming the byte, where the file is no protobuf."""

    def __init__(self, content: Buffer) -> None:
        self.content = content
        self._fields_left = MOST_FIELDS
        self._text_left = MOST_TEXT

    def fields(self, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
        """(field number, value, 0) of each number, (field number, first byte, end) of each text, message or array."""
        at = start
        while at < stop:
            self._fields_left -= 1
            if self._fields_left < 0:
                raise Limit(f"more than {MOST_FIELDS} fields up to byte {at}")
            key, at = self._varint(at, stop)
            number, wire_type = key >> 3, key & 7
            if wire_type == _LENGTH:
                length, at = self._varint(at, stop)
                if at + length > stop:
                    raise ValueError(f"field {number} at byte {at} is longer than what holds it")
                yield number, at, at + length
                at += length
            elif wire_type == _VARINT:
                value, at = self._varint(at, stop)
                yield number, value, 0
            elif wire_type in (_FIXED64, _FIXED32):
                at += 8 if wire_type == _FIXED64 else 4
                if at > stop:
                    raise ValueError(f"field {number} at byte {at} is longer than what holds it")
            else:
                raise ValueError(f"wire type {wire_type} at byte {at} is not protobuf")

    def numbers(self, value: int, end: int) -> Iterator[int]:
        """A repeated whole number, as writers put it: one a field (`end` is 0), or all in one field."""
        if not end:
            yield value
            return
        at = value
        while at < end:
            number, at = self._varint(at, end)
            yield number

    def text(self, start: int, end: int) -> str:
        """A text, cut after `LONGEST_TEXT` bytes."""
        length = min(max(end - start, 0), LONGEST_TEXT)
        self._text_left -= length
        if self._text_left < 0:
            raise Limit(f"more than {MOST_TEXT} bytes of names up to byte {start}")
        return bytes(self.content[start : start + length]).decode("utf-8", "replace")

    def _varint(self, at: int, stop: int) -> tuple[int, int]:
        """The number at `at`, seven bits a byte, lowest first; and where the next field starts."""
        content = self.content
        value = shift = 0
        while at < stop and shift < _VARINT_BITS:
            byte = content[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value, at
            shift += 7
        raise ValueError(f"no number ends at byte {at}")


def signed(value: int) -> int:
    """A 64-bit number as protobuf writes negative ones: two's complement."""
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value


@contextmanager
def mapped(path: Path) -> Iterator[Wire]:
    """A file's fields, read through a memory map: what is stepped over stays on the disk."""
    with looked_into(path) as content:
        yield Wire(content)
