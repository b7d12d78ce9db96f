"""An iPhone or iPad that is connected to this Mac: the Mac speaks for it, and must not be taken for it.

What it is, Xcode's `devicectl` tells (`xcrun devicectl list devices`, iOS 17 and later). Its state nobody tells here:
temperature, load, memory, battery are unknown, and never the Mac's own.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchharness.device.connected import udid
from benchharness.device.sensors.readings import Unreadable, unknown

_PATIENCE_S = 60
_MOST_BYTES, _LONGEST = 1 << 22, 100
_NOT_TOLD = "of a device that is connected to a Mac nobody tells it"


def device_id() -> str:
    """Its stable name, as every device has one."""
    return hashlib.sha256(b"benchharness device " + udid().encode()).hexdigest()[:12]


def facts() -> dict[str, Any]:
    """What it is. Never raises."""
    silent = dict.fromkeys(("kernel", "processor", "cores", "memory_bytes"), unknown(_NOT_TOLD))
    told = {"device": device_id(), **silent, "maker": "Apple"}
    try:
        found = listed(udid())
    except Unreadable as error:
        return {**told, **dict.fromkeys(("os", "machine", "model"), unknown(str(error)))}
    hardware, system = _table(found, "hardwareProperties"), _table(found, "deviceProperties")
    platform, version = _word(hardware.get("platform")), _word(system.get("osVersionNumber"))
    build = _word(system.get("osBuildUpdate"))
    name = f"{platform} {version}{f' ({build})' if build else ''}" if platform and version else ""
    machine = _word(_table(hardware, "cpuType").get("name"))
    model = _word(hardware.get("marketingName")) or _word(hardware.get("productType"))
    named = {"os": name, "machine": machine, "model": model}
    return {**told, **{key: value or unknown("devicectl does not say") for key, value in named.items()}}


def instead_of(conditions: Mapping[str, Any]) -> dict[str, Any]:
    """The conditions of this machine as those of the device: unknown, each of them."""
    return dict.fromkeys(conditions, unknown(_NOT_TOLD)) if udid() else dict(conditions)


def listed(wanted: str) -> Mapping[str, Any]:
    """What `devicectl` tells of a device by its UDID. Raises `Unreadable`."""
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "devices.json"
        command = ["xcrun", "devicectl", "list", "devices", "--json-output", str(answer)]
        try:
            done = subprocess.run(command, capture_output=True, timeout=_PATIENCE_S, check=False)
            text = answer.read_bytes()[:_MOST_BYTES]
        except (OSError, subprocess.SubprocessError) as error:
            raise Unreadable(f"xcrun devicectl: {type(error).__name__}; is Xcode 15 or later installed?") from error
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip()[-_LONGEST:]
        raise Unreadable(f"xcrun devicectl ended with exit code {done.returncode}: {said}")
    try:
        devices = json.loads(text)["result"]["devices"]
        found = [each for each in devices if _table(each, "hardwareProperties").get("udid") == wanted]
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise Unreadable("xcrun devicectl prints something else than its list of devices") from error
    if len(found) != 1:
        raise Unreadable(
            "xcrun devicectl does not list it: is it connected, unlocked, trusted, and on iOS 17 or later?"
        )
    listed_as: Mapping[str, Any] = found[0]
    return listed_as


def _table(holder: Any, key: str) -> Mapping[str, Any]:
    found = holder.get(key) if isinstance(holder, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _word(value: Any) -> str:
    """A name as one short line of printable characters."""
    return "".join(each for each in value if each.isprintable())[:_LONGEST] if isinstance(value, str) else ""
