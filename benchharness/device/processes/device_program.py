"""How a program of the device side is started: installed beside this one, or out of the bundle with its bytecode."""

from __future__ import annotations

import functools
import sys
from pathlib import Path

from benchharness.device.processes.child import ask

#: Making it takes half a second on a computer; an interpreter that hangs must not hold up an attempt for long.
_PATIENCE_S = 30.0


def device_program(module: str, python: str | None, bundle: str | None) -> list[str]:
    """The command for a module, under the interpreter asked for; out of the bundle where nothing is installed in it."""
    if python is None and Path(__file__).is_file():
        return [sys.executable, "-m", module]
    return [python or sys.executable, with_bytecode(python or sys.executable, str(bundle)), "module", module]


@functools.cache
def with_bytecode(python: str, bundle: str) -> str:
    """The bundle as an interpreter starts fastest out of it; the bundle itself where that could not be made."""
    try:
        answer = ask([python, bundle, "module", "benchharness.device.bytecode", bundle], _PATIENCE_S)
    except OSError:
        return bundle
    path = Path(answer.out.decode("utf-8", "replace").strip())
    made = answer.code == 0 and path.parent == Path(bundle).parent and path.name.startswith(Path(bundle).name)
    return str(path) if made and path.is_file() else bundle
