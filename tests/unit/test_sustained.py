"""Windows and sensor readings -> a course, and its metrics, against computations by hand."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import geometric_mean
from typing import Any

import pytest

from benchharness.execute.received import attempt_from
from benchharness.judge.derive import derive, derive_one
from benchharness.judge.intervals import independent_ratio
from benchharness.records import WindowRow
from benchharness.results.courses import Course, SessionState
from benchharness.results.export import to_json
from benchharness.results.plausibility import contradictions
from benchharness.results.result import Attempt, Measurement, MetricResult, OutcomeKind, Result
from benchharness.scenarios.sustained.course import courses, sustained_metrics
from tests.unit.made_up import attempt, job, measured, run

MS = 1e6
SECOND = 1e9
#: The session begins two seconds after the worker was spawned.
ORIGIN = 2 * SECOND
DURATION_NS = 20_000_000_000


def row(start: float, **changes: float) -> list[float]:
    """A window of 100 ms from `start` ns on: 100 inferences of 0.9 ms, all on the CPU."""
    figures = {
        "start": start,
        "end": max(start, 0) + 100 * MS,
        "inferences": 100,
        "busy": 90 * MS,
        "process_cpu": 180 * MS,
        "least_wall": 0.8 * MS,
        "p50_wall": 0.9 * MS,
        "p90_wall": 1.0 * MS,
        "p99_wall": 1.1 * MS,
        "most_wall": 1.2 * MS,
        "least_cpu": 0.79 * MS,
        "requests": 4,
        "ttft": 5 * MS,
        **changes,
    }
    return [figures[name] for name in WindowRow._fields]


def rows(count: int = 60, **changes: float) -> list[list[float]]:
    return [row(ORIGIN + at * 100 * MS, **changes) for at in range(count)]


def windows(table: Sequence[Sequence[float]], unit: str = "tokens/s") -> Measurement:
    samples = [value for line in table for value in line]
    return measured("sustained_window", 1.0, samples, parameters={"unit": unit}, row_length=len(WindowRow._fields))


def readings(channel: str, pairs: Sequence[tuple[float, float]]) -> Measurement:
    samples = [value for pair in pairs for value in pair]
    return measured("sensor_reading", samples[-1], samples, parameters={"channel": channel}, row_length=2)


def session(round_: int, *measurements: Measurement, **changes: Any) -> Attempt:
    return attempt(round_, *measurements, duration_ns=DURATION_NS, **changes)


def course(*measurements: Measurement, **changes: Any) -> Course:
    (found,) = courses([session(0, *measurements, **changes)])
    return found


def test_a_course_tells_every_window() -> None:
    found = course(windows(rows()))
    assert (found.unit, len(found.windows), found.state) == ("tokens/s", 60, SessionState.STEADY)
    first, last = found.windows[0], found.windows[-1]
    assert (first.start_s, first.end_s) == pytest.approx((0.0, 0.1))
    assert last.end_s == pytest.approx(6.0)
    assert first.inferences == 100
    assert first.rate == pytest.approx(100 / 0.090)
    assert first.cpu_ns == pytest.approx(1.8 * MS), "of all threads, an inference"
    assert (first.least_cpu_ns, first.ttft_ns) == (0.79 * MS, 5 * MS)
    assert found.burst_rate == found.settled_rate == pytest.approx(100 / 0.090)
    assert found.retention == pytest.approx(1.0)
    assert (found.below_10_s, found.below_25_s, found.change_s) == (None, None, None)


def test_what_was_not_read_is_unknown_in_every_window() -> None:
    found = course(windows(rows()), conditions={"sensors": {"temperature": {"found": False, "reason": "no sensor"}}})
    for window in found.windows:
        unread = (
            window.wait_share,
            window.throttled,
            window.steal_share,
            window.celsius,
            window.clock_khz,
            window.watts,
        )
        assert unread == (None,) * 6
    assert found.sensors == {}
    assert found.sensors_unknown == {"temperature": "no sensor"}


@pytest.mark.parametrize("sensors", [None, 7, [], {"x": 3}, {"waiting": {"found": True}}])
def test_what_a_device_says_of_its_sensors_may_be_anything(sensors: Any) -> None:
    assert course(windows(rows()), conditions={"sensors": sensors}).sensors_unknown == {}


def test_a_model_without_tokens_has_no_time_to_the_first() -> None:
    found = course(windows(rows(ttft=0), "inferences/s"))
    assert {window.ttft_ns for window in found.windows} == {None}


@pytest.mark.parametrize(("inferences", "told"), [(63, [50]), (64, [50, 90]), (661, [50, 90]), (662, [50, 90, 99])])
def test_percentiles_are_told_where_the_count_carries_them(inferences: int, told: list[int]) -> None:
    found = course(windows(rows(inferences=inferences)))
    assert sorted(found.windows[0].latency_ns) == told
    assert found.windows[0].latency_ns[50] == 0.9 * MS


def test_counters_are_interpolated_to_the_windows_ends() -> None:
    """Waited 30 ms and ran 70 ms between looks at 1.95 s and 2.15 s, then not at all until 2.35 s."""
    looks = [
        readings("waited_ns", [(1.95e9, 0), (2.15e9, 30 * MS), (2.35e9, 30 * MS), (9e9, 30 * MS)]),
        readings("ran_ns", [(1.95e9, 5 * MS), (2.15e9, 75 * MS), (2.35e9, 175 * MS), (9e9, 4e9)]),
        readings("quota_throttled_times", [(1.95e9, 7), (2.15e9, 9), (9e9, 9)]),
        readings("stolen_ticks", [(1.5e9, 100), (2.5e9, 110)]),
        readings("wanted_ticks", [(1.5e9, 1000), (2.5e9, 1200)]),
    ]
    first, second, third, *_ = course(windows(rows()), *looks).windows
    assert first.wait_share == pytest.approx(0.3), "15 of 50 ms"
    # from 2.1 to 2.2 s: 50 ms of the first stretch (7.5 waited, 17.5 ran), 50 ms of the second (0 and 25)
    assert second.wait_share == pytest.approx(7.5 / (7.5 + 17.5 + 25))
    assert third.wait_share == 0.0
    assert (first.throttled, second.throttled) == pytest.approx((1.0, 0.5), abs=0.01)
    assert first.steal_share == pytest.approx(0.05)


def test_a_counter_is_unknown_before_the_first_look_and_after_the_last() -> None:
    """Held still, it would say that nothing waited."""
    found = course(
        windows(rows()),
        readings("waited_ns", [(2.2e9, 0), (4e9, 9 * MS)]),
        readings("ran_ns", [(2.2e9, 0), (4e9, 900 * MS)]),
        readings("celsius.cpu", [(2.2e9, 50.0), (4e9, 60.0)]),
    )
    known = [at for at, window in enumerate(found.windows) if window.wait_share is not None]
    assert known == list(range(2, 20))
    warm = [at for at, window in enumerate(found.windows) if window.celsius is not None]
    assert warm == list(range(2, 20))
    assert "waiting for a core cannot be read" in found.evidence[0]


def test_a_counter_that_fell_is_unknown_there() -> None:
    found = course(
        windows(rows()), readings("quota_throttled_times", [(1e9, 50), (2.1e9, 50), (2.15e9, 0), (2.2e9, 0), (9e9, 0)])
    )
    assert [window.throttled for window in found.windows[:3]] == [0.0, None, 0.0]


def test_the_hottest_sensor_and_the_fastest_clock_are_told() -> None:
    found = course(
        windows(rows()),
        readings("celsius.cpu", [(1e9, 50.0), (9e9, 58.0)]),
        readings("celsius.skin", [(1e9, 54.0), (9e9, 54.0)]),
        readings("khz.cpu0", [(1e9, 2e6), (9e9, 2e6)]),
        readings("highest_khz.cpu0", [(1e9, 3e6)]),
    )
    assert found.windows[0].celsius == 54.0
    assert found.windows[-1].celsius == pytest.approx(50 + 6.95)
    assert found.windows[0].clock_khz == 2e6
    assert found.sensors["highest_khz.cpu0"] == [(-1.0, 3e6)], "seconds since the session began"


def test_one_sensor_that_ends_early_leaves_the_other() -> None:
    found = course(
        windows(rows()),
        readings("celsius.cpu", [(1e9, 70.0), (3e9, 70.0)]),
        readings("celsius.skin", [(1e9, 40.0), (9e9, 40.0)]),
    )
    assert (found.windows[0].celsius, found.windows[-1].celsius) == (70.0, 40.0)


def test_energy_is_that_of_whole_packages() -> None:
    """Two packages at 10 and 5 W; the cores are inside the first, and the platform holds both."""
    watts = {"package-0": 10, "package-1": 5, "package-0 core": 8, "psys": 30}
    looks = [readings(f"energy_uj.{name}", [(1e9, 100), (11e9, 100 + each * 1e7)]) for name, each in watts.items()]
    done = session(0, windows(rows()), *looks)
    found = list(courses([done]))
    # "package-0 core" begins like a package, and is a part of one
    assert found[0].windows[0].watts == pytest.approx(15.0)
    energy = by_name(list(sustained_metrics([done], found)))["energy_per_inference"]
    assert energy.estimate.value == pytest.approx(15.0 * 6.0 / 6000)
    assert energy.unit == "J"


def test_energy_of_a_power_chips_rails_is_their_sum_and_says_so() -> None:
    """Four watts of all rails, of which three are one rail's: that one is among them and is not counted again."""
    rails = {"power_uw.PMIC": 4e6, "power_uw.PMIC VDD_CORE": 3e6}
    looks = [readings(name, [(1e9, each), (11e9, each)]) for name, each in rails.items()]
    done = session(0, windows(rows()), *looks)
    energy = by_name(list(sustained_metrics([done], list(courses([done])))))["energy_per_inference"]
    assert energy.estimate.value == pytest.approx(4.0 * 6.0 / 6000)
    assert energy.parameters == {"of": "rails of the power chip"}


