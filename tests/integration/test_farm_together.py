"""What others met who keep queues and devices on PostgreSQL: connections that run out, transactions that somebody
stands still in, workers that are forgotten while the scheduler is away, and hosts whose clocks differ.

After reports on graphile/worker (564, 121), procrastinate (1518) and db-scheduler (364, 433).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.postgres import MISSING, missing

pytest.importorskip("procrastinate", reason=MISSING)

import psycopg

from tests.farm import Member, Simulated, Testbed, lapse, parcel, submit, text, until, working

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "-")
Members = Callable[[str], Member]


@pytest.fixture
def ann(member: Members) -> Member:
    return member("ann")


@pytest.fixture
def desk(member: Members) -> Member:
    line = member("desk")
    line.holds("pi-1", "pi-2")
    return line


def lines_of(testbed: Testbed, role: str) -> int:
    ((count,),) = testbed.rows("SELECT count(*) FROM pg_stat_activity WHERE usename = %s", role)
    return int(count)


def test_an_agent_takes_two_connections_however_many_devices_it_has(testbed: Testbed, tmp_path: Path) -> None:
    until(lambda: lines_of(testbed, "rack") == 0)
    devices = {f"phone-{number}": Simulated() for number in range(12)}
    with working(testbed, "rack", devices, tmp_path):
        until(lambda: testbed.rows("SELECT count(*) FROM farm.devices") == [(12,)])
        until(lambda: lines_of(testbed, "rack") == 2)


def test_an_agent_that_gets_no_connection_says_so_once_and_comes_when_there_is_one(
    testbed: Testbed, ann: Member, desk: Member, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    submit(testbed, ann, text())
    desk.line.close()
    device = Simulated(parcel=parcel(tmp_path))
    until(lambda: lines_of(testbed, "desk") == 0)
    testbed.rows("ALTER ROLE desk CONNECTION LIMIT 0")
    try:
        with (
            caplog.at_level(logging.WARNING, "benchharness.farm"),
            working(testbed, "desk", {"pi-1": device}, tmp_path),
        ):
            until(lambda: bool(caplog.records))
            time.sleep(2.5)  # it asked again, and again
            assert device.begun == []
            (line,) = [each.getMessage() for each in caplog.records]
            assert "the farm cannot be reached" in line
            assert 'too many connections for role "desk"' in line
            testbed.rows("ALTER ROLE desk CONNECTION LIMIT 8")
            until(lambda: testbed.states() == ["succeeded"])
    finally:
        testbed.rows("ALTER ROLE desk CONNECTION LIMIT 8")


def test_who_stands_still_in_a_transaction_keeps_no_job_from_being_handed_on(
    testbed: Testbed, ann: Member, desk: Member, member: Members
) -> None:
    shown = [
        member(role).line.execute("SHOW idle_in_transaction_session_timeout").fetchall() for role in ("desk", "ann")
    ]
    assert shown == [[("1min",)], [("10min",)]]
    submit(testbed, ann, text())
    token, _ = desk.claims("pi-1")
    frozen = member("desk")
    frozen.line.execute("SET idle_in_transaction_session_timeout = '10min'")  # nobody is in a hurry yet
    frozen.line.execute("BEGIN")
    assert frozen.call("renew", token)  # and holds the lease's row from now on
    frozen.line.execute("SET LOCAL idle_in_transaction_session_timeout = '700ms'")  # its minute is over soon
    # As much later as it takes the lease to lapse; who holds the row is asked nothing.
    testbed.rows("UPDATE queue.procrastinate_workers SET last_heartbeat = now() - interval '1 hour'")
    testbed.rows("UPDATE farm.settings SET lease_s = 0.001, device_s = 0.001")
    assert testbed.reap() == 0
    until(lambda: testbed.rows("SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'") == [(0,)])
    lapse(testbed)
    assert testbed.reap() == 1
    with pytest.raises(psycopg.errors.IdleInTransactionSessionTimeout):
        frozen.call("renew", token)


def test_a_job_whose_worker_was_forgotten_is_handed_on(testbed: Testbed, ann: Member, desk: Member) -> None:
    """Who begins after a long time away clears workers that are silent before it looks for their jobs."""
    submit(testbed, ann, text())
    _, job = desk.claims("pi-1")
    testbed.rows("UPDATE farm.leases SET until = now() - interval '1 hour'")
    testbed.rows("DELETE FROM queue.procrastinate_workers")
    assert testbed.reap() == 1
    assert desk.claims("pi-2")[1] == job


@pytest.mark.parametrize(("off_s", "works"), [(120.0, True), (-120.0, True), (3600.0, False), (-86400.0, False)])
def test_a_host_whose_clock_is_off_keeps_its_leases_and_far_off_begins_nothing(
    testbed: Testbed, ann: Member, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture, off_s: float, works: bool,
) -> None:  # fmt: skip
    device = Simulated(parcel=parcel(tmp_path))
    real = time.time
    monkeypatch.setattr("benchharness.farm.line.time.time", lambda: real() + off_s)
    with caplog.at_level(logging.ERROR, "benchharness.farm"), working(testbed, "desk", {"pi-1": device}, tmp_path):
        until(lambda: testbed.rows("SELECT count(*) FROM farm.devices") == [(1,)])
        submit(testbed, ann, text())
        until(lambda: testbed.states() == ["succeeded"] if works else bool(caplog.records))
        assert bool(device.begun) is works
    told = [each.getMessage() for each in caplog.records]
    assert all(f"this host's clock is {off_s:.0f} s off the farm's" in each for each in told)
    assert bool(told) is not works
