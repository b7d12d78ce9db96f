"""What adb says of a device, in a sentence with what to do; and a channel whose other end talks nonsense."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from importlib.util import find_spec

import pytest

from benchharness.device.line.shell_frames import EXIT, HEADER, STDOUT
from benchharness.errors import ConnectionLost, LaunchError, SuiteError
from benchharness.launch.adb import line as adb_line
from benchharness.launch.adb.channel import AdbChannel
from benchharness.launch.adb.line import AdbLine
from benchharness.launch.adb.route import WORK, AdbRoute, is_over_network, serial_of
from benchharness.suite.device import Device, load_device

needs_adbutils = pytest.mark.skipif(find_spec("adbutils") is None, reason="adbutils is not installed")


@pytest.mark.parametrize(
    ("text", "serial", "over_network"),
    [
        ("adb://0A041FDD4003EA", "0A041FDD4003EA", False),
        ("adb://emulator-5554", "emulator-5554", False),
        ("adb://192.168.1.7:5555", "192.168.1.7:5555", True),
        ("adb://adb-0A04-xyz._adb-tls-connect._tcp", "adb-0A04-xyz._adb-tls-connect._tcp", False),
        ("adb://", "", False),
    ],
)
def test_an_address_is_a_serial_as_adb_lists_it(text: str, serial: str, over_network: bool) -> None:
    assert serial_of(text) == serial
    assert is_over_network(serial) is over_network


@pytest.mark.parametrize(
    "text", ["adb:x", "adb://-P", "adb://a b", "adb://a/b", "adb://a\nhost:kill", "adb://" + "x" * 300]
)
def test_what_is_no_serial_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"write it as|no serial"):
        serial_of(text)


def test_a_profile_over_adb_has_its_own_work_folder_and_nothing_of_ssh() -> None:
    device = Device.model_validate({"name": "pixel8", "hardware": "pixel-8", "connect": "adb://0A04"})
    route = device.route
    assert isinstance(route, AdbRoute)
    assert (route.work, route.text) == (WORK, "pixel8 (adb://0A04)")


def test_keys_of_ssh_are_refused_in_a_profile_over_adb(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("devices") / "pixel8.toml"
    path.write_text('hardware = "pixel-8"\nconnect = "adb://0A04"\nkey = "id"\n')
    with pytest.raises(SuiteError, match="key: of devices over SSH"):
        load_device(path)
    path.write_text('hardware = "pi"\nconnect = "ssh://pi5.lab"\njump = "adb://0A04"\n')
    with pytest.raises(SuiteError, match="write it as ssh://"):
        load_device(path)


class Server:
    """Says what devices there are."""

    def __init__(self, states: Mapping[str, str]) -> None:
        self._states = states

    def states(self) -> Mapping[str, str]:
        return self._states


@needs_adbutils
@pytest.mark.parametrize(
    ("states", "said"),
    [
        ({"A": "unauthorized"}, "has not authorised this computer: unlock it"),
        ({"A": "no permissions (user in plugdev group; are your udev rules wrong?)"}, "may not be used by this user"),
        ({"A": "bootloader"}, "is in bootloader, where nothing of Android runs"),
        ({"A": "offline"}, r"does not answer \(offline\): unplug it"),
        ({"A": "strange\x1b"}, "is 'strange.x1b' to adb"),
        ({"B": "device"}, r"is not attached: plug it in.*adb has B"),
        ({}, r"is not attached: plug it in.*adb has no device"),
    ],
)
def test_a_state_is_told_with_what_to_do(states: Mapping[str, str], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adb_line, "_APPEARING_S", 0.0)
    monkeypatch.setattr(adb_line, "_COMING_BACK_S", 0.0)
    line = AdbLine(AdbRoute(name="x", serial="A"))
    monkeypatch.setattr(line, "_server", Server(states))
    with pytest.raises(LaunchError, match=said) as first:
        line.start(["true"])
    assert not isinstance(first.value, ConnectionLost), "asked again at once, nothing would be different"
    monkeypatch.setattr(line, "_met", True)
    with pytest.raises(ConnectionLost, match=said):
        line.start(["true"])


class Changing:
    """Says what devices there are, another thing each time, the last one for good."""

    def __init__(self, *states: Mapping[str, str]) -> None:
        self._states = list(states)
        self.connected: list[str] = []

    def states(self) -> Mapping[str, str]:
        return self._states.pop(0) if len(self._states) > 1 else self._states[0]

    def connect(self, serial: str) -> str:
        self.connected.append(serial)
        return "failed to connect"


def ready(line: AdbLine, server: Changing, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(adb_line, "_POLL_S", 0.01)
    monkeypatch.setattr(line, "_server", server)
    return line._ready()


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device may take its time, and is connected to once meanwhile."""
    for bound in ("_APPEARING_S", "_COMING_BACK_S", "_BETWEEN_CONNECTS_S"):
        monkeypatch.setattr(adb_line, bound, 120.0)


