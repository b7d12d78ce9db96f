"""What a device saw limit its process -> changes in words, events on a course, what a verdict says, and a warning."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchharness.judge.derive import derive_one
from benchharness.judge.limits import changes, core_list, cores_in, limits_of
from benchharness.results.courses import Course, SessionState
from benchharness.results.export import to_json
from benchharness.results.plausibility import contradictions
from benchharness.results.result import Attempt, Measurement, ResultWarning, WarningKind
from benchharness.scenarios.sustained.course import courses
from benchharness.terminal.course_lines import course_lines
from tests.unit.made_up import attempt, job, measured, run
from tests.unit.test_sustained import DURATION_NS, MS, ORIGIN, readings, row, session, windows

WHOLE = {
    **dict.fromkeys(("cpu_group", "cpuset_group", "memory_group"), "/"),
    "quota_cores": "none",
    "memory_bytes": "none",
    "cores": "0-3",
    "cpuset_cores": "0-3",
}


def held(moments: Sequence[float] | float, **facts: Any) -> Measurement:
    samples = [moments] if isinstance(moments, int | float) else list(moments)
    return measured("process_limits", samples[-1], samples, parameters={**WHOLE, **facts})


def told(*measurements: Measurement, from_ns: float = 0.0, until_ns: float = math.inf) -> list[str]:
    return [change.told for change in changes(limits_of(attempt(0, *measurements)), from_ns, until_ns)]


GROUPS = dict.fromkeys(("cpu_group", "cpuset_group", "memory_group"), "/background")


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ({}, GROUPS, "moved from group / to /background"),
        ({}, {**GROUPS, "quota_cores": 0.5}, "moved from group / to /background, given a CPU quota of 50 % of a core"),
        ({}, {"cpuset_group": "/bg", "cores": "0"}, "moved from group / to /bg, cut to 1 of 4 cores (0)"),
        (
            {},
            {"cpu_group": "/a", "memory_group": "/b"},
            "moved from group / of cpu to /a; moved from group / of memory to /b",
        ),
        ({}, {"quota_cores": 1.5}, "given a CPU quota of 1.5 cores"),
        ({"quota_cores": 0.25}, {}, "freed of its CPU quota of 25 % of a core"),
        ({"quota_cores": 0.5}, {"quota_cores": 0.7}, "its CPU quota changed from 50 % of a core to 70 % of a core"),
        ({}, {"cores": "0"}, "cut to 1 of 4 cores (0)"),
        ({}, {"cores": "0-1", "cpuset_cores": "0-1"}, "cut to 2 of 4 cores (0-1) by its group's cpuset"),
        ({"cores": "0"}, {}, "given 4 cores instead of 1"),
        ({"cores": "4-7"}, {"cores": "0,2-3"}, "moved from cores 4-7 to 0,2-3"),
        ({}, {"memory_bytes": 2**29}, "given a memory limit of 512 MiB"),
        ({"memory_bytes": 2**29}, {}, "freed of its memory limit of 512 MiB"),
    ],
)
def test_a_change_is_told_in_words(before: dict[str, Any], after: dict[str, Any], words: str) -> None:
    assert told(held(1, **before), held(2, **after)) == [words]


def test_changes_are_in_order_whatever_was_reported_first() -> None:
    there_and_back = [held([5, 15], cores="0"), held([1, 10])]
    assert told(*there_and_back) == [
        "cut to 1 of 4 cores (0)",
        "given 4 cores instead of 1",
        "cut to 1 of 4 cores (0)",
    ]
    assert told(*there_and_back, from_ns=5, until_ns=10) == ["given 4 cores instead of 1"]


def test_what_a_look_could_not_read_is_no_change_and_hides_none() -> None:
    blind = {"quota_cores": "?", "cores": "all", "cpuset_cores": 7}
    assert told(held(1), held(2, **blind), held(3)) == []
    assert told(held(1), held(2, **blind), held(3, quota_cores=0.5)) == ["given a CPU quota of 50 % of a core"]
    late = measured("process_limits", 1.0, [1.0], parameters={"cores": "0-3"})
    assert told(late, held(2, quota_cores=0.5)) == [], "what it was before nobody knows"


@pytest.mark.parametrize("text", ["", "a", "0-", "-1", "3-1", "0-99999", "1,,2", "0-3 4", 7, None, "1," * 9000])
def test_what_is_no_list_of_cores_is_none(text: object) -> None:
    assert cores_in(text) is None


@given(st.frozensets(st.integers(0, 300), min_size=1, max_size=8))
def test_lists_of_cores_are_read_as_they_are_written(cores: frozenset[int]) -> None:
    assert cores_in(core_list(cores)) == cores


@given(
    st.lists(
        st.tuples(
            st.dictionaries(
                st.sampled_from([*WHOLE, "x"]),
                st.one_of(st.text("/nonea0123456789-,\0\n<"), st.floats(allow_nan=False), st.integers()),
            ),
            st.lists(st.floats(0, 1e18), max_size=4),
        ),
        max_size=6,
    )
)
def test_whatever_a_device_says_raises_nothing(said: list[tuple[dict[str, Any], list[float]]]) -> None:
    measurements = [measured("process_limits", 1.0, samples, parameters=facts) for facts, samples in said]
    for each in told(*measurements):
        assert len(each) < 4000


def test_moments_go_forward_and_end_with_the_attempt() -> None:
    assert not list(contradictions([held([1, 5])], 9, None))
    assert any("go forward" in each for each in contradictions([held([5, 1])], 9, None))
    assert any("after the attempt's end" in each for each in contradictions([held([1, 50])], 9, None))


# On a course


def slow(factor: float, start: int = 30, count: int = 60) -> list[list[float]]:
    """A table of windows whose rate falls."""
    table = [row(ORIGIN + at * 100 * MS) for at in range(count)]
    for line in table[start:]:
        line[2] = round(line[2] * factor)
    return table


def course(*measurements: Measurement) -> Course:
    (found,) = courses([session(0, *measurements)])
    return found


STOPS = readings("quota_throttled_times", [(1e9, 0), (5e9, 0), (8.5e9, 30)])
CUT_NS = ORIGIN + 3e9


def test_a_moved_session_is_throttled_by_the_quota_that_it_came_to() -> None:
    found = course(windows(slow(0.5)), STOPS, held(0), held(CUT_NS, **{**GROUPS, "quota_cores": 0.5}))
    assert found.state is SessionState.QUOTA
    assert found.evidence[0] == "throttled by a CPU quota of 50 % of a core since 3.0 s"
    assert found.evidence[-1] == "at 3.0 s: moved from group / to /background, given a CPU quota of 50 % of a core"
    (event,) = found.events
    assert event.second == pytest.approx(3.0)
    assert tuple(event.kinds) == ("group", "quota")


def test_a_quota_that_was_always_there_is_from_the_start() -> None:
    found = course(windows(slow(0.9)), STOPS, held(0, quota_cores=0.85))
    assert found.evidence[0] == "throttled by a CPU quota of 85 % of a core from the start"
    assert found.events == []


def test_the_tightest_of_several_quotas_is_named_and_many_changes_are_counted() -> None:
    steps = [held(CUT_NS + at * 1e8, quota_cores=1 - at / 10) for at in range(1, 8)]
    found = course(windows(slow(0.5)), STOPS, held(0), *steps)
    assert found.evidence[0] == "throttled by a CPU quota of 30 % of a core since 3.7 s"
    assert found.evidence[-1] == "3 more such changes followed"
    assert len(found.events) == 7


def waits(filled: float) -> list[Measurement]:
    """From the cut on threads wait as long as they run, and fill so much of one core."""
    seconds = 9.0 - CUT_NS / 1e9
    return [
        readings("waited_ns", [(1e9, 0), (CUT_NS, 0), (9e9, seconds * 1e9 * filled)]),
        readings("ran_ns", [(1e9, 0), (CUT_NS, 1.8 * (CUT_NS - 1e9)), (9e9, 1.8 * 4e9 + seconds * 1e9 * filled)]),
    ]


def test_a_session_that_lost_cores_says_so_once() -> None:
    found = course(windows(slow(0.5)), *waits(1.0), held(0), held(CUT_NS, cores="0"))
    assert found.state is SessionState.CORES
    assert found.evidence[0].startswith("cut to 1 of 4 cores (0) at 3.0 s: the rate changed by -50.0 %")
    assert len(found.evidence) == 1
    assert [each.told for each in found.events] == ["cut to 1 of 4 cores (0)"]


def test_a_session_whose_one_core_somebody_else_takes_is_disturbed() -> None:
    found = course(windows(slow(0.5)), *waits(0.5), held(0), held(CUT_NS, cores="0"))
    assert found.state is SessionState.CONTENTION
    assert found.evidence[-1] == "at 3.0 s: cut to 1 of 4 cores (0)"


def test_a_move_of_which_nothing_came_is_told_of_a_steady_session() -> None:
    found = course(windows(slow(1.0)), held(0), held(CUT_NS, **GROUPS))
    assert found.state is SessionState.STEADY
    assert found.evidence[-1] == "at 3.0 s: moved from group / to /background"


def test_what_changed_before_the_first_window_is_no_event() -> None:
    assert course(windows(slow(1.0)), held(0), held(ORIGIN - 1, cores="0")).events == []


def test_events_are_exported_and_shown_in_the_terminal() -> None:
    made = session(0, windows(slow(0.5)), STOPS, held(0), held(CUT_NS, **{**GROUPS, "quota_cores": 0.5}))
    result = derive_one(job(scenario="sustained", settings={"duration_ns": 6e9}), [made], "")
    exported = json.loads(to_json(run(), [result]))["results"][0]["courses"][0]["events"]
    assert [event["kinds"] for event in exported] == [["group", "quota"]]
    (line,) = (text for text, _ in course_lines([result]) if "throttled (quota)" in text)
    assert "throttled by a CPU quota of 50 % of a core since 3.0 s" in line
    assert not any(metric.name == "process_limits" for metric in result.metrics)


# A warning on other results


def changed(scenario: str, *attempts: Attempt, **changes: Any) -> list[ResultWarning]:
    result = derive_one(job(scenario=scenario, **changes), list(attempts), "")
    return [each for each in result.warnings if each.kind is WarningKind.LIMITS_CHANGED]


def measured_from(from_ns: float, *measurements: Measurement) -> Attempt:
    conditions = {"measured_from_ns": from_ns, "measured_until_ns": 9e9}
    return attempt(
        0, measured("model_ttft", 1e7, [1e7] * 6), *measurements, duration_ns=DURATION_NS, conditions=conditions
    )


@pytest.mark.parametrize(
    ("moment", "facts", "warns"),
    [
        (5e9, {"quota_cores": 0.5}, True),
        (5e9, {"cores": "0"}, True),
        (5e9, {"cpu_group": "/background"}, True),
        (1e9, {"quota_cores": 0.5}, False),  # while the model was loaded
        (9.5e9, {"quota_cores": 0.5}, False),  # when everything was measured
    ],
)
def test_a_change_that_the_measured_part_saw_is_a_warning(moment: float, facts: dict[str, Any], warns: bool) -> None:
    found = changed("steady", measured_from(2e9, held(0), held(moment, **facts)), measured_from(2e9, held(0)))
    assert bool(found) is warns
    if warns:
        assert found[0].message.startswith("1 of 2 attempts: while it was measured the process was ")
        assert found[0].hint


def test_a_cold_start_is_measured_from_the_beginning_but_for_a_runtimes_own_choice_of_cores() -> None:
    cold = [measured("cold_start_ttft", 1e9), held(0)]
    assert changed("first-token", measured_from(2e9, *cold, held(1e9, quota_cores=0.5)))
    assert changed("first-token", measured_from(2e9, *cold, held(1e9, cores="0", cpuset_cores="0")))
    assert not changed("first-token", measured_from(2e9, *cold, held(1e9, cores="0")))


def test_earlier_attempts_without_stamps_have_no_such_warning() -> None:
    assert not changed("steady", attempt(0, measured("model_ttft", 1e7), held(0), held(5e9, quota_cores=0.5)))


def test_a_session_has_the_warning_beside_its_verdict() -> None:
    made = session(0, windows(slow(0.5)), STOPS, held(0), held(CUT_NS, quota_cores=0.5))
    result = derive_one(job(scenario="sustained", settings={"duration_ns": 6e9}), [made], "")
    kinds = {warning.kind for warning in result.warnings}
    assert {WarningKind.THROTTLED, WarningKind.LIMITS_CHANGED} <= kinds
