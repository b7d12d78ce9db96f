"""Pages as files: their names, which any file system takes, and writing them whole or not at all."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from benchharness.errors import UsageError

_LONGEST_STEM = 80


def file_names(names: Sequence[str]) -> list[str]:
    """A file name for each name, all different even where capitals do not count."""
    taken: set[str] = set()
    numbers: dict[str, int] = {}
    found = []
    for name in names:
        stem = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:_LONGEST_STEM].strip("-.") or "report"
        candidate = stem
        while candidate.casefold() in taken:
            numbers[stem] = numbers.get(stem, 1) + 1
            candidate = f"{stem}-{numbers[stem]}"
        taken.add(candidate.casefold())
        found.append(f"{candidate}.html")
    return found


def write(pages: Mapping[str, str], folder: Path) -> list[Path]:
    """Writes each page into `folder` under its file name, whole or not at all.

    Raises `UsageError` where the folder cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, page in pages.items():
            _write_whole(folder / name, page)
    except OSError as error:
        reason = "it is a file" if isinstance(error, FileExistsError) else error.strerror
        raise UsageError(f"{folder}: the report cannot be written ({reason}); choose another folder") from error
    return [folder / name for name in pages]


def _write_whole(path: Path, text: str) -> None:
    """Through a file beside it, so that a reader never meets half a page."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with beside.open("x", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        beside.replace(path)
    except BaseException:
        with suppress(OSError):
            beside.unlink()
        raise
