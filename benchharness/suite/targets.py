"""What `--on` means: this machine, a device by name, or a hardware target, which is any of its devices."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from benchharness.errors import SuiteError
from benchharness.suite.device import PLAIN_NAME, Device, load_device
from benchharness.suite.fields import THIS_MACHINE
from benchharness.suite.hardware import HardwareTarget, load_hardware
from benchharness.suite.tables import read_toml


class Target(NamedTuple):
    """A hardware target, and its devices; none where it is this machine."""

    hardware: HardwareTarget
    devices: tuple[Device, ...] = ()


def target(word: str, folder: Path) -> Target:
    """What `--on` means: this machine, a device, a hardware target whose devices are known, or a profile's path.

    Raises `SuiteError`.
    """
    if word == THIS_MACHINE or word.endswith(".toml"):
        return _of_file(Path(word), folder) if word != THIS_MACHINE else Target(load_hardware(word))
    known = load_devices(folder)
    if word in known:
        return _of_devices(known[word].hardware, [known[word]], folder)
    of_hardware = [device for device in known.values() if device.hardware == word]
    if not of_hardware:
        raise SuiteError(_unknown(word, known, folder))
    return _of_devices(word, of_hardware, folder)


def _of_file(path: Path, folder: Path) -> Target:
    """A profile by its path: a device's, which says how it is reached, or a hardware target's."""
    if "connect" in read_toml(path):
        device = load_device(path)
        return _of_devices(device.hardware, [device], path.parent)
    hardware = load_hardware(str(path))
    devices = [device for device in load_devices(folder).values() if device.hardware == hardware.name]
    return Target(hardware, tuple(devices))


def _of_devices(hardware: str, devices: list[Device], folder: Path) -> Target:
    """A hardware target without a profile of its own has no budgets."""
    profile = folder.parent / "hardware" / f"{hardware}.toml"
    named = bool(PLAIN_NAME.fullmatch(hardware)) and profile.is_file()
    return Target(load_hardware(str(profile)) if named else HardwareTarget(name=hardware), tuple(devices))


def _unknown(word: str, known: Mapping[str, Device], folder: Path) -> str:
    words = sorted({THIS_MACHINE, *known, *(device.hardware for device in known.values())})
    nearest = difflib.get_close_matches(word, words, n=1)
    hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
    return (
        f"no device and no hardware target is called {word!r}{hint} (known in {folder}: {', '.join(words)}); "
        f"add a device with: benchharness device add ssh://user@host --name {word}"
    )


def load_devices(folder: Path) -> dict[str, Device]:
    """Every device that has a profile, by name. Raises `SuiteError`."""
    return {device.name: device for device in _loaded(folder)}


def _loaded(folder: Path) -> Iterator[Device]:
    for path in sorted(folder.glob("*.toml")):
        yield load_device(path)


def as_known_now(hardware: HardwareTarget, folder: Path) -> HardwareTarget:
    """A hardware target of before, its device reached as its profile says now. Raises `SuiteError`."""
    if hardware.device is None or not (folder / f"{hardware.device.name}.toml").is_file():
        return hardware
    return hardware.model_copy(update={"device": load_device(folder / f"{hardware.device.name}.toml")})
