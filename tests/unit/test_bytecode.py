"""A bundle with its bytecode: what is imported out of it is not compiled again; one without it runs all the same."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchharness.device import bytecode
from benchharness.device.bytecode import compiled, kind
from benchharness.device.processes.device_program import device_program, with_bytecode
from benchharness.errors import Unsupported

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    path = tmp_path / "device-0123456789ab.pyz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("__main__.py", "import told")
        archive.writestr("told.py", "print(__file__.rpartition('.')[2])")
        archive.writestr("told.js", "data")
    return path


def said(bundle: Path) -> str:
    return subprocess.run([sys.executable, str(bundle)], capture_output=True, text=True, check=True).stdout.strip()


def test_what_is_imported_out_of_it_is_not_compiled_again(bundle: Path) -> None:
    made = compiled(bundle)
    assert (said(bundle), said(made)) == ("py", "pyc")
    with zipfile.ZipFile(made) as archive:
        assert archive.namelist() == ["__main__.py", "__main__.pyc", "told.py", "told.pyc", "told.js"]


def test_it_is_made_once_and_nothing_else_is_left(bundle: Path) -> None:
    made = compiled(bundle)
    before = made.stat()
    assert compiled(bundle) == made
    assert made.stat().st_mtime_ns == before.st_mtime_ns
    assert sorted(bundle.parent.iterdir()) == [bundle, made]


def test_builds_of_one_version_with_another_bytecode_have_a_copy_each(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = compiled(bundle)
    monkeypatch.setattr(importlib.util, "MAGIC_NUMBER", b"\0\0\r\n")
    theirs = compiled(bundle)
    assert (said(ours), said(theirs)) == ("pyc", "py")  # what is of no use is passed over


def half(copy: Path) -> None:
    copy.write_bytes(copy.read_bytes()[: copy.stat().st_size // 2])


def zeros(copy: Path) -> None:
    """As a power cut leaves what was not on the disk yet."""
    content = copy.read_bytes()
    at = content.index(b"told.pyc") + len("told.pyc")
    copy.write_bytes(content[:at] + bytes(40) + content[at + 40 :])


def of_another_bundle(copy: Path) -> None:
    with zipfile.ZipFile(copy, "w") as archive:
        for name in ("__main__.py", "told.py", "told.js"):
            archive.writestr(name, "print('another')")
            archive.writestr(f"{name}c", "")


@pytest.mark.parametrize("damaged", [half, zeros, of_another_bundle, Path.touch], ids=lambda each: each.__name__)
def test_a_copy_that_is_not_whole_is_made_again(bundle: Path, damaged: Callable[[Path], None]) -> None:
    path = compiled(bundle)
    if damaged is Path.touch:
        path.unlink()
    damaged(path)
    assert said(compiled(bundle)) == "pyc"
    assert sorted(bundle.parent.iterdir()) == [bundle, path]


def test_one_that_another_made_meanwhile_is_left_to_those_who_read_it(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = compiled(bundle)
    content = theirs.read_bytes()
    theirs.unlink()
    write = bytecode._write

    def slowly(*arguments: Any) -> None:
        write(*arguments)
        theirs.write_bytes(content)
        os.utime(theirs, (1, 1))

    monkeypatch.setattr(bytecode, "_write", slowly)
    assert compiled(bundle).stat().st_mtime == 1


def test_a_clock_that_nobody_has_set_keeps_none_from_being_made(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 0.0)
    monkeypatch.setattr(time, "localtime", lambda *_: time.gmtime(0))
    assert said(compiled(bundle)) == "pyc"


def test_checks_stay_in_it_whoever_makes_it(bundle: Path) -> None:
    with zipfile.ZipFile(bundle, "w") as archive:
        archive.writestr("__main__.py", "assert False, 'kept'")
    environment = {**os.environ, "PYTHONOPTIMIZE": "2", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "benchharness.device.bytecode", str(bundle)]
    assert subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip() == kind()
    done = subprocess.run([sys.executable, compiled(bundle)], capture_output=True, text=True, check=False)
    assert "kept" in done.stderr


def test_one_that_cannot_be_made_leaves_nothing_behind(bundle: Path) -> None:
    with zipfile.ZipFile(bundle, "a") as archive:
        archive.writestr("newer.py", "this is no Python")
    with pytest.raises(SyntaxError):
        compiled(bundle)
    assert list(bundle.parent.iterdir()) == [bundle]


def interpreter(path: Path, says: str) -> str:
    path.write_text(f"#!/bin/sh\n{says}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize("says", ["exit 1", "echo ../passwd", "echo none", "echo 'no kind/'", "printf '\\377'", ""])
def test_an_interpreter_that_makes_none_runs_out_of_the_bundle(bundle: Path, says: str) -> None:
    assert with_bytecode(interpreter(bundle.with_name("python"), says), str(bundle)) == str(bundle)


def test_what_start_up_files_print_is_not_taken_for_its_name(bundle: Path) -> None:
    bundle.with_name(f"{bundle.name}.kind").touch()
    python = interpreter(bundle.with_name("python"), "echo welcome; echo kind")
    assert with_bytecode(python, str(bundle)) == f"{bundle}.kind"


def test_one_that_was_tidied_away_is_made_again(bundle: Path) -> None:
    copy = bundle.with_name(f"{bundle.name}.kind")
    python = interpreter(bundle.with_name("python"), f"touch '{copy}'; echo kind")
    assert with_bytecode(python, str(bundle)) == str(copy)
    copy.unlink()
    assert with_bytecode(python, str(bundle)) == str(copy)


def test_an_interpreter_that_cannot_be_started_is_told_with_the_systems_reason(bundle: Path) -> None:
    gone = str(bundle.with_name("gone"))
    with pytest.raises(Unsupported, match=f"the worker could not be started: {gone}: No such file or directory"):
        device_program("benchharness.device.worker", gone, str(bundle))


ASKED_BESIDE_ANOTHER = """
import os, subprocess, sys
from benchharness.device.processes import leftovers
from benchharness.device.processes.device_program import with_bytecode

if not leftovers.adopt_orphans():
    sys.exit("orphans are not handed to us here")
left = int(subprocess.run(["sh", "-c", "setsid sleep 600 >/dev/null & echo $!"], stdout=subprocess.PIPE).stdout)
with_bytecode(*sys.argv[1:])
with open(f"/proc/{left}/stat") as stat:
    print(stat.read().rpartition(") ")[2][0])
os.kill(left, 9)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere orphans belong to the system")
def test_making_it_ends_nothing_that_another_program_of_the_conductor_left(bundle: Path) -> None:
    """A scorer at work may have started what left it, and may need it."""
    python = interpreter(bundle.with_name("python"), "echo kind-1")
    command = [sys.executable, "-c", ASKED_BESIDE_ANOTHER, python, str(bundle)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if "orphans are not" in done.stderr:
        pytest.skip("orphans are not handed to us here")
    assert done.stdout.strip() in ("S", "R"), done.stderr


def test_what_is_installed_needs_no_bundle() -> None:
    command = device_program("benchharness.device.worker", None, None)
    assert command == [sys.executable, "-m", "benchharness.device.worker"]
