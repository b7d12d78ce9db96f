"""Sealed artefacts: a model's file, encrypted, and read into memory alone.

The format, version 1, numbers big-endian. A header of 24 bytes: `BHSEALED`, version (1 byte), three zero bytes, the
length of a frame's content (4 bytes), and 8 random bytes, the prefix of all nonces. Then frames: content under
AES-256-GCM, 16 bytes longer than it. A frame's nonce is the prefix and its index (4 bytes), and what is authenticated
beside it is the header, the index, and one byte that says whether it is the last (the STREAM construction of Hoang,
Reyhanitabar, Rogaway and Vizar, 2015). All frames but the last are full. So a frame that was changed, cut, repeated,
added or put elsewhere does not open, and neither does one of another file.
"""

from __future__ import annotations

import io
import os
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from benchharness.device.measured import measurement
from benchharness.errors import ModelFailure, Unsupported

ENDING = ".sealed"
MAGIC, VERSION = b"BHSEALED", 1
FRAME_BYTES = 1 << 16  # so little is in memory twice while it is decrypted
TAG_BYTES = 16
_HEADER = struct.Struct(">8sB3xI8s")
HEADER_BYTES = _HEADER.size
PREFIX_BYTES = 8
#: A frame is in memory beside what was decrypted: a header may not ask for more than this.
_LEAST_FRAME_BYTES, _MOST_FRAME_BYTES = 1 << 10, 1 << 26
_MOST_FRAMES = 1 << 32


@dataclass
class Unsealed:
    """What a sealed file holds, every byte of it authenticated, and what that took."""

    content: bytes
    artefact: Path  # what it was called before it was sealed; no such file need be there
    library_ns: int
    key_ns: int
    read_ns: int
    decrypt_ns: int
    open_ns: int = 0  # the adapter's part, known when it has opened it

    def measurements(self) -> list[dict[str, Any]]:
        """The parts of its load."""
        parts = {
            "library": self.library_ns,
            "key": self.key_ns,
            "read": self.read_ns,
            "decrypt": self.decrypt_ns,
            "open": self.open_ns,
        }
        return [measurement("sealed_load", {"part": part}, taken_ns) for part, taken_ns in parts.items()]


def is_sealed(artefact: Path) -> bool:
    """Whether a path is that of a sealed file, by its name."""
    return artefact.name.endswith(ENDING)


def plain_name(name: str) -> str:
    """The name of what is sealed in a file of this name: `model.onnx` of `model.onnx.sealed`."""
    return name[: -len(ENDING)] if name.endswith(ENDING) else name


def header(prefix: bytes, frame_bytes: int = FRAME_BYTES) -> bytes:
    """A file's first bytes."""
    return _HEADER.pack(MAGIC, VERSION, frame_bytes, prefix)


def library() -> Any:
    """AES-GCM, which takes a key. Raises `Unsupported` where the package for it is missing."""
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ImportError as error:
        raise Unsupported(
            f"sealed artefacts need the package cryptography on the device ({error}); install benchharness[sealed]"
        ) from error
    return AESGCM


def unseal(file: Path, key_from: Callable[[], bytes], ended: Callable[[str], None] = lambda _: None) -> Unsealed:
    """Reads a sealed file into memory, and nowhere else.

    `ended` hears when the library and the key are there ("key"), and when all is decrypted ("unseal"). Raises
    `ModelFailure` where the file is none, is damaged or has another key, `Unsupported` where the key cannot be had.
    """
    try:
        with file.open("rb", buffering=0) as stream:
            head = _read_header(stream, file)
            began_ns = time.perf_counter_ns()
            aes = library()
            loaded_ns = time.perf_counter_ns()
            frames = Frames(aes(key_from()), head)
            key_ns = time.perf_counter_ns() - loaded_ns
            ended("key")
            content, read_ns, decrypt_ns = _decrypted(stream, frames, file)
    except OSError as error:
        raise ModelFailure(f"{file}: cannot be read ({error.strerror or error})") from error
    found = Unsealed(content, file.with_name(plain_name(file.name)), loaded_ns - began_ns, key_ns, read_ns, decrypt_ns)
    ended("unseal")
    return found