def test_energy_without_a_sensor_is_missing_with_the_reason() -> None:
    done = session(0, windows(rows()))
    energy = by_name(list(sustained_metrics([done], list(courses([done])))))["energy_per_inference"]
    assert energy.estimate.value is None
    assert energy.estimate.reason == "no energy sensor was read"


@pytest.mark.parametrize(("steps", "known"), [(60, True), (20, False)])
def test_energy_by_a_charge_counter_needs_one_that_moves_often_enough(steps: int, known: bool) -> None:
    """A phone that draws 3 W, told in so many steps; a counter that is too coarse tells nothing."""
    looks = [(1e9 + at * 0.1e9, (at * steps // 100) * (30e6 / steps)) for at in range(101)]
    done = session(0, windows(rows()), readings("drained_uj", looks))
    energy = by_name(list(sustained_metrics([done], list(courses([done])))))["energy_per_inference"]
    if known:
        assert energy.estimate.value == pytest.approx(3.0 * 6.0 / 6000, rel=0.06)
        assert energy.parameters == {"of": "battery charge"}
    else:
        assert energy.estimate.value is None


def test_energy_of_a_course_that_was_plugged_in_for_a_time_is_unknown_with_that_reason() -> None:
    """Its counter told something until then, and often enough."""
    looks = [(1e9 + at * 0.1e9, at * 0.3e6) for at in range(50)]
    why = "the battery was charged meanwhile (USB): leave it unplugged"
    done = session(0, windows(rows()), readings("drained_uj", looks))
    told = {"Android battery charge": {"found": True, "left_out": {"all of it": why}}}
    charged = replace(done, conditions=replace(done.conditions, sensors=told))
    known, unknown = (by_name(list(sustained_metrics([each], list(courses([each]))))) for each in (done, charged))
    assert known["energy_per_inference"].estimate.value is not None
    assert unknown["energy_per_inference"].estimate.value is None
    assert unknown["energy_per_inference"].estimate.reason == why


def by_name(metrics: Sequence[MetricResult]) -> Mapping[str, MetricResult]:
    return {each.name + str(each.parameters.get("percent", "")): each for each in metrics}


def lost(share: float, *, busy: float = 90 * MS) -> list[list[float]]:
    """A session whose rate falls by a share after three seconds: every inference takes longer."""
    slower = 1 / (1 - share)
    later = {
        name: value * slower for name, value in WindowRow(*row(0))._asdict().items() if "wall" in name or "cpu" in name
    }
    late = [row(ORIGIN + at * 100 * MS, **later, inferences=100 * (1 - share), busy=busy) for at in range(30, 60)]
    return [*rows(30, busy=busy), *late]


def test_burst_and_steady_state_are_told_apart() -> None:
    done = [session(round_, windows(lost(share))) for round_, share in enumerate((0.2, 0.3))]
    found = list(courses(done))
    assert [each.state for each in found] == [SessionState.SLOW_CORE] * 2
    metrics = by_name(list(sustained_metrics(done, found)))
    assert metrics["burst_decode_rate"].estimate.value == pytest.approx(100 / 0.09)
    assert metrics["settled_decode_rate"].estimate.value == pytest.approx(geometric_mean((80 / 0.09, 70 / 0.09)))
    assert metrics["retention"].estimate.value == pytest.approx(geometric_mean((0.8, 0.7)))
    assert metrics["retention"].estimate.count == 2
    assert [value.round for value in metrics["retention"].attempts] == [0, 1]
    assert metrics["time_to_loss10"].estimate.value == pytest.approx(3e9)
    assert metrics["time_to_loss25"].estimate.value is None, "one of two lost so much"
    assert metrics["time_to_loss25"].estimate.reason == "1 of 2 sessions lost so much"
    assert {name: metric.unit for name, metric in metrics.items()} == {
        "burst_decode_rate": "tokens/s",
        "settled_decode_rate": "tokens/s",
        "retention": "share",
        "time_to_loss10": "ns",
        "time_to_loss25": "ns",
        "energy_per_inference": "J",
    }


def test_another_model_s_rates_are_inferences() -> None:
    done = [session(0, windows(rows(ttft=0), "inferences/s"))]
    names = by_name(list(sustained_metrics(done, list(courses(done)))))
    assert {"burst_inference_rate", "settled_inference_rate"} < names.keys()


def test_rates_of_two_units_are_not_averaged() -> None:
    done = [session(0, windows(rows())), session(1, windows(rows(), "inferences/s"))]
    metrics = by_name(list(sustained_metrics(done, list(courses(done)))))
    assert metrics["settled_decode_rate"].estimate.count == 1
    assert "settled_inference_rate" not in metrics


def test_a_session_too_short_for_an_end_has_no_retention() -> None:
    result = derived(session(0, windows(rows(21))))
    (found,) = result.courses
    assert (found.state, found.settled_rate, found.retention) == (SessionState.UNKNOWN, None, None)
    assert found.burst_rate == pytest.approx(100 / 0.09)
    metrics = by_name(result.metrics)
    assert metrics["retention"].estimate.value is None
    assert metrics["retention"].estimate.reason == "too short for a steady state"


def test_an_attempt_without_windows_has_no_course() -> None:
    assert list(courses([session(0), session(1, readings("waited_ns", [(1.0, 1.0)]))])) == []


def test_a_model_on_an_accelerator_is_judged_by_wall_time() -> None:
    """The host only waits: its CPU time says nothing of how long the accelerator took."""
    table = [[*line] for line in rows(least_cpu=0.01 * MS)]
    for line in table[30:]:
        for name in ("least_wall", "p50_wall", "p90_wall", "p99_wall", "most_wall"):
            line[WindowRow._fields.index(name)] *= 1.2
    looks = [readings("waited_ns", [(1e9, 0), (19e9, 0)]), readings("ran_ns", [(1e9, 0), (19e9, 18e9)])]
    found = course(windows(table), *looks)
    assert found.state is SessionState.SLOW_CORE
    assert "wall time" in found.evidence[0]


def test_the_workers_cpu_time_says_nothing_of_a_page() -> None:
    """It only waits, and turns what it is told into numbers: that this takes longer is no slower core."""
    table = rows(40) + [row(ORIGIN + at * 100 * MS, least_cpu=1.2 * MS) for at in range(40, 80)]
    assert course(windows(table)).state is SessionState.SLOW_CORE
    found = course(windows(table), effective={"facts": {"computed_in": "the page's process"}})
    assert found.state is SessionState.STEADY
    assert {(each.cpu_ns, each.least_cpu_ns) for each in found.windows} == {(None, None)}


def test_a_clock_that_counts_nothing_makes_nothing_fail() -> None:
    found = course(windows(rows(least_wall=0, p50_wall=0, least_cpu=0, process_cpu=0)))
    assert found.state is SessionState.STEADY


def test_heat_needs_a_sensor_s_word() -> None:
    assert course(windows(lost(0.2))).state is SessionState.SLOW_CORE
    found = course(windows(lost(0.2)), readings("throttle_count", [(1e9, 4), (9e9, 11)]))
    assert found.state is SessionState.HEAT
    assert any("throttled itself for heat 7 times" in sentence for sentence in found.evidence)


# What holds for a whole run.


def derived(*attempts: Attempt) -> Result:
    return derive_one(job(scenario="sustained", settings={"duration_ns": 6e9}), list(attempts), "")


def test_rows_are_no_metrics_and_courses_travel() -> None:
    result = derived(session(0, windows(rows()), readings("waited_ns", [(1e9, 1.0), (9e9, 1.0)])))
    assert not {"sustained_window", "sensor_reading"} & {metric.name for metric in result.metrics}
    text = to_json(run(), [result])
    assert '"state": "steady"' in text


def test_a_short_session_can_be_exported_too() -> None:
    assert "NaN" not in to_json(run(), [derived(session(0, windows(rows(2))))])


STEADY, SUSTAINED = "aaaa000000000000", "bbbb000000000000"


def both(
    cool: Sequence[float], sessions: Sequence[float], *, unit: str = "tokens/s", **changes: Any
) -> Mapping[str, MetricResult]:
    """The metrics of a sustained job beside a steady one, from their attempts' rates."""
    jobs = [job(STEADY, **changes), job(SUSTAINED, scenario="sustained", settings={"duration_ns": 6e9})]
    attempts = [attempt(at, *steady_measurements(rate, unit), job=STEADY) for at, rate in enumerate(cool)]
    for at, rate in enumerate(sessions):
        table = rows(busy=100 / rate * SECOND, least_wall=0, most_wall=50 * MS)
        attempts.append(session(at, windows(table, unit), job=SUSTAINED))
    result = derive([(each, "") for each in jobs], attempts)[1]
    return by_name(result.metrics)


def steady_measurements(rate: float, unit: str) -> list[Measurement]:
    if unit == "tokens/s":
        parameters = {"output_tokens": 64, "context_depth": 64}
        return [measured("decode_rate", rate, [rate] * 3, parameters=parameters)]
    # the rate with what lies between inferences is another: it must not be taken
    return [
        measured("steady_inference", 1e9 / rate, [0.5e9 / rate, 1.5e9 / rate, 1e9 / rate]),
        measured("inference_rate", rate * 0.8),
    ]


@pytest.mark.parametrize("unit", ["tokens/s", "inferences/s"])
def test_a_session_is_held_against_the_cool_rate(unit: str) -> None:
    kept = both((2000, 2100, 1900), (1500, 1600), unit=unit)["retention_of_steady"]
    expected = geometric_mean((1500, 1600)) / geometric_mean((2000, 2100, 1900))
    assert kept.estimate.value == pytest.approx(expected)
    assert kept.estimate.low is not None
    assert kept.estimate.high is not None
    assert kept.estimate.low < expected < kept.estimate.high
    assert kept.estimate.count == 2
    assert kept.attempts == ()


def test_one_session_has_a_ratio_and_no_interval() -> None:
    kept = both((2000, 2100), (1500,))["retention_of_steady"].estimate
    assert kept.value == pytest.approx(1500 / geometric_mean((2000, 2100)))
    assert (kept.low, kept.high, kept.reason) == (None, None, "one attempt says nothing about spread")


@pytest.mark.parametrize(
    "changes",
    [
        {"variant": "fp32"},
        {"model": "other"},
        {"scenario": "first-token"},
        {"workload": {"name": "other", "prompt": {"length": 8, "seed": 0}}},
        {"configuration": {"name": "two", "runtime": "onnxruntime", "accelerator": None, "threads": 2}},
    ],
)
def test_a_session_is_held_against_nothing_else(changes: dict[str, Any]) -> None:
    assert "retention_of_steady" not in both((2000,), (1500,), **changes)


def test_no_cool_rate_is_no_retention() -> None:
    assert "retention_of_steady" not in both((), (1500,))


def test_an_independent_ratio_is_welch_s() -> None:
    """Against scipy.stats.ttest_ind(equal_var=False) on the logarithms."""
    stats = pytest.importorskip("scipy.stats")
    these, those = (1500.0, 1600.0, 1450.0), (2000.0, 2100.0, 1900.0, 2050.0)
    reference = stats.ttest_ind([math.log(each) for each in these], [math.log(each) for each in those], equal_var=False)
    low, high = reference.confidence_interval(0.95)
    found = independent_ratio(these, those, statistic="s")
    assert (found.low, found.high) == pytest.approx((math.exp(low), math.exp(high)))
    same = independent_ratio((5.0, 5.0), (4.0, 4.0), statistic="s")
    assert (same.low, same.value, same.high) == pytest.approx((1.25, 1.25, 1.25))
    assert independent_ratio((), (1.0,), statistic="s").value is None
    assert independent_ratio((0.0,), (1.0,), statistic="s").value is None


# A device that lies.


def test_a_real_session_raises_no_doubt() -> None:
    sound = [windows(rows()), readings("celsius.cpu", [(1e9, -5.0), (9e9, 60.0)])]
    assert list(contradictions(sound, DURATION_NS, None)) == []


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"end": ORIGIN + 5 * 100 * MS}, "window 6 of the session is from"),  # no length
        ({"end": ORIGIN + 4 * 100 * MS}, "window 6 of the session is from"),  # backwards
        ({"start": ORIGIN + 4.5 * 100 * MS}, "window 6 of the session is from"),  # over the one before
        ({"end": DURATION_NS + 1.0}, "window 6 of the session is from"),
        ({"start": -1.0}, "start is -1"),
        ({"inferences": 0}, "inferences is 0"),
        ({"inferences": 99.5}, "inferences has numbers that are no whole ones"),
        ({"inferences": 1e19}, "inferences is"),
        ({"requests": 0.5}, "requests has numbers that are no whole ones"),
        ({"busy": 0}, "busy is 0"),
        ({"busy": 1e-300}, "busy is 1e-300"),
        ({"busy": 101 * MS}, "inferences took"),
        ({"busy": 79 * MS}, "inferences took"),
        ({"inferences": 10}, "inferences took"),
        ({"process_cpu": -1}, "process CPU is -1"),
        ({"least_cpu": -1}, "least CPU time is -1"),
        ({"least_cpu": 1e300}, "least CPU time is"),
        ({"least_wall": 0.95 * MS}, "not in order"),
        ({"p90_wall": 0.85 * MS}, "not in order"),
        ({"p99_wall": 1.3 * MS}, "not in order"),
        ({"ttft": -1}, "TTFT is -1"),
        ({"ttft": 101 * MS}, "a TTFT of"),
    ],
)
def test_a_window_that_cannot_be_is_doubted(changes: dict[str, float], sentence: str) -> None:
    table = rows()
    table[5] = row(**{"start": ORIGIN + 5 * 100 * MS, **changes})
    said = list(contradictions([windows(table)], DURATION_NS, None))
    assert any(sentence in each for each in said), said


