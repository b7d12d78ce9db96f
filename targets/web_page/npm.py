"""A package of npm's, one known version by its hash: the few files of it that a page needs. No node is needed.

What it fetches lies in the user's cache from then on. A run fetches nothing: what is measured must not come over a line
while it is measured.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import os
import shutil
import sys
import tarfile
import tempfile
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchharness.errors import Unsupported

_REGISTRY = "https://registry.npmjs.org"
#: Where npm itself is told of another one, such as a company's own.
_REGISTRY_VARIABLE = "npm_config_registry"
_PATIENCE_S = 60.0


@dataclass(frozen=True)
class NpmPackage:
    """A version of a package, and which files of its `dist` folder are wanted."""

    name: str
    version: str
    sha512: str  # of its archive, as the registry says it (`dist.integrity`)
    archive_bytes: int
    files: Sequence[str]

    @property
    def folder(self) -> Path:
        """Where the files lie once they have been fetched."""
        cache = os.environ.get("XDG_CACHE_HOME")
        return (Path(cache) if cache else Path.home() / ".cache") / "benchharness" / f"{self.name}-{self.version}"

    def fetch(self) -> Path:
        """Fetches it, unless it is here; its folder. Raises `Unsupported` for another archive than it."""
        folder = self.folder
        if all((folder / name).is_file() for name in self.files):
            return folder
        registry = os.environ.get(_REGISTRY_VARIABLE, _REGISTRY).rstrip("/")
        address = f"{registry}/{self.name}/-/{self.name}-{self.version}.tgz"
        if not address.startswith(("https://", "http://")):
            raise Unsupported(f"{_REGISTRY_VARIABLE}: {registry!r} is no address of the web")
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as made:
            archive = Path(made) / "archive.tgz"
            try:
                with urllib.request.urlopen(address, timeout=_PATIENCE_S) as answer:  # noqa: S310 - looked at above
                    archive.write_bytes(answer.read(self.archive_bytes + 1))
            except (OSError, http.client.HTTPException) as error:
                raise Unsupported(f"{address}: cannot be fetched: {error}") from error
            unpacked = Path(made) / "unpacked"
            self._unpack(archive, unpacked)
            shutil.rmtree(folder, ignore_errors=True)
            unpacked.rename(folder)
        return folder

    def main(self) -> None:
        """The program that fetches it, and says where it lies."""
        try:
            sys.stdout.write(f"{self.fetch()}\n")
        except Unsupported as error:
            sys.exit(str(error))

    def _unpack(self, archive: Path, folder: Path) -> None:
        found = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
        if found != self.sha512:
            raise Unsupported(f"what came is not {self.name} {self.version}: its SHA-512 is {found}, not {self.sha512}")
        folder.mkdir()
        with tarfile.open(archive) as members:
            for name in self.files:
                member = members.extractfile(f"package/dist/{name}")
                assert member is not None, name
                with member, (folder / name).open("wb") as target:
                    shutil.copyfileobj(member, target)
