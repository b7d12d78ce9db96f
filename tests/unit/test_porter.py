"""The program that takes files in on a device, spoken to as a host does, and as nobody should."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from benchharness.device.line import porter
from benchharness.launch.porter import _DOOR
from benchharness.launch.shell import BEGIN

PROGRAM = Path(porter.__file__)


def old_python() -> str:
    """An interpreter before 3.9 that works here, on the path or among pyenv's; nothing where there is none."""
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    names = ("python3.8", "python3.7", "python3.6")
    found = [*filter(None, map(shutil.which, names)), *map(str, sorted(root.glob("versions/3.[678].*/bin/python3")))]
    works = (
        each for each in found if subprocess.run([each, "-c", ""], check=False, capture_output=True).returncode == 0
    )
    return next(works, "")


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Talk:
    """One porter, and the line to it."""

    def __init__(self, work: Path) -> None:
        self._work = work
        self.process = subprocess.Popen([sys.executable, PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, **request: Any) -> dict[str, Any]:
        self.say(json.dumps({"work": str(self._work), **request}).encode() + b"\n")
        return self.hear()

    def say(self, data: bytes) -> None:
        stream: IO[bytes] | None = self.process.stdin
        assert stream is not None
        stream.write(data)
        stream.flush()

    def hear(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "it has ended"
        told: dict[str, Any] = json.loads(line)
        return told

    def put(self, name: str, data: bytes, digest: str | None = None) -> dict[str, Any]:
        told = self.ask(wants="put", name=name, size=len(data), digest=digest or sha256(data))
        if "refused" in told or told["have"] == len(data):
            return told if "refused" in told else {**self.hear(), "sent": 0}
        self.say(data[told["have"] :])
        return {**self.hear(), "sent": len(data) - told["have"]}

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(120)
        self.process.stdout.close()


@pytest.fixture
def work(tmp_path: Path) -> Path:
    return tmp_path / "home" / "work"


@pytest.fixture
def talk(work: Path) -> Iterator[Talk]:
    made = Talk(work)
    yield made
    made.close()


def test_the_work_folder_is_its_users_alone(talk: Talk, work: Path) -> None:
    told = talk.ask(wants="contact")
    assert told["work"] == str(work)
    assert told["executable"] == sys.executable
    assert work.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_others_could_use_is_closed(work: Path) -> None:
    work.mkdir(parents=True)
    work.chmod(0o777)
    talk = Talk(work)
    assert "work" in talk.ask(wants="contact")
    assert work.stat().st_mode & 0o777 == 0o700
    talk.close()


def test_a_file_is_put_once(talk: Talk, work: Path) -> None:
    data = os.urandom(3_000_000)
    assert talk.put("a/b/model", data) == {"path": str(work / "a/b/model"), "sent": len(data)}
    assert (work / "a/b/model").read_bytes() == data
    assert talk.put("a/b/model", data)["sent"] == 0
    assert talk.put("empty", b"")["path"] == str(work / "empty")
    assert (work / "empty").read_bytes() == b""


def test_half_a_file_is_gone_on_with(work: Path) -> None:
    data = os.urandom(5_000_000)
    first = Talk(work)
    assert first.ask(wants="put", name="model", size=len(data), digest=sha256(data)) == {"have": 0}
    first.say(data[:2_000_000])
    first.close()
    assert not (work / "model").exists()
    second = Talk(work)
    assert second.put("model", data)["sent"] == 3_000_000
    assert (work / "model").read_bytes() == data
    second.close()


def test_what_arrives_otherwise_than_promised_is_refused_and_begun_anew(talk: Talk, work: Path) -> None:
    data = b"as it should be"
    assert "is not what was sent" in talk.put("model", b"as it is not...", sha256(data))["refused"]
    assert list(work.iterdir()) == []
    assert talk.put("model", data)["sent"] == len(data)


@pytest.mark.parametrize("name", ["", "/", "../x", "a/../../x", "a//b", "./a", "a/.", "a\0b", "/etc/x"])
def test_no_name_leads_out(talk: Talk, work: Path, name: str) -> None:
    for wants in ("put", "give", "remove"):
        assert "refused" in talk.ask(wants=wants, name=name, size=1, digest="0" * 64)
    assert list(work.parent.iterdir()) == [work]


def test_links_are_not_followed(talk: Talk, work: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_bytes(b"x")
    talk.ask(wants="contact")
    (work / "away").symlink_to(precious)
    (work / "file").symlink_to(precious / "file")
    assert "links are not followed" in talk.put("away/model", b"y")["refused"]
    assert "is no file" in talk.ask(wants="give", name="file")["refused"]
    assert talk.put("file", b"y")["path"] == str(work / "file")
    assert talk.ask(wants="remove", name="away") == {}
    assert (precious / "file").read_bytes() == b"x"


def test_a_work_folder_that_is_a_link_or_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there")
    (tmp_path / "file").write_bytes(b"")
    for name in ("link", "file"):
        talk = Talk(tmp_path / name)
        assert "is not a folder; links are not followed" in talk.ask(wants="contact")["refused"]
        talk.close()


def test_a_file_is_given_back_and_removed(talk: Talk, work: Path) -> None:
    talk.put("spool/one.json", b"{}")
    assert talk.ask(wants="give", name="spool/one.json") == {"bytes": 2}
    assert talk.process.stdout is not None
    assert talk.process.stdout.read(2) == b"{}"
    assert talk.ask(wants="remove", name="spool") == {}
    assert talk.ask(wants="remove", name="spool") == {}
    assert not (work / "spool").exists()
    assert "is nothing that a porter does" in talk.ask(wants="coffee")["refused"]


def test_a_file_that_is_too_large_for_the_disk_is_refused_before_it_is_sent(talk: Talk) -> None:
    told = talk.ask(wants="put", name="model", size=1 << 60, digest="0" * 64)
    assert "the disk is full" in told["refused"]


def test_an_old_python_says_how_old_it_is() -> None:
    old = old_python()
    if not old:
        pytest.skip("needs a Python before 3.9")
    program = PROGRAM.read_bytes()
    door = _DOOR.format(major=3, minor=9, size=len(program)).encode()
    command = [old, "-I", "-c", BEGIN.format(len(door))]
    done = subprocess.run(command, input=door + program, capture_output=True, check=True)
    assert json.loads(done.stdout)["old"].startswith("3.")
