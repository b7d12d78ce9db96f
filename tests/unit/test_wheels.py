"""Wheels for a device: which fit, and the lock that keeps to them."""

from __future__ import annotations

import shutil
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from packaging import tags as reference

from benchharness.device.adapters import BUILT_IN
from benchharness.device.questions import environment
from benchharness.errors import LaunchError, UsageError
from benchharness.execute.preparing import requirements
from benchharness.launch import wheels
from benchharness.launch.wheels import Tags, fetched, lines, tags_of

PI: dict[str, Any] = {
    "implementation": "CPython",
    "version": "3.11.2",
    "free_threaded": False,
    "platform": "linux-aarch64",
    "machine": "aarch64",
    "glibc": "2.36",
    "musl": "",
    "macos": "",
}


def wheel(folder: Path, name: str, version: str = "1.0", text: str = "") -> Path:
    """The smallest wheel that pip installs."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}/__init__.py", text)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: us\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return path


def test_a_pis_tags() -> None:
    found = tags_of(PI)
    assert (found.version, found.abi) == ("311", "cp311")
    assert found.platforms[0] == "manylinux_2_36_aarch64"
    assert {"manylinux_2_17_aarch64", "manylinux2014_aarch64"} <= set(found.platforms)
    assert not [each for each in found.platforms if "2_37" in each]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="compares with this machine's own, which is Linux")
def test_this_machines_tags_are_those_of_packaging() -> None:
    found = tags_of(environment.facts())
    known = {each.platform for each in reference.sys_tags()}
    assert set(found.platforms) <= known
    ours = {each for each in known if each.startswith(("manylinux_2_", "musllinux"))}
    assert {each for each in ours if int(each.split("_")[2]) >= 5} == {
        each for each in found.platforms if "2014" not in each
    }
    assert (f"cp{found.version}", found.abi) in {(each.interpreter, each.abi) for each in reference.sys_tags()}


@pytest.mark.parametrize(
    ("changes", "first", "abi"),
    [
        (
            {"glibc": "", "musl": "1.2", "platform": "linux-x86_64", "machine": "x86_64"},
            "musllinux_1_2_x86_64",
            "cp311",
        ),
        ({"platform": "macosx-14.0-arm64", "machine": "arm64", "macos": "14.5"}, "macosx_14_0_arm64", "cp311"),
        ({"platform": "win-amd64", "machine": "AMD64"}, "win_amd64", "cp311"),
        ({"version": "3.13.0", "free_threaded": True}, "manylinux_2_36_aarch64", "cp313t"),
    ],
)
def test_tags_of_other_systems(changes: dict[str, Any], first: str, abi: str) -> None:
    found = tags_of({**PI, **changes})
    assert (found.platforms[0], found.abi) == (first, abi)


@pytest.mark.parametrize(
    "changes",
    [
        {"implementation": "PyPy"},
        {"version": "three"},
        {"glibc": "", "musl": ""},
        {"machine": "--evil; rm"},
        {"glibc": None},
    ],
)
def test_what_has_no_wheels_is_said(changes: dict[str, Any]) -> None:
    with pytest.raises(LaunchError, match="no wheels are"):
        tags_of({**PI, **changes})


class Index:
    """Stands in for pip's download: puts wheels into a folder, and counts."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        folder.mkdir()
        self.folder = folder
        self.asked: list[list[str]] = []
        monkeypatch.setattr(wheels, "_download", self._download)

    def add(self, *paths: Path) -> None:
        for path in paths:
            shutil.copy(path, self.folder)

    def _download(self, what: Sequence[str], tags: Tags, folder: Path) -> None:
        self.asked.append(list(what))
        for path in self.folder.glob("*.whl"):
            (folder / path.name).write_bytes(path.read_bytes())


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Index:
    made = Index(tmp_path / "index", monkeypatch)
    wheel(made.folder, "tiny")
    return made


def test_a_lock_is_made_once_and_kept_to(index: Index, tmp_path: Path) -> None:
    tags, lock, cache = tags_of(PI), tmp_path / "pi5.lock", tmp_path / "cache"
    first, locked = fetched(["tiny>=1"], tags, lock, cache)
    assert ([each.name for each in first], locked) == (["tiny"], True)
    assert lines(first) in lock.read_text()
    index.asked.clear()
    again, locked = fetched(["tiny>=1"], tags, lock, cache)
    assert (again[0].sha256, locked) == (first[0].sha256, False)
    assert index.asked == [], "what is here was fetched again"


def test_a_wheel_that_was_changed_here_is_not_used(index: Index, tmp_path: Path) -> None:
    tags, lock, cache = tags_of(PI), tmp_path / "pi5.lock", tmp_path / "cache"
    (first,), _ = fetched(["tiny"], tags, lock, cache)
    (second,), _ = fetched(["tiny"], tags, lock, cache)
    second.path.write_bytes(b"something else")
    index.asked.clear()
    (third,), _ = fetched(["tiny"], tags, lock, cache)
    assert index.asked == [["--require-hashes", "-r", str(lock)]]
    assert third.sha256 == first.sha256


def test_other_requirements_or_another_python_are_locked_anew(index: Index, tmp_path: Path) -> None:
    lock, cache = tmp_path / "pi5.lock", tmp_path / "cache"
    fetched(["tiny"], tags_of(PI), lock, cache)
    before = lock.read_text()
    _, locked = fetched(["tiny", "more"], tags_of(PI), lock, cache)
    assert locked
    assert lock.read_text() != before
    _, locked = fetched(["tiny", "more"], tags_of({**PI, "version": "3.12.1"}), lock, cache)
    assert locked


def test_what_pip_cannot_find_is_said_with_its_words(tmp_path: Path) -> None:
    nothing = Tags(version="311", abi="cp311", platforms=("manylinux_2_36_aarch64",))
    with pytest.raises(UsageError, match=r"no wheels for cp311 on manylinux_2_36_aarch64 that are \./nowhere"):
        wheels._download(["./nowhere"], nothing, tmp_path)


def test_requirements_are_those_of_the_extras_that_people_install() -> None:
    import tomllib

    extras = tomllib.loads((Path(__file__).parent.parent.parent / "pyproject.toml").read_text())["project"]
    for name, extra in (
        ("onnxruntime", "onnx"),
        ("tflite", "tflite"),
        ("coreml", "coreml"),
        ("llama-cpp", "llama-cpp"),
        ("litert-lm", "litert-lm"),
    ):
        told = {each.partition(";")[0].strip() for each in extras["optional-dependencies"][extra]}
        assert set(BUILT_IN[name].requires) == told


def test_a_profiles_packages_take_the_place_of_ours() -> None:
    found = requirements(["onnxruntime"], ["ONNXRuntime==1.23.2", "extra"])
    assert "onnxruntime>=1.20" not in found
    assert {"ONNXRuntime==1.23.2", "extra", "numpy", "psutil", "pip"} <= set(found)
    with pytest.raises(UsageError, match="names no package"):
        requirements([], ["--index-url=http://evil"])
