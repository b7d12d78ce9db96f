"""A command as a shell is told it: every argument quoted, and a mark before the command's own words."""

from __future__ import annotations

import shlex
import subprocess
import threading
from collections.abc import Sequence
from typing import TypeVar

from benchharness.errors import LaunchError
from benchharness.launch.channel import Channel

#: Said before a command's own words, which begin after it: login shells greet.
MARK = b"benchharness-begins"
#: What a command begins with that is the device's shell itself; every other one of ours begins with a Python.
SHELL = "sh"
#: The program of a Python that reads its program, so many bytes, from standard input. It is quoted alike in any shell,
#: Windows's too: no dollar, no backslash, no quote but single ones.
BEGIN = "import sys;exec(getattr(sys.stdin,'buffer',sys.stdin).read({}))"
_LONGEST_GREETING_BYTES = 1 << 18
_STARTING_S = 30.0

Running = TypeVar("Running", bound=Channel)


def quoted(command: Sequence[str]) -> str:
    """A command in one line, for any POSIX shell: sh, bash, dash, and Android's mksh. Raises `LaunchError`.

    No other function here quotes: an argument with a quote, a newline or a dollar in it arrives as it is.
    """
    for argument in command:
        if "\0" in argument or not _in_utf8(argument):
            raise LaunchError(f"{argument!r} cannot be told to a shell: it holds a zero byte, or is no UTF-8")
    return shlex.join(command)


def _in_utf8(argument: str) -> bool:
    try:
        argument.encode()
    except UnicodeEncodeError:
        return False
    return True


def started(command: Sequence[str], system: str = "linux", *, replacing: bool = True) -> str:
    """What starts a command, in one line, after the mark; `replacing` the shell. Raises `LaunchError`."""
    if system == "windows":
        return f"echo {MARK.decode()}& {subprocess.list2cmdline(command)}"
    return f"echo {MARK.decode()}; {'exec ' if replacing else ''}{quoted(command)}"


def past_greeting(channel: Running) -> Running:
    """The channel once its command's own words begin. Raises `ConnectionLost`."""
    timer = threading.Timer(_STARTING_S, channel.end)
    timer.start()
    try:
        channel.skip_greeting(MARK, _LONGEST_GREETING_BYTES)
    finally:
        timer.cancel()
    return channel
