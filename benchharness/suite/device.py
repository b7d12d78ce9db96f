"""A device: one unit of a hardware target, and how it is reached, from `devices/NAME.toml`.

A profile is written by `benchharness device add`, and can be written by hand. Its paths are the device's own, but for
`key`, which is a file here.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationError, model_validator

from benchharness.errors import SuiteError
from benchharness.launch.adb import route as adb
from benchharness.launch.core_ml import route as core_ml
from benchharness.launch.route import Route
from benchharness.launch.ssh import route as ssh
from benchharness.suite.errors import explain
from benchharness.suite.fields import LONGEST_NAME, THIS_MACHINE, Name, Seconds, Table
from benchharness.suite.meter import Meter
from benchharness.suite.tables import System, read_toml

#: A name becomes a file's.
PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
#: How long a supervisor goes on that hears nothing from its host: a line can go silent without being cut.
_LEASE_S = 60.0
#: And one whose attempts are detached.
_DETACHED_LEASE_S = 3600.0


@dataclass(frozen=True)
class _Kind:
    """How devices of one scheme are reached."""

    check: Callable[[str], object]  # of an address: raises `ValueError`
    route: Callable[[Device, Mapping[str, Any]], Route]  # with what every route says
    name: Callable[[str], str]  # what a device is called by its address; empty where that does not say
    without_keys: str = ""  # why keys of SSH's have no place in a profile; empty where they have


def _address(text: str) -> str:
    _kind(text).check(text)
    return text


def _kind(connect: str) -> _Kind:
    return _KINDS.get(connect.partition(":")[0], _KINDS[ssh.SCHEME])


def named_by(connect: str) -> str:
    """What a device is called by its address; empty where that does not say. Raises `ValueError`."""
    return _kind(connect).name(connect)


def _ssh_address(text: str) -> str:
    ssh.address(text)
    return text


def device_name(value: str) -> str:
    """Checks a name that becomes a file's. Raises `ValueError`."""
    if not PLAIN_NAME.fullmatch(value) or len(value) > LONGEST_NAME:
        raise ValueError(f"a device's name is letters, digits, '.', '_' and '-', {LONGEST_NAME} at most")
    return value


Line = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_address)]
Jump = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_ssh_address)]


class Device(Table):
    """One unit, and how it is reached. What it was found to be when it was added stands in `found`, for people."""

    name: Annotated[str, AfterValidator(device_name)]
    hardware: Name
    connect: Line
    jump: Jump | None = None  # through this host; its key is looked up in the user's known_hosts
    key: Path | None = None  # a private key here; else the SSH agent's, or those of the user's own .ssh
    host_key: Annotated[str, Field(max_length=10_000)] | None = None  # "ssh-ed25519 AAAA…"; else from known_hosts
    python: Annotated[str, Field(min_length=1, max_length=1000)] = "python3"
    work: Annotated[str, Field(min_length=1, max_length=1000)] | None = None  # else where such a device has it
    system: System = "linux"
    packages: tuple[str, ...] = ()  # what `device prepare` installs beside, or instead of, what a suite needs
    detached: bool = False
    lease: Seconds | None = None
    found: Mapping[str, str | int] = {}  # pydantic copies it
    labels: Mapping[str, str] = {}  # what a farm can be asked for it by
    meter: Meter | None = None  # an external one of its power

    @model_validator(mode="after")
    def _has_what_its_line_needs(self) -> Device:
        said = [key for key in ("jump", "key", "host_key") if getattr(self, key) is not None]
        if said and (why_not := _kind(self.connect).without_keys):
            raise ValueError(f"{', '.join(said)}: of devices over SSH; {why_not}")
        return self

    @property
    def route(self) -> Route:
        """The way to it."""
        where = {} if self.work is None else {"work": self.work}
        return _kind(self.connect).route(self, {"name": self.name, "python": self.python, **where})

    @property
    def lease_s(self) -> float:
        """How long its supervisor goes on without its host."""
        return self.lease or (_DETACHED_LEASE_S if self.detached else _LEASE_S)


def _over_adb(device: Device, there: Mapping[str, Any]) -> Route:
    return adb.AdbRoute(**there, system=device.system, serial=adb.serial_of(device.connect))


