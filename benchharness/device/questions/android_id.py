"""Which of its kind an Android device is: by its serial number or, where it tells none of its own, by an id of ours.

Apps may not read the serial number, every emulator of a version has the same one, and every phone calls itself
`localhost`.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import uuid
from collections.abc import Iterator
from pathlib import Path

from benchharness.device.sensors import android_services
from benchharness.device.sensors.readings import ROOT, text_or_nothing

#: The work folder of adb's user, if a profile names no other; elsewhere it may not write.
_WORK = "data/local/tmp/benchharness"
#: Of who may not write there, as an app, the folder below home.
_BELOW_HOME = ".local/share/benchharness"
#: Kept in that folder: without it the device would be another one in every run.
ID_FILE = "device-id"
_OURS = re.compile(r"[0-9a-f]{32}")
#: What builds and emulators say where the maker wrote no number.
_PLACEHOLDER = re.compile(r"unknown|emulator.*|(.)\1*|0123456789(abcdef)?|1234567890(abcdef)?", re.IGNORECASE)


def serial(root: Path = ROOT) -> str:
    """The serial number; empty where it tells none, or one that is not its own."""
    for name in ("ro.serialno", "ro.boot.serialno"):
        found = android_services.first_property(name, root=root)
        if found and not _PLACEHOLDER.fullmatch(found):
            return found
    return ""


@functools.lru_cache(maxsize=4)
def own_id(root: Path = ROOT) -> str:
    """An id of ours, made at random once and kept in a file; where none can be kept, another in every process."""
    files = list(_files(root))
    for file in files:
        if _OURS.fullmatch(found := text_or_nothing(file)):
            return found
    made = uuid.uuid4().hex
    for file in files:
        with contextlib.suppress(OSError):
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            new = file.with_name(f"{ID_FILE}.{os.getpid()}")
            new.write_text(made)
            new.replace(file)
            break
    return made


def _files(root: Path) -> Iterator[Path]:
    yield root / _WORK / ID_FILE
    with contextlib.suppress(RuntimeError, ValueError):  # a user without a home
        yield root / Path.home().relative_to("/") / _BELOW_HOME / ID_FILE
