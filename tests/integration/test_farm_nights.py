"""Nights: what is due is queued once, and what became of a night is told once, when all of it is in the store."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.postgres import MISSING, missing

pytest.importorskip("procrastinate", reason=MISSING)

from procrastinate import App

from benchharness.farm import nights
from benchharness.farm.scheduler import application
from tests.farm import Member, Testbed, parcel, submit, text

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "-")
Members = Callable[[str], Member]


def scheduled(testbed: Testbed, duty: Callable[[App], Awaitable[Any]]) -> None:
    """Does something as the scheduler."""

    async def once() -> None:
        app = application(testbed.member("scheduler"))
        async with app.open_async():
            await duty(app)

    asyncio.run(once())


@pytest.fixture
def told(testbed: Testbed, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the webhook hears."""
    heard: list[dict[str, Any]] = []
    monkeypatch.setattr(nights, "_call", lambda _, said: heard.append(dict(said)))
    return heard


def report(testbed: Testbed) -> None:
    store = testbed.member("scheduler").store
    scheduled(testbed, lambda app: nights.report(app, store, None, "http://hook"))


def test_a_night_is_queued_when_it_is_due_and_once(testbed: Testbed, member: Members) -> None:
    member("desk").holds("pi-1")
    submit(testbed, member("ann"), text(nightly="0 2 * * *"))
    submit(testbed, member("ann"), text())
    scheduled(testbed, nights.begin)
    assert len(testbed.states()) == 2
    testbed.rows("UPDATE farm.nights SET queued = queued - interval '2 days'")
    scheduled(testbed, nights.begin)
    scheduled(testbed, nights.begin)  # as a second scheduler would
    assert len(testbed.states()) == 3
    assert testbed.rows("SELECT night FROM farm.jobs ORDER BY id") == [(0,), (0,), (1,)]


def test_a_night_is_told_once_and_only_when_all_of_it_is_in_the_store(
    testbed: Testbed, member: Members, told: list[dict[str, Any]], tmp_path: Path
) -> None:
    desk = member("desk")
    desk.holds("pi-1", "pi-2")
    submit(testbed, member("ann"), text(nightly="0 2 * * *", devices=2))
    for name in ("pi-1", "pi-2"):
        report(testbed)
        assert told == []
        token, _ = desk.claims(name)
        assert desk.one("hand_in", token, parcel(tmp_path))
    report(testbed)
    assert told == []  # results are there, and not in the store
    testbed.take_in()
    report(testbed)
    report(testbed)
    (night,) = told
    assert (night["verdict"], night["night"], night["name"]) == ("green", 0, "phones")
    assert [(job["device"], job["status"], bool(job["run"])) for job in night["jobs"]] == [
        ("pi-1", "succeeded", True),
        ("pi-2", "succeeded", True),
    ]


def test_a_job_without_a_result_makes_a_night_red(
    testbed: Testbed, member: Members, told: list[dict[str, Any]]
) -> None:
    desk = member("desk")
    desk.holds("pi-1")
    submit(testbed, member("ann"), text(nightly="0 2 * * *"))
    token, _ = desk.claims("pi-1")
    desk.one("give_back", token, "failed", "no such runtime")
    report(testbed)
    assert [(night["verdict"], night["jobs"][0]["why"]) for night in told] == [("red", "no such runtime")]


def test_a_forged_result_makes_a_night_red(testbed: Testbed, member: Members, told: list[dict[str, Any]]) -> None:
    desk = member("desk")
    desk.holds("pi-1")
    submit(testbed, member("ann"), text(nightly="0 2 * * *"))
    token, _ = desk.claims("pi-1")
    assert desk.one("hand_in", token, "{}")
    testbed.take_in()
    report(testbed)
    assert [night["verdict"] for night in told] == ["red"]
    assert "it is no run" in told[0]["jobs"][0]["why"]


def test_a_device_that_left_its_history_is_taken_out(
    testbed: Testbed, member: Members, told: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    why = "a build is 8.0 times as far from itself"
    monkeypatch.setattr(nights, "_gated", lambda job, _: {"gate": "green", "gate_why": "", "unsteady": why})
    desk = member("desk")
    desk.holds("pi-1")
    submit(testbed, member("ann"), text(nightly="0 2 * * *"))
    token, _ = desk.claims("pi-1")
    assert desk.one("hand_in", token, parcel(tmp_path))
    testbed.take_in()
    report(testbed)
    assert testbed.rows("SELECT state, why FROM farm.devices") == [("quarantined", why)]
    assert told[0]["jobs"][0]["unsteady"] == why


def test_a_schedule_that_is_none_keeps_nobody_elses_night(testbed: Testbed, member: Members) -> None:
    ann = member("ann")
    member("desk").holds("pi-1")
    for schedule in ("whenever", "* * * * * *"):  # not by our command, which refuses them; the second is each second
        submit(testbed, ann, text(nightly=schedule))
    submit(testbed, ann, text(nightly="0 2 * * *"))
    testbed.rows("UPDATE farm.nights SET queued = now() - interval '2 days'")
    scheduled(testbed, nights.begin)
    assert testbed.rows("SELECT nightly, max(night) FROM farm.nights JOIN farm.submissions ON id = submission"
                        " GROUP BY nightly ORDER BY nightly") == [
        ("* * * * * *", 0), ("0 2 * * *", 1), ("whenever", 0)
    ]  # fmt: skip
