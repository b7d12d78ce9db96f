"""Joules a token and an answer by a meter of its own clock, estimates beside them, and how fast a battery falls.

And what people reported in public of such figures, made small: each has one right answer.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchharness.device.sensors.energy import find_energy_counters
from benchharness.device.sensors.meters import external
from benchharness.device.sensors.meters.external import ExternalMeter
from benchharness.device.sensors.panel import Panel
from benchharness.judge.derive import derive_one
from benchharness.metrics import METRICS
from benchharness.results.result import MetricResult, WarningKind
from benchharness.scenarios.sustained import SCENARIO
from benchharness.scenarios.sustained.course import courses, sustained_metrics
from benchharness.units import quantity_text
from tests.unit.made_up import job
from tests.unit.sensors.test_external_meter import DECLARED, Scripted, line
from tests.unit.sensors.trees import planted
from tests.unit.test_sustained import readings, rows, session, windows

METER = {"external meter": {"found": True, "of": "wall plug"}}
ESTIMATE = {"powermetrics": {"found": True, "of": "CPU, GPU and Neural Engine"}}


def metrics(
    *more: Any, sensors: Mapping[str, Any] | None = None, unit: str = "tokens/s", attempts: int = 1
) -> dict[str, MetricResult]:
    """Of sessions from 2 to 8 s, of 60 windows of 0.1 s with 100 tokens and 4 answers each."""
    done = [session(at, windows(rows(), unit), *more, conditions={"sensors": sensors or {}}) for at in range(attempts)]
    return {each.name: each for each in sustained_metrics(done, list(courses(done)))}


def value(found: Mapping[str, MetricResult], name: str) -> float | None:
    return found[name].estimate.value


def test_a_meters_energy_by_token_and_by_answer() -> None:
    """12 W for six seconds, which is what the meter says however much it says before and after."""
    counted = [(0.5e9, 0.0), (1.5e9, 50e6), (9e9, 50e6 + 12e6 * 7.5), (12e9, 900e6)]
    found = metrics(readings("meter_uj.0", counted), sensors=METER)
    assert value(found, "energy_per_inference") == pytest.approx(12 * 6 / 6000)
    assert value(found, "energy_per_answer") == pytest.approx(12 * 6 / 240)
    assert found["energy_per_inference"].parameters == {"of": "external meter: wall plug"}
    assert "energy_per_answer" not in metrics(readings("meter_uj.0", counted), sensors=METER, unit="inferences/s")


def test_a_declared_meter_is_asked_before_all_other_counters() -> None:
    packages = readings("energy_uj.package-0", [(1e9, 0), (11e9, 5e7)])
    meter = readings("meter_uj.0", [(1e9, 0), (11e9, 12e7)])
    assert value(metrics(packages, meter, sensors=METER), "energy_per_inference") == pytest.approx(12 * 6 / 6000)


def test_what_lies_in_a_gap_is_unknown_and_not_made_up() -> None:
    """Known until 4 s and from 5 s on: five of six seconds, and the tokens of those."""
    parts = [readings("meter_uj.0", [(1e9, 0), (4e9, 30e6)]), readings("meter_uj.1", [(5e9, 0), (9e9, 80e6)])]
    assert value(metrics(*parts, sensors=METER), "energy_per_inference") == pytest.approx((20 + 60) / 5000)


@pytest.mark.parametrize(("seconds_a_step", "known"), [(0.1, True), (0.5, False)])
def test_a_coarse_counters_steps_before_the_course_say_nothing_of_it(seconds_a_step: float, known: bool) -> None:
    """A reading a step: twelve steps in six seconds are none that a figure stands on, sixty are."""
    moments = [at * seconds_a_step for at in range(round(60 / seconds_a_step))]
    counted = [((at - 50) * 1e9, 100e6 * at) for at in moments if at >= 50]
    found = metrics(
        readings("meter_uj.0", counted), sensors={"external meter": {**METER["external meter"], "counts": "energy"}}
    )["energy_per_inference"]
    if known:
        assert found.estimate.value == pytest.approx(100 * 6 / 6000)
    else:
        assert found.estimate.value is None
        assert "its counter moved less than 20 times in it" in found.estimate.reason


def test_a_meter_that_broke_off_before_the_course_is_told() -> None:
    estimate = metrics(readings("meter_uj.0", [(0.1e9, 0), (1.5e9, 30e6)]), sensors=METER)["energy_per_inference"]
    assert "the external meter told no window of the course whole" in estimate.estimate.reason


def test_less_than_half_of_a_session_does_not_stand_for_it() -> None:
    found = metrics(readings("meter_uj.0", [(1e9, 0), (4e9, 30e6)]), sensors=METER)
    assert found["energy_per_inference"].estimate.value is None
    assert found["energy_per_inference"].estimate.reason == "it is known of less than 50% of the course only"


def test_a_meter_that_tells_nothing_says_why() -> None:
    why = "/meter.csv, column 2 in W: wall plug: it tells 10000 W, and the profile says 1 to 60 W"
    found = metrics(sensors={"external meter": {"found": False, "reason": why}})
    assert found["energy_per_inference"].estimate.reason == why


def test_and_is_a_warning() -> None:
    silent = {"external meter": {"found": False, "reason": "/meter.csv: No such file or directory"}}
    done = [session(at, windows(rows()), conditions={"sensors": silent if at else METER}) for at in range(3)]
    made = replace(derive_one(job(scenario="sustained"), done, ""), courses=list(courses(done)))
    (found,) = SCENARIO.warnings(made)
    assert found.kind is WarningKind.NOT_APPLIED
    assert found.message == ("the external meter told nothing in 2 of 3 courses: /meter.csv: No such file or directory")
    assert list(SCENARIO.warnings(replace(made, courses=made.courses[:1]))) == []


@pytest.mark.parametrize("metered", [(0, 2), (1, 2)])
def test_counters_of_two_kinds_have_no_mean(metered: Sequence[int]) -> None:
    """In one attempt, the first or the second, the meter broke off, and the processor's own counters went on."""
    meter = readings("meter_uj.0", [(1e9, 0), (11e9, 12e7)])
    packages = readings("energy_uj.package-0", [(1e9, 0), (11e9, 5e7)])
    done = [
        session(at, windows(rows()), packages, *([meter] if at in metered else []), conditions={"sensors": METER})
        for at in range(3)
    ]
    found = {each.name: each for each in sustained_metrics(done, list(courses(done)))}
    assert [each.value for each in found["energy_per_inference"].attempts] == pytest.approx([12 * 6 / 6000] * 2)


