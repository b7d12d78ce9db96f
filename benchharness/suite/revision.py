"""A suite, or a model, of another revision of the git repository that the user is in: `v1.4:suite.toml`."""

from __future__ import annotations

import io
import re
import subprocess
import tarfile
from pathlib import Path

from benchharness.errors import UsageError

_SPELLING = re.compile(r"(?P<revision>[^:]{2,200}):(?P<path>[^:]+)")
#: One letter before a colon is a drive.
_GIT_S = 120.0


def is_revision(what: str) -> bool:
    """Whether this is spelled as a path of a revision, and is no path that is there."""
    return _SPELLING.fullmatch(what) is not None and "://" not in what and not Path(what).exists()


def checked_out(what: str, cache: Path) -> Path:
    """The path of what a revision has there, all files of the revision in a folder of `cache` by its commit.

    A file that only points to Git LFS is refused where it is opened. Raises `UsageError`.
    """
    found = _SPELLING.fullmatch(what)
    if found is None:
        raise UsageError(f"{what!r} is no REVISION:PATH, such as v1.4:suite.toml")
    revision, path = found["revision"], found["path"]
    if revision.startswith("-") or Path(path).is_absolute() or ".." in Path(path).parts:
        raise UsageError(f"{what!r}: a revision, and behind the colon a path from the repository's own folder")
    top = Path(_git("rev-parse", "--show-toplevel", what=what).decode().strip())
    commit = _git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}", what=what, at=top).decode().strip()
    folder = cache / commit
    if not folder.is_dir():
        _unpack(_git("archive", "--format=tar", commit, what=what, at=top), folder)
    if not (folder / path).exists():
        raise UsageError(f"{what}: commit {commit[:12]} has no {path}")
    return folder / path


def between(good: str, bad: str, path: str) -> list[str]:
    """`REVISION:PATH` of every commit from good to bad along the first parents, both ends included, oldest first.

    Raises `UsageError`, also where good is no ancestor of bad.
    """
    what = f"{good}..{bad}"
    if good.startswith("-") or bad.startswith("-"):
        raise UsageError(f"{what}: no revisions")
    first, last = (
        _git("rev-parse", "--verify", f"{each}^{{commit}}", what=what).decode().strip() for each in (good, bad)
    )
    listed = _git("rev-list", "--first-parent", "--reverse", f"{first}..{last}", what=what).decode().split()
    if _git("merge-base", first, last, what=what).decode().strip() != first:
        raise UsageError(f"{what}: {good} is no ancestor of {bad}")
    return [f"{commit}:{path}" for commit in (first, *listed)]


def _unpack(archive: bytes, folder: Path) -> None:
    """Whole or not at all: an interrupted one leaves no folder of that name."""
    beside = folder.with_name(f"{folder.name}.part")
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(beside, filter="data")
    beside.replace(folder)


def _git(*words: str, what: str, at: Path | None = None) -> bytes:
    try:
        done = subprocess.run(["git", *words], cwd=at, capture_output=True, timeout=_GIT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(f"{what}: git cannot be asked: {error}") from error
    if done.returncode:
        told = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise UsageError(f"{what}: git knows no such revision here{f': {told[0]}' if told else ''}")
    return done.stdout
