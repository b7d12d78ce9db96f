"""The way to an Android device over adb."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from benchharness.launch.route import Route

SCHEME = "adb"
#: Where a device keeps what is ours: the one place on a phone where adb's user may write files and start them.
WORK = "/data/local/tmp/benchharness"
#: As `adb devices` lists them: a serial number, `emulator-5554`, `host:port`, or a name of wireless debugging's.
_SERIAL = re.compile(r"[A-Za-z0-9\[][A-Za-z0-9._:\[\]-]{0,199}")
_OF_NETWORK = re.compile(r".+:[0-9]{1,5}")


def serial_of(text: str) -> str:
    """The serial of `adb://SERIAL` or `adb://host:port`; empty where `adb://` is all of it. Raises `ValueError`."""
    scheme, _, serial = text.partition("://")
    if scheme != SCHEME or urlsplit(text).path.strip("/"):
        raise ValueError("write it as adb://SERIAL, as 'adb devices' lists it, or as adb://host:port")
    serial = serial.rstrip("/")
    if serial and not _SERIAL.fullmatch(serial):
        raise ValueError(f"{serial[:80]!r} is no serial; write it as 'adb devices' lists it")
    return serial


def is_over_network(serial: str) -> bool:
    """Whether adb must be told to connect to it."""
    return bool(_OF_NETWORK.fullmatch(serial))


@dataclass(frozen=True, kw_only=True)
class AdbRoute(Route):
    """Which of adb's devices; the only one where `serial` is empty."""

    serial: str
    work: str = WORK

    @property
    def text(self) -> str:
        """For messages."""
        return f"{self.name} (adb://{self.serial})"
