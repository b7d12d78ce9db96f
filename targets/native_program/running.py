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
from targets.program_output.figures import Output
from targets.program_output.reader import Reader

#: More than any benchmark's report; what follows is read and dropped, so that nobody waits.
_MOST_BYTES = 16 << 20
_CHUNK_BYTES = 1 << 16
_ANSWERING_S = 20.0
_TOLD_CHARACTERS, _LONGEST_VERSION = 600, 100


@dataclass(frozen=True)
class Ran:
    """One start that ended well."""

    command: str  # the command line
    output: Output
    took_ns: int
    # The most that it held resident, or its largest child. Of one smaller than this process until the last of `output`
    # was heard, without its children; None: it was gone by then, or this system does not tell.
    peak_bytes: int | None


def run(
    program: Path, arguments: Sequence[str], asked: Mapping[str, str], source: str, environment: Mapping[str, str]
) -> Ran:
    """Runs it to its end; the attempt's limit is the supervisor's. Raises `ModelFailure` where it fails."""
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results"
        filled = {**asked, "results": str(results)}
        command = [str(program), *(_filled(each, filled) for each in arguments)]
        heard = _heard(command, folder, environment)
        words = f"{heard.err.text()[-_TOLD_CHARACTERS:]} {heard.out.text()[-_TOLD_CHARACTERS:]}".strip()
        if heard.code:
            raise ModelFailure(f"{program.name} ended with exit code {heard.code}: {words}")
        told = {"stdout": heard.out, "stderr": heard.err}.get(source)
        if told is None:
            output = Output(_file(results, program.name, words), heard.took_ns)
        else:
            output = Output(told.text(), told.last_ns - heard.began_ns)
        peak_bytes = heard.peak_bytes or (told.peak_bytes if told else None)
        return Ran(command=" ".join(command), output=output, took_ns=heard.took_ns, peak_bytes=peak_bytes)


def version_of(program: Path, reader: Reader, environment: Mapping[str, str]) -> str | None:
    """What it says of its version; None where it does not tell. Raises `Unsupported` where it cannot be started."""
    if not reader.version:
        return None
    with tempfile.TemporaryDirectory() as folder:
        heard = _heard([str(program), *reader.version["arguments"]], folder, environment, _ANSWERING_S)
    found = re.search(reader.version["pattern"], f"{heard.out.text()}\n{heard.err.text()}")
    return found[1].strip()[:_LONGEST_VERSION] if found else None


def _filled(argument: str, asked: Mapping[str, str]) -> str:
    """An argument with what is asked in the place of each name between braces. Raises `Unsupported`."""

    def value(found: re.Match[str]) -> str:
        if found[1] not in asked:
            raise Unsupported(f"the reader asks for {found[0]}, which is none of {', '.join(asked)}")
        return asked[found[1]]

    return re.sub(r"\{(\w+)\}", value, argument)


class _Stream:
    """One of its streams, read in a thread: as much as is looked at, and when the last of it came and what was held."""

    def __init__(self, stream: IO[bytes], process: int) -> None:
        self._stream, self._process, self._told = stream, process, bytearray()
        self.last_ns = time.perf_counter_ns()
        self.peak_bytes: int | None = None  # of the process until then; None: it was gone already
        self._hearing = threading.Thread(target=self._hear, daemon=True)
        self._hearing.start()

    def _hear(self) -> None:
        with self._stream:
            while data := os.read(self._stream.fileno(), _CHUNK_BYTES):
                self.last_ns = time.perf_counter_ns()
                self.peak_bytes = _peak_until_now(self._process)
                self._told += data[: max(0, _MOST_BYTES - len(self._told))]

    def text(self) -> str:
        """All of it, when the program has ended; what it started may hold the stream, and is not waited for."""
        self._hearing.join(_ANSWERING_S)
        return bytes(self._told).decode("utf-8", "replace")


@dataclass(frozen=True)
class _Heard:
    out: _Stream
    err: _Stream
    code: int
    began_ns: int
    took_ns: int
    peak_bytes: int | None  # that the kernel kept


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
    out, err = (_Stream(each, process.pid) for each in (process.stdout, process.stderr) if each is not None)
    try:
        peak_bytes = _end(process, patience_s)
    except subprocess.TimeoutExpired as error:
        process.kill()
        process.wait()
        raise Unsupported(f"{' '.join(command)} did not end within {patience_s:g} s") from error
    took_ns = time.perf_counter_ns() - began_ns
    return _Heard(out, err, process.returncode, began_ns, took_ns, peak_bytes)


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
    ours = _peak_until_now(os.getpid())
    return usage.ru_maxrss * 1024 if ours is not None and usage.ru_maxrss * 1024 > ours else None


def _peak_until_now(process: int) -> int | None:
    """The most that a process has held resident, in bytes; None where it is gone, or this system does not tell."""
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text(errors="replace"))
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None


def _file(path: Path, program: str, words: str) -> str:
    try:
        with path.open("rb") as stream:
            return stream.read(_MOST_BYTES).decode("utf-8", "replace")
    except OSError as error:
        raise ModelFailure(f"{program} wrote no results: {words}") from error
