"""The files of submissions on a host, by their SHA-256. Each is looked at before it is used, wherever it came from.

A cache has a limit: what was used least recently goes first, and nothing that a job has laid out, which is seen by the
file's other names. Age alone bounds nothing: what is new every night is never old.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchharness.farm.submission import File, Unbelievable
from benchharness.suite.artefact import DigestCache

#: So much of a file comes at a time.
PART_BYTES = 1 << 20
#: How much is kept unless a host's list says otherwise; and so much of a disk is left free for what jobs write.
DEFAULT_CACHE_BYTES, LEFT_FREE_BYTES = 20 * 10**9, 1 << 30
#: What tasks ask is kept as files, too, for runs that go on.
MOST_TASKS_BYTES = 2 * 10**9
#: What a broken off transfer left is nobody's after so long.
_BROKEN_OFF_S = 86400.0
_DIGEST_LETTERS = 64
#: Asks the farm for a part of a file by its digest; None behind the last.
Fetch = Callable[[str, int], bytes | None]


@dataclass(frozen=True, kw_only=True)
class Evicted:
    """What went, and what is left."""

    files: int
    bytes: int
    left_files: int
    left_bytes: int


class NoRoom(Exception):
    """The disk has no room, whatever the cache lets go."""


class Cache:
    """A folder of files by digest. `roots` are folders of models that are here already."""

    def __init__(self, folder: Path, roots: Sequence[Path] = (), most_bytes: float = DEFAULT_CACHE_BYTES) -> None:
        self._folder = folder
        self._roots = [root.expanduser().absolute() for root in roots]
        self._most_bytes = most_bytes
        self._digests = DigestCache(folder / "digests.json")
        self._used = _Used(folder / "used.json")
        folder.mkdir(parents=True, exist_ok=True)

    def place(self, files: Sequence[File], folder: Path, fetch: Fetch) -> None:
        """Lays a submission's files out below a folder. Raises `Unbelievable` where one is not what it should be.

        Raises it too where they are more than the cache may ever hold, and `NoRoom` where the disk is full.
        """
        wanted = {file.sha256: file.bytes for file in files}
        if sum(wanted.values()) > self._most_bytes:
            raise Unbelievable(
                f"its files are {sum(wanted.values())} bytes, and this host keeps {self._most_bytes:.0f} at most: "
                "raise cache in its agent.toml"
            )
        self._make_room(wanted)
        for file in files:
            self._used.now(file.sha256)
            there = folder / file.path
            there.parent.mkdir(parents=True, exist_ok=True)
            there.unlink(missing_ok=True)
            try:
                _lay(self._here(file) or self._fetched(file, fetch), there)
            except FileNotFoundError:  # it was pruned by hand between the look and the use
                _lay(self._fetched(file, fetch), there)
        self._digests.save()
        self._used.save()

    def evict(self, most_bytes: float | None = None, keep: Mapping[str, int] | None = None) -> Evicted:
        """Lets go of what was used least recently until no more than so much is left; what is laid out stays.

        `keep`: these stay too. Without `most_bytes` the cache's own limit holds.
        """
        limit = self._most_bytes if most_bytes is None else most_bytes
        self._drop_broken_off()
        known = sorted(self._files(), key=lambda each: self._used.when(each[0]))
        left_bytes, left_files, gone, gone_bytes = sum(stat.st_size for _, stat in known), len(known), 0, 0
        for path, stat in known:
            if left_bytes <= limit:
                break
            if stat.st_nlink > 1 or path.name in (keep or {}):
                continue
            path.unlink(missing_ok=True)
            left_bytes, left_files = left_bytes - stat.st_size, left_files - 1
            gone, gone_bytes = gone + 1, gone_bytes + stat.st_size
        self._used.forget_all_but(path.name for path, _ in self._files())
        self._used.save()
        return Evicted(files=gone, bytes=gone_bytes, left_files=left_files, left_bytes=left_bytes)

    def _make_room(self, wanted: Mapping[str, int]) -> None:
        """For what is wanted and not here: within the limit, and on the disk."""
        here = {path.name: stat.st_size for path, stat in self._files()}
        missing = sum(size for digest, size in wanted.items() if digest not in here)
        if not missing:
            return
        self.evict(max(self._most_bytes - missing, 0), wanted)
        lacks = missing + LEFT_FREE_BYTES - shutil.disk_usage(self._folder).free
        if lacks > 0:
            held = sum(stat.st_size for _, stat in self._files())
            if self.evict(max(held - lacks, 0), wanted).bytes < lacks:
                raise NoRoom(f"its disk has no room for {missing} bytes of this submission, whatever the cache lets go")

    def _files(self) -> Iterator[tuple[Path, os.stat_result]]:
        for path in self._folder.iterdir():
            if len(path.name) == _DIGEST_LETTERS:
                with contextlib.suppress(OSError):
                    yield path, path.stat()

    def _drop_broken_off(self) -> None:
        for path in self._folder.glob(".*"):
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime > _BROKEN_OFF_S:
                    path.unlink()

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


def _lay(source: Path, there: Path) -> None:
    """Another name of a file where disks allow it, which keeps it from being evicted; else a copy."""
    try:
        there.hardlink_to(source)
    except OSError:  # on another disk
        shutil.copyfile(source, there)


def bound_folder(folder: Path, most_bytes: float) -> int:
    """Removes a folder's oldest files until it holds no more than so much, none of the last day; how many."""
    files = []
    for path in folder.iterdir() if folder.is_dir() else ():
        with contextlib.suppress(OSError):
            files.append((path.stat().st_mtime, path.stat().st_size, path))
    held, gone = sum(size for _, size, _ in files), 0
    for when, size, path in sorted(files):
        if held <= most_bytes or time.time() - when < _BROKEN_OFF_S:
            break
        path.unlink(missing_ok=True)
        held, gone = held - size, gone + 1
    return gone


class _Used:
    """When files were last used, by digest. A file's own times tell nothing: its digest is known by them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, float] = {}
        with contextlib.suppress(OSError, ValueError, AttributeError, TypeError):
            told = json.loads(path.read_text(encoding="utf-8"))
            self._known = {str(key): float(value) for key, value in told.items()}

    def now(self, digest: str) -> None:
        self._known[digest] = time.time()

    def when(self, file: Path) -> float:
        """Seconds since the epoch; where nobody knows, since when it is here."""
        with contextlib.suppress(OSError):
            return self._known.get(file.name) or file.stat().st_mtime
        return 0.0

    def forget_all_but(self, digests: Iterator[str]) -> None:
        kept = set(digests)
        self._known = {digest: when for digest, when in self._known.items() if digest in kept}

    def save(self) -> None:
        temporary = self._path.with_suffix(f".{os.getpid()}")
        with contextlib.suppress(OSError):
            temporary.write_text(json.dumps(self._known), encoding="utf-8")
            temporary.replace(self._path)
