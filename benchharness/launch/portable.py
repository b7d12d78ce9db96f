"""A Python that needs nothing of the device it runs on but a kernel: Debian's, with its C library and their own loader.

What comes first, by a shell alone, is what starts: loader, program, the libraries that it is linked with, and one
archive with everything else, which that Python unpacks (`benchharness.device.questions.portable`).
"""

from __future__ import annotations

import hashlib
import io
import posixpath
import shlex
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchharness.device.questions.portable import ARCHIVE, COMPLETE, LIBRARIES, MODULES
from benchharness.errors import LaunchError, UsageError
from benchharness.launch.debian import contents, fetched, locked

#: Python, and what its modules and the wheels of runtimes are linked with.
_PACKAGES = (
    *("python3.11-minimal", "libpython3.11-minimal", "libpython3.11-stdlib"),
    *("libc6", "libgcc-s1", "libstdc++6", "zlib1g", "libexpat1", "libffi8", "libssl3", "libbz2-1.0", "liblzma5"),
)
_STDLIB = "usr/lib/python3.11/"
#: Of the standard library what no program of ours, no runtime and not pip asks for.
_LEFT_OUT = ("test/", "pydoc_data/", "lib2to3/", "lib-dynload/_test", "lib-dynload/xx", "lib-dynload/_xxtest")
#: What Python itself is linked with.
_LINKED = ("libc.so.6", "libm.so.6", "libz.so.1", "libexpat.so.1")
#: By this Python knows its own folder.
_LANDMARK = f"{MODULES}/os.py"
_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, kw_only=True)
class _Machine:
    architecture: str  # Debian's name of it
    triplet: str
    loader: str


_MACHINES: Mapping[str, _Machine] = {
    "aarch64": _Machine(architecture="arm64", triplet="aarch64-linux-gnu", loader="ld-linux-aarch64.so.1"),
    "x86_64": _Machine(architecture="amd64", triplet="x86_64-linux-gnu", loader="ld-linux-x86-64.so.2"),
}


@dataclass(frozen=True, kw_only=True)
class Portable:
    """What is put on a device: files by the path below a folder of their own, and how they are started."""

    files: Mapping[str, Path]
    name: str  # of that folder: a digest of it all
    loader: str

    def starter(self, folder: str, shell: str) -> bytes:
        """The program `bin/python3` in that folder on the device: to everybody, and to itself, it is the Python.

        A library that the system puts before every program (Termux does) is of another C library.
        """
        quoted = {name: shlex.quote(f"{folder}/{name}") for name in (f"lib/{self.loader}", "lib", "bin/python3.11")}
        return (
            f"#!{shell}\nunset LD_PRELOAD\n"
            f'exec {quoted[f"lib/{self.loader}"]} --library-path {quoted["lib"]} --argv0 "$0" '
            f'{quoted["bin/python3.11"]} "$@"\n'
        ).encode()


def portable(machine: str, *, lock: Path, cache: Path) -> Portable:
    """The Python for a machine, as `uname -m` calls it. `lock` says which packages; `cache` is a folder here.

    Raises `LaunchError` for a machine that there is none for, `UsageError` where its packages cannot be had.
    """
    if machine not in _MACHINES:
        raise LaunchError(
            f"there is no Python to be put on a {machine[:40]!r}, only on {' and '.join(_MACHINES)}: "
            "put one there yourself, and name it as 'python' in the device's profile"
        )
    kind = _MACHINES[machine]
    packages = locked(_PACKAGES, kind.architecture, lock)
    try:
        modules, libraries, program = _parts([fetched(each, cache) for each in packages], kind)
        linked = {f"lib/{name}": libraries.pop(name) for name in (kind.loader, *_LINKED)}
        landmark = modules["os.py"]
    except KeyError as missing:
        raise UsageError(f"{lock}: its packages hold no {missing.args[0]}; delete it to have the newest ones") from None
    archive = _archive({**modules, **{f"{LIBRARIES}{name}": data for name, data in libraries.items()}})
    data = {**linked, "bin/python3.11": program, _LANDMARK: landmark, ARCHIVE: archive}
    name = hashlib.sha256(repr([(each, hashlib.sha256(data[each]).digest()) for each in sorted(data)]).encode())
    folder = cache / name.hexdigest()[:16]
    return Portable(
        files={each: _written(folder / each, content) for each, content in data.items()},
        name=name.hexdigest()[:12],
        loader=kind.loader,
    )


def marker(folder: str) -> str:
    """What is in its folder there once all of it is."""
    return f"{folder}/{COMPLETE}"


def _parts(packages: list[Path], kind: _Machine) -> tuple[dict[str, bytes], dict[str, bytes], bytes]:
    """Modules by their path below the standard library's folder, libraries by the name that they are asked for by."""
    files: dict[str, bytes] = {}
    links: dict[str, str] = {}
    for package in packages:
        for path, target, data in contents(package):
            if target:
                links[path] = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
            else:
                files[path] = data
    files.update({path: files[target] for path, target in links.items() if target in files})
    known_by_links = {target for path, target in links.items() if _is_library(path, kind)}
    libraries = {
        posixpath.basename(path): data
        for path, data in files.items()
        if _is_library(path, kind) and path not in known_by_links
    }
    modules = {path[len(_STDLIB) :]: data for path, data in files.items() if path.startswith(_STDLIB)}
    wanted = {path: data for path, data in modules.items() if not path.startswith(_LEFT_OUT)}
    return wanted, libraries, files["usr/bin/python3.11"]


def _is_library(path: str, kind: _Machine) -> bool:
    folder, _, name = path.rpartition("/")
    return folder in (f"lib/{kind.triplet}", f"usr/lib/{kind.triplet}") and ".so" in name


def _archive(members: Mapping[str, bytes]) -> bytes:
    """The same members give the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(members):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type, entry.create_system = zipfile.ZIP_DEFLATED, 3
            archive.writestr(entry, members[name])
    return buffer.getvalue()


def _written(path: Path, data: bytes) -> Path:
    if not (path.is_file() and path.read_bytes() == data):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return path
