"""A farm's job on a device over SSH: cleared and described before and after, and ended by the device's own lease."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.postgres import MISSING

pytest.importorskip("procrastinate", reason=MISSING)

from benchharness.farm.lease import now_s
from benchharness.farm.making import Order, reached_as
from benchharness.suite.device import written
from tests.farm import until
from tests.integration.test_farm_making import LONG, making, order
from tests.ssh_server import Server, missing, serving

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "-")
#: Over a line that a slow machine may keep silent for some seconds.
DEVICE_S = 10.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("far")) as made:
        yield made


@pytest.fixture
def far(server: Server, tmp_path: Path) -> Order:
    """A long job on the device."""
    made = order(tmp_path, now_s() + 600, **LONG)
    path = tmp_path / "loopback.toml"
    path.write_text(written(server.device(work=str(server.home / tmp_path.name))), encoding="utf-8")
    return replace(made, profile=str(path), device_s=DEVICE_S)


def test_a_device_holds_on_for_less_time_than_its_agent(far: Order) -> None:
    (device,) = reached_as(far).devices
    assert device.lease_s == DEVICE_S
    assert reached_as(replace(far, device_s=1000.0)).devices[0].lease_s == 60  # its own is shorter


def test_a_device_whose_host_is_frozen_ends_by_its_own_lease(far: Order, server: Server) -> None:
    with making(far) as made:
        until(lambda: any("worker" in line for line in server.processes()) or made.ended)
        assert not made.ended, made.told()
        os.kill(made._process.pid, signal.SIGSTOP)
        frozen = time.monotonic()
        try:
            until(lambda: not server.processes())
            assert time.monotonic() - frozen > DEVICE_S / 5  # not the line: the lease, of which some is gone
        finally:
            os.kill(made._process.pid, signal.SIGCONT)
    until(lambda: not server.processes())


def test_the_state_of_a_far_device_is_told_before_and_after(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "loopback.toml"
    work = server.home / tmp_path.name
    path.write_text(written(server.device(work=str(work))), encoding="utf-8")
    with making(replace(order(tmp_path, now_s() + 300), profile=str(path))) as made:
        until(lambda: made.ended, 280)
        assert made.told() == {"parcel": True, "unfit": ""}
        (told,) = [each["conditions"]["farm"] for each in json.loads(made.parcel)["attempts"]]
    assert told["before"]["free_bytes"] > 0
    assert told["after"]["left_over"] == []
    assert not server.processes()
    assert [each for each in (work / "runs").glob("*") if each.is_dir()] == []
