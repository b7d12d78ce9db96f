"""Reaches the device that a run is on: this machine, the one that was named, or one of a hardware target's."""

from __future__ import annotations

import contextlib
import getpass
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchharness.device.cores import physical_cores
from benchharness.errors import LaunchError
from benchharness.launch import Launcher, Sent, Tenure, unheard
from benchharness.launch.ask import description_of_device
from benchharness.launch.bundle import remove_old_bundles
from benchharness.launch.local import LocalLauncher
from benchharness.launch.tidying import tidy
from benchharness.suite.hardware import HardwareTarget
from benchharness.suite.targets import Target

#: No device has as many cores; one that says so is not believed.
_MOST_CORES = 10_000


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """A hardware target with one of its devices, which has answered, and what a plan wants to know of it."""

    hardware: HardwareTarget
    cores: int  # physical ones, for a model


def choose(target: Target, scratch: Path) -> Chosen:
    """The first of a target's devices that answers and is free, tidied. Raises `LaunchError`: what each said.

    `scratch` is a folder here, tidied too.
    """
    remove_old_bundles(scratch)
    if not target.devices:
        return Chosen(hardware=target.hardware, cores=physical_cores())
    troubles: list[LaunchError] = []
    for device in target.devices:
        hardware = target.hardware.model_copy(update={"device": device})
        try:
            with reached(hardware, scratch) as launcher:
                tidy(launcher, launcher.work_folder("").removesuffix("/runs/"), scratch)
                return Chosen(hardware=hardware, cores=_cores(launcher))
        except LaunchError as error:
            troubles.append(error)
    if len(troubles) == 1:
        raise troubles[0]
    raise LaunchError(f"no device of {target.hardware.name} can be used: {'; '.join(map(str, troubles))}")


@contextlib.contextmanager
def reached(hardware: HardwareTarget, scratch: Path, sent: Sent = unheard) -> Iterator[Launcher]:
    """A launcher for a hardware target's device, as long as it is wanted; `sent` hears how far a file is.

    Raises `LaunchError`, as late as something is wanted of it.
    """
    if hardware.device is None:
        yield LocalLauncher(scratch, str(hardware.python) if hardware.python else None)
        return
    from benchharness.launch.far import FarLauncher  # whoever measures here needs none of it

    device = hardware.device
    tenure = Tenure(holder=f"{getpass.getuser()}@{platform.node()}", lease_s=device.lease_s, detached=device.detached)
    launcher = FarLauncher(device.route, scratch, sent, tenure)
    try:
        yield launcher
    finally:
        launcher.close()


def _cores(launcher: Launcher) -> int:
    told = description_of_device(launcher, 0).get("physical_cores")
    return told if isinstance(told, int) and 0 < told < _MOST_CORES else 1
