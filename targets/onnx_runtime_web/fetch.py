"""Fetches the version of onnxruntime-web that is known here: from the npm registry, held against its hash.

`python -m targets.onnx_runtime_web.fetch` keeps the few files that a page needs in the user's cache. No node is needed.
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
from pathlib import Path

from benchharness.errors import Unsupported
from targets.onnx_runtime_web.library import FILES, VERSION, fetched

#: What the registry says of that version's archive (`dist.integrity`).
_SHA512 = "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
_ARCHIVE_BYTES = 33_106_585
_REGISTRY = "https://registry.npmjs.org"
#: Where npm itself is told of another one, such as a company's own.
_REGISTRY_VARIABLE = "npm_config_registry"
_PATIENCE_S = 60.0


def fetch() -> Path:
    """Fetches the known version, unless it is here; its folder. Raises `Unsupported` for another archive than it."""
    folder = fetched()
    if all((folder / name).is_file() for name in FILES):
        return folder
    registry = os.environ.get(_REGISTRY_VARIABLE, _REGISTRY).rstrip("/")
    address = f"{registry}/onnxruntime-web/-/onnxruntime-web-{VERSION}.tgz"
    if not address.startswith(("https://", "http://")):
        raise Unsupported(f"{_REGISTRY_VARIABLE}: {registry!r} is no address of the web")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as made:
        archive = Path(made) / "archive.tgz"
        try:
            with urllib.request.urlopen(address, timeout=_PATIENCE_S) as answer:  # noqa: S310 - looked at above
                archive.write_bytes(answer.read(_ARCHIVE_BYTES + 1))
        except (OSError, http.client.HTTPException) as error:
            raise Unsupported(f"{address}: cannot be fetched: {error}") from error
        unpacked = Path(made) / "unpacked"
        _unpack(archive, unpacked)
        shutil.rmtree(folder, ignore_errors=True)
        unpacked.rename(folder)
    return folder


def _unpack(archive: Path, folder: Path) -> None:
    found = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if found != _SHA512:
        raise Unsupported(f"what came is not onnxruntime-web {VERSION}: its SHA-512 is {found}, not {_SHA512}")
    folder.mkdir()
    with tarfile.open(archive) as members:
        for name in FILES:
            member = members.extractfile(f"package/dist/{name}")
            assert member is not None, name
            with member, (folder / name).open("wb") as target:
                shutil.copyfileobj(member, target)


def main() -> None:
    """Fetches it, and says where it lies."""
    try:
        sys.stdout.write(f"{fetch()}\n")
    except Unsupported as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