def test_an_estimate_is_never_a_measurement() -> None:
    found = metrics(readings("estimated_uj.0", [(1e9, 0), (11e9, 8e7)]), sensors=ESTIMATE)
    assert found["energy_per_inference"].estimate.value is None
    assert found["energy_per_inference"].estimate.reason == "no energy sensor was read"
    assert "energy_per_answer" not in found
    assert value(found, "estimated_energy_per_inference") == pytest.approx(8 * 6 / 6000)
    assert value(found, "estimated_energy_per_answer") == pytest.approx(8 * 6 / 240)
    assert found["estimated_energy_per_inference"].parameters == {"of": "CPU, GPU and Neural Engine"}
    for name in ("estimated_energy_per_inference", "estimated_energy_per_answer"):
        assert "estimate" in METRICS[name].title
    (course,) = courses([session(0, windows(rows()), readings("estimated_uj.0", [(1e9, 0), (11e9, 8e7)]))])
    assert {window.watts for window in course.windows} == {None}


def test_and_neither_stands_in_for_the_other() -> None:
    found = metrics(
        readings("estimated_uj.0", [(1e9, 0), (11e9, 8e7)]),
        readings("meter_uj.0", [(1e9, 0), (11e9, 12e7)]),
        sensors={**ESTIMATE, **METER},
    )
    assert value(found, "energy_per_inference") == pytest.approx(12 * 6 / 6000)
    assert value(found, "estimated_energy_per_inference") == pytest.approx(8 * 6 / 6000)


