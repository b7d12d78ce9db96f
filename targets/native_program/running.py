"""Starts a program and hears it out: bounded, and with its command line as it was."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from benchharness.errors import InvalidOutput, ModelFailure, Unsupported
from targets.program_output.figures import Output
from targets.program_output.reader import Reader

#: More than any benchmark's report; what follows is read and dropped, so that nobody waits, and nothing is told.
_MOST_BYTES = 16 << 20
#: What comes in more pieces than this has no finer stamps, but later ones.
_CHUNK_BYTES, _MOST_STAMPS = 1 << 16, 1 << 16
_ANSWERING_S = 20.0
#: What a program started may hold its streams when it has ended. It has so long to tell what is left, both together.
_LEFT_S = 5.0
_TOLD_CHARACTERS, _LONGEST_VERSION = 600, 100
#: proc(5), /proc/PID/stat: cminflt, counted after the command's name. No program starts without a fault.
_FAULTS_OF_CHILDREN = 8


class Ended(ModelFailure):
    """A signal ended it: `outcome` is the attempt's."""

    def __init__(self, outcome: str, reason: str) -> None:
        super().__init__(reason)
        self.outcome = outcome


@dataclass(frozen=True)
class Ran:
    """One start that ended well."""

    command: str  # the command line
    output: Output
    took_ns: int  # until it had ended and the last of `output` was heard
    # The most that it held resident, or its largest child. Of one smaller than this process until the last of `output`
    # was heard; None: it was gone by then, or had children, or this system does not tell.
    peak_bytes: int | None
    at_most_bytes: int | None  # no less than that, where it is None; None: nobody knows


def peak_of(all_ran: Sequence[Ran]) -> int | None:
    """The most that any of them held resident, in bytes; None where one may have held more than what is known."""
    most = max((ran.peak_bytes or 0 for ran in all_ran), default=0)
    unsure = (ran for ran in all_ran if ran.peak_bytes is None)
    return most if most and all(0 < (ran.at_most_bytes or 0) <= most for ran in unsure) else None


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
            raise _failure(program.name, heard.code, words)
        told = {"stdout": heard.out, "stderr": heard.err}.get(source)
        if told is None:
            written = _file(results, program.name, words)
            output, took_ns, seen_bytes = Output(written, [(len(written), heard.took_ns)]), heard.took_ns, None
        else:
            output = Output(told.told(), told.stamps(heard.began_ns))
            took_ns = max([heard.took_ns, *(at_ns for _, at_ns in output.heard[-1:])])
            seen_bytes = None if heard.had_children else told.peak_bytes
        if len(output.told) > _MOST_BYTES:
            raise InvalidOutput(f"{program.name} tells more than {_MOST_BYTES >> 20} MiB: its end was not read")
        return Ran(" ".join(command), output, took_ns, heard.peak_bytes or seen_bytes, heard.at_most_bytes)


def _failure(program: str, code: int, words: str) -> ModelFailure:
    if code > 0 or sys.platform == "win32":
        return ModelFailure(f"{program} ended with exit code {code}: {words}")
    try:
        name = signal.Signals(-code).name
    except ValueError:  # one that has no name, as those for real time
        name = f"signal {-code}"
    return Ended("killed" if name == "SIGKILL" else "crashed", f"{program} was ended by {name}: {words}".rstrip(": "))


def version_of(program: Path, reader: Reader, environment: Mapping[str, str]) -> str | None:
    """What it says of its version; None where it does not tell. Raises `Unsupported` where it cannot be started."""
    if not reader.version:
        return None
    with tempfile.TemporaryDirectory() as folder:
        heard = _heard([str(program), *reader.version["arguments"]], folder, environment, _ANSWERING_S)
    found = re.search(reader.version["pattern"], f"{heard.out.text()}\n{heard.err.text()}")
    return found[1].strip()[:_LONGEST_VERSION] if found and found[1] else None


def _filled(argument: str, asked: Mapping[str, str]) -> str:
    """An argument with what is asked in the place of each name between braces. Raises `Unsupported`."""

    def value(found: re.Match[str]) -> str:
        if found[1] not in asked:
            raise Unsupported(f"the reader asks for {found[0]}, which is none of {', '.join(asked)}")
        return asked[found[1]]

    return re.sub(r"\{(\w+)\}", value, argument)


