"""Asks the adapters which files each artefact is: in one process for all, because models are not trusted.

One list serves everything: size, digest, download, what is put on a device, what is evicted from the page cache, what
`--resume` verifies, and what `inspect` prints.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from benchharness.errors import UsageError
from benchharness.launch import ask
from benchharness.suite.artefact import MOST_FILES, Listing, whole

Lister = Callable[[Mapping[Path, Sequence[str]]], Mapping[Path, Listing]]


def list_files(asked: Mapping[Path, Sequence[str]]) -> dict[Path, Listing]:
    """The files of each artefact, as the first of its adapters that can tell says it, else all that is there.

    Where an adapter says why it cannot be told, the listing is `unknown`. Raises `UsageError` for a path that is not
    there, and for a folder of which it is not clear which model is meant.
    """
    everything = {path: whole(path) for path, names in asked.items() if not path.exists() or not names}
    wanted = [(path, names) for path, names in asked.items() if path not in everything]
    answers = ask.files_of_artefacts(ask.this_machine(), wanted) if wanted else []
    for (path, _), answer in zip(wanted, answers, strict=True):
        everything[path] = listing_from(path, answer)
    return everything


def listing_from(path: Path, answer: Any) -> Listing:
    """What an adapter's answer means, checked: it has read a file that is not trusted."""
    if answer is None:
        return whole(path)
    if "failed" in answer:
        if answer.get("several"):
            raise UsageError(str(answer["failed"]))
        return replace(whole(path), unknown=str(answer["failed"]) or "the adapter does not say")
    told = answer["files"]
    root = Path(told["root"])
    files = tuple(dict.fromkeys(map(str, told["files"])))
    outside = [name for name in files if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts]
    if outside or not files or len(files) > MOST_FILES or not (root == path or root in path.parents):
        raise UsageError(f"{path}: its adapter lists {len(files)} files under {root}, {outside[:1]}: no such artefact")
    return Listing(
        root=root,
        files=files,
        model=str(told["model"]),
        part=str(told["part"])[:100],
        pipeline=tuple(map(str, told["pipeline"])),
        siblings=tuple(map(str, told["siblings"])),
    )
