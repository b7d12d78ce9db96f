"""Files brought by a device's shell alone: what the shell says is not trusted, and any name of a folder is one."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from benchharness.errors import LaunchError
from benchharness.launch import by_shell
from benchharness.launch.channel import Channel


class Said(Channel):
    """A command that has said something and ended."""

    def __init__(self, said: bytes, code: int = 0) -> None:
        super().__init__()
        os.write(self.outer, said)
        os.close(self.outer)
        os.close(self.inner)
        self.code = code
        self._ended.set()

    def end(self) -> None:
        self._ended.set()


class Shell:
    """This machine's own, or one that says what it is told to."""

    def __init__(self, said: bytes | None = None) -> None:
        self._said = said

    def start(self, command: Sequence[str]) -> Channel:
        if self._said is not None:
            return Said(self._said)
        done = subprocess.run(command, input=b"content", capture_output=True, check=False, timeout=120)
        return Said(done.stdout, done.returncode)

    def close(self) -> None:
        """Nothing."""


def put(shell: Shell, path: Path, file: Path) -> None:
    line: Any = shell
    by_shell.put(line, file, str(path), hashlib.sha256(b"content").hexdigest(), lambda *_: None)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "file"
    made.write_bytes(b"content")
    return made


@pytest.mark.parametrize("said", ["\u00b2\n", "-1\n", "8\n", "\n", "put\n", "9" * 5000])
def test_a_size_that_is_none_ends_in_words(file: Path, tmp_path: Path, said: str) -> None:
    with pytest.raises(LaunchError, match="cannot be put there"):
        put(Shell(said.encode()), tmp_path / "there", file)


@pytest.mark.parametrize("name", ["plain", "a folder", "back\\slash", "$(touch odd)", "-n", "new\nline"])
def test_any_folder_can_be_put_into(file: Path, tmp_path: Path, name: str) -> None:
    there = tmp_path / name / "program"
    put(Shell(), there, file)
    assert there.read_bytes() == b"content"
    assert [each.name for each in there.parent.iterdir()] == ["program"]
    put(Shell(b"there\n"), there, file)
