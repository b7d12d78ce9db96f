"""The device side as one pure-Python zip file, for devices and interpreters that have no benchharness installed.

`python bundle.pyz supervisor …`, `python bundle.pyz worker` and so on; numpy and the runtime must be on the device.
A folder of the host has one for each version that was used there, and of each the copies that `device.bytecode` makes.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import re
import time
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from benchharness.device.line import tidying
from benchharness.device.line.holding import lock
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
#: A bundle, its copy for a kind of interpreter, or a part of one.
_OURS = re.compile(r"(?P<bundle>device-[0-9a-f]{12}\.pyz)(\..+)?")
#: What nobody asked for so long is not on its way to a supervisor, which holds its run, or to a question's process.
_UNUSED_S = 24 * 3600.0
#: Whoever holds a bundle writes or removes a few files meanwhile.
_PATIENCE_S = 30.0
#: Zip entries carry a time; a fixed one keeps the bundle's digest the same for the same code.
_EPOCH = (1980, 1, 1, 0, 0, 0)


def write_bundle(folder: Path) -> tuple[Path, str]:
    """Writes the bundle into a folder; its path and SHA-256. The same code gives the same bytes.

    No other version removes it for a day from now, nor later while a supervisor is at work there.
    """
    data = _packed()
    path = folder / _name()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _keep(path, data)
    except OSError as error:
        if not _has(path, data):  # else it is another user's, who shares the folder
            raise LaunchError(f"{path}: cannot be written ({error.strerror}); it is needed beside the store") from error
    return path, _digest()


def _keep(path: Path, data: bytes) -> None:
    """Writes a bundle unless it is there, and notes when it was asked for. Raises `OSError`."""
    while True:
        with _held(path, _PATIENCE_S) as held:
            if held is None:
                raise OSError(errno.EBUSY, "another process holds it")
            if held is True or _is_at(path, held):  # else it was tidied away before it was held
                if not _has(path, data):
                    path.write_bytes(data)
                os.utime(path)
                return


def _has(path: Path, data: bytes) -> bool:
    try:
        return path.read_bytes() == data
    except OSError:
        return False


def put_bundle(launcher: Launcher, scratch: Path) -> str:
    """The bundle's path on a launcher's device, where it is from now on; `scratch` is a folder here."""
    bundle, digest = write_bundle(scratch)
    return launcher.put(bundle, bundle.name, digest)


def remove_old_bundles(folder: Path) -> None:
    """Removes what other versions left in a folder of the host, as `device.line.tidying` does on devices.

    Kept are this version's, what was asked for within a day, and everything while a supervisor is at work there. What
    cannot be removed stays, and no link is followed.
    """
    try:
        found = _found(folder)
        if not found or tidying.is_at_work(folder):
            return
    except OSError:  # another user's, in a folder that is shared
        return
    for bundle, copies in found.items():
        with contextlib.suppress(OSError):
            if bundle.name == _name():
                _remove(copy for copy in copies if copy.suffix == ".part" and _is_old(copy.lstat()))
            else:
                _remove_unused(bundle, copies)


def _found(folder: Path) -> dict[Path, list[Path]]:
    """The copies of each bundle, whole or not; the bundle itself need not be there."""
    found: dict[Path, list[Path]] = {}
    for path in tidying.plain_files(folder):
        if ours := _OURS.fullmatch(path.name):
            copies = found.setdefault(path.with_name(ours["bundle"]), [])
            if path.name != ours["bundle"]:
                copies.append(path)
    return found


def _remove_unused(bundle: Path, copies: Sequence[Path]) -> None:
    """Removes a bundle with its copies unless somebody may use it. Raises `OSError`."""
    with _held(bundle, 0.0) as held:
        if held is None or held is True or not _is_at(bundle, held):
            return
        status = os.fstat(held)
        if _is_old(status) or not status.st_size:  # nothing is in it: it was made by being held just now
            _remove([*copies, bundle])


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        with contextlib.suppress(OSError):
            path.unlink()


def _is_old(status: os.stat_result) -> bool:
    return time.time() - status.st_mtime > _UNUSED_S


@contextlib.contextmanager
def _held(path: Path, patience_s: float) -> Iterator[Any]:
    """A bundle's descriptor, held against tidying, an empty one made where none was.

    True where the system cannot hold files, None where another process does. Raises `OSError`, for a link too.
    """
    held = lock(path, patience_s, mode=0o666)  # less what the user's mask takes: a folder may be shared
    try:
        yield held
    finally:
        if held is not None and held is not True:
            os.close(held)


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False


def _name() -> str:
    return f"device-{_digest()[:12]}.pyz"


def _digest() -> str:
    return hashlib.sha256(_packed()).hexdigest()


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
