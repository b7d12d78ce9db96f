"""Whether the harness's own modules came out of bytecode, or this process compiled them: 50 ms or more of its start."""

from __future__ import annotations

import sys
from pathlib import Path

_OURS = ("benchharness", "targets")
KEPT = "bytecode"
COMPILED = "compiled in its start"


def how_loaded(started_unix_s: float) -> str:
    """`COMPILED` where any was compiled since this process was started; what Python writes down then, others have."""
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if name.partition(".")[0] in _OURS and file and not file.endswith(".pyc"):
            spec = getattr(module, "__spec__", None)
            if not _was_there(getattr(spec, "cached", None), started_unix_s):
                return COMPILED
    return KEPT


def _was_there(bytecode: str | None, started_unix_s: float) -> bool:
    try:
        return bytecode is not None and Path(bytecode).stat().st_mtime < started_unix_s
    except OSError:  # never written, or inside a zip file
        return False
