"""Lines to a device over SSH that break, hosts and supervisors that die: nothing finished is lost, nothing stays."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchharness import api
from benchharness.device.line.protocol import Message
from benchharness.errors import DeviceBusy
from benchharness.launch.streams import StreamConnection
from tests import ssh_server
from tests.far import Far, all_once
from tests.ssh_server import Server

pytestmark = pytest.mark.skipif(bool(ssh_server.missing()), reason=ssh_server.missing() or "a server can be had")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with ssh_server.serving(tmp_path_factory.mktemp("ssh")) as found:
        yield found


@pytest.fixture
def device(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Far]:
    monkeypatch.setenv("BENCHHARNESS_DEVICES", str(tmp_path / "devices"))
    work = server.home / f"work-{tmp_path.name}"
    made = Far(server, tmp_path, str(work), work)
    yield made
    made.close()
    assert server.processes() == [], "something of ours went on"


@pytest.mark.parametrize("detached", [False, True])
def test_a_line_that_is_cut_costs_no_finished_attempt(device: Far, detached: bool) -> None:
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


def test_a_detached_supervisor_that_is_met_in_the_middle_is_waited_for(device: Far) -> None:
    device.profile(detached=True)
    host = device.host(8)
    device.until(device.at_work)
    os.kill(host.pid, signal.SIGKILL)
    host.wait()
    (supervisor,) = device.supervisors()
    api.resume(store=device.url)
    all_once(device)
    assert device.supervisors() == []
    assert supervisor not in device.supervisors()
    device.until(device.is_clean)


@pytest.mark.parametrize("detached", [False, True])
def test_a_line_that_is_cut_as_the_run_ends_leaves_no_supervisor(
    device: Far, detached: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The word to stop is on its way and does not arrive; a lease of an hour would follow, behind no door."""
    device.profile(detached=detached)
    cuts: list[bool] = []
    send = StreamConnection.send

    def cut(self: StreamConnection, message: Message) -> None:
        if message["type"] == "stop" and not cuts:
            cuts.append(True)
            device.server.drop_lines()
            return  # as into a line whose end nobody has seen yet
        send(self, message)

    monkeypatch.setattr(StreamConnection, "send", cut)
    device.run(0.5)
    assert cuts
    all_once(device)
    device.until(device.is_clean)


@pytest.mark.parametrize("detached", [False, True])
def test_a_supervisor_that_is_killed_is_started_again(device: Far, detached: bool) -> None:
    device.profile(detached=detached)
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


def test_a_second_host_is_refused_with_the_firsts_name(device: Far, monkeypatch: pytest.MonkeyPatch) -> None:
    device.profile()
    running = device.in_background(4)
    device.until(device.at_work)
    with pytest.raises(DeviceBusy, match=r"held by .*@.* run 0\w+-.*for 0 min"):
        api.run(device.suite(1), on="loopback", store=f"sqlite:///{device.folder / 'other.db'}")
    running.join(300)
    assert device.trouble is None
    all_once(device)