@pytest.mark.parametrize(
    ("measurement", "sentence"),
    [
        (replace(windows(rows()), row_length=12), "numbers in rows of 12"),
        (replace(windows(rows()), samples=[1.0] * 14), "numbers in rows of 13"),
        (replace(windows(rows()), samples=[]), "0 numbers in rows of 13"),
        (windows(rows(), "miles"), "unit is 'miles'"),
        (readings("waited_ns", [(5.0, 1.0), (5.0, 2.0)]), "do not go forward"),
        (readings("waited_ns", [(5.0, 1.0), (4.0, 2.0)]), "do not go forward"),
        (readings("waited_ns", [(-5.0, 1.0)]), "moment is -5"),
        (readings("waited_ns", [(5.0, 1e300)]), "reading is"),
        (readings("waited_ns", [(DURATION_NS + 1.0, 1.0)]), "after the attempt's end"),
        (replace(readings("waited_ns", [(5.0, 1.0)]), row_length=1), "rows of 1"),
        (replace(readings("waited_ns", [(5.0, 1.0)]), samples=[1.0]), "rows of 2"),
    ],
)
def test_rows_that_cannot_be_are_doubted(measurement: Measurement, sentence: str) -> None:
    said = list(contradictions([measurement], DURATION_NS, None))
    assert any(sentence in each for each in said), said