class _Stream:
    """One of its streams, read in a thread: as much as is looked at, and when it came and what was held at the end."""

    def __init__(self, stream: IO[bytes], process: int) -> None:
        self._stream, self._process, self._told = stream, process, bytearray()
        self._stamps: list[tuple[int, int]] = []  # so many bytes were there, and when
        self.peak_bytes: int | None = None  # of the process alone until the last came; None: it was gone, or not alone
        self._hearing = threading.Thread(target=self._hear, daemon=True)
        self._hearing.start()

    def _hear(self) -> None:
        with self._stream:
            while data := os.read(self._stream.fileno(), _CHUNK_BYTES):
                heard_ns = time.perf_counter_ns()
                self.peak_bytes = None if _children(self._process) else _peak_until_now(self._process)
                if len(self._told) <= _MOST_BYTES:  # one piece more, so that it shows
                    self._told += data
                del self._stamps[_MOST_STAMPS:]
                self._stamps.append((len(self._told), heard_ns))

    def wait(self, until: float) -> None:
        """Until its end, or that moment of `time.monotonic`."""
        self._hearing.join(max(0.0, until - time.monotonic()))

    def told(self) -> bytes:
        """All of it so far."""
        return bytes(self._told)

    def text(self) -> str:
        """The same as text."""
        return self.told().decode("utf-8", "replace")

    def stamps(self, began_ns: int) -> list[tuple[int, int]]:
        """So many bytes were there so long after it, in ns."""
        return [(count, at_ns - began_ns) for count, at_ns in self._stamps]


@dataclass(frozen=True)
class _Heard:
    out: _Stream
    err: _Stream
    code: int
    began_ns: int
    took_ns: int
    peak_bytes: int | None  # that the kernel kept of it and its children
    at_most_bytes: int | None  # that it kept, be it of what started it
    had_children: bool  # that it waited for


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
    except (OSError, ValueError) as error:  # of an argument or a variable that no system takes
        raise Unsupported(f"{command[0]} cannot be started here: {_why(error, command[0])}") from error
    out, err = (_Stream(each, process.pid) for each in (process.stdout, process.stderr) if each is not None)
    try:
        ended = _end(process, patience_s)
    except subprocess.TimeoutExpired as error:
        process.kill()
        process.wait()
        raise Unsupported(f"{' '.join(command)} did not end within {patience_s:g} s") from error
    took_ns = time.perf_counter_ns() - began_ns
    until = time.monotonic() + _LEFT_S
    for each in (out, err):
        each.wait(until)
    return _Heard(out, err, process.returncode, began_ns, took_ns, *ended)


def _why(error: OSError | ValueError, program: str) -> str:
    """The system says of a file that is there that it is not, where it means what would have to start it."""
    if isinstance(error, FileNotFoundError) and Path(program).is_file():
        return "its interpreter is not here, or the loader of its libraries"
    return str(error.strerror if isinstance(error, OSError) else error)


def _end(process: subprocess.Popen[bytes], patience_s: float | None) -> tuple[int | None, int | None, bool]:
    """Waits for it; then what `_Heard` has of memory and children. Raises `subprocess.TimeoutExpired`."""
    if patience_s is not None or sys.platform == "win32":
        process.wait(patience_s)
        return None, None, False
    had_children = sys.platform != "darwin" and _waited_for_children(process.pid)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if sys.platform == "darwin":
        return usage.ru_maxrss, usage.ru_maxrss, had_children
    # Linux counts into it what this process held: the program began as a copy of it.
    ours, kept = _peak_until_now(os.getpid()), usage.ru_maxrss * 1024
    return (kept if ours is not None and kept > ours else None), kept, had_children


def _waited_for_children(process: int) -> bool:
    """Whether a process had waited for children when it ended, which is waited for here; False where nobody tells."""
    os.waitid(os.P_PID, process, os.WEXITED | os.WNOWAIT)
    try:
        stat = Path(f"/proc/{process}/stat").read_text(errors="replace")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[_FAULTS_OF_CHILDREN] != "0"


def _children(process: int) -> bool:
    """Whether a process has children now; False where this kernel does not tell."""
    try:
        return any(path.read_bytes() for path in Path(f"/proc/{process}/task").glob("*/children"))
    except OSError:
        return False


def _peak_until_now(process: int) -> int | None:
    """The most that a process has held resident, in bytes; None where it is gone, or this system does not tell."""
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text(errors="replace"))
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None


def _file(path: Path, program: str, words: str) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(_MOST_BYTES + 1)
    except OSError as error:
        raise ModelFailure(f"{program} wrote no results: {words}") from error
