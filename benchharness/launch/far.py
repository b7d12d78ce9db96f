"""The launcher for devices at the end of a line: files are put there once, and every program comes in the bundle.

Nothing of it runs while something is measured but the line itself, which is silent then.
"""

from __future__ import annotations

import contextlib
import threading
from dataclasses import replace
from pathlib import Path

from benchharness.device.line.protocol import LONGEST_LINE_BYTES, Message
from benchharness.device.processes.child import Answer
from benchharness.errors import ConnectionLost, LaunchError
from benchharness.launch import Question, Sent, Tenure, question_command, supervisor_command, unheard
from benchharness.launch.bundle import put_bundle
from benchharness.launch.channel import Channel
from benchharness.launch.line import line_to
from benchharness.launch.porter import Contact, Porter
from benchharness.launch.route import Route
from benchharness.launch.streams import StreamConnection

#: Where files that were put there lie, below the work folder, and where runs do.
_FILES, _RUNS = "files", "runs"
_CHUNK_BYTES = 1 << 16
_LAST_WORDS_S = 1.0
#: How often a line may break under one file.
_MOST_LOSSES = 3
#: Signs of life to a supervisor within its lease: a few may get lost.
_SIGNS_A_LEASE = 4
#: A detached supervisor lets another host in when one was silent for longer (`device.line.hosts`).
_RAREST_SIGN_S = 15.0
#: For who only asks.
_ASKING = Tenure(holder="somebody", lease_s=60.0)


class FarLauncher:
    """Reaches one device. `scratch`: a folder here, for the bundle. `sent` hears of files on their way, in MiB."""

    def __init__(self, route: Route, scratch: Path, sent: Sent = unheard, tenure: Tenure = _ASKING) -> None:
        self.route = route
        self._scratch = scratch
        self._tenure = tenure
        self._line = line_to(route)
        self._porter = Porter(self._line, route, sent)
        self._placed: dict[tuple[str, str], str] = {}
        self._contact: Contact | None = None

    @property
    def detached(self) -> bool:
        """Whether a supervisor there goes on with its attempt when the line breaks."""
        return self._tenure.detached

    @property
    def contact(self) -> Contact:
        """What the device says at the door. Raises `LaunchError`."""
        if self._contact is None:
            self._contact = self._porter.contact()
        return self._contact

    def put(self, file: Path, name: str, digest: str) -> str:
        """Brings a file there unless it is there; its path. Raises `LaunchError`."""
        if (name, digest) not in self._placed:
            self._placed[name, digest] = self._put(file, f"{_FILES}/{name}", digest)
        return self._placed[name, digest]

    def _put(self, file: Path, name: str, digest: str) -> str:
        """A line that breaks costs what was on its way: the next one goes on from there."""
        for _ in range(_MOST_LOSSES - 1):
            with contextlib.suppress(ConnectionLost):
                return self._porter.put(file, name, digest)
        return self._porter.put(file, name, digest)

    def start(self, work: str, bundle: str) -> StreamConnection:
        """Starts a supervisor there. Raises `LaunchError`."""
        tenure = replace(self._tenure, holder=f"{self._tenure.holder} run {work.rpartition('/')[2]}")
        command = supervisor_command(self.route.python, work, bundle, installed=False, tenure=tenure)
        return _Quiet(self._porter, self._line.start(command), min(tenure.lease_s / _SIGNS_A_LEASE, _RAREST_SIGN_S))

    def ask(self, question: Question) -> Answer:
        """What a program there says. Raises `LaunchError`, `ConnectionLost` where its answer got lost."""
        bundle = put_bundle(self, self._scratch)
        self._porter.close()
        channel = self._line.start(question_command(self.route.python, question, bundle))
        return _answer(channel, question)

    def work_folder(self, run: str) -> str:
        """A folder of the run's own below the device's work folder."""
        return f"{self.contact.work}/{_RUNS}/{run}"

    def fetch(self, path: str) -> bytes:
        """The content of a file below the work folder. Raises `LaunchError`."""
        return self._porter.give(self._inside(path), LONGEST_LINE_BYTES)

    def remove(self, work: str) -> None:
        """Removes a run's work folder there."""
        self._porter.remove(self._inside(work))

    def close(self) -> None:
        """Gives the line back; safe to call twice."""
        self._porter.close()
        self._line.close()

    def _inside(self, path: str) -> str:
        prefix = f"{self.contact.work}/"
        if not path.startswith(prefix):
            raise LaunchError(f"{path} is outside of {self.contact.work}, the work folder on {self.route.name}")
        return path[len(prefix) :]


class _Quiet(StreamConnection):
    """A connection that sees to it that nothing else of ours runs there while an attempt does."""

    def __init__(self, porter: Porter, channel: Channel, alive_every_s: float) -> None:
        super().__init__(channel, alive_every_s)
        self._porter = porter

    def send(self, message: Message) -> None:
        """Sends one message, an attempt when its files are there. Raises `ConnectionLost`."""
        if message["type"] == "attempt":
            self._porter.close()
        super().send(message)


def _answer(channel: Channel, question: Question) -> Answer:
    """Tells a program what it is to know, and hears it out. Raises `ConnectionLost`."""
    out = bytearray()
    timer = threading.Timer(question.patience_s, channel.end)
    timer.start()
    telling = threading.Thread(target=_tell, args=(channel, question.told), daemon=True)
    telling.start()
    try:
        while len(out) <= question.most_bytes and (data := channel.stdout.read1(_CHUNK_BYTES)):
            out += data
        in_time = timer.is_alive()
    finally:
        timer.cancel()
        channel.ends_within(_LAST_WORDS_S)
        channel.end()
        telling.join(_LAST_WORDS_S)  # it hears that nobody listens; a stream is not closed under who writes on it
        channel.close()
    if in_time and channel.code is None and len(out) <= question.most_bytes:
        raise ConnectionLost(f"the answer got lost: {channel.words()}")
    return Answer(bytes(out), channel.words(), channel.code if in_time else None)


def _tell(channel: Channel, told: bytes) -> None:
    try:
        view = memoryview(told)
        while view:
            view = view[channel.stdin.write(view) :]
        channel.stdin.close()
    except (OSError, ValueError):  # it does not listen
        pass
