"""Brings a Python to a device that has none, so that an environment can be made by it as on any other."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchharness.errors import LaunchError, NoPython
from benchharness.execute.devices import reached
from benchharness.launch import Question, Sent, ask, by_shell
from benchharness.launch.by_shell import Bare
from benchharness.launch.far import FarLauncher
from benchharness.launch.line import Line, line_to
from benchharness.launch.portable import Portable, marker, portable
from benchharness.suite.device import Device
from benchharness.suite.hardware import HardwareTarget

#: Below the work folder: each Python in a folder named after what it is made of.
_FOLDER = "python"
#: Compiling the standard library takes seconds on a phone, and minutes on an emulated one.
_UNPACKING_S = 1800.0


def with_a_python(
    device: Device, *, lock: Path, cache: Path, scratch: Path, tell: Callable[[str], None], sent: Sent
) -> Device:
    """The device as it is where the system's Python answers, else with one that is brought there.

    `lock` says which packages of Debian it is made of; `cache` and `scratch` are folders here. Raises `LaunchError`,
    `UsageError`.
    """
    try:
        with reached(HardwareTarget(name=device.hardware, device=device), scratch) as launcher:
            assert isinstance(launcher, FarLauncher)
            launcher.contact  # noqa: B018 - asks the device
            return device
    except NoPython as error:
        if device.system != "linux" or device.python != Device.model_fields["python"].default:
            raise
        tell(f"{error}; bringing one")
    line = line_to(device.route)
    try:
        bare = by_shell.look(line, device.name, device.route.work)
        if bare.system != "Linux":
            raise LaunchError(f"{device.name}: there is no Python to be put on {bare.system[:40]}; install one there")
        made = portable(bare.machine, lock=lock, cache=cache)
        folder = f"{bare.work}/{_FOLDER}/{made.name}"
        there = device.model_copy(update={"python": f"{folder}/bin/python3"})
        if not by_shell.is_there(line, marker(folder)):
            _put(line, made, folder, bare.shell, sent)
            _unpack(there, folder, scratch, tell)
    finally:
        line.close()
    return there


def look(device: Device) -> Bare:
    """What a device without a Python says of itself. Raises `LaunchError`."""
    line = line_to(device.route)
    try:
        return by_shell.look(line, device.name, device.route.work)
    finally:
        line.close()


def _put(line: Line, made: Portable, folder: str, shell: str, sent: Sent) -> None:
    """Its files, those that are not there, and last what starts it."""
    with tempfile.TemporaryDirectory() as scratch:
        starter = Path(scratch) / "python3"
        starter.write_bytes(made.starter(folder, shell))
        for name, file in {**made.files, "bin/python3": starter}.items():
            by_shell.put(line, file, f"{folder}/{name}", hashlib.sha256(file.read_bytes()).hexdigest(), sent)


def _unpack(device: Device, folder: str, scratch: Path, tell: Callable[[str], None]) -> None:
    with reached(HardwareTarget(name=device.hardware, device=device), scratch) as launcher:
        assert isinstance(launcher, FarLauncher)
        tell("unpacking it")
        answer = ask.ask(launcher, Question(program="portable", arguments=(folder,), patience_s=_UNPACKING_S))
    try:
        json.loads(answer.out.splitlines()[-1])["unpacked"]
    except (ValueError, IndexError, KeyError, TypeError) as error:
        raise LaunchError(
            f"{device.name}: the Python that was brought there did not unpack itself: exit code {answer.code}, "
            f"{answer.words[-500:]}"
        ) from error
