"""Reading one fact from the system: its value, or `unknown` with the reason, never zero and never an exception.

Facts come from files under a root (`/`, or a tree that a test made) and, where a system has no such files, from its
own programs. A reader raises `Unreadable` and is made harmless by `@or_unknown`.
"""

from __future__ import annotations

import functools
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, TypeVar, cast

#: Where the files of the system stand.
ROOT = Path("/")
#: Whether the files are Linux's; Android has them too, and its Python goes by that name since 3.13.
ON_LINUX = sys.platform.startswith(("linux", "android"))
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
    """A small file's text, stripped. Raises `Unreadable`."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError as error:
        raise Unreadable(f"{path}: {error.strerror or error}") from error


def text_or_nothing(path: Path) -> str:
    """A small file's text, stripped; empty where it cannot be read, for files that are one of several to ask."""
    try:
        return text_of(path)
    except Unreadable:
        return ""


def output_of(command: list[str]) -> str:
    """What a program of the system prints, stripped. Raises `Unreadable`."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE_S, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        raise Unreadable(f"{command[0]}: {type(error).__name__}") from error
    if done.returncode:
        raise Unreadable(f"{command[0]} ended with exit code {done.returncode}")
    return done.stdout.strip()
