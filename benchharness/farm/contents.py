"""What a submission's files hold that does more than be opened: code that runs on the host, keys that it asks for.

A signature says who wrote it; that it may run here, or be given a key of this host, a host has to list.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath

from benchharness.farm.submission import File, Submission, Unbelievable
from benchharness.suite.tables import Suite

#: How files end that Python runs, or loads as code, in small letters.
_CODE = frozenset({".py", ".pyw", ".pyc", ".pyd", ".pyz", ".pth", ".egg", ".whl", ".so", ".dylib", ".dll"})
#: How programs and libraries begin that a system loads, whatever they are called: a model's own settings may name one.
#: ELF, and Mach-O of either order, alone and in one file for several processors.
_BINARIES = (
    *(b"\x7fELF", b"\xfe\xed\xfa\xce", b"\xfe\xed\xfa\xcf", b"\xce\xfa\xed\xfe", b"\xcf\xfa\xed\xfe"),
    *(b"\xca\xfe\xba\xbe", b"\xca\xfe\xba\xbf"),
)
#: Windows' begin with two letters, as weights may, too, and have four where the number at this place says.
_OLD, _WINDOWS, _WINDOWS_AT = b"MZ", b"PE\0\0", 0x3C
#: The settings of a generator's folder, and what names a library in them. It opens it, wherever it lies.
_GENERATOR, _LIBRARY_KEY, _MOST_SETTINGS_BYTES = "genai_config.json", "custom_ops_library", 1 << 20
#: How a file ends that says where a cloud is asked, and by which key.
_ENDPOINT, _MOST_ENDPOINT_BYTES = ".endpoint", 1 << 16


def check(
    submission: Submission, suites: Iterable[Suite], folder: Path, *, code: Collection[str], keys: Collection[str]
) -> None:
    """Holds a submission's files, which lie below a folder, against a host's lists. Raises `Unbelievable`.

    `code` are SHA-256 of files that are code, `keys` where keys may be found, as `key_from` has them.
    """
    by_path = {folder / file.path: file.sha256 for file in submission.files}
    executed = {path: by_path.get(path, "") for suite in suites for path in executed_by(suite)}
    for path, digest in {**{path: by_path[path] for path in by_path if _is_code(path)}, **executed}.items():
        if digest not in code:
            where = path.relative_to(folder).as_posix()
            raise Unbelievable(f"{where} is code, and its SHA-256 is not in this host's code: {digest or 'unknown'}")
    for path in by_path:
        if path.name.lower() == _GENERATOR and _names_library(path):
            where = path.relative_to(folder).as_posix()
            raise Unbelievable(f"{where} names a library to be loaded ({_LIBRARY_KEY}): no host lists those of a model")
        if path.suffix.lower() == _ENDPOINT and (key := _key_of(path)) is not None and f"env:{key}" not in keys:
            where = path.relative_to(folder).as_posix()
            raise Unbelievable(f"{where} asks for the key env:{key!s:.100}, which is not in this host's key_sources")


def code_of(files: Iterable[File], where: Mapping[str, Path], suites: Iterable[Suite]) -> dict[str, Path]:
    """The files of a submission that is written that are code, by digest; `where` has each. Raises `SuiteError`."""
    found = {
        file.sha256: where[file.sha256]
        for file in files
        if _is_called_code(PurePosixPath(file.path)) or _is_binary(where[file.sha256])
    }
    executed = {path.resolve() for suite in suites for path in executed_by(suite)}
    return found | {digest: path for digest, path in where.items() if path.resolve() in executed}


def _is_code(path: Path) -> bool:
    return _is_called_code(path) or _is_binary(path)


def _is_called_code(path: PurePosixPath | Path) -> bool:
    """By its name; a library's may end in its version: `libops.so.1.2`."""
    return path.suffix.lower() in _CODE or ".so" in (suffix.lower() for suffix in path.suffixes)


def _is_binary(path: Path) -> bool:
    """By its first bytes. One that is not there cannot be loaded."""
    try:
        with path.open("rb") as stream:
            beginning = stream.read(_WINDOWS_AT + 4)
            if not beginning.startswith(_OLD):
                return beginning.startswith(_BINARIES)
            stream.seek(int.from_bytes(beginning[_WINDOWS_AT:], "little"))
            return stream.read(len(_WINDOWS)) == _WINDOWS
    except OSError:
        return False


def _names_library(path: Path) -> bool:
    """Whether a generator's settings name a library, at any depth; such as cannot be read are taken to."""
    try:
        content = path.read_bytes()
    except OSError:
        return False
    if len(content) > _MOST_SETTINGS_BYTES:
        return True
    found: list[object] = []
    try:
        json.loads(content, object_pairs_hook=lambda pairs: found.extend(key for key, _ in pairs))
    except (ValueError, RecursionError):
        return True
    return _LIBRARY_KEY in found


def executed_by(suite: Suite) -> Iterator[Path]:
    """The files of a suite that its scenarios execute. Raises `SuiteError`."""
    for scenario, settings in suite.scenarios.asked():
        yield from scenario.executes(settings)


def _key_of(path: Path) -> object:
    """The name of the variable that an endpoint's key is in; one that cannot be read opens nothing."""
    try:
        said = json.loads(path.read_bytes()[:_MOST_ENDPOINT_BYTES])
    except (OSError, ValueError, RecursionError):
        return None
    return said.get("key") if isinstance(said, dict) else None
