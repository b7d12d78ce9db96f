"""What an attempt changes on its device beyond its own processes, and how that is changed back, whoever is killed.

An application that was brought to the front is no child of ours: it stays when a conductor dies. So the command that
stops it is written into the scratch folder first, and whoever removes that folder (`remove_scratch`) runs it.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from benchharness.device.processes.child import ask

_FILE = "undo.json"
_PATIENCE_S = 10.0
#: No more is believed of a file that somebody else may have written into the folder.
_MOST_BYTES, _MOST_COMMANDS = 1 << 16, 10


class Undoing:
    """Holds a command that is run when the context ends, or later by whoever removes the scratch folder."""

    def __init__(self, command: Sequence[str], scratch: Path) -> None:
        self._command = list(command)
        self._file = scratch / _FILE

    def __enter__(self) -> Undoing:
        """From now on it will be run. Raises `OSError` where it cannot be written down."""
        self._write([*_commands(self._file), self._command])
        return self

    def __exit__(self, *_: object) -> None:
        _run(self._command)
        left = _commands(self._file)
        with contextlib.suppress(ValueError):
            left.remove(self._command)
        with contextlib.suppress(OSError):
            self._write(left)

    def _write(self, commands: Sequence[Sequence[str]]) -> None:
        part = self._file.with_suffix(".part")
        part.write_text(json.dumps(commands), encoding="utf-8")
        part.replace(self._file)


def remove_scratch(scratch: Path) -> bool:
    """Removes a scratch folder, what its attempt left to undo undone; whether there was one, and it is gone."""
    if scratch.is_symlink() or not scratch.is_dir():
        return False
    for command in reversed(_commands(scratch / _FILE)):
        _run(command)
    shutil.rmtree(scratch, ignore_errors=True)
    return not scratch.exists()


def _run(command: Sequence[str]) -> None:
    with contextlib.suppress(OSError, ValueError, subprocess.SubprocessError):
        ask(command, _PATIENCE_S, most_bytes=_MOST_BYTES)


def _commands(file: Path) -> list[list[str]]:
    """The commands in a file, in the order in which they were left; none where it is not one of ours."""
    try:
        if file.is_symlink() or file.stat().st_size > _MOST_BYTES:
            return []
        told = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return []
    found = told if isinstance(told, list) else []
    return [each for each in found[:_MOST_COMMANDS] if _is_command(each)]


def _is_command(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(word, str) for word in value)