class Frames:
    """Opens and makes the frames of one file, by its header and its key's cipher."""

    def __init__(self, cipher: Any, head: bytes) -> None:
        self._cipher, self._head = cipher, head
        self._prefix: bytes
        self.content_bytes: int
        _, _, self.content_bytes, self._prefix = _HEADER.unpack(head)

    def make(self, content: bytes, index: int, *, last: bool) -> bytes:
        """A frame."""
        made: bytes = self._cipher.encrypt(self._nonce(index), content, self._bound_to(index, last=last))
        return made

    def open(self, frame: bytes, index: int, *, last: bool) -> bytes:
        """What it holds. Raises `InvalidTag` where it is not this frame of this file, or under another key."""
        opened: bytes = self._cipher.decrypt(self._nonce(index), frame, self._bound_to(index, last=last))
        return opened

    def _nonce(self, index: int) -> bytes:
        return self._prefix + index.to_bytes(4, "big")

    def _bound_to(self, index: int, *, last: bool) -> bytes:
        return self._head + index.to_bytes(4, "big") + bytes([last])


def _decrypted(stream: BinaryIO, frames: Frames, file: Path) -> tuple[bytes, int, int]:
    """Everything, each frame authenticated; and what reading and decrypting took."""
    frame_bytes = frames.content_bytes + TAG_BYTES
    left = os.fstat(stream.fileno()).st_size - HEADER_BYTES
    count = -(-left // frame_bytes)
    if not 0 < count <= _MOST_FRAMES:
        raise ModelFailure(f"{file}: a sealed file without a frame, or with too many; seal it again")
    content = io.BytesIO()  # grows in place, and hands out what it holds without a copy
    read_ns = decrypt_ns = 0
    for index in range(count):
        began_ns = time.perf_counter_ns()
        frame = _exactly(stream, frame_bytes)
        read_at_ns = time.perf_counter_ns()
        content.write(_opened(frames, frame, index, count, file))
        read_ns += read_at_ns - began_ns
        decrypt_ns += time.perf_counter_ns() - read_at_ns
    if not content.tell():
        raise ModelFailure(f"{file}: nothing is sealed in it; seal it again")
    return content.getvalue(), read_ns, decrypt_ns


def _opened(frames: Frames, frame: bytes, index: int, count: int, file: Path) -> bytes:
    from cryptography.exceptions import InvalidTag

    try:
        return frames.open(frame, index, last=index + 1 == count)
    except (InvalidTag, ValueError):
        reason = (
            "the key is another one, or the file was changed"
            if index == 0
            else "the file was changed, cut or put together anew after it was sealed"
        )
        raise ModelFailure(
            f"{file}: frame {index + 1} of {count} does not open: {reason}; nothing of it is used"
        ) from None


def _read_header(stream: BinaryIO, file: Path) -> bytes:
    head = _exactly(stream, HEADER_BYTES)
    if len(head) < HEADER_BYTES or head[: len(MAGIC)] != MAGIC:
        raise ModelFailure(f"{file}: no sealed file; make one with `benchharness seal`")
    _, version, frame_bytes, _ = _HEADER.unpack(head)
    if version != VERSION:
        raise ModelFailure(f"{file}: sealed in version {version} of the format; this benchharness reads {VERSION}")
    if not _LEAST_FRAME_BYTES <= frame_bytes <= _MOST_FRAME_BYTES:
        raise ModelFailure(f"{file}: its header names frames of {frame_bytes} bytes; seal it again")
    return head


def _exactly(stream: BinaryIO, count: int) -> bytes:
    """So many bytes, fewer at the file's end."""
    pieces = []
    while count and (piece := stream.read(count)):
        pieces.append(piece)
        count -= len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
