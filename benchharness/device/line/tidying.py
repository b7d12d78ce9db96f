"""Clears a device's work folder of what nobody comes back for: `tidying --work FOLDER --bundle FILE [--all]`.

What a dead supervisor left goes: its processes, its groups, scratch files, its door; so do runs without a finished
attempt that waits to be fetched, halves of files that nobody went on with, and bundles of other versions. Where a host
has the device nothing is touched, and no link is followed. Prints what went, and which runs still have attempts for
their host.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import stat
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchharness.device.line.holding import Holding, is_held
from benchharness.device.line.hosts import DOOR
from benchharness.device.processes import groups, leftovers
from benchharness.device.processes.undo import remove_scratch
from benchharness.device.questions.android_id import ID_FILE

#: A transfer that broke is gone on with soon, or never.
_HALF_FILES_S = 24 * 3600.0
_OURS = ("files", "runs", "environments", "python", "held", ID_FILE)


def tidy(work: Path, bundle: str) -> dict[str, Any]:
    """Clears away what is left over; `{"removed": [names], "waiting": {run: finished attempts}, "busy"}`."""
    if busy := _busy(work):
        return busy
    removed = _end_what_runs()
    waiting: dict[str, int] = {}
    for run in folders(work / "runs"):
        scratch = remove_scratch(run / "scratch")
        spooled = [path for path in plain_files(run / "spool") if path.suffix == ".json"]
        if spooled:
            waiting[run.name] = len(spooled)
            removed += [f"runs/{run.name}/scratch"] * scratch
            removed += [f"runs/{run.name}/{DOOR}"] * _remove(run / DOOR)
        elif _remove(run):
            removed.append(f"runs/{run.name}")
    for path in _old_halves(work / "files"):
        if _remove(path):
            removed.append(str(path.relative_to(work)))
    for path in plain_files(work / "files"):
        if path.match("device-*.pyz*") and not path.name.startswith(Path(bundle).name) and _remove(path):
            removed.append(f"files/{path.name}")
    return {"removed": removed, "waiting": waiting, "busy": None}


def clear(work: Path) -> dict[str, Any]:
    """Removes all of ours, but not while a host has the device."""
    if busy := _busy(work):
        return busy
    began = _end_what_runs()
    for run in folders(work / "runs"):
        remove_scratch(run / "scratch")
    removed = [*began, *(name for name in _OURS if _remove(work / name))]
    return {"removed": removed, "waiting": {}, "busy": None}


def _busy(work: Path) -> dict[str, Any] | None:
    """The answer where a host has the device."""
    holding = Holding(work)
    if not (holding.is_held() or is_at_work(work)):
        return None
    return {"removed": [], "waiting": {}, "busy": holding.told()}


def is_at_work(work: Path) -> bool:
    """Whether a supervisor serves one of the runs there."""
    return any(is_held(run / "lock") for run in folders(work / "runs"))


def _end_what_runs() -> list[str]:
    """Ends what dead supervisors left running; the groups that went with it."""
    leftovers.end_strays()
    return [str(folder) for folder in groups.remove_stale()]


def folders(folder: Path) -> Iterator[Path]:
    """The folders in a folder; no link is one, nor is anything in a folder that is one."""
    for path in _inside(folder):
        if path.is_dir() and not path.is_symlink():
            yield path


def plain_files(folder: Path) -> Iterator[Path]:
    """The files in a folder, links left out as in `folders`."""
    for path in _inside(folder):
        with contextlib.suppress(OSError):
            if stat.S_ISREG(os.lstat(path).st_mode):
                yield path


def _inside(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() and not folder.is_symlink() else []


def _old_halves(folder: Path) -> Iterator[Path]:
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place) / name
            with contextlib.suppress(OSError):
                if name.endswith(".part") and time.time() - os.lstat(path).st_mtime > _HALF_FILES_S:
                    yield path


def _remove(path: Path) -> bool:
    """Whether there was something and it is gone; a link goes, and what it leads to stays."""
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    except OSError:
        return False
    return True


def main(arguments: Sequence[str] | None = None) -> None:
    """Tidies one work folder."""
    parser = argparse.ArgumentParser(prog="tidying", description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--bundle", default="", help="the one that stays")
    parser.add_argument("--all", action="store_true", help="everything of ours, what was put there too")
    options = parser.parse_args(arguments)
    leftovers.adopt_orphans()
    told = clear(options.work) if options.all else tidy(options.work, options.bundle)
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
