"""A device with nothing on it: no Python, no C library; Android's shell, and a busybox for its toybox.

It is of this machine's kind, or emulated.
"""

from __future__ import annotations

from collections.abc import Mapping
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
#: bookworm's, 7.2, ends with a segmentation fault where onnxruntime 1.32 is imported and ai-edge-litert 2.3 makes an
#: interpreter; this one and sid's 11.1 run both, so the fault is the emulator's.
_OF_EMULATOR = "trixie"
#: An ELF file of 64 bits for aarch64, as qemu's own list for binfmt_misc has it.
_AARCH64 = (
    r"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00:"
    r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"
)


def bare(architecture: str = "amd64") -> Bare:
    """A root of Debian's architecture; a test is skipped where it cannot be had."""
    shell, busybox = _taken(_TOOLS, architecture)
    if architecture == "amd64":
        return Bare(shell=shell, busybox=busybox)
    (emulator,) = _taken({"qemu-user": "usr/bin/qemu-aarch64"}, "amd64", _OF_EMULATOR)
    return Bare(shell=shell, busybox=busybox, emulator=emulator, magic=_AARCH64)


def _taken(files: Mapping[str, str], architecture: str, release: str = debian.RELEASE) -> list[Path]:
    """One file of each package."""
    found = []
    try:
        lock = CACHE / f"{'-'.join(files)}-{release}-{architecture}.lock"
        for package, wanted in zip(debian.locked([*files], architecture, lock, release), files.values(), strict=True):
            path = CACHE / f"{package.sha256[:16]}-{Path(wanted).name}"
            if not path.exists():
                contents = {name: data for name, _, data in debian.contents(debian.fetched(package, CACHE))}
                path.write_bytes(contents[wanted])
                path.chmod(0o755)
            found.append(path)
    except UsageError as error:
        pytest.skip(f"no mirror of Debian can be reached: {error}")
    return found
