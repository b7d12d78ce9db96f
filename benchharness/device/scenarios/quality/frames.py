"""What a scorer and its conductor say to each other: JSON lines to the scorer, frames of bytes back.

A frame is a kind (one byte), a length (8 bytes, little endian) and its bytes: `J` a JSON object, `R` one row of logits,
`A` an array (a JSON header, a line end, the bytes). A length beyond the bound ends the conversation.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from benchharness.errors import ProtocolError

if TYPE_CHECKING:
    Array = np.ndarray[Any, np.dtype[Any]]

JSON, ROW, ARRAY = b"J", b"R", b"A"
_HEADER = struct.Struct("<cQ")
#: One frame holds a row of logits or one output: a larger one is no honest answer.
MOST_BYTES = 1 << 30


def send(file: int, kind: bytes, content: bytes | memoryview) -> None:
    """Writes one frame to a descriptor, all of it."""
    for part in (_HEADER.pack(kind, len(content)), content):
        rest = memoryview(part).cast("B")
        while rest:
            rest = rest[os.write(file, rest) :]


def send_json(file: int, message: Mapping[str, Any]) -> None:
    """Writes a JSON frame."""
    send(file, JSON, json.dumps(message).encode())


def send_array(file: int, name: str, array: Array) -> None:
    """Writes one named array."""
    contiguous = np.ascontiguousarray(array)
    header = json.dumps({"name": name, "dtype": contiguous.dtype.str, "shape": array.shape}).encode()
    send(file, ARRAY, header + b"\n" + contiguous.tobytes())


def receive(stream: BinaryIO) -> tuple[bytes, bytes] | None:
    """The next frame: (kind, content); None where the scorer has ended. Raises `ProtocolError`."""
    header = _exactly(stream, _HEADER.size)
    if header is None:
        return None
    kind, length = _HEADER.unpack(header)
    if kind not in (JSON, ROW, ARRAY) or length > MOST_BYTES:
        raise ProtocolError(f"a frame of kind {kind!r} with {length} bytes")
    content = _exactly(stream, length)
    return None if content is None else (kind, content)


def _exactly(stream: BinaryIO, count: int) -> bytes | None:
    content = stream.read(count)
    return content if len(content) == count else None


def array_of(content: bytes) -> tuple[str, Array]:
    """The array of an `A` frame. Raises `ProtocolError`; objects are never read."""
    try:
        head, _, data = content.partition(b"\n")
        header = json.loads(head)
        dtype = np.dtype(header["dtype"])
        if dtype.hasobject:
            raise ValueError("an array of objects")
        return str(header["name"]), np.frombuffer(data, dtype).reshape(header["shape"])
    except (ValueError, KeyError, TypeError) as error:
        raise ProtocolError(f"an array that cannot be read: {error}") from error
