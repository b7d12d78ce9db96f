"""The Python API of devices over SSH, adb or a Mac: they are added, listed, checked, prepared and cleaned.

::

    from benchharness import devices

    asked = devices.asked("ssh://bench@pi5.lab", hardware="raspberry-pi-5")
    presented = devices.host_key(asked)                  # compare its fingerprint before you go on
    devices.add(asked, presented)                        # writes devices/pi5.toml
    devices.add(devices.asked("adb://0A041FDD4003EA", name="pixel8"))   # a phone has no such key
    devices.add(devices.asked("coreml://00008110-000A1D0E2E02801E", name="iphone13"))   # connected to this Mac
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from benchharness.errors import SuiteError, UsageError
from benchharness.execute import checking, preparing
from benchharness.execute.adding import look_at, write_profile
from benchharness.execute.checking import Check
from benchharness.execute.preparing import Prepared, Tell
from benchharness.launch import Sent, unheard
from benchharness.launch.far import FarLauncher
from benchharness.launch.ssh.host_key import HostKey, host_key_of
from benchharness.launch.ssh.route import SshRoute
from benchharness.launch.tidying import Tidied, tidy
from benchharness.locations import default_store, devices_folder, state_folder, wheel_cache
from benchharness.suite.device import Device, named_by, set_prepared
from benchharness.suite.errors import explain
from benchharness.suite.tables import Suite, load_suite
from benchharness.suite.targets import load_devices


def known() -> list[Device]:
    """Every device that has a profile. Raises `SuiteError`."""
    return list(load_devices(devices_folder()).values())


def asked(connect: str, *, name: str | None = None, hardware: str | None = None, **more: Any) -> Device:
    """A device as its user describes it; `more` are the other keys of a profile, None for what is not said.

    Without a name it is called by the first word of its host's, or by its serial. Raises `UsageError`.
    """
    try:
        named = name or _name_of(connect)
        table = {"name": named, "hardware": hardware or named, "connect": connect, **more}
        return Device.model_validate({key: value for key, value in table.items() if value is not None})
    except ValidationError as error:
        raise UsageError(explain(error, Device, "device")) from error
    except ValueError as error:
        raise UsageError(f"{connect}: {error}") from error


def _name_of(connect: str) -> str:
    """What a device is called by its address. Raises `ValueError`."""
    if not (found := named_by(connect)):
        raise ValueError("say what the device is called here: --name NAME")
    return found


def host_key(device: Device) -> HostKey | None:
    """The key that an SSH server there presents, before anything is said to it; any other device has none.

    Raises `LaunchError`.
    """
    route = device.route
    return host_key_of(route) if isinstance(route, SshRoute) else None


def add(device: Device, trusted: HostKey | None = None, *, again: bool = False) -> tuple[Path, Device]:
    """Looks at a device and writes its profile; its path, and the device with what was found.

    Whoever calls it vouches for the host key. Raises `LaunchError`, `UsageError`.
    """
    folder = devices_folder()
    if not again and (folder / f"{device.name}.toml").exists():
        raise UsageError(f"{device.name} has a profile already; write it anew with --again, or give another --name")
    scratch = state_folder(default_store())
    if trusted is None and isinstance(device.route, SshRoute):
        raise UsageError(f"{device.connect}: a host key must be vouched for; ask devices.host_key(device) for it")
    found = look_at(device if trusted is None else device.model_copy(update={"host_key": trusted.text}), scratch)
    return write_profile(found, folder, again=again), found


def named(name: str) -> Device:
    """The device that has a profile under a name. Raises `SuiteError`."""
    folder = devices_folder()
    found = load_devices(folder)
    if name not in found:
        nearest = difflib.get_close_matches(name, found, n=1)
        hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
        raise SuiteError(f"no device is called {name!r}{hint} (known in {folder}: {', '.join(found) or 'none'})")
    return found[name]


def check(name: str, suite: Path | None = None, probe_s: float = 2.0) -> list[Check]:
    """What a device lacks, for a suite or in general, and how noisy it is. Raises `LaunchError`, `SuiteError`."""
    runtimes = runtimes_of(load_suite(suite)) if suite is not None else []
    return checking.check(named(name), runtimes, probe_s, state_folder(default_store()))


def runtimes_of(suite: Suite) -> list[str]:
    """The runtimes that a suite's configurations name, each once."""
    return list(dict.fromkeys(each.runtime for each in suite.configurations))


def prepare(
    name: str, suite: Path | None = None, runtimes: Sequence[str] = (), *, tell: Tell = print, sent: Sent = unheard
) -> Prepared:
    """Makes an environment on a device with the runtimes of a suite, or those named, and writes it into its profile.

    `NAME.lock` beside the profile says which wheels; where there is one, it is kept to. Raises `LaunchError`,
    `UsageError`.
    """
    device = named(name)
    wanted = [*runtimes, *(runtimes_of(load_suite(suite)) if suite is not None else ())]
    if not wanted and not device.packages:
        raise UsageError("say what for: --for SUITE.toml, or --runtime onnxruntime")
    folder = devices_folder()
    made = preparing.prepare(
        device,
        list(dict.fromkeys(wanted)),
        lock=folder / f"{device.name}.lock",
        cache=wheel_cache(),
        scratch=state_folder(default_store()),
        tell=tell,
        sent=sent,
    )
    runs = ", ".join(f"{each.name} {each.version}" for each in made.runtimes if each.available)
    set_prepared(folder / f"{device.name}.toml", made.python, runs)
    return made


def clean(name: str, *, everything: bool = False) -> Tidied:
    """Clears a device of what nobody comes back for, or of all that is ours. Raises `LaunchError`, `DeviceBusy`."""
    device = named(name)
    scratch = state_folder(default_store())
    launcher = FarLauncher(device.route, scratch)
    try:
        return tidy(launcher, launcher.contact.work, scratch, everything=everything)
    finally:
        launcher.close()
