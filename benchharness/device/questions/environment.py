"""Environments on a device: which wheels fit this Python, and making one of wheels that lie here already.

`environment facts` prints what decides. `environment make` reads `{"folder", "lock", "pip", "wheels"}` on standard
input and prints `{"python", "made"}` or `{"refused"}`. Nothing is fetched from anywhere, and every wheel has the hash
that the lock says.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import platform
import re
import shutil
import struct
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from benchharness.device.sensors.readings import ON_LINUX

#: Unpacking a large runtime takes minutes on a slow card.
_PATIENCE_S = 1800.0
_TOLD_CHARACTERS = 2000
_ANSWERING_S = 10.0
#: Of a segment in an ELF file that names the loader, by elf(5).
_PT_INTERP = 3
_LONGEST_PATH = 4096
_COMPLETE = "complete"  # in an environment: the digest of its lock


def facts() -> dict[str, Any]:
    """Interpreter, platform and C library, as the names of wheels tell them."""
    return {
        "implementation": platform.python_implementation(),
        "version": platform.python_version(),
        "free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
        "platform": sysconfig.get_platform(),
        "machine": platform.machine(),
        "glibc": _glibc(),
        "musl": _musl(),
        "macos": platform.mac_ver()[0],
        "venv": importlib.util.find_spec("venv") is not None,
    }


def _glibc() -> str:
    """Its version; empty where there is none."""
    try:
        name, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
    except (AttributeError, ValueError, OSError):
        return ""
    return version if name == "glibc" else ""


def _musl() -> str:
    """The version that this Python's loader tells of itself; empty where it is not musl's.

    Another C library's may lie on the same system, and a phone has none in /lib: the one that counts is in the program.
    """
    loader = _loader(Path(sys.executable)) if ON_LINUX else ""
    if "musl" not in loader:
        return ""
    try:
        done = subprocess.run([loader], capture_output=True, timeout=_ANSWERING_S, check=False)
    except (OSError, subprocess.SubprocessError):
        return ""
    found = re.search(rb"Version (\d+\.\d+)", done.stderr)
    return found[1].decode() if found else ""


def _loader(program: Path) -> str:
    """The path of what loads a program's libraries, by its ELF header (`PT_INTERP`); empty where it names none."""
    try:
        with program.open("rb") as file:
            head = file.read(64)
            order, wide = {1: "<", 2: ">"}[head[5]], {1: False, 2: True}[head[4]]
            at, size, count = (
                struct.unpack_from(f"{order}{kind}", head, place)[0]
                for kind, place in ((("Q", 32), ("H", 54), ("H", 56)) if wide else (("I", 28), ("H", 42), ("H", 44)))
            )
            for position in range(count):
                file.seek(at + position * size)
                row = file.read(size)
                if struct.unpack_from(f"{order}I", row)[0] == _PT_INTERP:
                    first, length = struct.unpack_from(f"{order}{'8xQ16xQ' if wide else '4xI8xI'}", row)
                    file.seek(first)
                    return os.fsdecode(file.read(min(length, _LONGEST_PATH)).rstrip(b"\0"))
    except (OSError, LookupError, struct.error, ValueError):
        pass  # no ELF file
    return ""


def make(folder: Path, lock: str, pip: Path, wheels: list[Path]) -> dict[str, Any]:
    """An environment that holds what the lock says; where it is there already, nothing is done."""
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    digest = hashlib.sha256(lock.encode()).hexdigest()
    marker = folder / _COMPLETE
    if marker.is_file() and marker.read_text() == digest and python.exists():
        return {"python": str(python), "made": False}
    if importlib.util.find_spec("venv") is None:
        return {"refused": "this Python has no module 'venv' (Debian: apt install python3-venv); name another Python"}
    import venv

    shutil.rmtree(folder, ignore_errors=True)  # one that was not made to its end
    try:
        venv.EnvBuilder(with_pip=False, symlinks=os.name != "nt").create(folder)
        trouble = _install(python, lock, pip, wheels)
    except (OSError, subprocess.SubprocessError) as error:
        trouble = f"{type(error).__name__}: {error}"
    if trouble:
        shutil.rmtree(folder, ignore_errors=True)
        return {"refused": trouble}
    marker.write_text(digest)
    return {"python": str(python), "made": True}


def _install(python: Path, lock: str, pip: Path, wheels: list[Path]) -> str:
    """Why it did not succeed; empty where it did. pip runs out of its own wheel: Debian's venv has none."""
    with tempfile.TemporaryDirectory() as scratch:
        wanted = Path(scratch) / "lock.txt"
        wanted.write_text(lock)
        places = [argument for place in sorted({str(wheel.parent) for wheel in wheels}) for argument in ("-f", place)]
        command = [str(python), str(pip / "pip"), "--isolated", "--no-input", "--disable-pip-version-check", "install"]
        command += [
            "--no-index",
            "--no-deps",
            "--require-hashes",
            "--no-cache-dir",
            "--quiet",
            *places,
            "-r",
            str(wanted),
        ]
        done = subprocess.run(command, capture_output=True, check=False, timeout=_PATIENCE_S, stdin=subprocess.DEVNULL)
    if not done.returncode:
        return ""
    words = (done.stderr or done.stdout).decode("utf-8", "backslashreplace").strip()
    return f"pip ended with exit code {done.returncode}: {words[-_TOLD_CHARACTERS:]}"


def main() -> None:
    """Answers one question."""
    if sys.argv[1:] == ["facts"]:
        told = facts()
    else:
        asked = json.load(sys.stdin)
        told = make(Path(asked["folder"]), asked["lock"], Path(asked["pip"]), [Path(each) for each in asked["wheels"]])
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
