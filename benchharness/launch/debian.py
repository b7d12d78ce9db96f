"""Packages of Debian, fetched here by hash and read here: neither apt nor dpkg is needed, nor a Debian.

The release's list of indices is signed. Where gpgv and Debian's keys are here the signature is checked; else only a
mirror over TLS is believed. From then on a lock has every package's hash.
"""

from __future__ import annotations

import hashlib
import http.client
import io
import lzma
import os
import re
import subprocess
import tarfile
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import which

from benchharness.errors import UsageError

#: Names another mirror than this machine's own.
MIRROR_VARIABLE = "BENCHHARNESS_DEBIAN_MIRROR"
_DEFAULT = "https://deb.debian.org/debian"
_SOURCES = Path("/etc/apt")
_KEYS = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
#: Stable's, whose packages stay where they are but for a point release now and then.
RELEASE = "bookworm"
_PATIENCE_S = 60.0
_CHECKING_S = 60.0
_MOST_RELEASE_BYTES, _MOST_INDEX_BYTES, _MOST_PACKAGE_BYTES = 1 << 20, 1 << 28, 1 << 27
_CHUNK_BYTES = 1 << 18
#: What a package may unpack to: more than any does, and far from what a few bytes can swell to.
_MOST_UNPACKED_BYTES = 1 << 30
_FIRST_LINE = (
    "# Packages of Debian for a device without a Python, by hash. Delete this file to have the newest ones. For "
)
_LOCKED = re.compile(r"(pool/[\w.+~/%:-]+\.deb) --size=(\d{1,9}) --hash=sha256:([0-9a-f]{64})")
#: An archive of ar(5): a magic line, then members behind headers of fixed width.
_AR_MAGIC, _AR_HEADER_BYTES, _AR_NAME, _AR_SIZE = b"!<arch>\n", 60, slice(0, 16), slice(48, 58)


@dataclass(frozen=True, kw_only=True)
class Package:
    """One file of the mirror."""

    path: str  # below the mirror: "pool/main/…/name_version_architecture.deb"
    size: int
    sha256: str

    @property
    def line(self) -> str:
        """For a lock."""
        return f"{self.path} --size={self.size} --hash=sha256:{self.sha256}\n"


def mirror() -> str:
    """The one that the environment names, else this machine's own, else Debian's."""
    named = os.environ.get(MIRROR_VARIABLE)
    return (named or _of_this_machine(_SOURCES) or _DEFAULT).rstrip("/")


def _of_this_machine(folder: Path) -> str | None:
    """The first of apt's sources that is a mirror of Debian itself; None where there is none."""
    for path in (folder / "sources.list", *sorted(folder.glob("sources.list.d/*"))):
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        for found in re.finditer(r"^\s*(?:deb|URIs:)\s(?:.*?\s)?(https?://\S+/debian)/?(?:\s|$)", text, re.MULTILINE):
            return found[1]
    return None


def locked(names: Sequence[str], architecture: str, lock: Path, release: str = RELEASE) -> list[Package]:
    """The packages that a lock has, else the release's newest, which are locked from then on. Raises `UsageError`."""
    first = f"{_FIRST_LINE}{release}, {architecture}: {', '.join(names)}\n"
    before = lock.read_text(encoding="utf-8") if lock.is_file() else ""
    if before.startswith(first):
        found = [Package(path=path, size=int(size), sha256=digest) for path, size, digest in _LOCKED.findall(before)]
        if len(found) != len(names):
            raise UsageError(f"{lock}: has {len(found)} of {len(names)} packages; delete it to have it made anew")
        return found
    found = _newest(names, architecture, release)
    lock.parent.mkdir(parents=True, exist_ok=True)
    temporary = lock.with_name(f"{lock.name}.{os.getpid()}")  # half a lock would be kept to
    temporary.write_text(first + "".join(each.line for each in found), encoding="utf-8")
    temporary.replace(lock)
    return found


def fetched(package: Package, cache: Path) -> Path:
    """A package's file, kept here under its hash. Raises `UsageError`."""
    path = cache / f"{package.sha256}.deb"
    if not (path.is_file() and _digest(path.read_bytes()) == package.sha256):
        try:
            data = _got(package.path, package.size)
        except UsageError as error:
            raise UsageError(f"{error}; where the mirror has a newer one by now, delete the lock") from error
        if _digest(data) != package.sha256:
            raise UsageError(f"{mirror()}/{package.path} is not what the lock says; nothing of it was used")
        cache.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{os.getpid()}")
        temporary.write_bytes(data)
        temporary.replace(path)
    return path


def contents(package: Path) -> Iterator[tuple[str, str, bytes]]:
    """Its files and symbolic links: path without a leading `./`, a link's target or "", a file's bytes.

    Devices and hard links are left out. Raises `UsageError` for a file that is no package, for a path that leads out of
    it, and for more than is unpacked.
    """
    left = _MOST_UNPACKED_BYTES
    try:
        with _data_of(package.read_bytes()) as archive:
            for member in archive:
                name = member.name.removeprefix("./")
                if name.startswith("/") or ".." in name.split("/"):
                    raise ValueError(f"{name[:100]!r} leads out of it")
                left -= member.size
                if left < 0:
                    raise ValueError(f"it holds more than {_MOST_UNPACKED_BYTES} bytes")
                if member.issym():
                    yield name, member.linkname, b""
                elif member.isreg() and (stream := archive.extractfile(member)) is not None:
                    yield name, "", stream.read()
    except (tarfile.TarError, lzma.LZMAError, EOFError, ValueError) as error:
        raise UsageError(f"{package}: is no package of Debian: {error}") from error


