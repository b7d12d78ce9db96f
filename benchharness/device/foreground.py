"""An application in front of the user beside what is measured: started by the suite's command, looked at, stopped.

Two kinds. On Android `am start` returns at once and what it starts is nobody's child: that it is in front is read back
from the activity manager. Anything else is a process of ours that has to live; what it shows nobody can tell here.
No shell is in between: each word of a command arrives as the suite has it.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from benchharness.device.processes.child import Child, ask
from benchharness.device.processes.undo import Undoing
from benchharness.device.sensors.android_services import in_front, is_android
from benchharness.device.sensors.readings import ROOT, Unreadable

#: An application may have to be unpacked and compiled at its first start.
_PATIENCE_S, _POLL_S = 30.0, 0.5
#: A process of ours may end by itself within this.
_GRACE_S = 2.0
_SAID_BYTES, _LONGEST_SAID = 1 << 16, 200


Made = TypeVar("Made", bound="Application")


class Application:
    """A started application, while the context lasts. `says` is what was seen when it was there.

    `left` is what is wrong with its end: nothing, where it is gone.
    """

    by = "an application in the foreground"
    left = ""

    def __init__(self, name: str, told: Mapping[str, Any], scratch: Path, *, root: Path = ROOT) -> None:
        self.name = name
        self.says = ""
        self._start = _found(told["start"], root)
        self._stop = _found(told.get("stop") or (), root)
        self._settle_s = float(told.get("settle", 0.0))
        self._scratch, self._root = scratch, root
        self._kept = contextlib.ExitStack()

    def __enter__(self: Made) -> Made:
        """Returns when it is there, and has had its time to settle. Raises `Unreadable` where it is not."""
        with contextlib.ExitStack() as made:
            made.callback(self._end)  # last of all: what stops it comes first
            if self._stop:
                try:
                    made.enter_context(Undoing(self._stop, self._scratch))
                except OSError as error:
                    raise Unreadable(f"{self.name}: how to stop it could not be written down ({error})") from error
            self._begin()
            time.sleep(self._settle_s)
            if why := self.lost():
                raise Unreadable(why)
            self._kept = made.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """Stops it."""
        self._kept.close()

    def lost(self) -> str:
        """Why it is no longer what it should be, seen now; empty while it is."""
        raise NotImplementedError

    def _begin(self) -> None:
        raise NotImplementedError

    def _end(self) -> None:
        """Ends what its command has not stopped."""


class Activity(Application):
    """An Android application, by the name of its package."""

    def __init__(self, name: str, told: Mapping[str, Any], scratch: Path, *, root: Path = ROOT) -> None:
        self._package = str(told["package"])
        super().__init__(name, {"stop": ["am", "force-stop", self._package], **_said(told)}, scratch, root=root)

    def _begin(self) -> None:
        if not is_android(self._root):
            raise Unreadable(f"{self.name}: {self._package} is an Android application, and this is no Android")
        try:
            answer = ask(self._start, _PATIENCE_S, most_bytes=_SAID_BYTES)
        except (OSError, subprocess.SubprocessError) as error:
            raise Unreadable(f"{self.name}: {self._start[0]}: {type(error).__name__}") from error
        said = f"{answer.out.decode('utf-8', 'replace')} {answer.words}"
        deadline_s = time.monotonic() + _PATIENCE_S
        while why := self.lost():
            if time.monotonic() >= deadline_s or answer.code:
                raise Unreadable(f"{why}; its command said: {_one_line(said) or 'nothing'}")
            time.sleep(_POLL_S)
        self.says = f"{self._package} is in front, by the activity manager"

    def _end(self) -> None:
        if is_android(self._root) and not self.lost():
            self.left = f"{self._package} is still in front: what stops it did not"

    def lost(self) -> str:
        """Why it is not in front; empty where it is."""
        try:
            front = in_front(self._root)
        except Unreadable as error:
            return f"{self.name}: whether {self._package} is in front cannot be told: {error}"
        if self._package in front:
            return ""
        return f"{self.name}: {self._package} is not in front, {' and '.join(front) or 'no application'} is"


class Process(Application):
    """A process of ours. Nobody knows what it shows."""

    by = "another process"
    _child: Child | None = None

    def _begin(self) -> None:
        try:
            self._child = Child(self._start, _pieces, _unheard, stderr=subprocess.PIPE)
        except (OSError, subprocess.SubprocessError) as error:
            raise Unreadable(f"{self.name}: {self._start[0]}: {type(error).__name__}") from error
        self.says = "it runs; whether a user would see it is not known here"

    def _end(self) -> None:
        if self._child is not None:
            self._child.end(_GRACE_S if self._stop else 0.0, orphans=False)

    def lost(self) -> str:
        """That it has ended; empty while it runs."""
        assert self._child is not None
        if not self._child.ends_within(0.0):
            return ""
        words = _one_line(self._child.words().decode("utf-8", "replace"))
        return f"{self.name}: its process has ended{f': {words}' if words else ''}"


def application(name: str, told: Mapping[str, Any], scratch: Path, *, root: Path = ROOT) -> Application:
    """What an entry of the suite asks for: an Android application where a package is known, else a process."""
    kind: Callable[..., Application] = Activity if told.get("package") else Process
    return kind(name, told, scratch, root=root)


def _said(told: Mapping[str, Any]) -> dict[str, Any]:
    """An entry without what it leaves open."""
    return {key: value for key, value in told.items() if value}


def _found(command: Sequence[str], root: Path) -> list[str]:
    """A command, its program found where Android keeps its own, too: the environment may lack that path."""
    words = [str(word) for word in command]
    if words and "/" not in words[0]:
        own = root / "system/bin" / words[0]
        if is_android(root) and own.exists():
            return [str(own), *words[1:]]
        words[0] = shutil.which(words[0]) or words[0]
    return words


def _pieces(stream: BinaryIO) -> bytes | None:
    return stream.read(_SAID_BYTES) or None


def _unheard(piece: bytes | None) -> None:
    """What it prints is nobody's business."""


def _one_line(words: str) -> str:
    """The end of what a program said, as one short line."""
    shown = "".join(each if each.isprintable() else " " for each in words)
    return " ".join(shown.split())[-_LONGEST_SAID:]
