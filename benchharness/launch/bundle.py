"""The device side as one pure-Python zip file, for devices and interpreters that have no benchharness installed.

`python bundle.pyz supervisor …`, `python bundle.pyz worker` and so on; numpy and the runtime must be on the device.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from benchharness.errors import LaunchError
from benchharness.launch import Launcher
from benchharness.launch.programs import PROGRAMS

_MAIN = f"""import importlib
import sys

name = sys.argv.pop(1)
importlib.import_module(sys.argv.pop(1) if name == "module" else {PROGRAMS!r}[name]).main()
""".encode()
#: What is data of an adapter's own.
_READERS = "targets/program_output/readers"
#: Zip entries carry a time; a fixed one keeps the bundle's digest the same for the same code.
_EPOCH = (1980, 1, 1, 0, 0, 0)


def write_bundle(folder: Path) -> tuple[Path, str]:
    """Writes the bundle into a folder; its path and SHA-256. The same code gives the same bytes."""
    data = _packed()
    digest = hashlib.sha256(data).hexdigest()
    path = folder / f"device-{digest[:12]}.pyz"
    try:
        if not path.is_file() or path.read_bytes() != data:
            folder.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    except OSError as error:
        raise LaunchError(f"{path}: cannot be written ({error.strerror}); it is needed beside the store") from error
    return path, digest


def put_bundle(launcher: Launcher, scratch: Path) -> str:
    """The bundle's path on a launcher's device, where it is from now on; `scratch` is a folder here."""
    bundle, digest = write_bundle(scratch)
    return launcher.put(bundle, bundle.name, digest)


@cache
def _packed() -> bytes:
    """The bundle. It is asked for with every question to another interpreter."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(_contents()):
            archive.writestr(_entry(name), content)
    return buffer.getvalue()


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.create_system = 3  # Unix, wherever it is written: the digest must not depend on the host
    return entry


def _contents() -> Iterator[tuple[str, bytes]]:
    yield "__main__.py", _MAIN
    package = files("benchharness")
    for name in ("__init__.py", "errors.py", "records.py"):
        yield f"benchharness/{name}", package.joinpath(name).read_bytes()
    for room in ("contract", "device"):
        yield from _modules(package.joinpath(room), f"benchharness/{room}")
    yield from _modules(files("targets"), "targets")


def _modules(folder: Traversable, prefix: str) -> Iterator[tuple[str, bytes]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _modules(entry, f"{prefix}/{entry.name}")
        elif entry.name.endswith((".py", ".html", ".js")) or (prefix == _READERS and entry.name.endswith(".toml")):
            yield f"{prefix}/{entry.name}", entry.read_bytes()
