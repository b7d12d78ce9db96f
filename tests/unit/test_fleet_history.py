"""A history of several devices of one target: taken together night by night, and whose a step is."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from benchharness.judge.step_words import fleet_lines, whose_text
from benchharness.results.store import Store
from benchharness.results.trends import FleetTrend, History
from reports.pages.history import history_page
from tests.unit.history_samples import ALONE, FIRST, Made, told, write

DEVICES = {"one": 1.0, "two": 1.05, "three": 1.1}


def nights(count: int, steps: dict[str, float], *, at: int, factors: dict[str, float] | None = None) -> list[Made]:
    """So many nights of several devices, an hour apart; from night `at` on a device is slower by its step."""
    found = []
    for number in range(count):
        for hour, (device, factor) in enumerate((factors or DEVICES).items()):
            scale = factor * (steps.get(device, 1.0) if number >= at else 1.0)
            when = FIRST + timedelta(days=number, hours=hour)
            found.append(Made(jobs=[replace(ALONE)], scale={"int8": scale}, started=when, device=device))
    return found


def history(folder: Path, made: list[Made]) -> History:
    store = Store(f"sqlite:///{folder / 'store.db'}")
    try:
        return told(write(store, made, noise=0.005))
    finally:
        store.close()


def only(found: History) -> FleetTrend:
    (one,) = found.fleets
    return one


def test_a_night_of_several_devices_is_one_figure_with_their_interval(tmp_path: Path) -> None:
    found = history(tmp_path, nights(4, {}, at=99))
    fleet = only(found)
    assert fleet.absolute.counts == [3] * 4
    assert fleet.absolute.nights == [2, 5, 8, 11]  # the last run of each night
    for value, low, high in zip(fleet.absolute.values, fleet.absolute.lows, fleet.absolute.highs, strict=True):
        assert value == pytest.approx(1e7 * 1.05, rel=0.02)
        assert low is not None
        assert high is not None
        assert low < 1e7 * 0.96  # units are known no better than that
        assert high > 1e7 * 1.14
    assert len(found.trends) == 3  # each has its own beside it


def test_a_device_that_comes_again_begins_another_night_and_so_does_a_day(tmp_path: Path) -> None:
    made = nights(2, {}, at=99)
    made = [
        each
        for each in made
        if not (each.device == "two" and each.started and each.started > FIRST + timedelta(hours=20))
    ]
    fleet = only(history(tmp_path, made))
    assert fleet.absolute.counts == [3, 2]
    (tmp_path / "other").mkdir()
    apart = [replace(each, started=FIRST + timedelta(days=3 * at)) for at, each in enumerate(nights(1, {}, at=9))]
    assert history(tmp_path / "other", apart).fleets == []


def test_a_step_that_every_device_has_is_told_from_a_units_own(tmp_path: Path) -> None:
    all_of_them = only(history(tmp_path, nights(16, dict.fromkeys(DEVICES, 1.25), at=8)))
    (step,) = all_of_them.steps
    assert step.seen == sorted(DEVICES)
    assert step.size == pytest.approx(0.25, abs=0.01)
    assert step.low is not None
    assert step.high is not None
    assert 0.2 < step.low < 0.25 < step.high < 0.3
    (tmp_path / "other").mkdir()
    found = history(tmp_path / "other", nights(16, {"two": 1.25}, at=8))
    (step,) = only(found).steps
    assert (step.seen, step.devices) == (["two"], 3)
    assert step.low is not None
    assert step.low < 0  # the target by all of its devices may be as it was
    ((_, line),) = fleet_lines(found)
    assert "seen on 1 of 3 devices alone (two)" in line
    ((trend, _),) = found.steps()
    assert whose_text(trend).endswith(" · two")


def test_a_device_that_is_always_apart_stands_out_and_what_moves_all_does_not_hide_it(tmp_path: Path) -> None:
    factors = {"a": 1.0, "b": 1.01, "c": 0.99, "d": 1.0, "e": 1.3}
    made = nights(6, {}, at=99, factors=factors)
    moved = [replace(each, drift=0.2 * (at // 5 % 2)) for at, each in enumerate(made)]
    found = history(tmp_path, moved)
    fleet = only(found)
    assert (fleet.farthest, fleet.stands_out) == ("e", True)
    assert fleet.far == pytest.approx(0.3, abs=0.03)
    page = history_page(found, datetime.now(FIRST.tzinfo))
    assert [each.odd for each in page.fleets] == [True]
    assert "e stands out: +30" in page.fleets[0].told or "e stands out: +29" in page.fleets[0].told


def test_a_unit_beside_it_that_ran_later_that_night_replaces_no_device(tmp_path: Path) -> None:
    made = nights(4, {}, at=99)
    found = history(tmp_path, made)
    assert found.missing == []
    (tmp_path / "other").mkdir()
    (gone,) = history(tmp_path / "other", made[:9] + made[10:]).missing  # "one" has no fourth night
    assert gone.device == "one"
    assert gone.gap is not None
    assert gone.gap.reason == "not measured since, and the device beside it was: three"


def test_one_device_alone_has_no_fleet_and_json_has_what_there_is(tmp_path: Path) -> None:
    assert history(tmp_path, nights(4, {}, at=99, factors={"one": 1.0})).fleets == []
    (tmp_path / "other").mkdir()
    found = history(tmp_path / "other", nights(4, {}, at=99))
    (fleet,) = json.loads(found.to_json())["fleets"]
    assert sorted(fleet["devices"]) == sorted(DEVICES)
    assert fleet["absolute"]["counts"] == [3] * 4
    assert fleet["metric"] == "model_ttft"
