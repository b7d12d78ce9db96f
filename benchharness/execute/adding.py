"""Makes a device's profile: what is found there, written down once its host key is trusted."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchharness.errors import LaunchError, NoPython, UsageError
from benchharness.execute import bringing
from benchharness.execute.devices import reached
from benchharness.launch.ask import availabilities, description_of_device
from benchharness.launch.far import FarLauncher
from benchharness.suite.device import Device, written
from benchharness.suite.hardware import HardwareTarget

_LONGEST_WORD, _LONGEST_LIST = 200, 1000
#: What was found of a device's Python where there is none.
NO_PYTHON = "none"


def look_at(device: Device, scratch: Path) -> Device:
    """The device with what is found there: system, processor, memory, Python, sensors, runtimes.

    One without a Python is asked by its shell what it is: `device prepare` brings one. Raises `LaunchError` where it
    cannot be reached, or the Python that its user names is not there.
    """
    try:
        return _asked(device, scratch)
    except NoPython:
        if device.python != Device.model_fields["python"].default or device.system != "linux":
            raise
        bare = bringing.look(device)
        found = {"machine": _word(bare.machine), "python": NO_PYTHON, "runtimes": "none"}
        return device.model_copy(update={"found": found})


def _asked(device: Device, scratch: Path) -> Device:
    hardware = HardwareTarget(name=device.hardware, device=device)
    with reached(hardware, scratch) as launcher:
        assert isinstance(launcher, FarLauncher)
        system = launcher.contact.system
        told = description_of_device(launcher, 0)
        if why := unknown_system(told):
            raise LaunchError(f"{device.route.text}: {why}")
        runtimes = [f"{each.name} {each.version}" for each in availabilities(launcher) if each.available]
    found = {**_facts(told), "runtimes": _word(", ".join(runtimes)) or "none"}
    known = {"system": system} if system in ("linux", "macos", "windows") else {}
    return Device.model_validate({**device.model_dump(), **known, "found": found})


def unknown_system(told: Mapping[str, Any]) -> str:
    """Why it is not known what system a device has, which any tells that is there; empty where it is known."""
    facts = told.get("facts")
    system = facts.get("os") if isinstance(facts, dict) else None
    return _word(system.get("unknown")) if isinstance(system, dict) else ""


def _facts(told: Mapping[str, Any]) -> dict[str, str | int]:
    """What a device says of itself, as far as it can be shown: its words are not trusted."""
    facts = told.get("facts")
    facts = facts if isinstance(facts, dict) else {}
    found: dict[str, str | int] = {}
    for key in ("device", "model", "os", "kernel", "machine", "processor"):
        if isinstance(facts.get(key), str):
            found[key] = _word(facts[key])
    for key, value in (("cores", facts.get("cores")), ("memory_bytes", facts.get("memory_bytes"))):
        if isinstance(value, int):
            found[key] = value
    found["python"] = _word(told.get("python"))
    sensors = told.get("sensors")
    sensors = sensors if isinstance(sensors, dict) else {}
    seen = [str(name) for name, each in sensors.items() if isinstance(each, dict) and each.get("found")]
    found["sensors"] = _word(", ".join(seen), _LONGEST_LIST) or "none"
    control = sensors.get("cgroup memory control")
    if isinstance(control, dict):
        found["cgroups"] = _word(control.get("source") or control.get("reason"))
    return found


def _word(value: Any, longest: int = _LONGEST_WORD) -> str:
    text = "".join(each for each in str(value) if each.isprintable())
    return text[:longest]


def write_profile(device: Device, folder: Path, *, again: bool) -> Path:
    """Writes `NAME.toml`, whole or not at all; its path. Raises `UsageError` where it is there and not meant."""
    path = folder / f"{device.name}.toml"
    if path.is_symlink() or (path.exists() and not again):
        raise UsageError(f"{path} is there already; write it anew with --again, or give another --name")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.write_text(written(device), encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise UsageError(f"{path}: cannot be written ({error.strerror})") from error
    return path
