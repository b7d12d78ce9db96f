"""Brings `device.line.shell_frames` to a device whose daemon does not frame a command's streams."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from benchharness.launch.shell import BEGIN


@cache
def program() -> bytes:
    """What is told first on the command's standard input."""
    return files("benchharness").joinpath("device/line/shell_frames.py").read_bytes()


def command(wanted: Sequence[str], told: bytes) -> list[str]:
    """A command that starts the wanted one in frames. Each command of ours begins with the Python that runs it."""
    return [wanted[0], "-I", "-c", BEGIN.format(len(told)), *wanted]