def finished(*measurements: Measurement, effective: Mapping[str, Any] | None = None) -> Attempt:
    """What the host makes of a device's word."""
    message = {
        "id": "1" * 8,
        "job": "job",
        "round": 0,
        "outcome": {"kind": "ok", "reason": "", "evidence": ""},
        "task": "causal-lm",
        "measurements": [{**vars(each), "parameters": dict(each.parameters)} for each in measurements],
        "effective": effective or {},
        "conditions": {},
        "started_unix_ns": 1,
        "duration_ns": DURATION_NS,
    }
    return attempt_from(message, device={"device": "d"}, host="h", clock_offset_ns=0)


def test_a_lying_device_is_invalid_and_a_true_one_is_not() -> None:
    assert finished(windows(rows())).outcome.ok
    assert finished(windows(rows(busy=0))).outcome.kind is OutcomeKind.INVALID


@pytest.mark.parametrize("measurement", [windows(rows()), readings("waited_ns", [(5.0, 1.0)])])
def test_a_reference_execution_has_no_session(measurement: Measurement) -> None:
    found = finished(measurement, effective={"execution": "reference"})
    assert found.outcome.kind is OutcomeKind.INVALID
    assert "out of a reference execution" in found.outcome.reason


@pytest.mark.parametrize("value", [0.0, 1.0, 1e24, -1e24, 5e-324])
@pytest.mark.parametrize(
    "channel", ["waited_ns", "ran_ns", "quota_throttled_times", "wanted_ticks", "celsius.x", "khz.cpu0"]
)
def test_whatever_passes_can_be_derived(value: float, channel: str) -> None:
    odd = readings(channel, [(1.0, 0.0), (2.5e9, value), (9e9, 3.0)])
    extreme = row(ORIGIN, busy=1.0, inferences=1, least_wall=0, p50_wall=1, p90_wall=1, p99_wall=1, most_wall=1)
    given = [extreme, *rows()[1:]]
    done = finished(windows(given), odd, readings("stolen_ticks", [(1.0, 0.0), (9e9, 1e24)]))
    assert done.outcome.ok, done.outcome
    result = derived(replace(done, job="0123456789abcdef"))
    assert len(result.courses) == 1
    to_json(run(), [result])
