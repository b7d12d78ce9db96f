"""Starts the programs that benchmarks measure or measure in, and tells how busy the machine is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchharness.errors import NothingRan
from benchmarks.options import ROOT
from targets.onnx_format.quiet import keep_quiet

_TAIL_CHARACTERS = 2000


@dataclass(frozen=True)
class Ended:
    """A process that ended well: the object on its last line, and its wall time in seconds."""

    answer: dict[str, Any]
    wall_s: float


def run_program(name: str, request: dict[str, Any], *, python: Path | None = None) -> Ended:
    """Runs `benchmarks.programs.NAME` with a JSON request as its argument. Raises `NothingRan`."""
    command = [str(python or sys.executable), "-m", f"benchmarks.programs.{name}", json.dumps(request)]
    wall_s, output = run_timed(command)
    lines = output.splitlines()
    return Ended(answer=json.loads(lines[-1]) if lines else {}, wall_s=wall_s)


def run_timed(command: Sequence[str], *, with_errors: bool = False) -> tuple[float, str]:
    """A command's wall time in seconds, from before the start to after the end, and its output.

    `with_errors`: what it said on standard error comes after it.
    """
    keep_quiet()  # as the harness's own workers do: what is bare has no telemetry either
    started_ns = time.perf_counter_ns()
    try:
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    except OSError as error:
        raise NothingRan(f"{command[0]}: cannot be started ({error.strerror})") from error
    wall_s = (time.perf_counter_ns() - started_ns) / 1e9
    if ended.returncode:
        tail = ended.stderr[-_TAIL_CHARACTERS:].strip()
        raise NothingRan(f"{' '.join(command)[:200]}: ended with exit code {ended.returncode}: {tail}")
    return wall_s, ended.stdout + ended.stderr if with_errors else ended.stdout


def load_average() -> float:
    """Runnable tasks averaged over the last minute; NaN where the system does not tell."""
    try:
        return os.getloadavg()[0]
    except (OSError, AttributeError):
        return float("nan")