def _over_ssh(device: Device, there: Mapping[str, Any]) -> Route:
    return ssh.SshRoute(
        **there,
        system=device.system,
        address=ssh.address(device.connect),
        jump=ssh.address(device.jump) if device.jump else None,
        key=device.key,
        host_key=device.host_key,
    )


def _at_this_mac(device: Device, there: Mapping[str, Any]) -> Route:
    """With the Python that runs this, where no other is named: both are on this Mac."""
    own = {} if device.python != Device.model_fields["python"].default else {"python": sys.executable}
    return core_ml.CoreMLRoute(**{**there, **own}, udid=core_ml.udid_of(device.connect))


def _named_by_host(connect: str) -> str:
    host = ssh.address(connect).host
    named = host if host.replace(".", "").isdigit() or ":" in host else host.partition(".")[0]
    return named.replace(":", "-")


def _named_by_serial(connect: str) -> str:
    return adb.serial_of(connect).strip("[").replace(":", "-").replace("]", "")


def _unnamed(connect: str) -> str:
    core_ml.udid_of(connect)
    return ""


_KINDS = {
    ssh.SCHEME: _Kind(ssh.address, _over_ssh, _named_by_host),
    adb.SCHEME: _Kind(adb.serial_of, _over_adb, _named_by_serial, "over adb the device itself authorises computers"),
    core_ml.SCHEME: _Kind(core_ml.udid_of, _at_this_mac, _unnamed, "this Mac needs none for what is connected to it"),
}


def load_device(path: Path) -> Device:
    """A device from its profile. Raises `SuiteError`."""
    table = read_toml(path)
    table.setdefault("name", path.stem)
    try:
        device = Device.model_validate(table)
    except ValidationError as error:
        raise SuiteError(explain(error, Device, str(path))) from error
    if device.name == THIS_MACHINE:
        raise SuiteError(f"{path}: {THIS_MACHINE!r} is the machine that benchharness runs on; choose another name")
    if device.key is not None:
        device = device.model_copy(update={"key": path.parent.absolute() / device.key.expanduser()})
    return device


def written(device: Device) -> str:
    """A device's profile as a file says it; what is as usual is left out."""
    table = device.model_dump(mode="json", exclude={"name", "found", "labels", "lease", "meter"}, exclude_defaults=True)
    lines = [f"{key} = {_value(value)}" for key, value in table.items()]
    if device.lease is not None:
        lines.append(f"lease = {_value(f'{device.lease:g} s')}")
    found = [f"{key} = {_value(value)}" for key, value in device.found.items()]
    if found:
        lines += ["", "[found]  # when it was added or prepared; nothing is decided by it", *found]
    if device.meter is not None:
        meter = device.meter.model_dump(mode="json", exclude_defaults=True)
        lines += ["", "[meter]", *(f"{key} = {_value(value)}" for key, value in meter.items())]
    if device.labels:
        lines += ["", "[labels]", *(f"{_value(key)} = {_value(value)}" for key, value in device.labels.items())]
    return "\n".join([*lines, ""])


def _value(value: Any) -> str:
    """TOML's basic strings, numbers and lists are JSON's, but for one control character."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def set_prepared(path: Path, python: str, runtimes: str) -> None:
    """Writes into a profile which interpreter was made, and what runs in it where that is known; all else stays.

    Its comments too. Raises `SuiteError`.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        first_table = next((at for at, each in enumerate(lines) if each.lstrip().startswith("[")), len(lines))
        found = next((at for at, each in enumerate(lines) if re.match(r"\s*\[found\]", each)), None)
        if found is not None and runtimes:
            after = next((at for at in range(found + 1, len(lines)) if lines[at].lstrip().startswith("[")), len(lines))
            _set(lines, found + 1, after, "runtimes", runtimes)
        _set(lines, 0, first_table, "python", python)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.write_text("\n".join([*lines, ""]), encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        told = f"python = {_value(python)}"
        raise SuiteError(f"{path}: cannot be written ({error.strerror}); write into it: {told}") from error


def _set(lines: list[str], begin: int, end: int, key: str, value: str) -> None:
    """Sets a key among the lines of one table, behind the others where it is new."""
    line = f"{key} = {_value(value)}"
    said = next((at for at in range(begin, end) if re.match(rf"\s*{key}\s*=", lines[at])), None)
    if said is None:
        lines.insert(max((at + 1 for at in range(begin, end) if lines[at].strip()), default=begin), line)
    else:
        lines[said] = line