@contextmanager
def _data_of(package: bytes) -> Iterator[tarfile.TarFile]:
    """What a package installs. Raises `ValueError`."""
    if not package.startswith(_AR_MAGIC):
        raise ValueError("it does not begin as one")
    at = len(_AR_MAGIC)
    while len(header := package[at : at + _AR_HEADER_BYTES]) == _AR_HEADER_BYTES:
        name, size = header[_AR_NAME].rstrip(b" /"), int(header[_AR_SIZE])
        at += _AR_HEADER_BYTES
        if name.startswith(b"data.tar"):
            with tarfile.open(fileobj=io.BytesIO(package[at : at + size])) as archive:
                yield archive
            return
        at += size + size % 2
    raise ValueError("it installs nothing")


def _newest(names: Sequence[str], architecture: str, release: str) -> list[Package]:
    """What the release's index has of these names. Raises `UsageError`."""
    index = f"main/binary-{architecture}/Packages.xz"
    signed = _signed(release)
    if not re.search(rf"^Codename: {re.escape(release)}$", signed, re.MULTILINE):
        raise UsageError(f"{mirror()}: what it has as {release} is another release")
    told = re.search(rf"^ ([0-9a-f]{{64}}) +(\d{{1,9}}) {re.escape(index)}$", signed, re.MULTILINE)
    if told is None:
        raise UsageError(f"{mirror()}: {release} has no packages for {architecture}")
    data = _got(f"dists/{release}/{index}", int(told[2]))
    if _digest(data) != told[1]:
        raise UsageError(f"{mirror()}: the index of {release} is not the one that its release names; try again later")
    try:
        reader = lzma.LZMADecompressor(memlimit=_MOST_INDEX_BYTES)
        text = reader.decompress(data, _MOST_INDEX_BYTES).decode("utf-8", "replace")
    except lzma.LZMAError as error:
        raise UsageError(f"{mirror()}: the index of {release} cannot be unpacked: {error}") from error
    return [_of_index(text, name, architecture, release) for name in names]


def _of_index(text: str, name: str, architecture: str, release: str) -> Package:
    begin = text.find(f"\nPackage: {name}\n")  # none of ours is the first of the index
    fields = dict(re.findall(r"^(\S+): (.*)$", text[begin : text.find("\n\n", begin)], re.MULTILINE))
    try:
        if begin >= 0:
            found = Package(path=fields["Filename"], size=int(fields["Size"]), sha256=fields["SHA256"])
            if _LOCKED.fullmatch(found.line.rstrip("\n")):  # or the lock would not be read back
                return found
    except (KeyError, ValueError):
        pass
    raise UsageError(f"{mirror()}: {release} has no {name} for {architecture}")


def _signed(release: str) -> str:
    """The release's list of indices. Raises `UsageError` where nothing vouches for it."""
    data = _got(f"dists/{release}/InRelease", None)
    if (gpgv := which("gpgv")) is not None and _KEYS.is_file():
        return _vouched(data, gpgv, release)
    if not mirror().startswith("https://"):
        raise UsageError(
            f"{mirror()}: neither a signature that can be checked here (gpgv, {_KEYS}) nor TLS vouches for it; "
            f"set {MIRROR_VARIABLE}={_DEFAULT}"
        )
    return data.decode("utf-8", "replace")


def _vouched(data: bytes, gpgv: str, release: str) -> str:
    """What Debian has signed of it: gpgv writes no more than that."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        command = [gpgv, "--quiet", "--keyring", str(_KEYS), "--output", "-", file.name]
        try:
            done = subprocess.run(command, capture_output=True, check=False, timeout=_CHECKING_S)
        except (OSError, subprocess.SubprocessError) as error:
            raise UsageError(f"{gpgv} cannot be run: {error}") from error
    if done.returncode:
        words = done.stderr.decode("utf-8", "replace").strip()[-300:]
        raise UsageError(f"{mirror()}: {release} is not signed by Debian's keys: {words}")
    return done.stdout.decode("utf-8", "replace")


def _got(path: str, size: int | None) -> bytes:
    """A file of the mirror, of so many bytes where that is known. Raises `UsageError`."""
    url = f"{mirror()}/{path}"
    if not url.startswith(("http://", "https://")):
        raise UsageError(f"{url}: a mirror is reached by http:// or https://")
    if size is not None and size > _MOST_PACKAGE_BYTES:
        raise UsageError(f"{url}: {size} bytes are more than any package that is wanted has")
    most, data = size or _MOST_RELEASE_BYTES, bytearray()
    try:
        with urllib.request.urlopen(url, timeout=_PATIENCE_S) as stream:  # noqa: S310 - the scheme is looked at above
            if url.startswith("https://") and not stream.geturl().startswith("https://"):
                raise UsageError(f"{url}: is sent on to {stream.geturl()[:200]}, for which TLS does not vouch")
            while len(data) <= most and (piece := stream.read(_CHUNK_BYTES)):
                data += piece
    except (urllib.error.URLError, OSError, http.client.HTTPException, ValueError) as error:
        raise UsageError(f"{url}: cannot be fetched ({error}); {MIRROR_VARIABLE} names another mirror") from error
    if len(data) > most or (size is not None and len(data) != size):
        raise UsageError(f"{url}: has {len(data)} bytes or more, not {most}")
    return bytes(data)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
