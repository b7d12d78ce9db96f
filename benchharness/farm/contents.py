"""What a submission's files hold that does more than be opened: code that runs on the host, keys that it asks for.

A signature says who wrote it; that it may run here, or be given a key of this host, a host has to list.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath

from benchharness.farm.submission import File, Submission, Unbelievable
from benchharness.suite.tables import Suite

#: How files end that Python runs, or loads as code.
_CODE = (".py", ".pyc", ".pyd", ".so")
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
    for path, digest in {**{path: by_path[path] for path in by_path if path.suffix in _CODE}, **executed}.items():
        if digest not in code:
            where = path.relative_to(folder).as_posix()
            raise Unbelievable(f"{where} is code, and its SHA-256 is not in this host's code: {digest or 'unknown'}")
    for path in by_path:
        if path.suffix == _ENDPOINT and (key := _key_of(path)) is not None and f"env:{key}" not in keys:
            where = path.relative_to(folder).as_posix()
            raise Unbelievable(f"{where} asks for the key env:{key!s:.100}, which is not in this host's key_sources")


def code_of(files: Iterable[File], where: Mapping[str, Path], suites: Iterable[Suite]) -> dict[str, Path]:
    """The files of a submission that is written that are code, by digest; `where` has each. Raises `SuiteError`."""
    found = {file.sha256: where[file.sha256] for file in files if PurePosixPath(file.path).suffix in _CODE}
    executed = {path.resolve() for suite in suites for path in executed_by(suite)}
    return found | {digest: path for digest, path in where.items() if path.resolve() in executed}


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
