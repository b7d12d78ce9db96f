"""Whether the harness's modules came out of bytecode or were compiled is seen where it happened."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from benchharness.device import modules
from benchharness.device.bytecode import compiled

CODE = "import sys, time; began_s = time.time(); import targets; from modules import how_loaded; print(how_loaded({}))"


def told(folder: Path, code: str = CODE.format("began_s"), **environment: str) -> str:
    """What a process says whose `targets` lies in a folder or zip file; the module that tells is not the harness's."""
    (beside := folder.parent / "beside").mkdir(exist_ok=True)
    (beside / "modules.py").write_text(Path(modules.__file__).read_text())
    environment = {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{beside}", **environment}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, cwd=beside, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def package(tmp_path: Path) -> Path:
    (folder := tmp_path / "there" / "targets").mkdir(parents=True)
    (folder / "__init__.py").touch()
    return folder.parent


def test_the_first_to_import_a_module_compiles_it_and_the_next_does_not(package: Path) -> None:
    assert [told(package) for _ in range(2)] == [modules.COMPILED, modules.KEPT]


def test_where_python_may_write_nothing_everybody_does(package: Path) -> None:
    assert [told(package, PYTHONDONTWRITEBYTECODE="1") for _ in range(2)] == [modules.COMPILED] * 2


def test_so_does_everybody_out_of_a_bundle_but_not_out_of_its_copy(tmp_path: Path) -> None:
    bundle = tmp_path / "device.pyz"
    with zipfile.ZipFile(bundle, "w") as archive:
        archive.writestr("targets/__init__.py", "")
    assert [told(path) for path in (bundle, bundle, compiled(bundle))] == [modules.COMPILED] * 2 + [modules.KEPT]
