"""How the harness reaches a device: put files there, start a supervisor, talk to it, fetch what it left, end it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benchharness.device.line.protocol import Message
from benchharness.device.processes.child import Answer
from benchharness.launch.programs import PROGRAMS

#: Hears how far a file is on its way to a device: what it is, how much of it is there, and of how much.
Sent = Callable[[str, int, int], None]


def unheard(what: str, done: int, total: int) -> None:
    """For whoever does not want to know how far a file is."""


class Connection(Protocol):
    """The line to one running supervisor."""

    def send(self, message: Message) -> None:
        """Sends one message. Raises `ConnectionLost`."""
        ...

    def receive(self, timeout_s: float) -> Message | None:
        """The next message, None if none came in time. Raises `ConnectionLost` or `ProtocolError`."""
        ...

    def kill(self) -> bool:
        """Ends the supervisor, and with it its worker, now; False where a line that broke leaves that unknown.

        Safe to call twice.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Question:
    """One of the device side's programs that answers once on standard output and ends, and what it is told."""

    program: str  # `benchharness.device.PROGRAM`, and its name in the bundle
    arguments: Sequence[str] = ()
    told: bytes = b""  # on standard input
    patience_s: float = 60.0
    most_bytes: int = 1 << 24  # no honest answer is longer; of a longer one at least this much is read


class Launcher(Protocol):
    """Reaches one device. Paths it returns are the device's; nothing else crosses over."""

    @property
    def detached(self) -> bool:
        """Whether a supervisor there goes on with its attempt when the line breaks."""
        ...

    def put(self, file: Path, name: str, digest: str) -> str:
        """Makes a local file available on the device under a relative name; its path there.

        `digest` (SHA-256) lets a launcher skip what is already there.
        """
        ...

    def start(self, work: str, bundle: str) -> Connection:
        """Starts a supervisor with its work folder and device bundle. Raises `LaunchError`."""
        ...

    def ask(self, question: Question) -> Answer:
        """What a question's process on the device said and how it ended; a code of None where patience did.

        Raises `LaunchError` where it cannot be started, `ConnectionLost` where its answer got lost: ask again.
        """
        ...

    def work_folder(self, run: str) -> str:
        """Where a run's spool and scratch files live on the device."""
        ...

    def fetch(self, path: str) -> bytes:
        """The content of a file on the device. Raises `LaunchError`."""
        ...

    def remove(self, work: str) -> None:
        """Removes a run's work folder from the device; one that is not there is no error."""
        ...


@dataclass(frozen=True, kw_only=True)
class Tenure:
    """How a host has a device: by what name, how long it may be silent, and whether attempts go on without it."""

    holder: str
    lease_s: float
    detached: bool = False


def supervisor_command(
    python: str, work: str, bundle: str, *, installed: bool, tenure: Tenure | None = None
) -> Sequence[str]:
    """The command line that starts a supervisor on a device; with a tenure nobody else has the device meanwhile."""
    name = "relay" if tenure is not None and tenure.detached else "supervisor"
    program = ["-m", PROGRAMS[name]] if installed else [bundle, name]
    held = [] if tenure is None else ["--lease", f"{tenure.lease_s:g}", "--holder", tenure.holder]
    return [python, *program, "--work", work, "--bundle", bundle, *held]


def question_command(python: str, question: Question, bundle: str | None) -> Sequence[str]:
    """The command line that answers a question on a device; without a bundle by the package installed there."""
    # -P: the working folder may have come with a model, and its Python files are not for running.
    program = [bundle, question.program] if bundle else ["-P", "-m", PROGRAMS[question.program]]
    return [python, *program, *question.arguments]
