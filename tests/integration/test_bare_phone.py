"""A phone with nothing on it but Android's shell: a Python is brought there, and then it is as any other."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchharness import api, devices
from benchharness.errors import LaunchError, NoPython
from benchharness.execute import bringing
from benchharness.launch import by_shell
from benchharness.launch.far import FarLauncher
from benchharness.launch.line import Line, line_to
from tests import adb_device, ssh_server
from tests.adb_device import AdbServer, Phone
from tests.bare_device import CACHE, bare, complete_run
from tests.far import DIGITS
from tests.unit.test_environment import PIP
from tests.unit.test_wheels import Index, wheel

pytestmark = pytest.mark.skipif(bool(adb_device.missing()), reason=adb_device.missing() or "a device can be had")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AdbServer]:
    with adb_device.adb_server(tmp_path_factory.mktemp("adb")) as found:
        yield found


@pytest.fixture(scope="module")
def phone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Phone]:
    with adb_device.phone(tmp_path_factory.mktemp("phone"), bare=bare()) as found:
        yield found


@pytest.fixture(autouse=True)
def profiles(server: AdbServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(server.port))
    monkeypatch.setenv("BENCHHARNESS_DEVICES", str(tmp_path / "devices"))
    monkeypatch.setenv("BENCHHARNESS_STORE", f"sqlite:///{tmp_path / 'store.db'}")
    monkeypatch.setattr("benchharness.devices.wheel_cache", lambda: CACHE / "cache")
    return tmp_path / "devices"


@pytest.fixture
def line(phone: Phone) -> Iterator[Line]:
    made = line_to(phone.device(python="python3").route)
    yield made
    made.close()


def test_it_is_added_prepared_asked_and_cleaned(
    phone: Phone, profiles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if PIP is None:
        pytest.skip("this Python comes without a wheel of pip")
    Index(tmp_path / "index", monkeypatch).add(PIP, wheel(tmp_path, "tiny", text="SIZE = 3"))
    path, added = devices.add(devices.asked(f"adb://{phone.serial}", name="bare"))
    assert added.found == {"machine": "x86_64", "python": "none", "runtimes": "none"}
    with pytest.raises(NoPython, match="device prepare"):
        api.inspect(DIGITS, on="bare")
    path.write_text(f'packages = ["tiny"]\n{path.read_text()}')

    told: list[str] = []
    made = devices.prepare("bare", tell=told.append)
    assert (made.made, made.packages) == (True, {"tiny": "1.0"})
    assert any("bringing one" in each for each in told)
    assert (profiles / "bare.python.lock").read_text().count("--hash=sha256:") == 12
    assert api.inspect(DIGITS, on="bare")["digest"] == api.inspect(DIGITS)["digest"]
    (python,) = (phone.work / "python").iterdir()
    assert {each.name for each in python.iterdir()} == {"bin", "lib", "complete"}
    assert not (python / "lib/python311.zip").exists()

    put: list[str] = []
    monkeypatch.setattr(by_shell, "put", lambda *a, **_: put.append(a[2]))
    assert devices.prepare("bare", tell=lambda _: None).made is False
    assert put == [], "what is there already was put there again"
    assert phone.processes() == []
    assert {"python", "environments"} <= set(devices.clean("bare", everything=True).removed)
    assert not list(phone.work.glob("python"))


def test_a_python_that_is_named_and_not_there_is_not_replaced(phone: Phone, tmp_path: Path) -> None:
    with pytest.raises(NoPython, match="'/data/local/tmp/python3' cannot be started"):
        devices.add(devices.asked(f"adb://{phone.serial}", name="named", python="/data/local/tmp/python3"))


def test_a_file_comes_by_the_shell_and_goes_on_where_it_was(phone: Phone, line: Line, tmp_path: Path) -> None:
    file = tmp_path / "program"
    file.write_bytes(bytes(range(256)) * 40_000)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    there = phone.home / "tmp" / "put" / "a folder" / "program"
    cut: list[int] = []
    sent: list[int] = []

    def hears(what: str, done: int, total: int) -> None:
        sent.append(done)
        if done >= 5 and not cut:
            cut.append(done)
            phone.drop_lines()

    by_shell.put(line, file, "/data/local/tmp/put/a folder/program", digest, hears)
    assert cut
    assert there.read_bytes() == file.read_bytes()
    assert there.stat().st_mode & 0o777 == 0o500
    assert not there.with_name("program.part").exists()
    sent.clear()
    by_shell.put(line, file, "/data/local/tmp/put/a folder/program", digest, hears)
    assert sent == [], "what is there already was sent again"
    there.chmod(0o700)
    there.write_bytes(b"another")
    by_shell.put(line, file, "/data/local/tmp/put/a folder/program", digest, hears)
    assert there.read_bytes() == file.read_bytes()
    with pytest.raises(LaunchError, match="not what was sent"):
        by_shell.put(line, file, "/data/local/tmp/put/other", "0" * 64, hears)
    assert not list(there.parent.parent.glob("other*"))
    with pytest.raises(LaunchError, match=r"cannot be put there: .*Permission denied"):
        by_shell.put(line, file, "/system/bin/other", digest, hears)


def test_a_work_folder_that_is_not_the_users_own_is_refused(phone: Phone, line: Line) -> None:
    link = phone.home / "tmp" / "link"
    link.symlink_to(phone.home)
    for work, words in (("/data/local/tmp/link", "links are not followed"), ("/system", "belongs to another user")):
        with pytest.raises(LaunchError, match=words):
            by_shell.look(line, "bare", work)


def test_what_adb_cannot_frame_is_said(phone: Phone, tmp_path: Path) -> None:
    with (
        adb_device.running(tmp_path, phone.user, phone.home, shell="v1", bare=bare()) as old,
        pytest.raises(LaunchError, match=r"frames no streams .*put one there yourself"),
    ):
        bringing.look(old.device(python="python3"))


def test_a_board_over_ssh_that_has_none_gets_one_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its user's path has the tools that are asked for, and no Python."""
    (tmp_path / "ssh").mkdir()
    with ssh_server.serving(tmp_path / "ssh") as server:
        (server.home / "bin").mkdir()
        for tool in ("sh", *adb_device.TOYBOX):
            (server.home / "bin" / tool).symlink_to(str(shutil.which(tool)))
        (server.home / ".bashrc").write_text(f"PATH={server.home}/bin\n")
        device = server.device(python="python3", work=f"{server.home}/ours")
        told: list[str] = []
        places = {"lock": tmp_path / "lock", "cache": CACHE / "cache" / "python", "scratch": tmp_path}
        able = bringing.with_a_python(device, **places, tell=told.append, sent=lambda *_: None)
        assert "bringing one" in told[0]
        assert able.python.startswith(f"{server.home}/ours/python/")
        launcher = FarLauncher(able.route, tmp_path)
        assert (launcher.contact.python, launcher.contact.executable) == ("3.11.2", able.python)
        launcher.close()


def test_the_demo_runs_there_on_onnx_runtime_and_litert(phone: Phone, profiles: Path) -> None:
    """All of it: Debian's Python, the runtimes' own wheels, nothing else in its root."""
    complete_run(phone, "x86_64")