# Batteries


def battery(percents: Sequence[float], drained: float = 1, channel: str = "battery_percent") -> list[Any]:
    """Readings from 2 s to 8 s, and whether nothing else fed the device."""
    moments = [2e9 + at * 6e9 / (len(percents) - 1) for at in range(len(percents))]
    states = [(2e9, 1.0), (5e9, float(drained)), (8e9, 1.0)]
    return [readings(channel, list(zip(moments, percents, strict=True))), readings("battery_drained", states)]


def test_a_battery_falls_by_its_steps_and_the_interval_knows_them() -> None:
    """Three percent in six seconds, of a gauge of whole percents: between two and four."""
    found = metrics(*battery([90, 90, 89, 88, 88, 87]))["battery_drain"]
    assert found.estimate.value == pytest.approx(3 * 600)
    assert (found.estimate.low, found.estimate.high) == pytest.approx((2 * 600, 4 * 600))
    assert found.unit == "%/h"
    assert quantity_text(12.34, found.unit) == "12.3 %/h"


def test_its_charge_falls_by_the_least_step_that_was_seen() -> None:
    found = metrics(*battery([4_000_000, 3_999_000, 3_997_000, 3_996_000], channel="battery_uah"))["charge_drain"]
    assert found.estimate.value == pytest.approx(4 * 600)
    assert (found.estimate.low, found.estimate.high) == pytest.approx((3 * 600, 5 * 600))
    assert found.unit == "mAh/h"


def test_several_sessions_are_told_together() -> None:
    found = metrics(*battery([90, 89, 88, 87]), attempts=3)["battery_drain"].estimate
    assert found.count == 3
    assert found.value == pytest.approx(3 * 600)
    assert (found.low, found.high) == pytest.approx((2 * 600, 4 * 600)), "a step in each session"


def test_a_course_in_which_a_gauge_stood_still_counts_too() -> None:
    """One percent in two courses of three: left out, the third would make them half as quick again."""
    percents = ([90, 90, 89], [89, 89, 89], [89, 88, 88])
    done = [session(at, windows(rows()), *battery(each)) for at, each in enumerate(percents)]
    (found,) = (each for each in sustained_metrics(done, list(courses(done))) if each.name == "battery_drain")
    assert found.estimate.value == pytest.approx(2 / 3 * 600)
    assert (found.estimate.low, found.estimate.high) == pytest.approx((0, 5 / 3 * 600)), "a step in each"
    assert [each.value for each in found.attempts] == pytest.approx([600, 0, 600])


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (battery([90, 89, 90, 88]), "the battery's gauge rose meanwhile"),
        (battery([90, 89, 88], drained=0), "the device was plugged in, or its battery was not drained"),
        (battery([100, 100, 100]), "the battery's gauge did not move in the course: less than 600 an hour"),
        (battery([90, 89, 88])[:1], "nothing says whether the battery was charged meanwhile"),
    ],
)
def test_a_battery_that_was_fed_or_did_not_move_tells_nothing(made: Sequence[Any], why: str) -> None:
    estimate = metrics(*made)["battery_drain"].estimate
    assert estimate.value is None
    assert why in estimate.reason


def test_a_phones_service_tells_level_and_charge() -> None:
    level = readings("level_percent", [(2e9, 80), (5e9, 79), (8e9, 78)])
    charge = readings("drained_uah", [(2e9, 0), (5e9, 400), (8e9, 1000)])
    found = metrics(level, charge)
    assert value(found, "battery_drain") == pytest.approx(2 * 600)
    assert value(found, "charge_drain") == pytest.approx(600)
    charged = {"Android battery charge": {"found": True, "left_out": {"all of it": "it was charged meanwhile"}}}
    assert metrics(level, charge, sensors=charged)["battery_drain"].estimate.reason == "it was charged meanwhile"


