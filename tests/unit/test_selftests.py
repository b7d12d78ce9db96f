"""Which self-tests a store quotes: a device's own, made here, of the demo model, and none that clocks make younger."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from benchharness import reading
from benchharness.judge.selftest import NAME, told
from benchharness.results.result import Job
from benchharness.results.schema import runs
from benchharness.results.store import Store
from tests.unit.history_samples import BASE, CANDIDATE, FIRST, Made, write

DEVICE = Made().device
SIDES = [Job.from_json({**each.to_json(), "model": "demo", "digest": "ab12" * 16}) for each in (BASE, CANDIDATE)]
TESTED = Made(jobs=SIDES, suite=NAME, metrics=("tpot", "peak_memory"))


def stored(*nights: Made) -> Store:
    return write(Store("sqlite://"), nights, rounds=20)


def quoted(store: Store, *devices: str) -> dict[str, str]:
    return {device: each.run.id for device, each in reading.selftests_in(store, devices or [DEVICE]).items()}


def test_the_newest_of_each_device_is_quoted_with_what_it_is_of() -> None:
    other = replace(TESTED, device="000000000002")
    store = stored(TESTED, TESTED, other)
    assert quoted(store, DEVICE, "000000000002", "3") == {DEVICE: "night-0001", "000000000002": "night-0002"}
    said = told(reading.selftests_in(store, [DEVICE])[DEVICE], FIRST + timedelta(days=3))
    assert said.startswith("selftest of 2026-03-02 (2 days ago), of the demo model by the usual design: this machine ")


def test_one_of_the_future_is_not_quoted() -> None:
    ahead = replace(TESTED, started=datetime.now(UTC) + timedelta(days=2))
    assert quoted(stored(TESTED, ahead)) == {DEVICE: "night-0000"}


def test_an_imported_one_is_not_quoted() -> None:
    store = stored(TESTED)
    with store.writing() as connection:
        connection.execute(update(runs).values(origin="sqlite:///theirs.db"))
    assert quoted(store) == {}


@pytest.mark.parametrize(
    "jobs", [[SIDES[0], replace(SIDES[1], digest="cd34" * 16)], [replace(each, model="mine") for each in SIDES]]
)
def test_a_suite_that_only_has_the_name_is_not_quoted(jobs: list[Job]) -> None:
    assert quoted(stored(TESTED, replace(TESTED, jobs=jobs))) == {DEVICE: "night-0000"}


def test_of_a_device_without_one_no_run_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    store = stored(*[TESTED] * 3)
    read: list[str] = []
    derived = reading.results_in
    monkeypatch.setattr(reading, "results_in", lambda store, run: read.append(run) or derived(store, run))  # type: ignore[func-returns-value]
    assert quoted(store, "000000000002") == {}
    assert read == []
    assert quoted(store, DEVICE, "000000000002") == {DEVICE: "night-0002"}
    assert read == ["night-0002"]
