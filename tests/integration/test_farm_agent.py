"""Agents with simulated devices: what they do when jobs are lost, cancelled, forged, and when the farm goes away."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.postgres import MISSING, missing

pytest.importorskip("procrastinate", reason=MISSING)

from benchharness import api
from benchharness.errors import SuiteError
from benchharness.farm.allowed import Allowed
from benchharness.farm.line import Line
from tests.farm import LEASE_S, Ahead, Member, Simulated, Testbed, lapse, parcel, submit, text, until, working

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "-")
Members = Callable[[str], Member]


@pytest.fixture
def ann(member: Members) -> Member:
    return member("ann")


@pytest.fixture
def ahead(monkeypatch: pytest.MonkeyPatch) -> Ahead:
    return Ahead(monkeypatch)


@pytest.fixture
def known(testbed: Testbed, member: Members) -> None:
    """Devices that the farm has heard of, so that something can be submitted before an agent is there."""
    line = member("desk")
    line.holds("pi-1", "pi-2")
    line.line.close()
    until(lambda: testbed.rows("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == [(0,)])


def done(testbed: Testbed, count: int) -> Callable[[], bool]:
    return lambda: testbed.states().count("succeeded") == count


def test_jobs_go_through_devices_and_results_into_the_store(
    testbed: Testbed, ann: Member, known: None, tmp_path: Path
) -> None:
    devices = {name: Simulated(parcel=parcel(tmp_path)) for name in ("pi-1", "pi-2")}
    devices["pi-2"].parcel = parcel(tmp_path)
    for _ in range(2):
        submit(testbed, ann, text())
    with working(testbed, "desk", devices, tmp_path):
        until(done(testbed, 2))
    assert testbed.take_in() == 2
    store = testbed.member("ann").store
    found = api.runs(store=store)
    assert len(found) == 2
    assert found[0].origin.startswith("farm: desk/pi-")
    assert api.load(found[0].id, store=store).results
    assert list((tmp_path / "desk" / "jobs").iterdir()) == []


def test_news_wakes_an_agent_long_before_it_would_ask(
    testbed: Testbed, ann: Member, known: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchharness.farm.agent._ASKS_S", 3600.0)
    device = Simulated(parcel=parcel(tmp_path))
    with working(testbed, "desk", {"pi-1": device}, tmp_path):
        until(lambda: testbed.rows("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == [(1,)])
        until(lambda: testbed.rows("SELECT count(*) FROM pg_stat_activity WHERE query = 'LISTEN farm'") == [(1,)])
        time.sleep(0.5)  # it asked, and there was nothing
        submit(testbed, ann, text())
        until(lambda: bool(device.begun))
        until(done(testbed, 1))


def test_a_long_job_keeps_its_lease(testbed: Testbed, ann: Member, known: None, tmp_path: Path, ahead: Ahead) -> None:
    device = Simulated(renewed_so_often=4, parcel=parcel(tmp_path))
    submit(testbed, ann, text())
    with working(testbed, "desk", {"pi-1": device}, tmp_path):
        until(lambda: bool(device.begun))
        for renewals in range(1, 5):
            ahead.by_s += 0.4 * LEASE_S  # in all, longer than it has at first
            until(lambda renewals=renewals: device.renewals >= renewals)  # type: ignore[misc]
        until(done(testbed, 1))
    assert device.renewals == 4, "it asks once a third is gone, and not all the time"
    assert len(device.begun) == 1


def test_a_job_ends_with_its_lease_while_the_farm_is_away_and_runs_again_elsewhere(
    testbed: Testbed, ann: Member, known: None, tmp_path: Path, ahead: Ahead
) -> None:
    device, other = Simulated(takes_s=3600, parcel=parcel(tmp_path)), Simulated(parcel=parcel(tmp_path))
    submit(testbed, ann, text())
    with working(testbed, "desk", {"pi-1": device}, tmp_path):
        until(lambda: bool(device.begun))
        testbed.farm.server.stop("immediate")
        try:
            ahead.by_s += LEASE_S / 2  # it asks for more time, and nobody is there
            time.sleep(0.3)
            assert not device.ended, "its lease holds"
            ahead.by_s += LEASE_S / 2
            until(lambda: bool(device.ended))
        finally:
            testbed.farm.server.start()
        lapse(testbed)
        until(lambda: testbed.reap() == 1 or testbed.states() != ["doing"])
        with working(testbed, "rack", {"pi-9": other}, tmp_path):
            until(done(testbed, 1))
    assert device.ended[0] < other.begun[0]
    assert len(device.begun) == 1


def test_a_lease_counts_from_before_it_was_asked_for(
    testbed: Testbed, ann: Member, known: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ahead: Ahead,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """An agent may be frozen while the answer waits for it."""
    asked = Line.call

    def late(self: Line, function: str, *values: object) -> list[tuple[Any, ...]]:
        found = asked(self, function, *values)
        if function == "claim" and found:
            ahead.by_s += LEASE_S + 0.2
        return found

    monkeypatch.setattr(Line, "call", late)
    device = Simulated(takes_s=60)
    submit(testbed, ann, text())
    with (
        caplog.at_level(logging.WARNING, "benchharness.farm"),
        working(testbed, "desk", {"pi-1": device}, tmp_path),
    ):
        until(lambda: "given up: its lease lapsed before it began" in caplog.text)
    assert testbed.states() == ["doing"]
    assert device.begun == []


def test_a_restart_of_the_farm_costs_no_job(testbed: Testbed, ann: Member, known: None, tmp_path: Path) -> None:
    device = Simulated(takes_s=2, parcel=parcel(tmp_path))
    submit(testbed, ann, text())
    with working(testbed, "desk", {"pi-1": device}, tmp_path):
        until(lambda: bool(device.begun))
        testbed.farm.server.stop("immediate")
        testbed.farm.server.start()
        until(done(testbed, 1))
    assert len(device.begun) == 1


def test_a_cancelled_job_is_ended(testbed: Testbed, ann: Member, known: None, tmp_path: Path, ahead: Ahead) -> None:
    device = Simulated(takes_s=60)
    told = text()
    submit(testbed, ann, told)
    with working(testbed, "desk", {"pi-1": device}, tmp_path):
        until(lambda: bool(device.begun))
        ann.one("cancel", json.loads(told)["id"])
        ahead.by_s += 0.4 * LEASE_S  # it hears of it when it asks for more time
        until(lambda: testbed.states() == ["aborted"])
        assert device.ended


def test_an_agent_that_is_stopped_gives_its_job_back(
    testbed: Testbed, ann: Member, known: None, tmp_path: Path
) -> None:
    device = Simulated(takes_s=60)
    submit(testbed, ann, text())
    with working(testbed, "desk", {"pi-1": device}, tmp_path):
        until(lambda: bool(device.begun))
    assert testbed.states() == ["todo"]
    assert testbed.rows("SELECT why FROM farm.leases") == [("its agent was stopped",)]


def test_a_device_that_is_unfit_is_quarantined_and_its_job_goes_elsewhere(
    testbed: Testbed, ann: Member, known: None, tmp_path: Path
) -> None:
    unfit = Simulated(told={"how": "unfit", "why": "its battery has 3 % left"})
    fit = Simulated(parcel=parcel(tmp_path))
    submit(testbed, ann, text(wanted=[{"hardware": "board"}]))
    with working(testbed, "desk", {"pi-1": unfit}, tmp_path):
        until(lambda: testbed.rows("SELECT state, why FROM farm.devices WHERE name = 'pi-1'")
              == [("quarantined", "its battery has 3 % left")])  # fmt: skip
        with working(testbed, "rack", {"pi-9": fit}, tmp_path):
            until(done(testbed, 1))
    assert len(unfit.begun) == 1


def test_what_nobody_of_the_list_signed_is_not_made(
    testbed: Testbed, ann: Member, known: None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    device = Simulated(parcel=parcel(tmp_path))
    submit(testbed, ann, text())
    with (
        caplog.at_level(logging.ERROR, "benchharness.farm"),
        working(testbed, "desk", {"pi-1": device}, tmp_path, rules=Allowed(keys={"bob": "AAAA"})),
    ):
        until(lambda: testbed.states() == ["failed"])
    assert device.begun == []
    (line,) = [each.getMessage() for each in caplog.records if "refused" in each.getMessage()]
    assert line.endswith("it is not signed by a key of this host's list, though it says ann")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"files": [{"path": "files/0/../../../etc/passwd", "sha256": "ab" * 32, "bytes": 7}]}, "files/0/../../../etc"),
        ({"suite": {"name": "s", "models": {"m": {"variants": {"v": {"artefact": "/etc/passwd"}}}}, "workloads": [],
                    "configurations": []}}, "/etc/passwd"),
    ],
    ids=["a file", "an artefact"],
)  # fmt: skip
def test_a_path_outside_is_refused_in_one_line(
    testbed: Testbed, ann: Member, known: None, tmp_path: Path, caplog: pytest.LogCaptureFixture,
    changes: dict[str, Any], words: str,
) -> None:  # fmt: skip
    device = Simulated(parcel=parcel(tmp_path))
    if "files" in changes:
        testbed.rows("INSERT INTO farm.files VALUES (%s, true)", "ab" * 32)
    submit(testbed, ann, text(**changes))
    with caplog.at_level(logging.ERROR, "benchharness.farm"), working(testbed, "desk", {"pi-1": device}, tmp_path):
        until(lambda: testbed.states() == ["failed"])
    assert device.begun == []
    (line,) = [each.getMessage() for each in caplog.records]
    assert line.startswith("pi-1: refused job ")
    assert f"a path outside of its own files: {words}" in line
    assert testbed.rows("SELECT told LIKE %s FROM farm.audit WHERE what = 'failed'", f"%{words}%") == [(True,)]


def test_a_host_whose_list_cannot_be_read_loses_no_job(
    testbed: Testbed, ann: Member, known: None, tmp_path: Path
) -> None:
    def broken() -> Allowed:
        raise SuiteError("agent.toml: not valid TOML")

    device, other = Simulated(parcel=parcel(tmp_path)), Simulated(parcel=parcel(tmp_path))
    with working(testbed, "desk", {"pi-1": device}, tmp_path) as agent:
        agent._allowed = broken
        submit(testbed, ann, text())
        until(lambda: bool(testbed.rows("SELECT 1 FROM farm.leases WHERE why = 'agent.toml: not valid TOML'")))
        assert device.begun == []
        with working(testbed, "rack", {"pi-9": other}, tmp_path):
            until(done(testbed, 1))


def test_a_file_of_another_content_is_not_used(
    testbed: Testbed, ann: Member, known: None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    import hashlib

    digest = hashlib.sha256(b"weights").hexdigest()
    assert ann.one("put_part", digest, 0, b"weights", True)
    testbed.rows("UPDATE farm.file_parts SET bytes = 'WEIGHTS'")  # by somebody who owns the server
    device = Simulated(parcel=parcel(tmp_path))
    submit(testbed, ann, text(files=[{"path": "files/0/model.onnx", "sha256": digest, "bytes": 7}]))
    with caplog.at_level(logging.ERROR, "benchharness.farm"), working(testbed, "desk", {"pi-1": device}, tmp_path):
        until(lambda: testbed.states() == ["failed"])
    assert device.begun == []
    (line,) = [each.getMessage() for each in caplog.records if "refused" in each.getMessage()]
    assert "files/0/model.onnx: its content has the digest" in line
