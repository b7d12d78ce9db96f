"""Wheels for a device, fetched here, and the lock that says which ones they are.

pip resolves and fetches them for the device's Python and platform, whatever this machine is. The lock is made once, and
from then on the same files are installed: by hash, here and there.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from benchharness.errors import LaunchError, UsageError

#: Fetching half a gigabyte over a slow line.
_PATIENCE_S = 3600.0
_TOLD_CHARACTERS = 2000
#: The oldest C library that a wheel of the kind may ask for.
_OLDEST_GLIBC, _OLDEST_MACOS = 5, 11
_FIRST_LINE = "# What benchharness installs on this device, by hash. Delete this file to have the newest ones. For "


@dataclass(frozen=True, kw_only=True)
class Tags:
    """Which wheels fit: as pip takes it."""

    version: str  # "311"
    abi: str  # "cp311"
    platforms: tuple[str, ...]  # the best first

    @property
    def text(self) -> str:
        """For a lock's first line."""
        return f"{self.abi} on {self.platforms[0]}"


@dataclass(frozen=True, kw_only=True)
class Wheel:
    """One file, and what it installs."""

    path: Path
    name: str
    version: str
    sha256: str


def tags_of(facts: Mapping[str, Any]) -> Tags:
    """The tags of a device's Python (`device.questions.environment`). Raises `LaunchError` for one without wheels."""
    found = re.fullmatch(r"(\d+)\.(\d+)\..*", str(facts.get("version")))
    if facts.get("implementation") != "CPython" or found is None:
        raise LaunchError(
            f"no wheels are made for {str(facts.get('implementation'))[:40]} {str(facts.get('version'))[:40]}"
        )
    version = f"{found[1]}{found[2]}"
    threads = "t" if facts.get("free_threaded") else ""
    platforms = _platforms(facts)
    if not platforms:
        raise LaunchError(f"no wheels are known for {str(facts.get('platform'))[:80]}: it has neither glibc nor musl")
    return Tags(version=version, abi=f"cp{version}{threads}", platforms=tuple(platforms))


def _platforms(facts: Mapping[str, Any]) -> list[str]:
    system, machine = str(facts.get("platform")), str(facts.get("machine"))
    if not re.fullmatch(r"\w+", machine):
        return []
    if system.startswith("win"):
        return [system.replace("-", "_")]
    if system.startswith("macosx"):
        major = int((re.match(r"\d+", str(facts.get("macos"))) or ["0"])[0])
        kinds = (machine, "universal2")
        return [f"macosx_{each}_0_{kind}" for each in range(major, _OLDEST_MACOS - 1, -1) for kind in kinds]
    for name, key, oldest in (("manylinux", "glibc", _OLDEST_GLIBC), ("musllinux", "musl", 1)):
        found = re.match(r"(\d+)\.(\d+)", str(facts.get(key)))
        if found:
            minors = range(min(int(found[2]), 200), oldest - 1, -1)
            known = [f"{name}_{found[1]}_{minor}_{machine}" for minor in minors]
            return [*known, f"manylinux2014_{machine}"] if name == "manylinux" else known
    return []


def fetched(requirements: Sequence[str], tags: Tags, lock: Path, cache: Path) -> tuple[list[Wheel], bool]:
    """The wheels that a lock names, else those that pip finds, which are locked from then on; whether they were.

    `cache` is a folder here that keeps them. Raises `UsageError` where pip finds none that fit.
    """
    first = f"{_FIRST_LINE}{', '.join(sorted(requirements))}; {tags.text}\n"
    before = lock.read_text(encoding="utf-8") if lock.is_file() else ""
    cache.mkdir(parents=True, exist_ok=True)
    if before.startswith(first):
        return _locked(before, tags, lock, _kept(cache, before)), False
    with tempfile.TemporaryDirectory(dir=cache) as fresh:
        _download(list(requirements), tags, Path(fresh))
        text = first + lines(_here(Path(fresh)))
        folder = _kept(cache, text)
        for wheel in Path(fresh).iterdir():
            wheel.replace(folder / wheel.name)
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock.write_text(text, encoding="utf-8")
    return _here(folder), True


def _kept(cache: Path, lock: str) -> Path:
    """The folder of the wheels that a lock of this text names."""
    folder = cache / hashlib.sha256(lock.encode()).hexdigest()[:16]
    folder.mkdir(exist_ok=True)
    return folder


def _locked(text: str, tags: Tags, lock: Path, folder: Path) -> list[Wheel]:
    """The files that a lock names, fetched where one of them is not here, or is here and another."""
    wanted = set(re.findall(r"--hash=sha256:([0-9a-f]{64})", text))
    found = [each for each in _here(folder) if each.sha256 in wanted]
    if len(found) < len(wanted):
        for each in folder.glob("*.whl"):
            each.unlink()  # pip keeps what is there by its name, whatever is in it
        _download(["--require-hashes", "-r", str(lock)], tags, folder)
        found = [each for each in _here(folder) if each.sha256 in wanted]
    return found


def _here(folder: Path) -> list[Wheel]:
    return sorted((_wheel(path) for path in folder.glob("*.whl")), key=lambda each: each.name)


def lines(wheels: Sequence[Wheel]) -> str:
    """Requirements with hashes, one a wheel."""
    return "".join(f"{each.name}=={each.version} --hash=sha256:{each.sha256}\n" for each in wheels)


def _download(what: Sequence[str], tags: Tags, folder: Path) -> None:
    if find_spec("pip") is None:
        raise UsageError(f"wheels are fetched by pip, which {sys.executable} does not have: python -m ensurepip")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
    command += ["--only-binary=:all:", "--implementation", "cp", "--python-version", tags.version, "--abi", tags.abi]
    command += [argument for each in tags.platforms for argument in ("--platform", each)]
    with tempfile.TemporaryFile() as words:
        command += ["--dest", str(folder), *what]
        try:
            done = subprocess.run(
                command, stdout=words, stderr=words, stdin=subprocess.DEVNULL, timeout=_PATIENCE_S, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise UsageError(f"fetching wheels did not end within {_PATIENCE_S / 60:g} min") from error
        if done.returncode:
            words.seek(0)
            told = words.read()[-_TOLD_CHARACTERS:].decode("utf-8", "backslashreplace").strip()
            raise UsageError(f"no wheels for {tags.text} that are {', '.join(what)[:300]}: {told}")


def _wheel(path: Path) -> Wheel:
    try:
        name, version, _, _ = parse_wheel_filename(path.name)
    except InvalidWheelFilename as error:
        raise UsageError(f"{path}: pip fetched what is no wheel: {error}") from error
    return Wheel(path=path, name=str(name), version=str(version), sha256=hashlib.sha256(path.read_bytes()).hexdigest())
