"""Reading one fact from the system: its value, or `unknown` with the reason, never zero and never an exception.

Facts come from files under a root (`/`, or a tree that a test made) and, where a system has no such files, from its
own programs. A reader raises `Unreadable` and is made harmless by `@or_unknown`.
"""

from __future__ import annotations

import functools
import os
import re
import sys
import threading
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Callable, TypeVar, cast

if TYPE_CHECKING:
    import subprocess

#: Where the files of the system stand.
ROOT = Path("/")
#: Whether the files are Linux's; Android has them too, and its Python goes by that name since 3.13.
ON_LINUX = sys.platform.startswith(("linux", "android"))
#: What is read of a file at most, text and counters: one that never ends must not fill the memory.
_MOST_TEXT_BYTES = 2**20
_MOST_BYTES = 8192
#: No counter of a kernel is larger; what is larger was not written by one.
_LARGEST_NUMBER = 2**64
_NUMBER = re.compile(r"-?[0-9]{1,20}")
#: The programs asked are local and answer in milliseconds; one that hangs must not hold up an attempt.
_PATIENCE_S = 5

Reader = TypeVar("Reader", bound=Callable[..., Any])


class Unreadable(Exception):
    """A fact cannot be read here; the message is the reason."""


def unknown(reason: str) -> dict[str, str]:
    """How a fact that cannot be read is written: never as zero, never left out."""
    return {"unknown": reason}


def reason_of(value: Any) -> str | None:
    """Why a fact is unknown; None where it is known."""
    return value["unknown"] if isinstance(value, dict) and set(value) == {"unknown"} else None


def or_unknown(reader: Reader) -> Reader:
    """The same reader, answering `unknown(reason)` where it would raise."""

    @functools.wraps(reader)
    def harmless(*arguments: Any, **options: Any) -> Any:
        try:
            return reader(*arguments, **options)
        except Unreadable as error:
            return unknown(str(error))
        except OSError as error:
            return unknown(f"{error.filename or 'the system'}: {error.strerror or error}")
        except (ValueError, LookupError) as error:
            return unknown(f"the system's answer was not understood: {error}")

    return cast(Reader, harmless)


def text_of(path: Path) -> str:
    """A file's text, stripped, 1 MB of it at most. Raises `Unreadable`."""
    try:
        with path.open("rb") as file:
            return file.read(_MOST_TEXT_BYTES).decode("utf-8", "replace").strip()
    except OSError as error:
        raise Unreadable(f"{path}: {error.strerror or error}") from error


def text_or_nothing(path: Path) -> str:
    """A small file's text, stripped; empty where it cannot be read, for files that are one of several to ask."""
    try:
        return text_of(path)
    except Unreadable:
        return ""


class _Kept:
    """A descriptor that stays open. Raises `Unreadable` where it cannot be opened."""

    def __init__(self, path: Path, flags: int = 0) -> None:
        self.path = path
        self._descriptor: int | None = None
        try:
            self._descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | flags)
        except OSError as error:
            raise Unreadable(f"{path}: {error.strerror or error}") from error

    def _open(self) -> int:
        if self._descriptor is None:
            raise Unreadable(f"{self.path} is closed")
        return self._descriptor

    def is_current(self) -> bool:
        """Whether the path still leads to it, and not to another one of its name or to none."""
        try:
            kept, now = os.fstat(self._open()), self.path.stat()
        except (OSError, Unreadable):
            return False
        return (kept.st_dev, kept.st_ino) == (now.st_dev, now.st_ino)

    def close(self) -> None:
        """Gives the descriptor back; reading from then on raises `Unreadable`."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __del__(self) -> None:
        self.close()


class KeptFile(_Kept):
    """A small file of the kernel that stays open, so that another look costs one call and no search of its path.

    It stays the same thing's file too: when a thread or a device ends, reading fails, whatever takes its name later.
    """

    def read(self) -> bytes:
        """What it says now, at most 8 kB of it. Raises `Unreadable`."""
        try:
            return os.pread(self._open(), _MOST_BYTES, 0)
        except OSError as error:
            raise Unreadable(f"{self.path}: {error.strerror or error}") from error

    def number(self) -> int:
        """The whole number that it holds. Raises `Unreadable`."""
        return whole_number(self.read(), self.path)


class KeptFolder(_Kept):
    """A folder that stays open for the same reason."""

    def names(self) -> set[str]:
        """The names in it now. Raises `Unreadable`."""
        try:
            return set(os.listdir(self._open()))  # noqa: PTH208 pathlib lists by path
        except OSError as error:
            raise Unreadable(f"{self.path}: {error.strerror or error}") from error


def whole_number(text: bytes | str, path: Path) -> int:
    """The number that a file's text is, if a kernel can have counted to it. Raises `Unreadable`."""
    words = (text.decode("ascii", "backslashreplace") if isinstance(text, bytes) else text).strip()
    if _NUMBER.fullmatch(words) and abs(number := int(words)) <= _LARGEST_NUMBER:
        return number
    raise Unreadable(f"{path} holds no number but {words[:40]!r}")


def label_of(path: Path) -> str:
    """A name that a driver gives, as one short line; empty where it gives none."""
    return " ".join(text_or_nothing(path).split())[:48]


def number_of(path: Path) -> int:
    """The whole number in a file. Raises `Unreadable`."""
    return whole_number(text_of(path), path)


def number_or_none(path: Path) -> int | None:
    """The whole number in a file; None where there is none to read."""
    try:
        return number_of(path)
    except Unreadable:
        return None


def output_of(command: list[str]) -> str:
    """What a program of the system prints, stripped. Raises `Unreadable`, where it prints more than 1 MB too."""
    import subprocess  # 2 ms of a worker's start, which asks no program

    try:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise Unreadable(f"{command[0]}: {type(error).__name__}") from error
    assert process.stdout is not None
    said = bytearray()
    hearing = threading.Thread(target=_hear, args=(process.stdout, said), daemon=True)
    hearing.start()
    hearing.join(_PATIENCE_S)
    why = f"not done after {_PATIENCE_S} s" if hearing.is_alive() else ""
    if len(said) > _MOST_TEXT_BYTES:
        why = f"said more than {_MOST_TEXT_BYTES} bytes"
    code = _ended(process, 0 if why else _PATIENCE_S)
    if why or code:
        raise Unreadable(f"{command[0]}: {why}" if why else f"{command[0]} ended with exit code {code}")
    return said.decode("utf-8", "replace").strip()


def _hear(stream: IO[bytes], said: bytearray) -> None:
    """Reads a program's words to their end or their bound; a process that it left may hold them open."""
    with stream:
        while len(said) <= _MOST_TEXT_BYTES and (data := stream.read(_MOST_BYTES)):
            said += data


def _ended(process: subprocess.Popen[bytes], patience_s: float) -> int:
    """A program's exit code, its end waited for so long and then brought about."""
    from subprocess import TimeoutExpired

    try:
        return process.wait(patience_s)
    except TimeoutExpired:
        process.kill()
        return process.wait()
