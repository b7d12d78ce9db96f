"""A submission on several units of one device: what the farm tells of it, to who submits and to the webhook."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.postgres import MISSING, missing

pytest.importorskip("procrastinate", reason=MISSING)

from psycopg import errors

from benchharness import api, stores
from benchharness.errors import UsageError
from benchharness.farm import nights
from benchharness.farm.asking import jobs_of
from benchharness.farm.scheduler import application
from tests.conftest import CommandLine
from tests.farm import Member, Testbed, submit, text
from tests.unit.fleet_samples import stored

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "-")
Members = Callable[[str], Member]
FACTORS = {"phone-1": 1.0, "phone-2": 1.01, "phone-3": 0.99, "phone-4": 1.3}


@pytest.fixture
def spread(testbed: Testbed, member: Members, tmp_path: Path) -> str:
    """A submission that four simulated phones have measured, one of which is another kind, and a fifth lost; its id."""
    desk = member("desk")
    desk.holds(*FACTORS, "phone-5", hardware="pixel-8")
    told = text(devices=5, wanted=[{"hardware": "pixel-8"}], nightly="0 2 * * *")
    assert submit(testbed, member("ann"), told) == 5
    url = stored(tmp_path, [(device, 0, factor) for device, factor in FACTORS.items()])
    runs = {api.load(run.id, store=url).results[0].devices[0]: run.id for run in api.runs(store=url)}
    for device in FACTORS:
        token, _ = desk.claims(device)
        parcel = stores.parcel_of(runs[f"id-{device}"], store=url, conditions={"device": device})
        assert desk.one("hand_in", token, parcel)
    token, _ = desk.claims("phone-5")
    assert desk.one("give_back", token, "failed", "its battery swells")
    testbed.take_in()
    return str(json.loads(told)["id"])


def test_the_jobs_of_a_submission_are_taken_together(testbed: Testbed, spread: str) -> None:
    ann = testbed.member("ann")
    made = jobs_of(ann, spread[:8])
    assert [each.device for each in made if each.run] == list(FACTORS)
    assert [(each.status, each.why) for each in made if not each.run] == [("failed", "its battery swells")]
    (fleet,) = api.fleets(api.load(each.run, store=ann.store) for each in made if each.run)
    assert [unit.name for unit in fleet.units] == list(FACTORS)
    assert list(fleet.odd) == ["phone-4"]
    with pytest.raises(UsageError, match="knows no job of its night 7"):
        jobs_of(ann, spread, 7)


def test_agents_are_not_told_what_others_measured(testbed: Testbed, member: Members, spread: str) -> None:
    with pytest.raises(errors.InsufficientPrivilege):
        member("rack").call("runs", spread, None)


def test_the_webhook_hears_what_devices_say_together(
    testbed: Testbed, spread: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[dict[str, Any]] = []
    monkeypatch.setattr(nights, "_call", lambda _, said: heard.append(json.loads(json.dumps(said))))

    async def once() -> None:
        app = application(testbed.member("scheduler"))
        async with app.open_async():
            await nights.report(app, testbed.member("scheduler").store, None, "http://hook")

    asyncio.run(once())
    ((told,),) = [night["devices"] for night in heard]
    assert told["hardware"] == "pixel-8"
    assert told["stands_out"] == {"phone-4": 2}
    assert {each["metric"] for each in told["figures"]} == {"model_ttft"}
    assert all(each["low"] < each["value"] < each["high"] for each in told["figures"])


def test_a_submission_is_shown(testbed: Testbed, spread: str, benchharness: CommandLine, tmp_path: Path) -> None:
    ann = ("--farm", testbed.farm.pass_of("ann"))
    done = benchharness("farm", "show", spread[:8], "--out", tmp_path / "out", *ann)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("pixel-8 by 4 devices: phone-4 stands out in 2 of 2 figures")
    assert "failed: its battery swells" in done.stdout
    assert (tmp_path / "out" / "pixel-8.html").is_file()
    (told,) = json.loads(benchharness("farm", "show", spread, "--json", *ann).stdout)
    assert len(told["devices"]) == 4
    for words, why in ((("zzz",), "begin with 'zzz'"), ((spread, "--night", "9"), "no job of its night 9")):
        done = benchharness("farm", "show", *words, *ann)
        assert (done.returncode, done.stdout) == (2, "")
        assert why in done.stderr
        assert "Traceback" not in done.stderr
