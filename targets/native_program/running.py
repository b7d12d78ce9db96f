"""Starts a program and hears it out: bounded, and with its command line as it was."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from benchharness.errors import ModelFailure, Unsupported
from targets.native_program.reader import Reader

#: More than any benchmark's report; what follows is read and dropped, so that nobody waits.
_MOST_BYTES = 16 << 20
_CHUNK_BYTES = 1 << 16
_ANSWERING_S = 20.0
_TOLD_CHARACTERS, _LONGEST_VERSION = 600, 100


@dataclass(frozen=True)
class Ran:
    """One start that ended well."""

    command: str  # the command line
    output: str  # where its rows are
    took_ns: int


def run(
    program: Path, arguments: Sequence[str], asked: Mapping[str, str], source: str, environment: Mapping[str, str]
) -> Ran:
    """Runs it to its end; the attempt's limit is the supervisor's. Raises `ModelFailure` where it fails."""
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results"
        filled = {**asked, "results": str(results)}
        command = [str(program), *(_filled(each, filled) for each in arguments)]
        began_ns = time.perf_counter_ns()
        heard = _heard(command, folder, environment)
        took_ns = time.perf_counter_ns() - began_ns
        words = f"{heard.err[-_TOLD_CHARACTERS:]} {heard.out[-_TOLD_CHARACTERS:]}".strip()
        if heard.code:
            raise ModelFailure(f"{program.name} ended with exit code {heard.code}: {words}")
        output = {"stdout": heard.out, "stderr": heard.err}.get(source)
        if output is None:
            output = _file(results, program.name, words)
        return Ran(command=" ".join(command), output=output, took_ns=took_ns)


def version_of(program: Path, reader: Reader, environment: Mapping[str, str]) -> str | None:
    """What it says of its version; None where it does not tell. Raises `Unsupported` where it cannot be started."""
    if not reader.version:
        return None
    with tempfile.TemporaryDirectory() as folder:
        heard = _heard([str(program), *reader.version["arguments"]], folder, environment, _ANSWERING_S)
    found = re.search(reader.version["pattern"], f"{heard.out}\n{heard.err}")
    return found[1].strip()[:_LONGEST_VERSION] if found else None


def _filled(argument: str, asked: Mapping[str, str]) -> str:
    """An argument with what is asked in the place of each name between braces. Raises `Unsupported`."""

    def value(found: re.Match[str]) -> str:
        if found[1] not in asked:
            raise Unsupported(f"the reader asks for {found[0]}, which is none of {', '.join(asked)}")
        return asked[found[1]]

    return re.sub(r"\{(\w+)\}", value, argument)


@dataclass(frozen=True)
class _Heard:
    out: str
    err: str
    code: int


def _heard(
    command: Sequence[str], folder: str, environment: Mapping[str, str], patience_s: float | None = None
) -> _Heard:
    """Both streams, as much of them as is looked at. What it started goes with this process."""
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=folder,
            env={**os.environ, **environment},
        )
    except OSError as error:
        raise Unsupported(f"{command[0]} cannot be started here: {error.strerror}") from error
    told: list[bytearray] = [bytearray(), bytearray()]
    streams = [stream for stream in (process.stdout, process.stderr) if stream is not None]
    hearing = [threading.Thread(target=_hear, args=both, daemon=True) for both in zip(streams, told)]
    for each in hearing:
        each.start()
    try:
        code = process.wait(patience_s)
    except subprocess.TimeoutExpired as error:
        process.kill()
        process.wait()
        raise Unsupported(f"{' '.join(command)} did not end within {patience_s:g} s") from error
    for each in hearing:
        each.join(_ANSWERING_S)
    out, err = (bytes(each).decode("utf-8", "replace") for each in told)
    return _Heard(out=out, err=err, code=code)


def _hear(stream: IO[bytes], told: bytearray) -> None:
    with stream:
        while data := stream.read(_CHUNK_BYTES):
            told += data[: max(0, _MOST_BYTES - len(told))]


def _file(path: Path, program: str, words: str) -> str:
    try:
        with path.open("rb") as stream:
            return stream.read(_MOST_BYTES).decode("utf-8", "replace")
    except OSError as error:
        raise ModelFailure(f"{program} wrote no results: {words}") from error
