"""The set of files that a model reads: its manifest, and the digest that is its identity.

Which files those are is the adapter's word (`suite.listing`); without one it is the file, or all of the folder.
A manifest lists (relative path, bytes, SHA-256) of every file, sorted by path; the artefact's digest is the SHA-256 of
that list. A model that is one file, or one package, has the same digest by whatever name. File digests are cached by
inode, size and modification time, so a second run of a large model does not read it again.
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
#: So many digests and sizes are remembered: those of files that are long gone go first.
_MOST_KNOWN = 100_000
_DEFLATE_LEVEL = 6  # zlib's default, and what most packagers use
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class ManifestEntry:
    """One file of an artefact; `path` is relative to the listing's root, with forward slashes."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Listing:
    """Which files an artefact is, and what lies beside it. Paths are relative to `root`, with forward slashes."""

    root: Path  # the artefact, or a folder above it
    files: tuple[str, ...]
    model: str = ""  # the file or package that runs; empty: nobody says
    part: str = ""  # of a pipeline, "encoder"; empty: the model is the whole
    pipeline: tuple[str, ...] = ()  # the models of its other parts
    siblings: tuple[str, ...] = ()  # other models in the same place: no part of the artefact
    unknown: str = ""  # why it is not known which files the model reads: then `files` are no answer


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """All files of an artefact, sorted by path."""

    entries: tuple[ManifestEntry, ...]
    listing: Listing

    @property
    def digest(self) -> str:
        """The artefact's identity: SHA-256 over the sorted entries, hexadecimal."""
        lines = "".join(f"{self._inside(entry.path)}\0{entry.bytes}\0{entry.sha256}\n" for entry in self.entries)
        return hashlib.sha256(lines.encode("utf-8", "surrogateescape")).hexdigest()

    @property
    def bytes(self) -> int:
        """Size on disk, the sum over all files."""
        return sum(entry.bytes for entry in self.entries)

    @property
    def files(self) -> list[Path]:
        """Where the entries' files are."""
        return [self.listing.root / entry.path for entry in self.entries]

    def _inside(self, path: str) -> str:
        """A path without the model's own name, where there is nothing but the model."""
        model = self.listing.model
        if len(self.entries) == 1 and path == model:
            return ""
        alone = model and all(entry.path.startswith(f"{model}/") for entry in self.entries)
        return path[len(model) + 1 :] if alone else path


class DigestCache:
    """File digests by (device, inode, size, mtime, ctime) and compressed sizes by digest, in one JSON file.

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
        # Whoever unpacks or copies a file sets its mtime, and inodes are used again: nobody sets when that was done.
        key = f"{stat.st_dev}:{stat.st_ino}:{stat.st_size}:{stat.st_mtime_ns}:{stat.st_ctime_ns}"
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

    def knows_compressed(self, manifest: Manifest) -> bool:
        """Whether `compressed_bytes` would answer at once for every file."""
        return all(f"deflate6:{entry.sha256}" in self._known for entry in manifest.entries)

    def save(self) -> None:
        """Writes the cache; a read-only or full disk is no reason to stop a benchmark."""
        if self._path is None:
            return
        if len(self._known) > _MOST_KNOWN:
            self._known = dict(list(self._known.items())[-_MOST_KNOWN:])
        temporary = self._path.with_suffix(f".{os.getpid()}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps(self._known))
            temporary.replace(self._path)
        except OSError:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


def manifest_of(artefact: Path, cache: DigestCache, listing: Listing | None = None) -> Manifest:
    """Hashes an artefact's files; without a listing the file itself, or all that the folder holds.

    Raises `UsageError` where it is missing, unreadable or not a model's folder.
    """
    listed = listing or whole(artefact)
    try:
        entries = tuple(
            ManifestEntry(path=path, bytes=file.stat().st_size, sha256=cache.sha256(file))
            for path, file in ((path, listed.root / path) for path in sorted(listed.files))
        )
    except OSError as error:
        raise _unreadable(artefact, error) from error
    if not entries:
        raise UsageError(f"{artefact}: the folder holds no files; point to the folder that holds the model")
    return Manifest(entries=entries, listing=listed)


def whole(artefact: Path) -> Listing:
    """A file alone, or everything in a folder: what an artefact is where no adapter tells its files."""
    if artefact.is_file():
        return Listing(root=artefact.parent, files=(artefact.name,), model=artefact.name)
    try:
        files = tuple(file.relative_to(artefact).as_posix() for file in _files(artefact))
    except OSError as error:
        raise _unreadable(artefact, error) from error
    return Listing(root=artefact, files=files)


def _unreadable(artefact: Path, error: OSError) -> UsageError:
    return UsageError(f"{artefact}: cannot be read ({error.strerror}); check the path and its permissions")


def download_bytes(manifest: Manifest, cache: DigestCache) -> int:
    """What the artefact takes when compressed for a download, file by file. Two cores do about 50 MB/s."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # zlib lets other threads run
        return sum(pool.map(cache.compressed_bytes, manifest.files))


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
    if not artefact.is_dir():  # a pipe or a device may never end
        raise UsageError(f"{artefact}: neither a file nor a folder; point to the model")
    files = []
    for folder, _, names in os.walk(artefact, onerror=_raise):  # rglob leaves out folders that it may not read
        files += [path for path in (Path(folder, name) for name in names) if path.is_file()]
        if len(files) > MOST_FILES:
            raise UsageError(f"{artefact}: more than {MOST_FILES} files; point to the model's own folder")
    return files
