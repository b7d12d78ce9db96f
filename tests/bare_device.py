"""A device with nothing on it: no Python, no C library; Android's shell, and a busybox for its toybox. Of this machine's
kind, or emulated."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from benchharness.errors import UsageError
from benchharness.launch import debian
from tests.adb_device import Bare
from tests.conftest import ROOT

#: What is fetched is kept here from one run of the tests to the next.
CACHE = ROOT / "build" / "phone"
#: Packages, and what is taken of them: linked with nothing, so that it runs where nothing is.
_TOOLS = {"mksh": "usr/lib/klibc/bin/mksh", "busybox-static": "bin/busybox"}
_EMULATOR = "qemu-aarch64-static"
#: An ELF file of 64 bits for aarch64, as qemu's own list for binfmt_misc has it.
_AARCH64 = (
    r"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00:"
    r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"
)


def bare(architecture: str = "amd64") -> Bare:
    """A root of Debian's architecture; a test is skipped where it cannot be had."""
    tools = {}
    try:
        for package in debian.locked(list(_TOOLS), architecture, CACHE / f"bare-{architecture}.lock"):
            for path, _, data in debian.contents(debian.fetched(package, CACHE)):
                if path in _TOOLS.values():
                    tools[path] = CACHE / f"{architecture}-{Path(path).name}"
                    tools[path].write_bytes(data)
    except UsageError as error:
        pytest.skip(f"no mirror of Debian can be reached: {error}")
    shell, busybox = (tools[path] for path in _TOOLS.values())
    if architecture == "amd64":
        return Bare(shell=shell, busybox=busybox)
    return Bare(shell=shell, busybox=busybox, emulator=Path(str(shutil.which(_EMULATOR))), magic=_AARCH64)


def no_emulator() -> str:
    """What is not here; nothing where another machine's programs can be run."""
    return "" if shutil.which(_EMULATOR) else f"{_EMULATOR} is not installed (apt install qemu-user-static)"
