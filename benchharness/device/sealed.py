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
FRAME_BYTES = 1 << 20
TAG_BYTES = 16
_HEADER = struct.Struct(">8sB3xI8s")
HEADER_BYTES = _HEADER.size
PREFIX_BYTES = 8
#: A frame is in memory beside what was decrypted: a header may not ask for more than this.
_LEAST_FRAME_BYTES, _MOST_FRAME_BYTES = 1 << 10, 1 << 26
_MOST_FRAMES = 1 << 32


@dataclass(frozen=True)
class Unsealed:
    """What a sealed file holds, every byte of it authenticated, and what that took."""

    content: bytes
    artefact: Path  # what it was called before it was sealed; no such file need be there
    key_ns: int
    read_ns: int
    decrypt_ns: int

    def measurements(self, open_ns: int) -> list[dict[str, Any]]:
        """The parts of its load; `open_ns` is the adapter's."""
        parts = {"key": self.key_ns, "read": self.read_ns, "decrypt": self.decrypt_ns, "open": open_ns}
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


def nonce(prefix: bytes, index: int) -> bytes:
    """That of a frame, 12 bytes."""
    return prefix + index.to_bytes(4, "big")


def bound_to(head: bytes, index: int, *, last: bool) -> bytes:
    """What a frame is authenticated with beside its content."""
    return head + index.to_bytes(4, "big") + bytes([last])


def cipher(key: bytes) -> Any:
    """AES-256-GCM. Raises `Unsupported` where the library for it is missing."""
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ImportError as error:
        raise Unsupported(
            f"sealed artefacts need the package cryptography on the device ({error}); install benchharness[sealed]"
        ) from error
    return AESGCM(key)


def unseal(file: Path, key_from: Callable[[], bytes]) -> Unsealed:
    """Reads a sealed file into memory, and nowhere else.

    Raises `ModelFailure` where it is none, is damaged or has another key, `Unsupported` where the key cannot be had.
    """
    try:
        with file.open("rb", buffering=0) as stream:
            head, prefix, frame_bytes = _read_header(stream, file)
            began_ns = time.perf_counter_ns()
            opener = cipher(key_from())
            key_ns = time.perf_counter_ns() - began_ns
            left = os.fstat(stream.fileno()).st_size - HEADER_BYTES
            frames = -(-left // (frame_bytes + TAG_BYTES))
            if not 0 < frames <= _MOST_FRAMES:
                raise ModelFailure(f"{file}: a sealed file without a frame, or with too many; seal it again")
            # Grows in place, and hands out what it holds without a copy.
            content = io.BytesIO()
            read_ns = decrypt_ns = 0
            for index in range(frames):
                began_ns = time.perf_counter_ns()
                frame = _exactly(stream, min(left, frame_bytes + TAG_BYTES))
                left -= len(frame)
                read_at_ns = time.perf_counter_ns()
                content.write(_opened(opener, frame, (head, prefix), (index, frames), file))
                read_ns += read_at_ns - began_ns
                decrypt_ns += time.perf_counter_ns() - read_at_ns
    except OSError as error:
        raise ModelFailure(f"{file}: cannot be read ({error.strerror or error})") from error
    if not content.tell():
        raise ModelFailure(f"{file}: nothing is sealed in it; seal it again")
    return Unsealed(content.getvalue(), file.with_name(plain_name(file.name)), key_ns, read_ns, decrypt_ns)


def _read_header(stream: BinaryIO, file: Path) -> tuple[bytes, bytes, int]:
    head = _exactly(stream, HEADER_BYTES)
    if len(head) < HEADER_BYTES or head[: len(MAGIC)] != MAGIC:
        raise ModelFailure(f"{file}: no sealed file; make one with `benchharness seal`")
    _, version, frame_bytes, prefix = _HEADER.unpack(head)
    if version != VERSION:
        raise ModelFailure(f"{file}: sealed in version {version} of the format; this benchharness reads {VERSION}")
    if not _LEAST_FRAME_BYTES <= frame_bytes <= _MOST_FRAME_BYTES:
        raise ModelFailure(f"{file}: its header names frames of {frame_bytes} bytes; seal it again")
    return head, prefix, frame_bytes


def _exactly(stream: BinaryIO, count: int) -> bytes:
    """So many bytes, fewer at the file's end."""
    pieces = []
    while count and (piece := stream.read(count)):
        pieces.append(piece)
        count -= len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _opened(opener: Any, frame: bytes, begins: tuple[bytes, bytes], place: tuple[int, int], file: Path) -> bytes:
    from cryptography.exceptions import InvalidTag

    (head, prefix), (index, frames) = begins, place
    try:
        opened: bytes = opener.decrypt(nonce(prefix, index), frame, bound_to(head, index, last=index + 1 == frames))
    except (InvalidTag, ValueError):
        reason = (
            "the key is another one, or the file was changed"
            if index == 0
            else "the file was changed, cut or put together anew after it was sealed"
        )
        raise ModelFailure(
            f"{file}: frame {index + 1} of {frames} does not open: {reason}; nothing of it is used"
        ) from None
    return opened
