"""Cables that are pulled, an adb server that dies, hosts and supervisors that are killed: nothing finished is lost."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchharness import api
from benchharness.errors import DeviceBusy, LaunchError
from tests import adb_device
from tests.adb_device import AdbServer, Phone
from tests.far import Far, all_once

pytestmark = pytest.mark.skipif(bool(adb_device.missing()), reason=adb_device.missing() or "a device can be had")


@pytest.fixture(scope="module")
def phone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Phone]:
    with adb_device.phone(tmp_path_factory.mktemp("phone")) as found:
        yield found


@pytest.fixture(scope="module")
def old_phone(phone: Phone, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Phone]:
    """Of before Android 7: its daemon frames nothing."""
    with adb_device.running(tmp_path_factory.mktemp("old"), phone.user, phone.home, shell="v1") as found:
        yield found


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AdbServer]:
    with adb_device.adb_server(tmp_path) as found:
        monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(found.port))
        monkeypatch.setenv("HOME", str(tmp_path))  # where an adb server that is started again keeps its key
        yield found


@pytest.fixture
def device(phone: Phone, server: AdbServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Far]:
    monkeypatch.setenv("BENCHHARNESS_DEVICES", str(tmp_path / "devices"))
    made = Far(phone, tmp_path, f"/data/local/tmp/{tmp_path.name}", phone.home / "tmp" / tmp_path.name)
    yield made
    made.close()
    made.until(lambda: phone.processes() == [])


@pytest.mark.parametrize("detached", [False, True])
@pytest.mark.parametrize("shell", ["framed", "bare"])
def test_a_line_that_is_cut_costs_no_finished_attempt(
    device: Far, old_phone: Phone, shell: str, detached: bool
) -> None:
    if shell == "bare":
        device.server = old_phone
    device.profile(detached=detached)
    running = device.in_background(3)
    device.until(device.at_work)
    (before,) = device.supervisors()
    time.sleep(1)
    device.server.drop_lines()
    device.until(lambda: len(device.supervisors()) == 1 and (device.supervisors() == [before]) is detached)
    running.join(300)
    assert device.trouble is None
    all_once(device)
    device.until(device.is_clean)


@pytest.mark.parametrize("detached", [False, True])
def test_an_adb_server_that_is_killed_is_started_again(device: Far, server: AdbServer, detached: bool) -> None:
    device.profile(detached=detached)
    running = device.in_background(3)
    device.until(device.at_work)
    time.sleep(0.5)
    server.kill()
    running.join(300)
    assert device.trouble is None
    all_once(device)
    device.until(device.is_clean)


@pytest.mark.parametrize("detached", [False, True])
def test_a_host_that_is_killed_goes_on_with_what_there_is(device: Far, detached: bool) -> None:
    device.profile(detached=detached)
    host = device.host(3)
    device.until(device.at_work)
    time.sleep(0.5)
    os.kill(host.pid, signal.SIGKILL)
    host.wait()
    if detached:
        device.until(lambda: not device.at_work())  # it finishes what it was at, for nobody yet
        assert len(device.supervisors()) == 1
    else:
        device.until(lambda: not device.server.processes())
    api.resume(store=device.url)
    all_once(device)
    device.until(device.is_clean)


def test_a_supervisor_that_is_killed_is_started_again(device: Far) -> None:
    device.profile(detached=True)
    running = device.in_background(2)
    device.until(device.at_work)
    for each in device.supervisors():
        os.kill(each, signal.SIGKILL)
    running.join(300)
    assert device.trouble is None
    all_once(device)
    device.until(device.is_clean)


def test_a_lease_that_lapses_ends_all_of_it(device: Far) -> None:
    device.profile(detached=True, lease="2 s")
    host = device.host(900)
    device.until(device.at_work)
    os.kill(host.pid, signal.SIGKILL)
    host.wait()
    device.until(lambda: not device.server.processes())


def test_a_second_host_is_refused_with_the_firsts_name(device: Far) -> None:
    device.profile()
    running = device.in_background(4)
    device.until(device.at_work)
    with pytest.raises(DeviceBusy, match=r"held by .*@.* run 0\w+-.*for 0 min"):
        api.run(device.suite(1), on="loopback", store=f"sqlite:///{device.folder / 'other.db'}")
    running.join(300)
    assert device.trouble is None
    all_once(device)


def test_a_phone_that_goes_away_for_good_is_given_up_and_what_is_finished_stays(
    device: Far, phone: Phone, tmp_path: Path
) -> None:
    """Its daemon dies, as a phone does whose battery is empty; the supervisor there ends by itself."""
    (tmp_path / "leaving").mkdir()
    with adb_device.running(tmp_path / "leaving", phone.user, phone.home) as leaving:
        device.server = leaving
        device.profile()
        running = device.in_background(3)
        device.until(device.at_work)
        device.until(lambda: len(device.attempts()) == 1)
        device.until(device.at_work)
        leaving.process.kill()
        running.join(600)
        assert not running.is_alive()
    assert isinstance(device.trouble, LaunchError)
    assert "cannot be reached" in str(device.trouble)
    assert device.attempts().total() == 1
