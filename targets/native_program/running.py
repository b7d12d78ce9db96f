"""Starts a program and hears it out: bounded, and with its command line as it was."""

from __future__ import annotations

import os
import re
import subprocess
import sys
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
    until_told_ns: int  # from its start until the last of `output` was heard; of a file until its end
    peak_bytes: int | None  # the most that it held resident, or its largest child; None: the kernel does not tell


def run(
    program: Path, arguments: Sequence[str], asked: Mapping[str, str], source: str, environment: Mapping[str, str]
) -> Ran:
    """Runs it to its end; the attempt's limit is the supervisor's. Raises `ModelFailure` where it fails."""
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results"
        filled = {**asked, "results": str(results)}
        command = [str(program), *(_filled(each, filled) for each in arguments)]
        heard = _heard(command, folder, environment)
        words = f"{heard.err[-_TOLD_CHARACTERS:]} {heard.out[-_TOLD_CHARACTERS:]}".strip()
        if heard.code:
            raise ModelFailure(f"{program.name} ended with exit code {heard.code}: {words}")
        output, told_ns = {"stdout": (heard.out, heard.out_ns), "stderr": (heard.err, heard.err_ns)}.get(
            source, ("", heard.took_ns)
        )
        return Ran(
            command=" ".join(command),
            output=_file(results, program.name, words) if source == "results" else output,
            took_ns=heard.took_ns,
            until_told_ns=told_ns,
            peak_bytes=heard.peak_bytes,
        )


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
    out_ns: int  # since the start, when the last of it came
    err_ns: int
    code: int
    took_ns: int
    peak_bytes: int | None


class _Stream:
    """One of its streams, read in a thread: as much of it as is looked at, and when the last of it came."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self._told = stream, bytearray()
        self.last_ns = time.perf_counter_ns()
        self._hearing = threading.Thread(target=self._hear, daemon=True)
        self._hearing.start()

    def _hear(self) -> None:
        with self._stream:
            while data := os.read(self._stream.fileno(), _CHUNK_BYTES):
                self.last_ns = time.perf_counter_ns()
                self._told += data[: max(0, _MOST_BYTES - len(self._told))]

    def text(self) -> str:
        """All of it, when the program has ended; what it started may hold the stream, and is not waited for."""
        self._hearing.join(_ANSWERING_S)
        return bytes(self._told).decode("utf-8", "replace")


def _heard(
    command: Sequence[str], folder: str, environment: Mapping[str, str], patience_s: float | None = None
) -> _Heard:
    """Both streams, its end and its peak. What it started goes with this process."""
    began_ns = time.perf_counter_ns()
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
    out, err = (_Stream(stream) for stream in (process.stdout, process.stderr) if stream is not None)
    try:
        peak_bytes = _end(process, patience_s)
    except subprocess.TimeoutExpired as error:
        process.kill()
        process.wait()
        raise Unsupported(f"{' '.join(command)} did not end within {patience_s:g} s") from error
    took_ns = time.perf_counter_ns() - began_ns
    return _Heard(
        out=out.text(),
        err=err.text(),
        out_ns=out.last_ns - began_ns,
        err_ns=err.last_ns - began_ns,
        code=process.returncode,
        took_ns=took_ns,
        peak_bytes=peak_bytes,
    )


def _end(process: subprocess.Popen[bytes], patience_s: float | None) -> int | None:
    """Waits for it; the most that it held resident, in bytes. Raises `subprocess.TimeoutExpired`."""
    if patience_s is not None or sys.platform == "win32":
        process.wait(patience_s)
        return None
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if sys.platform == "darwin":
        return usage.ru_maxrss
    # Linux counts into it what this process held: the program began as a copy of it.
    ours = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return usage.ru_maxrss * 1024 if ours and usage.ru_maxrss > int(ours[1]) else None


def _file(path: Path, program: str, words: str) -> str:
    try:
        with path.open("rb") as stream:
            return stream.read(_MOST_BYTES).decode("utf-8", "replace")
    except OSError as error:
        raise ModelFailure(f"{program} wrote no results: {words}") from error
