"""How a program of the device side is started: installed beside this one, or out of the bundle with its bytecode."""

from __future__ import annotations

import errno
import functools
import os
import re
import sys
from pathlib import Path

from benchharness.device.processes.child import ask
from benchharness.errors import Unsupported

#: Making it takes half a second on a computer; an interpreter that hangs must not hold up an attempt for long.
_PATIENCE_S = 30.0
_KIND = re.compile(r"[\w.-]{1,80}", re.ASCII)


def device_program(module: str, python: str | None, bundle: str | None) -> list[str]:
    """The command for a module, under the interpreter asked for; out of the bundle where nothing is installed in it.

    Raises `Unsupported` where the system cannot start that interpreter.
    """
    if python is None and Path(__file__).is_file():
        return [sys.executable, "-m", module]
    return [python or sys.executable, with_bytecode(python or sys.executable, str(bundle)), "module", module]


def with_bytecode(python: str, bundle: str) -> str:
    """The bundle as an interpreter starts fastest out of it; the bundle itself where that could not be made.

    Raises `Unsupported` where the system cannot start the interpreter.
    """
    for _ in range(2):
        kind = _kind(python, bundle)
        if kind and Path(copy := f"{bundle}.{kind}").is_file():
            return copy
        if not kind:
            break
        _kind.cache_clear()  # somebody has tidied up meanwhile
    return bundle


@functools.cache
def _kind(python: str, bundle: str) -> str:
    """How an interpreter's copy is called behind the bundle's name; empty where there is none.

    Asked once: either all attempts of a supervisor start out of the copy, or none.
    """
    try:
        # What other programs of this process leave behind, while they run, is not this one's to end.
        answer = ask([python, bundle, "module", "benchharness.device.bytecode", bundle], _PATIENCE_S, orphans=False)
    except OSError as error:
        if error.filename is None and os.name == "posix":  # no process could be made at all: another may
            return ""
        raise Unsupported(f"the worker could not be started: {python}: {_told(error, python)}") from error
    kind = answer.out.decode("utf-8", "replace").split()[-1:]  # behind whatever its start-up files print
    return kind[0] if kind and answer.code == 0 and _KIND.fullmatch(kind[0]) else ""


def _told(error: OSError, python: str) -> str:
    if error.errno == errno.ENOENT and Path(python).exists():
        return "the interpreter that its first line names does not exist"
    return error.strerror or str(error)