@needs_adbutils
@pytest.mark.usefixtures("patient")
def test_the_only_device_is_waited_for_and_is_the_one_from_then_on(monkeypatch: pytest.MonkeyPatch) -> None:
    line = AdbLine(AdbRoute(name="x", serial=""))
    assert ready(line, Changing({}, {}, {"A": "offline"}, {"A": "device"}), monkeypatch) == "A"
    assert ready(line, Changing({}, {"B": "device"}, {"A": "device", "B": "device"}), monkeypatch) == "A"
    with pytest.raises(LaunchError, match=r"several devices are attached \(A, B\)"):
        ready(AdbLine(AdbRoute(name="x", serial="")), Changing({"A": "device", "B": "device"}), monkeypatch)
    monkeypatch.setattr(adb_line, "_APPEARING_S", 0.05)
    with pytest.raises(LaunchError, match="adb has no device: plug one in"):
        ready(AdbLine(AdbRoute(name="x", serial="")), Changing({}), monkeypatch)


@needs_adbutils
@pytest.mark.usefixtures("patient")
def test_a_connection_that_is_being_made_is_not_taken_down(monkeypatch: pytest.MonkeyPatch) -> None:
    serial = "192.168.1.7:5555"
    line = AdbLine(AdbRoute(name="x", serial=serial))
    server = Changing(*[{serial: state} for state in ("authorizing", "connecting", "authorizing", "device")])
    assert (ready(line, server, monkeypatch), server.connected) == (serial, [])
    server = Changing(*[{}] * 20, {serial: "device"})
    assert (ready(line, server, monkeypatch), server.connected) == (serial, [serial])


def talk(said: bytes, *, bare: bool = False) -> AdbChannel:
    """A channel whose other end says this and hangs up."""
    here, there = socket.socketpair()
    there.sendall(said)
    there.shutdown(socket.SHUT_WR)
    channel = AdbChannel(here, bare=bare)
    assert channel.ends_within(120)
    there.close()
    return channel


@pytest.mark.parametrize(
    ("said", "out", "code"),
    [
        (HEADER.pack(STDOUT, 2) + b"ab" + HEADER.pack(EXIT, 1) + b"\x07", b"ab", 7),
        (HEADER.pack(EXIT, 1) + bytes([128 + 9]), b"", -9),
        (HEADER.pack(STDOUT, 2) + b"a", b"", None),
        (HEADER.pack(STDOUT, 1 << 31), b"", None),
        (HEADER.pack(200, 1) + b"x" + HEADER.pack(EXIT, 1) + b"\x00", b"", 0),
        (b"", b"", None),
    ],
)
def test_frames_are_believed_within_bounds(said: bytes, out: bytes, code: int | None) -> None:
    channel = talk(said)
    assert (channel.stdout.read(), channel.code) == (out, code)
    channel.close()


def test_a_host_that_says_no_more_says_so_as_androids_daemon_hears_it() -> None:
    """Bytes as shell_protocol.h has them: 0 is for standard input, 4 closes it; 3, an exit, is never the host's."""
    here, there = socket.socketpair()
    there.settimeout(120)
    channel = AdbChannel(here)
    channel.stdin.write(b"ab")
    channel.stdin.close()
    said = b"\x00\x02\x00\x00\x00ab\x04\x00\x00\x00\x00"
    with there.makefile("rb") as hears:
        assert hears.read(len(said)) == said
    there.close()
    assert channel.ends_within(120)
    channel.close()


def test_a_bare_shells_own_words_and_code_are_told() -> None:
    channel = talk(b"benchharness-begins\nsh: python3: not found\nbenchharness-ended 127\n", bare=True)
    assert (channel.stdout.read(), channel.words(), channel.code) == (
        b"benchharness-begins\n",
        "sh: python3: not found",
        127,
    )
    channel.close()
    endless = talk(b"x" * (1 << 17), bare=True)
    assert endless.code is None
    endless.close()
