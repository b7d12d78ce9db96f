"""A bundle with its bytecode: what is imported out of it is not compiled again; one without it runs all the same."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from benchharness.device.bytecode import compiled
from benchharness.device.processes.device_program import device_program, with_bytecode


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


def test_bytecode_of_another_version_is_passed_over(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "MAGIC_NUMBER", b"\0\0\r\n")
    assert said(compiled(bundle)) == "py"


def test_one_that_cannot_be_made_leaves_nothing_behind(bundle: Path) -> None:
    with zipfile.ZipFile(bundle, "a") as archive:
        archive.writestr("newer.py", "this is no Python")
    with pytest.raises(SyntaxError):
        compiled(bundle)
    assert list(bundle.parent.iterdir()) == [bundle]


@pytest.mark.parametrize("says", ["exit 1", "echo /etc/passwd", 'echo "$1.none"', "printf '\\377'"])
def test_an_interpreter_that_makes_none_runs_out_of_the_bundle(bundle: Path, says: str) -> None:
    python = bundle.with_name("python")
    python.write_text(f"#!/bin/sh\n{says}\n")
    python.chmod(0o755)
    assert with_bytecode(str(python), str(bundle)) == str(bundle)


def test_one_that_is_not_there_is_told_when_the_worker_is_started(bundle: Path) -> None:
    gone = str(bundle.with_name("gone"))
    assert device_program("benchharness.device.worker", gone, str(bundle))[:2] == [gone, str(bundle)]


def test_what_is_installed_needs_no_bundle() -> None:
    command = device_program("benchharness.device.worker", None, None)
    assert command == [sys.executable, "-m", "benchharness.device.worker"]
