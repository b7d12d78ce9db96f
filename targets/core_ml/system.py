"""Which system this is: Core ML is part of macOS, and changes with its build."""

from __future__ import annotations

import platform
import plistlib
import sys
from pathlib import Path

_VERSION_FILE = Path("/System/Library/CoreServices/SystemVersion.plist")


def on_macos() -> bool:
    """Whether Core ML is here."""
    return sys.platform == "darwin"


def macos_version() -> tuple[int, ...]:
    """(15, 6), or () where it cannot be told."""
    return tuple(int(part) for part in platform.mac_ver()[0].split(".") if part.isdigit())


def macos_build() -> str:
    """macOS's build ("24G84"), "unknown" where it is not told."""
    try:
        return str(plistlib.loads(_VERSION_FILE.read_bytes())["ProductBuildVersion"])
    except (OSError, ValueError, KeyError, plistlib.InvalidFileException):
        return "unknown"
