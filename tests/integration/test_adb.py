"""An Android device, as far as one can be had here: the real adb client and server, and a daemon that stands in."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchharness import api, devices
from benchharness.device.processes.child import Answer
from benchharness.errors import LaunchError, UsageError
from benchharness.launch import Question, ask
from benchharness.launch.adb.line import AdbLine
from benchharness.launch.far import FarLauncher
from benchharness.launch.porter import Porter
from benchharness.results.store import Store
from benchharness.suite.device import Device, written
from tests import adb_device
from tests.adb_device import AdbServer, Phone
from tests.far import DIGITS
from tests.unit.sensors.published import PIXEL_TENSOR, SAMSUNG_BATTERY
from tests.unit.sensors.test_android import AWAKE, PROPERTIES
from tests.unit.test_environment import PIP
from tests.unit.test_wheels import Index, wheel

CHUNK = 1 << 18

pytestmark = pytest.mark.skipif(bool(adb_device.missing()), reason=adb_device.missing() or "a device can be had")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AdbServer]:
    with adb_device.adb_server(tmp_path_factory.mktemp("adb")) as found:
        yield found


@pytest.fixture(scope="module")
def phone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Phone]:
    with adb_device.phone(tmp_path_factory.mktemp("phone")) as found:
        yield found


@pytest.fixture(scope="module")
def old_phone(phone: Phone, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Phone]:
    """Of before Android 7: its daemon frames nothing."""
    with adb_device.running(tmp_path_factory.mktemp("old"), phone.user, phone.home, shell="v1") as found:
        yield found


@pytest.fixture(autouse=True)
def profiles(server: AdbServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(server.port))
    monkeypatch.setenv("BENCHHARNESS_DEVICES", str(tmp_path / "devices"))
    monkeypatch.setenv("BENCHHARNESS_STORE", f"sqlite:///{tmp_path / 'store.db'}")
    return tmp_path / "devices"


@pytest.fixture(params=["framed", "bare"])
def launcher(request: pytest.FixtureRequest, phone: Phone, old_phone: Phone, tmp_path: Path) -> Iterator[FarLauncher]:
    which = phone if request.param == "framed" else old_phone
    made = FarLauncher(which.device(work=f"/data/local/tmp/{tmp_path.name}").route, tmp_path / "scratch")
    yield made
    made.close()


def profile(folder: Path, device: Device) -> str:
    folder.mkdir(exist_ok=True)
    (folder / f"{device.name}.toml").write_text(written(device), encoding="utf-8")
    return device.name


def put(launcher: FarLauncher, file: Path, name: str) -> str:
    return launcher.put(file, name, hashlib.sha256(file.read_bytes()).hexdigest())


def seen(phone: Phone, path: str) -> Path:
    """Where a path of the device lies on this machine."""
    return phone.home / "tmp" / Path(path).relative_to("/data/local/tmp")


def test_a_model_runs_there_as_it_does_here(phone: Phone, profiles: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = profile(profiles, phone.device())
    asked: dict[str, Any] = {"attempts": 2, "scenarios": ["steady"]}
    here, there = api.run_on(["this-machine", name], [DIGITS], **asked)
    (here_result,), (there_result,) = here.results, there.results
    assert there_result.outcome.ok
    assert (there.hardware, here.hardware) == ("test-phone", "this-machine")
    assert {each.name for each in there_result.metrics} == {each.name for each in here_result.metrics}
    assert (phone.work / "files").is_dir()
    assert not (phone.work / "runs" / there.run.id).exists()
    assert phone.processes() == []

    sent: list[Path] = []
    send = Porter._send

    def counted(self: Porter, file: Path, have: int, size: int) -> None:
        sent.append(file)
        send(self, file, have, size)

    monkeypatch.setattr(Porter, "_send", counted)
    again = api.run([DIGITS], on=name, **asked)
    assert again.results[0].outcome.ok
    assert sent == [], "what is there already was put there again"


def test_what_android_says_of_itself_is_among_an_attempts_conditions(
    phone: Phone, profiles: Path, tmp_path: Path
) -> None:
    said = {"dumpsys thermalservice": PIXEL_TENSOR, "dumpsys battery": SAMSUNG_BATTERY, "dumpsys power": AWAKE}
    for words, told in {**said, "settings get global airplane_mode_on": "1", "getprop ": PROPERTIES}.items():
        phone.tell(words, told)
    suite = {
        "name": "phone",
        "models": {"digits": {"variants": {"fp32": {"artefact": str(DIGITS)}}}},
        "attempts": {"at_least": 1, "at_most": 1, "entry_gate": "30 s"},
        "scenarios": {"sustained": {"duration": "2 s"}},
    }
    url = f"sqlite:///{tmp_path / 'store.db'}"
    try:
        api.run(suite, on=profile(profiles, phone.device()), store=url)
    finally:
        for path in phone.says.iterdir():
            path.unlink()
    store = Store(url)
    (run,) = store.list_runs()
    (attempt,) = store.attempts(run.id)
    store.close()
    seen_now = attempt.conditions.others
    assert (seen_now["thermal_status"], seen_now["battery_celsius"], seen_now["screen"]) == (0, 30.9, "on")
    gate = attempt.conditions.entry_gate
    assert gate is not None
    assert (gate["by"], gate["settled"]) == ("thermal status and battery", True)
    assert attempt.conditions.sensors["Android thermal service"]["found"]


def test_a_device_is_added_by_its_serial_listed_checked_and_cleaned(phone: Phone, profiles: Path) -> None:
    asked = devices.asked(f"adb://{phone.serial}", name="pixel", python=phone.device().python)
    assert devices.host_key(asked) is None
    path, added = devices.add(asked)
    assert path == profiles / "pixel.toml"
    assert "onnxruntime" in str(added.found["runtimes"])
    assert [each.connect for each in devices.known()] == [f"adb://{phone.serial}"]
    states = {each.of: each.state for each in devices.check("pixel", probe_s=0.0)}
    assert (states["Python"], states["onnxruntime"]) == ("fine", "fine")
    assert api.inspect(DIGITS, on="pixel")["digest"] == api.inspect(DIGITS)["digest"]
    assert "files" in devices.clean("pixel", everything=True).removed
    assert not phone.work.exists() or list(phone.work.iterdir()) == []


def test_the_only_device_needs_no_serial(phone: Phone, old_phone: Phone, server: AdbServer, tmp_path: Path) -> None:
    def adb(*words: str) -> None:
        subprocess.run(["adb", "-P", str(server.port), *words], check=True, capture_output=True)

    for each in (phone, old_phone):
        adb("connect", each.serial)
    made = FarLauncher(phone.device(connect="adb://").route, tmp_path)
    with pytest.raises(LaunchError, match=r"several devices are attached \(.*127.*, 127.*\); say which: adb://127"):
        assert made.contact
    adb("disconnect", old_phone.serial)
    assert made.contact.user == phone.user
    made.close()
    adb("disconnect")
    with pytest.raises(LaunchError, match="adb has no device: plug one in"):
        FarLauncher(phone.device(connect="adb://").route, tmp_path).contact  # noqa: B018 - asks the device
    with pytest.raises(UsageError, match="--name NAME"):
        devices.asked("adb://")


def test_a_question_hears_and_says_bytes_and_ends_with_its_code(launcher: FarLauncher, tmp_path: Path) -> None:
    told = bytes(range(256)) * 1000
    code = "import sys;d=sys.stdin.buffer.read();sys.stdout.buffer.write(d[::-1]);sys.stderr.write('words');sys.exit(9)"
    assert said(launcher, code, told) == (told[::-1], "words", 9)
    killed = said(launcher, "import os;os.kill(os.getpid(), 9)", b"")
    assert killed[2] == -9
    assert said(launcher, "print(1)", b"not heard" * 100_000)[0] == b"1\n"


def said(launcher: FarLauncher, code: str, told: bytes) -> tuple[bytes, str, int | None]:
    """What a program there says, as questions are asked."""
    from benchharness.launch.far import _answer

    channel = launcher._line.start([launcher.route.python, "-c", code])
    answer: Answer = _answer(channel, Question(program="", told=told, patience_s=20))
    return answer.out, answer.words, answer.code


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"python": "/nowhere/python"}, "'/nowhere/python' cannot be started there"),
        ({"python": "/bin/true"}, "the line broke, or what runs there ended"),
        ({"connect": "adb://0A041FDD4003EA"}, r"is not attached: plug it in, and turn USB debugging on"),
        ({"connect": "adb://127.0.0.1:9"}, r"cannot be reached: adb says: .*is adb over the network on there"),
        ({"work": "/data/local/tmp/link"}, "links are not followed"),
        ({"work": "/root/ours"}, "Permission denied"),
    ],
)
@pytest.mark.parametrize("shell", ["v2", "v1"])
def test_what_is_wrong_there_is_said(
    phone: Phone, old_phone: Phone, tmp_path: Path, shell: str, changes: dict[str, str], words: str
) -> None:
    link = phone.home / "tmp" / "link"
    link.unlink(missing_ok=True)
    link.symlink_to(phone.home / "site")
    made = FarLauncher((phone if shell == "v2" else old_phone).device(**changes).route, tmp_path)
    with pytest.raises(LaunchError, match=words):
        ask.description_of_device(made, 0)
    made.close()
    assert (phone.home / "site").is_dir()


@pytest.mark.parametrize(
    ("state", "shell", "words"),
    [
        ("unauthorized", "v2", "has not authorised this computer: unlock it and allow USB debugging"),
        ("offline", "v2", r"does not answer \(offline\): unplug it|cannot be reached: adb says: failed to connect"),
        ("ready", "none", "cannot be reached: adb says: closed"),
    ],
)
def test_a_device_that_lets_nobody_in_says_what_to_do(
    phone: Phone, tmp_path: Path, state: str, shell: str, words: str
) -> None:
    with adb_device.running(tmp_path, phone.user, phone.home, state=state, shell=shell) as shut:
        made = FarLauncher(shut.device().route, tmp_path)
        with pytest.raises(LaunchError, match=words):
            ask.description_of_device(made, 0)


def test_without_adb_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", "9")
    monkeypatch.setenv("ADBUTILS_ADB_PATH", "/nowhere/adb")
    line = AdbLine(Device.model_validate({"name": "x", "hardware": "x", "connect": "adb://x"}).route)  # type: ignore[arg-type]
    with pytest.raises(LaunchError, match=r"no adb can be started here .*install Android's platform tools"):
        line.start(["true"])
    monkeypatch.setenv("ANDROID_ADB_SERVER_HOST", "127.0.0.2")
    line = AdbLine(Device.model_validate({"name": "x", "hardware": "x", "connect": "adb://x"}).route)  # type: ignore[arg-type]
    with pytest.raises(LaunchError, match=r"no adb server answers at 127.0.0.2:9"):
        line.start(["true"])


def test_a_broken_line_goes_on_where_it_was(
    launcher: FarLauncher, phone: Phone, old_phone: Phone, tmp_path: Path
) -> None:
    file = tmp_path / "large"
    file.write_bytes(bytes(range(256)) * (1 << 17))
    size = file.stat().st_size
    told: list[int] = []
    cuts: list[int] = []

    def cut(what: str, done: int, total: int) -> None:
        told.append(done)
        if len(told) == 60 and not cuts:
            cuts.append(done)
            phone.drop_lines()
            old_phone.drop_lines()

    launcher._porter._sent = cut
    path = seen(phone, put(launcher, file, "models/large"))
    assert cuts, "nothing was cut"
    assert path.read_bytes() == file.read_bytes()
    assert len(told) * CHUNK < size + 60 * CHUNK, "it was sent from its beginning, or into a dead line"
    assert not path.with_name("large.part").exists()


def test_a_file_that_changed_there_is_put_again_and_no_link_is_followed(
    launcher: FarLauncher, phone: Phone, tmp_path: Path
) -> None:
    file = tmp_path / "model"
    file.write_bytes(b"as it should be")
    path = seen(phone, put(launcher, file, "models/model"))
    path.unlink()
    path.write_bytes(b"as it is not...")
    launcher._placed.clear()
    assert seen(phone, put(launcher, file, "models/model")).read_bytes() == b"as it should be"
    (path.parent.parent / "away").symlink_to(phone.home)
    with pytest.raises(LaunchError, match="links are not followed"):
        put(launcher, file, "away/file")


def test_an_environment_is_made_there_once_and_goes_into_the_profile(
    phone: Phone, profiles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of wheels that stand in for those of the package index, on a device that has a Python."""
    if PIP is None:
        pytest.skip("this Python comes without a wheel of pip")
    Index(tmp_path / "index", monkeypatch).add(PIP, wheel(tmp_path, "tiny", text="SIZE = 3"))
    monkeypatch.setattr("benchharness.devices.wheel_cache", lambda: tmp_path / "wheels")
    device = phone.device(python="/usr/bin/python3", packages=["tiny"], work="/data/local/tmp/prepared")
    name = profile(profiles, device)
    made = devices.prepare(name, tell=lambda _: None)
    assert (made.made, made.locked, made.packages) == (True, True, {"tiny": "1.0"})
    assert made.python.startswith("/data/local/tmp/prepared/environments/")
    assert devices.named(name).python == made.python
    assert set(devices.clean(name, everything=True).removed) >= {"files", "environments"}