def test_a_device_without_a_battery_is_not_asked_for_one() -> None:
    assert {"battery_drain", "charge_drain"} & set(metrics()) == set()


BATTERY = {
    "sys/class/power_supply/BAT0/type": "Battery",
    "sys/class/power_supply/BAT0/capacity": "90",
    "sys/class/power_supply/AC/type": "Mains",
}


@pytest.mark.parametrize(
    ("status", "online", "drained"),
    [("Discharging", "0", 1), ("Discharging", "1", 0), ("Charging", "1", 0), ("Full", "0", 0), ("Unknown", "0", 0)],
)
def test_whether_nothing_else_feeds_a_device_is_read_with_its_battery(
    status: str, online: str, drained: int, tmp_path: Path
) -> None:
    states = {"sys/class/power_supply/BAT0/status": status, "sys/class/power_supply/AC/online": online}
    with Panel(os.getpid(), planted(tmp_path, {**BATTERY, **states})) as panel:
        assert panel.look()["battery_drained"] == drained


# What people reported


def test_a_counter_that_starts_again_and_does_not_say_where_is_unknown_from_there_on(tmp_path: Path) -> None:
    """mlco2/codecarbon issue 1309: with `max_energy_range_uj` unreadable a wrap made the sum fall.

    tdurieux/EnergiBridge issue 17: the energy of a long course read −250769 J. A sum without the fall would be too
    little by an unknown amount.
    """
    folder = "sys/class/powercap/intel-rapl:0"
    planted(tmp_path, {f"{folder}/name": "package-0", f"{folder}/energy_uj": "4000000000"})
    sensor = find_energy_counters(None, tmp_path)
    planted(tmp_path, {f"{folder}/energy_uj": "4005000000"})
    assert sensor.read() == {"energy_uj.package-0": 4_005_000_000}
    planted(tmp_path, {f"{folder}/energy_uj": "10000"})
    assert sensor.read() == {}
    planted(tmp_path, {f"{folder}/energy_uj": "20000"})
    assert sensor.read() == {}, "and it never becomes known again"
    assert "fell from 4005000000 to 10000" in sensor.left_out["package-0"]


def test_energy_is_that_between_a_courses_own_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Avarok-Cybersecurity/atlas pull 1197: sampled before each run, one engine's power looked twice another's.

    Here the device takes 30 W before and after, and 10 W in the course.
    """
    at_s = [at / 10 for at in range(111)]
    arrivals = [(at + 0.01, line(at, 10.0 if 1.95 <= at <= 8.05 else 30.0)) for at in at_s]
    monkeypatch.setattr(external, "_source", lambda _: Scripted(arrivals))
    meter = ExternalMeter(DECLARED, 5_000_000_000)
    for _ in arrivals:
        meter.look()
    ((channel, counted),) = meter.channels().items()
    found = metrics(readings(channel, counted), sensors=METER)
    assert value(found, "energy_per_inference") == pytest.approx(10 * 6 / 6000, rel=5e-3)


def test_a_power_that_is_told_in_lots_is_right_over_the_course() -> None:
    """lablup/all-smi issue 410: an M5 Max whose counters moved every other sample read 0 W and twice as much in turn.

    2 W, of which the counter knows in steps of two seconds.
    """
    counted = [(at * 1e9, at // 2 * 4e6) for at in range(13)]
    found = metrics(readings("estimated_uj.0", counted), sensors=ESTIMATE)
    assert value(found, "estimated_energy_per_inference") == pytest.approx(2 * 6 / 6000)


def test_what_a_device_takes_when_idle_is_said_to_be_in_it() -> None:
    """powerapi-ng/pyJoules issue 10: is what runs beside it, and idling, in the figure? It is, and that is said."""
    assert "What it takes idle is in it" in METRICS["energy_per_inference"].definition
