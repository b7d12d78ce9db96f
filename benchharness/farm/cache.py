"""The files of submissions on a host, by their SHA-256. Each is looked at before it is used, wherever it came from."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from benchharness.farm.submission import File, Unbelievable
from benchharness.suite.artefact import DigestCache

#: So much of a file comes at a time.
PART_BYTES = 1 << 20
#: Asks the farm for a part of a file by its digest; None behind the last.
Fetch = Callable[[str, int], bytes | None]


class Cache:
    """A folder of files by digest. `roots` are folders of models that are here already."""

    def __init__(self, folder: Path, roots: Sequence[Path] = ()) -> None:
        self._folder = folder
        self._roots = [root.expanduser().absolute() for root in roots]
        self._digests = DigestCache(folder / "digests.json")
        folder.mkdir(parents=True, exist_ok=True)

    def place(self, files: Sequence[File], folder: Path, fetch: Fetch) -> None:
        """Lays a submission's files out below a folder. Raises `Unbelievable` where one is not what it should be."""
        for file in files:
            source = self._here(file) or self._fetched(file, fetch)
            there = folder / file.path
            there.parent.mkdir(parents=True, exist_ok=True)
            there.unlink(missing_ok=True)
            try:
                there.hardlink_to(source)
            except OSError:  # on another disk
                shutil.copyfile(source, there)
        self._digests.save()

    def _here(self, file: File) -> Path | None:
        """A file that is on this host with that very content."""
        cached = self._folder / file.sha256
        if cached.is_file():
            if self._digests.sha256(cached) == file.sha256:
                return cached
            cached.unlink()  # a disk forgets
        for root in self._roots:
            for path in root.rglob("*"):
                with contextlib.suppress(OSError):
                    if (
                        path.is_file()
                        and path.stat().st_size == file.bytes
                        and self._digests.sha256(path) == file.sha256
                    ):
                        return self._kept(path, file)
        return None

    def _kept(self, path: Path, file: File) -> Path:
        """A copy of what lies in a root: that may be changed while it is measured."""
        temporary = self._folder / f".{file.sha256}.{os.getpid()}"
        shutil.copyfile(path, temporary)
        return self._checked(temporary, file)

    def _fetched(self, file: File, fetch: Fetch) -> Path:
        temporary = self._folder / f".{file.sha256}.{os.getpid()}"
        part = size = 0
        with temporary.open("wb") as stream:
            while size < file.bytes and (got := fetch(file.sha256, part)):
                stream.write(got)
                part, size = part + 1, size + len(got)
        return self._checked(temporary, file)

    def _checked(self, temporary: Path, file: File) -> Path:
        with temporary.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
        if found != file.sha256:
            temporary.unlink()
            raise Unbelievable(
                f"{file.path}: its content has the digest {found[:12]}…, and {file.sha256[:12]}… was signed"
            )
        return temporary.replace(self._folder / file.sha256)
