"""Prepares a device: an environment there, of wheels fetched here, with the runtimes that are wanted."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchharness.device import adapters
from benchharness.errors import LaunchError, UsageError
from benchharness.execute.bringing import with_a_python
from benchharness.execute.devices import reached
from benchharness.launch import Question, Sent, ask, unheard
from benchharness.launch.ask import NamedAvailability, availabilities
from benchharness.launch.far import FarLauncher
from benchharness.launch.route import ENVIRONMENTS
from benchharness.launch.wheels import Wheel, fetched, lines, tags_of
from benchharness.suite.device import Device
from benchharness.suite.hardware import HardwareTarget

#: What the device side itself uses where it is installed: numpy in every worker, psutil for memory of all systems.
_ALWAYS = ("numpy", "psutil")
_ASKING_S, _MAKING_S = 60.0, 1900.0
_PIP = "pip"

Tell = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """An environment on a device."""

    python: str  # its interpreter, there
    made: bool  # False where it was there already
    locked: bool  # whether the lock is new
    packages: Mapping[str, str]  # name -> version
    runtimes: tuple[NamedAvailability, ...]  # those wanted, as the environment has them


def requirements(runtimes: Collection[str], packages: Collection[str]) -> list[str]:
    """What must be installed for runtimes; a profile's own packages take the place of ours by the same name.

    Raises `Unsupported` for a runtime that there is not.
    """
    ours = [*_ALWAYS, *(each for name in runtimes for each in adapters.row(name).requires)]
    named = {_name_of(each) for each in packages}
    kept = [each for each in ours if _name_of(each) not in named]
    return [*dict.fromkeys([*kept, *packages]), _PIP]


def _name_of(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", requirement.strip())
    if found is None:
        raise UsageError(f'{requirement!r} names no package; write for example "onnxruntime==1.23.2"')
    return re.sub(r"[-_.]+", "-", found[0]).lower()


def prepare(
    device: Device,
    runtimes: Collection[str],
    *,
    lock: Path,
    cache: Path,
    scratch: Path,
    tell: Tell,
    sent: Sent = unheard,
) -> Prepared:
    """Makes the environment; what is there already stays. Raises `LaunchError`, `UsageError`.

    A device without a Python gets one. `lock` is the file that says which wheels, and the one beside it that ends in
    `.python.lock` which Python; `cache` and `scratch` are folders here.
    """
    wanted = requirements(runtimes, device.packages)
    able = with_a_python(
        _with_plain_python(device),
        lock=lock.with_suffix(".python.lock"),
        cache=cache / "python",
        scratch=scratch,
        tell=tell,
        sent=sent,
    )
    hardware = HardwareTarget(name=device.hardware, device=able)
    with reached(hardware, scratch, sent) as launcher:
        assert isinstance(launcher, FarLauncher)
        tags = tags_of(_answer(launcher, Question(program="environment", arguments=("facts",), patience_s=_ASKING_S)))
        tell(f"fetching wheels for {tags.text}")
        wheels, locked = fetched(wanted, tags, lock, cache)
        told = _made(launcher, wheels, tell)
    python = str(told["python"])
    after = device.model_copy(update={"python": python})
    with reached(HardwareTarget(name=device.hardware, device=after), scratch) as launcher:
        found = [each for each in availabilities(launcher) if each.name in runtimes]
    return Prepared(
        python=python,
        made=bool(told.get("made")),
        locked=locked,
        packages={each.name: each.version for each in wheels if each.name != _PIP},
        runtimes=tuple(found),
    )


def _with_plain_python(device: Device) -> Device:
    """A device whose interpreter is not one that we made: an environment is made by the system's own."""
    ours = ENVIRONMENTS in device.python.replace("\\", "/")
    return device.model_copy(update={"python": Device.model_fields["python"].default}) if ours else device


def _made(launcher: FarLauncher, wheels: list[Wheel], tell: Tell) -> dict[str, Any]:
    tell(f"sending {len(wheels)} wheels, those that are not there")
    there = {
        each: launcher.put(each.path, f"wheels/{each.sha256[:16]}/{each.path.name}", each.sha256) for each in wheels
    }
    lock = lines([each for each in wheels if each.name != _PIP])
    name = hashlib.sha256(lock.encode()).hexdigest()[:12]
    asked = {
        "folder": f"{launcher.contact.work}{ENVIRONMENTS}{name}",
        "lock": lock,
        "pip": next(path for each, path in there.items() if each.name == _PIP),
        "wheels": [path for each, path in there.items() if each.name != _PIP],
    }
    tell("making the environment")
    question = Question(
        program="environment", arguments=("make",), told=json.dumps(asked).encode(), patience_s=_MAKING_S
    )
    told = _answer(launcher, question)
    if "refused" in told:
        raise LaunchError(f"{launcher.route.name}: no environment could be made there: {str(told['refused'])[:3000]}")
    return told


def _answer(launcher: FarLauncher, question: Question) -> dict[str, Any]:
    answer = ask.ask(launcher, question)
    try:
        told = json.loads(answer.out.splitlines()[-1])
        if isinstance(told, dict):
            return told
    except (ValueError, IndexError):
        pass
    raise LaunchError(
        f"{launcher.route.name}: {question.program} ended with exit code {answer.code}: {answer.words[-500:]}"
    )
