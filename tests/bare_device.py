"""A device with nothing on it: no Python, no C library; Android's shell, and a busybox for its toybox.

It is of this machine's kind, or emulated.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from benchharness import api, devices
from benchharness.errors import UsageError
from benchharness.launch import debian
from benchharness.results.result import OutcomeKind
from tests.adb_device import Bare, Phone
from tests.conftest import ARTEFACTS, ROOT

#: What is fetched is kept here from one run of the tests to the next.
CACHE = ROOT / "build" / "phone"
#: What runs in a complete run: a model for each of two runtimes.
VARIANTS = ("onnx-fp32", "tflite-int8")
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


def complete_run(phone: Phone, machine: str, timeout: str = "120 s") -> None:
    """Added, prepared, run: every outcome fine, and the figures there that the same model has here."""
    _, added = devices.add(devices.asked(f"adb://{phone.serial}", name="whole"))
    assert added.found["machine"] == machine
    made = devices.prepare("whole", runtimes=["onnxruntime", "tflite"], tell=lambda _: None)
    assert [(each.name, each.available, each.reason) for each in made.runtimes] == [
        ("onnxruntime", True, ""),
        ("tflite", True, ""),
    ]
    suite = {
        "models": {"demo": {"variants": {name: {"artefact": str(ARTEFACTS / name)} for name in VARIANTS}}},
        "configurations": [{"runtime": "onnxruntime", "threads": 1}, {"runtime": "tflite", "threads": 1}],
        "workloads": [{"prompt": {"tokens": 8}, "output_tokens": 4}],
        "attempts": {"at_least": 1, "at_most": 1, "timeout": timeout, "entry_gate": "0 s"},
        "scenarios": {"first-token": {"min_time": "1 ms"}, "steady": {"min_time": "1 ms"}},
    }
    here, there = api.run_on(["this-machine", "whole"], suite)
    assert [each.outcome.kind for each in there.results] == [OutcomeKind.OK] * 4, [
        (each.outcome, each.job.variant) for each in there.results
    ]
    figures = [
        {(each.job.key, metric.name) for each in run.results for metric in each.metrics} for run in (here, there)
    ]
    assert {name for _, name in figures[1]} == {name for _, name in figures[0]}
    assert phone.processes() == []
    assert not [each for each in (phone.work / "runs").iterdir() if each.is_dir()]
