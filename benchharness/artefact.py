"""The file or folder that ships: its manifest, and the digest that is its identity.

A manifest lists (relative path, bytes, SHA-256) of every file, sorted by path; the artefact's digest is the
SHA-256 of that list. File digests are cached by inode, size and modification time, so a second run of a large
model does not read it again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from benchharness.errors import UsageError

#: A folder that holds more files than this is a mistake (a home folder, a checkout), not a model.
MOST_FILES = 10_000
_DEFLATE_LEVEL = 6  # zlib's default, and what most packagers use
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class ManifestEntry:
    """One file of an artefact; `path` is relative to it, with forward slashes ("" for a single file)."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """All files of an artefact, sorted by path."""

    entries: tuple[ManifestEntry, ...]

    @property
    def digest(self) -> str:
        """The artefact's identity: SHA-256 over the sorted entries, hexadecimal."""
        lines = "".join(f"{entry.path}\0{entry.bytes}\0{entry.sha256}\n" for entry in self.entries)
        return hashlib.sha256(lines.encode("utf-8", "surrogateescape")).hexdigest()

    @property
    def bytes(self) -> int:
        """Size on disk, the sum over all files."""
        return sum(entry.bytes for entry in self.entries)


class DigestCache:
    """File digests by (device, inode, size, mtime) and compressed sizes by digest, in one JSON file.

    Losing it costs only time.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._known: dict[str, str] = {}
        if path is not None:
            try:
                loaded = json.loads(path.read_text())
                self._known = {str(key): str(value) for key, value in loaded.items()}
            except (OSError, ValueError, AttributeError):
                self._known = {}

    def sha256(self, file: Path) -> str:
        """The file's SHA-256, read only if it changed since it was last asked for."""
        stat = file.stat()
        key = f"{stat.st_dev}:{stat.st_ino}:{stat.st_size}:{stat.st_mtime_ns}"
        if key not in self._known:
            with file.open("rb") as stream:
                self._known[key] = hashlib.file_digest(stream, "sha256").hexdigest()
        return self._known[key]

    def compressed_bytes(self, file: Path) -> int:
        """The file's size under DEFLATE, level 6; like the digest, computed once for a content."""
        key = f"deflate6:{self.sha256(file)}"
        if key not in self._known:
            self._known[key] = str(_deflated(file))
        return int(self._known[key])

    def knows_compressed(self, artefact: Path, manifest: Manifest) -> bool:
        """Whether `compressed_bytes` would answer at once for every file."""
        return all(f"deflate6:{entry.sha256}" in self._known for entry in manifest.entries) and artefact.exists()

    def save(self) -> None:
        """Writes the cache; a read-only or full disk is no reason to stop a benchmark."""
        if self._path is None:
            return
        temporary = self._path.with_suffix(f".{os.getpid()}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps(self._known))
            temporary.replace(self._path)
        except OSError:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


def manifest_of(artefact: Path, cache: DigestCache) -> Manifest:
    """Lists and hashes an artefact. Raises `UsageError` where it is missing, unreadable or not a model's folder."""
    try:
        entries = tuple(
            ManifestEntry(
                path=file.relative_to(artefact).as_posix() if file != artefact else "",
                bytes=file.stat().st_size,
                sha256=cache.sha256(file),
            )
            for file in _files(artefact)
        )
    except OSError as error:
        raise UsageError(
            f"{artefact}: cannot be read ({error.strerror}); check the path and its permissions"
        ) from error
    if not entries:
        raise UsageError(f"{artefact}: the folder holds no files; point to the folder that holds the model")
    return Manifest(entries=entries)


def download_bytes(artefact: Path, manifest: Manifest, cache: DigestCache) -> int:
    """What the artefact takes when compressed for a download, file by file. Two cores do about 50 MB/s."""
    files = [artefact / entry.path if entry.path else artefact for entry in manifest.entries]
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # zlib lets other threads run
        return sum(pool.map(cache.compressed_bytes, files))


def _deflated(file: Path) -> int:
    packer = zlib.compressobj(_DEFLATE_LEVEL)
    with file.open("rb") as stream:
        size = sum(len(packer.compress(chunk)) for chunk in iter(lambda: stream.read(_CHUNK_BYTES), b""))
    return size + len(packer.flush())


def _raise(error: OSError) -> None:
    raise error


def _files(artefact: Path) -> list[Path]:
    if not artefact.exists():
        raise UsageError(f"{artefact}: no such file or folder; check the path")
    if artefact.is_file():
        return [artefact]
    if not artefact.is_dir():  # a pipe or a device may never end
        raise UsageError(f"{artefact}: neither a file nor a folder; point to the model")
    files = []
    for folder, _, names in os.walk(artefact, onerror=_raise):  # rglob leaves out folders that it may not read
        files += [path for path in (Path(folder, name) for name in names) if path.is_file()]
        if len(files) > MOST_FILES:
            raise UsageError(f"{artefact}: more than {MOST_FILES} files; point to the model's own folder")
    return sorted(files, key=lambda file: file.relative_to(artefact).as_posix())
