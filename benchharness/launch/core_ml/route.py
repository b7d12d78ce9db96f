"""The way to an iPhone or iPad that is connected to this Mac."""

from __future__ import annotations

import re
from dataclasses import dataclass

from benchharness.launch.route import Route

SCHEME = "coreml"
#: Where what is ours is kept on this Mac.
WORK = "~/.benchharness"
#: As Xcode has them: 00008110-000A1D0E2E02801E, older ones 40 hexadecimal digits.
_UDID = re.compile(r"[0-9A-Fa-f]{8}-[0-9A-Fa-f]{16}|[0-9A-Fa-f]{40}")


def udid_of(text: str) -> str:
    """The UDID of `coreml://UDID`. Raises `ValueError`."""
    scheme, _, udid = text.partition("://")
    if scheme != SCHEME or not _UDID.fullmatch(udid.rstrip("/")):
        raise ValueError(
            "write it as coreml://UDID, such as coreml://00008110-000A1D0E2E02801E: 'xcrun devicectl list devices' has "
            "the devices, and with --verbose their UDIDs"
        )
    return udid.rstrip("/")


@dataclass(frozen=True, kw_only=True)
class CoreMLRoute(Route):
    """Which of the devices that are connected to this Mac; its Python and work folder are the Mac's."""

    udid: str
    work: str = WORK
    system: str = "macos"

    @property
    def text(self) -> str:
        """For messages."""
        return f"{self.name} ({SCHEME}://{self.udid})"
