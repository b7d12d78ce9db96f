"""Seals a model's file: what `benchharness.device.sealed` reads, written frame by frame and put in place at the end."""

from __future__ import annotations

import os
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from benchharness.device.keys import key_from as read_key
from benchharness.device.sealed import ENDING, FRAME_BYTES, PREFIX_BYTES, Frames, header, is_sealed, library
from benchharness.errors import Unsupported, UsageError


def seal(model: str | Path, out: str | Path, *, key_from: str) -> Path:
    """Encrypts a model's file under the key that `key_from` tells of, as `env:NAME` or `command:…`; the sealed file.

    Holds one frame in memory. What was at `out` stays until all is written. Raises `UsageError`.
    """
    source, target = Path(model), Path(out)
    _check(source, target)
    try:
        head = header(secrets.token_bytes(PREFIX_BYTES))
        frames = Frames(library()(read_key(key_from)), head)
    except Unsupported as error:
        raise UsageError(str(error)) from None
    try:
        with source.open("rb") as stream:
            _write_whole(stream, target, head, frames)
    except OSError as error:
        raise UsageError(f"{error.filename or target}: {error.strerror or error}") from error
    return target


def _check(source: Path, target: Path) -> None:
    if source.is_dir():
        raise UsageError(f"{source}: a folder; one file is sealed: name the model in it")
    if not source.is_file():
        raise UsageError(f"{source}: no such file; name a model")
    if is_sealed(source):
        raise UsageError(f"{source}: is sealed already, by its name")
    if not source.stat().st_size:
        raise UsageError(f"{source}: the file is empty")
    if target.suffix != ENDING or Path(target.stem).suffix != source.suffix:
        raise UsageError(
            f"{target}: call it …{source.suffix}{ENDING}: its name says what is in it, and that it is sealed"
        )


def _write_whole(source: BinaryIO, target: Path, head: bytes, frames: Frames) -> None:
    """Beside the target, then under its name."""
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(head)
            _write(source, file, frames)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(target)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise


def _write(source: BinaryIO, target: BinaryIO, frames: Frames) -> None:
    index, content = 0, source.read(FRAME_BYTES)
    while content:
        following = source.read(FRAME_BYTES)  # which is empty after the last
        target.write(frames.make(content, index, last=not following))
        index, content = index + 1, following
