"""Starts the process that looks at a model or makes one artefact, and turns whatever becomes of it into an answer."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Mapping
from typing import Any

from benchharness.compress.recipes import SEED
from benchharness.device.child import ask
from benchharness.device.want_of_memory import speaks_of_memory
from benchharness.errors import AttemptError, ModelFailure
from benchharness.terminal_values import duration

_WORKER = "benchharness.compress.one"
#: Of what a tool printed, so much is looked at.
_LAST_WORDS = 4000
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
    """The order was not carried out; the message says why."""


def carry_out(order: Mapping[str, Any], timeout_s: float) -> dict[str, Any]:
    """Carries out an order in a process of its own. Raises `Failed`, whatever became of that process."""
    # -P: the working folder may have come with the model, and its Python files are not for running.
    command = [sys.executable, "-P", "-m", _WORKER]
    told = json.dumps({**order, "parent": os.getpid()}).encode() + b"\n"
    done = ask(command, timeout_s, told=told, env={**os.environ, **_ENVIRONMENT}, most_bytes=_LONGEST_ANSWER_BYTES)
    if done.code is None:
        raise Failed(f"stopped after {duration(timeout_s)}; give it longer with --timeout")
    return _understood(done.out, done.code, done.words[-_LAST_WORDS:])


def _understood(answer: bytes, code: int, words: str) -> dict[str, Any]:
    try:
        if len(answer) > _LONGEST_ANSWER_BYTES:
            raise ModelFailure("the model says more of itself than any real one")
        message = json.loads(answer)
        if "failed" in message:
            raise Failed(_with_memory(str(message["failed"]), words))
        found = message.get("found") or message["made"]
        if not isinstance(found, dict):
            raise TypeError
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Failed(_how_it_ended(code, words)) from error
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
