"""Starts the process that looks at a model or makes one artefact, and turns whatever becomes of it into an answer."""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchharness.compress.recipes import SEED
from benchharness.device.processes.child import ask
from benchharness.device.processes.memory_errors import speaks_of_memory
from benchharness.errors import AttemptError, ModelFailure
from benchharness.units import duration_text

_WORKER = "benchharness.compress.one"
#: Of what a tool printed, so much is looked at.
_LAST_WORDS = 16_000
#: Of that, so many lines are shown with a failure.
_SHOWN_LINES = 12
_LONGEST_ANSWER_BYTES = 64 << 20
#: One thread for numerics: with more, sums may come in another order. Fixed hashes: tools walk through sets of names.
#: Progress bars of tools would fill the log.
_ENVIRONMENT = {
    "PYTHONHASHSEED": str(SEED),
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "TQDM_DISABLE": "1",
    "TF_CPP_MIN_LOG_LEVEL": "2",
}


class Failed(AttemptError):
    """The order was not carried out; the message says why, and `log` holds the last of what the tool printed."""

    def __init__(self, reason: str, log: str = "") -> None:
        super().__init__(reason)
        self.log = log


def carry_out(order: Mapping[str, Any], timeout_s: float) -> dict[str, Any]:
    """Carries out an order in a process of its own. Raises `Failed`, whatever became of that process."""
    # -P: the working folder may have come with the model, and its Python files are not for running.
    command = [sys.executable, "-P", "-m", _WORKER]
    told = json.dumps({**order, "parent": os.getpid()}).encode() + b"\n"
    # A folder of its own: tools write beside the model's name in the working folder, and into the system's for scratch.
    with tempfile.TemporaryDirectory(prefix="benchharness-", ignore_cleanup_errors=True) as place:
        done = ask(
            command,
            timeout_s,
            told=told,
            cwd=Path(place),
            env={**os.environ, **_absolute_paths(), **_ENVIRONMENT, "TMPDIR": place},
            most_bytes=_LONGEST_ANSWER_BYTES,
        )
    words = done.words[-_LAST_WORDS:]
    if done.code is None:
        raise Failed(f"stopped after {duration_text(timeout_s)}; give it longer with --timeout", shown(words))
    return _understood(done.out, done.code, words)


def _absolute_paths() -> dict[str, str]:
    """Where Python looks for modules, as it is from this working folder: the process gets another."""
    path = os.environ.get("PYTHONPATH")
    if not path:
        return {}
    return {"PYTHONPATH": os.pathsep.join(str(Path(part).absolute()) for part in path.split(os.pathsep) if part)}


def shown(words: str) -> str:
    """The last lines of a log, without those that repeat the one before."""
    lines = [line.rstrip() for line in words.splitlines() if line.strip()]
    told = [line for position, line in enumerate(lines) if position == 0 or line != lines[position - 1]]
    return "\n".join(told[-_SHOWN_LINES:])


def _understood(answer: bytes, code: int, words: str) -> dict[str, Any]:
    try:
        if len(answer) > _LONGEST_ANSWER_BYTES:
            raise ModelFailure("the model says more of itself than any real one")
        message = json.loads(answer)
        if "failed" in message:
            log = shown(words) if message.get("by_tool") else ""  # a refusal says all itself
            raise Failed(_with_memory(str(message["failed"]), words), log)
        found = message.get("found") or message["made"]
        if not isinstance(found, dict):
            raise TypeError
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Failed(_how_it_ended(code, words), shown(words)) from error
    return found


def _with_memory(reason: str, words: str) -> str:
    """A tool that hides that memory was wanting has mostly printed it."""
    wanting = speaks_of_memory(words)
    return reason if not wanting or speaks_of_memory(reason) else f"{reason} (it printed: {wanting})"


def _how_it_ended(code: int, words: str) -> str:
    last = words.strip().splitlines()[-1:] or ["nothing"]
    if code == -getattr(signal, "SIGKILL", 9):
        return f"killed (signal 9), which is how a system ends what takes too much memory; it last printed: {last[0]}"
    ended = f"crashed with signal {-code}" if code < 0 else f"ended with code {code} and no answer"
    return _with_memory(f"the tool's process {ended}; it last printed: {last[0]}", words)
