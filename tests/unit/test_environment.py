"""Environments made on a device of wheels that lie there."""

from __future__ import annotations

import ensurepip
import hashlib
import subprocess
from pathlib import Path
from typing import Any

import pytest

from benchharness.device.questions import environment
from tests.unit.test_wheels import wheel

PIP = next((Path(ensurepip.__file__).parent / "_bundled").glob("pip-*.whl"), None)

pytestmark = pytest.mark.skipif(PIP is None, reason="this Python comes without a wheel of pip")


def lock_of(*paths: Path) -> str:
    found = [(*path.name.split("-")[:2], hashlib.sha256(path.read_bytes()).hexdigest()) for path in paths]
    return "".join(f"{name}=={version} --hash=sha256:{digest}\n" for name, version, digest in found)


def made(folder: Path, lock: str, *paths: Path) -> dict[str, Any]:
    assert PIP is not None
    return environment.make(folder, lock, PIP, list(paths))


def test_an_environment_has_what_the_lock_says_and_is_made_once(tmp_path: Path) -> None:
    tiny = wheel(tmp_path, "tiny", text="SIZE = 3")
    folder = tmp_path / "environments" / "one"
    told = made(folder, lock_of(tiny), tiny)
    assert told["made"], told
    command = [told["python"], "-I", "-c", "import tiny; print(tiny.SIZE)"]
    assert subprocess.run(command, capture_output=True, check=True).stdout.strip() == b"3"
    assert made(folder, lock_of(tiny), tiny) == {"python": told["python"], "made": False}


def test_a_wheel_that_is_another_is_refused_and_nothing_stays(tmp_path: Path) -> None:
    tiny = wheel(tmp_path, "tiny")
    lock = lock_of(tiny)
    wheel(tmp_path, "tiny", text="evil = True")
    folder = tmp_path / "environments" / "one"
    assert "do not match" in made(folder, lock, tiny)["refused"].lower()
    assert not folder.exists()


def test_one_that_was_not_made_to_its_end_is_begun_anew(tmp_path: Path) -> None:
    tiny = wheel(tmp_path, "tiny")
    folder = tmp_path / "one"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").write_text("half")
    assert made(folder, lock_of(tiny), tiny)["made"]


def test_a_wheel_that_is_not_there_is_told(tmp_path: Path) -> None:
    tiny = wheel(tmp_path, "tiny")
    lock = lock_of(tiny)
    tiny.unlink()
    assert "tiny" in made(tmp_path / "one", lock, tiny)["refused"]


def test_a_python_without_venv_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "python3-venv" in made(tmp_path / "one", "")["refused"]
