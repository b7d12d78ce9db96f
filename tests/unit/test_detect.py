"""One verdict on a sustained session: which cause is named, when none is, and that nothing makes it fail."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from benchharness.results.courses import SessionState
from benchharness.scenarios.sustained import detect
from benchharness.scenarios.sustained.detect import Cut, Series, Windows, change_point, fell_for_good, judge

#: Windows of a session made up here: 20 of baseline, and 40 after it.
COUNT = 60
WINDOW_S = 0.1
LEAST_NS = 1e6


def session(count: int = COUNT, *, seed: int = 1, window_s: float = WINDOW_S) -> Windows:
    """An undisturbed session: every figure readable, rates that scatter by 2 %, minima that scatter by 0.4 %."""
    random = np.random.default_rng(seed)
    start = np.arange(count, dtype=np.float64) * window_s
    ran = np.full(count, window_s * 1e9)
    return Windows(
        start_s=start,
        end_s=start + window_s,
        rate=900 * np.exp(random.normal(0, 0.02, count)),
        busy_ns=ran.copy(),
        least_ns=LEAST_NS * np.exp(random.normal(0, 0.004, count)),
        waited_ns=ran * random.uniform(0, 0.01, count),
        ran_ns=ran,
        stops=np.zeros(count),
        steal_share=random.uniform(0, 0.005, count),
    )


def times(series: Series, factor: float, start: int = 30, end: int = COUNT) -> Series:
    """The series with a stretch of it multiplied."""
    changed = series.copy()
    changed[start:end] *= factor
    return changed


def put(series: Series, value: float, start: int = 30, end: int = COUNT) -> Series:
    changed = series.copy()
    changed[start:end] = value
    return changed


def slowed(windows: Windows, factor: float, start: int = 30, end: int = COUNT) -> Windows:
    """A core that is slower: every inference takes longer, the least disturbed ones too."""
    return replace(
        windows,
        rate=times(windows.rate, 1 / factor, start, end),
        least_ns=times(windows.least_ns, factor, start, end),
    )


def waiting(windows: Windows, share: float, start: int = 30, end: int = COUNT) -> Windows:
    """A neighbour on the same core: threads wait, and the rate falls by as much."""
    waited = windows.ran_ns * share / (1 - share)
    return replace(
        windows,
        waited_ns=put(windows.waited_ns, float(waited[0]), start, end),
        rate=times(windows.rate, 1 - share, start, end),
    )


def stopped(windows: Windows, times_each: float = 1.0, start: int = 30, end: int = COUNT) -> Windows:
    return replace(windows, stops=put(windows.stops, times_each, start, end), rate=times(windows.rate, 0.8, start, end))


def stolen(windows: Windows, share: float, start: int = 30, end: int = COUNT) -> Windows:
    return replace(
        windows,
        steal_share=put(windows.steal_share, share, start, end),
        rate=times(windows.rate, 1 - share, start, end),
    )


def unread(windows: Windows, *names: str) -> Windows:
    """The same session on a system that does not tell these."""
    return with_series(windows, {name: np.full(len(windows), np.nan) for name in names})


def with_series(windows: Windows, changed: Mapping[str, Any]) -> Windows:
    return replace(windows, **changed)


EVERYTHING = ("waited_ns", "ran_ns", "stops", "steal_share")
HOT = ["a sensor says that it is hot"]


@pytest.mark.parametrize("seed", range(20))
def test_an_undisturbed_session_is_steady(seed: int) -> None:
    found = judge(session(seed=seed))
    assert found.state is SessionState.STEADY, found.evidence
    assert set(found.windows) == {SessionState.STEADY}
    assert (found.baseline, found.settled) == ((0, 20), (40, 60))


@pytest.mark.parametrize(
    ("windows", "heat", "state", "word"),
    [
        (
            stopped(session()),
            [],
            SessionState.QUOTA,
            "a CPU quota stopped the process 30 times, up to 8 times within 8",
        ),
        (waiting(session(), 0.3), [], SessionState.CONTENTION, "waited for a core up to 30.0 %"),
        (stolen(session(), 0.2), [], SessionState.STEAL, "the hypervisor took up to 20.0 %"),
        (slowed(session(), 1.15), [], SessionState.SLOW_CORE, "their own CPU time"),
        (slowed(session(), 1.1), [], SessionState.SLOW_CORE, "in the last 20 windows than in the first 20"),
        (slowed(session(), 1.15), HOT, SessionState.HEAT, HOT[0]),
    ],
)
def test_every_cause_is_named_with_its_figures(
    windows: Windows, heat: list[str], state: SessionState, word: str
) -> None:
    found = judge(windows, heat)
    assert found.state is state
    assert word in " ".join(found.evidence)
    assert set(found.windows[:30]) == {SessionState.STEADY} or state in (SessionState.CONTENTION, SessionState.STEAL)
    assert set(found.windows[30:]) == {state}
    assert set(found.windows[:20]) == {SessionState.STEADY}


def test_causes_are_asked_for_in_turn() -> None:
    """What several of them would explain is put down to the one that is surest."""
    windows = slowed(session(), 1.2)
    assert judge(windows, HOT).state is SessionState.HEAT
    windows = stolen(windows, 0.2)
    assert judge(windows, HOT).state is SessionState.STEAL
    windows = waiting(windows, 0.3)
    assert judge(windows, HOT).state is SessionState.CONTENTION
    windows = stopped(windows)
    assert judge(windows, HOT).state is SessionState.QUOTA


def cut(since_s: float = 3.0, cores: int = 1) -> Cut:
    return Cut(since_s, np.inf, cores, f"cut to {cores} of 4 cores (0)")


def filling(windows: Windows, cores: float, start: int = 30) -> Windows:
    """Threads that wait for one another, and fill so many cores together."""
    ran = put(windows.ran_ns, WINDOW_S * 1e9 * cores, start)
    return replace(waiting(windows, 0.4, start), ran_ns=ran, waited_ns=put(windows.waited_ns, float(ran[-1]), start))


@pytest.mark.parametrize(
    ("windows", "cores", "state"),
    [
        (filling(session(), 1.0), 1, SessionState.CORES),
        (filling(session(), 0.5), 1, SessionState.CONTENTION),  # the other half of the core is somebody else's
        (filling(session(), 1.0), 2, SessionState.CONTENTION),
        (slowed(session(), 1.5), 4, SessionState.CORES),  # other cores, slower ones: nobody waits for them
        (session(), 1, SessionState.STEADY),
        (slowed(session(), 1.09), 1, SessionState.SLOW_CORE),
    ],
)
def test_cores_that_were_taken_are_a_cause_where_something_came_of_it(
    windows: Windows, cores: int, state: SessionState
) -> None:
    found = judge(windows, cut=cut(cores=cores))
    assert found.state is state, found.evidence
    if state is SessionState.CORES:
        assert found.evidence[0].startswith(f"cut to {cores} of 4 cores (0) at 3.0 s: the rate changed by -")
        assert set(found.windows[:30]) == {SessionState.STEADY}
        assert set(found.windows[30:]) == {SessionState.CORES}


def test_cores_that_are_given_back_are_a_cause_until_then() -> None:
    windows = filling(session(), 1.0)
    given = replace(cut(), until_s=4.5)
    found = judge(replace(windows, rate=times(windows.rate, 1 / 0.6, 45)), cut=given)
    assert found.state is SessionState.CORES
    assert set(found.windows[45:]) == {SessionState.STEADY}


def test_waits_that_were_there_before_the_cores_went_are_contention() -> None:
    windows = waiting(session(), 0.5, 0)
    assert judge(windows, cut=cut()).state is SessionState.CONTENTION
    assert judge(filling(session(), 1.0, 10), cut=cut(since_s=0.1)).state is SessionState.CONTENTION


def test_a_quota_is_surer_than_cores() -> None:
    assert judge(stopped(filling(session(), 1.0)), cut=cut()).state is SessionState.QUOTA


def test_where_waits_cannot_be_read_the_rate_alone_tells_of_cores() -> None:
    windows = unread(filling(session(), 1.0), *EVERYTHING)
    found = judge(windows, cut=cut())
    assert found.state is SessionState.CORES
    assert "cannot be read here" in found.evidence[0]


def test_heat_is_not_said_of_a_session_that_is_as_fast_as_before() -> None:
    assert judge(session(), HOT).state is SessionState.STEADY


def test_no_rise_of_the_rate_alone_is_a_slow_core() -> None:
    """Throughput cannot decide: the least disturbed inferences took as long as before."""
    windows = session()
    found = judge(replace(windows, rate=times(windows.rate, 0.95)))
    assert found.state is SessionState.STEADY


def test_a_rate_that_fell_for_no_known_reason_is_unknown() -> None:
    windows = session()
    found = judge(replace(windows, rate=times(windows.rate, 0.85)))
    assert found.state is SessionState.UNKNOWN
    assert "the rate fell by 1" in found.evidence[0]
    assert "cannot be read" not in found.evidence[0]


def test_a_rate_that_rose_is_unknown_for_its_start_was_no_burst() -> None:
    windows = session()
    found = judge(replace(windows, rate=times(windows.rate, 1.2, 20)))
    assert found.state is SessionState.UNKNOWN
    assert "the rate rose by" in found.evidence[0]
    assert judge(replace(windows, rate=times(windows.rate, 1.05, 20))).state is SessionState.STEADY


def test_a_session_that_was_slow_in_the_middle_only_is_not_steady() -> None:
    found = judge(slowed(session(80), 1.3, 30, 55))
    assert found.state is SessionState.SLOW_CORE
    assert "and recovered" in found.evidence[0]
    assert found.windows[30:55] == [SessionState.SLOW_CORE] * 25
    assert set(found.windows[55:]) == {SessionState.STEADY}

    windows = session(80)
    found = judge(replace(windows, rate=times(windows.rate, 0.7, 30, 55)))
    assert found.state is SessionState.UNKNOWN
    assert "from 3.0 s on and recovered" in found.evidence[0] or "recovered" in found.evidence[0]


def test_disturbances_in_the_middle_are_named() -> None:
    assert judge(stopped(session(80), 1, 30, 40)).state is SessionState.QUOTA
    assert judge(waiting(session(80), 0.3, 30, 40)).state is SessionState.CONTENTION
    assert judge(stolen(session(80), 0.3, 30, 40)).state is SessionState.STEAL


def test_windows_that_a_quota_did_not_stop_are_not_shaded() -> None:
    windows = session()
    stops = np.zeros(COUNT)
    stops[[30, 33, 36, 50]] = 1
    found = judge(replace(windows, stops=stops))
    assert [at for at, state in enumerate(found.windows) if state is SessionState.QUOTA] == [30, 33, 36]


@pytest.mark.parametrize(("stops", "state"), [(2, SessionState.STEADY), (3, SessionState.QUOTA)])
def test_three_stops_within_eight_windows_are_a_quota(stops: int, state: SessionState) -> None:
    windows = session()
    assert judge(replace(windows, stops=put(windows.stops, 1.0, 30, 30 + stops))).state is state
    apart = np.zeros(COUNT)
    apart[[20, 28, 36]] = 1  # three, but never within eight windows
    assert judge(replace(windows, stops=apart)).state is SessionState.STEADY


@pytest.mark.parametrize(("rise", "state"), [(0.049, SessionState.STEADY), (0.051, SessionState.CONTENTION)])
def test_five_percent_more_waiting_is_contention(rise: float, state: SessionState) -> None:
    quiet = session()
    windows = replace(quiet, waited_ns=np.full(COUNT, float(quiet.ran_ns[0]) * 0.02 / 0.98))
    share = 0.02 + rise
    changed = put(windows.waited_ns, float(quiet.ran_ns[0]) * share / (1 - share))
    assert judge(replace(windows, waited_ns=changed)).state is state


@pytest.mark.parametrize(("share", "state"), [(0.095, SessionState.STEADY), (0.105, SessionState.CONTENTION)])
def test_a_session_that_waits_from_the_start_is_disturbed(share: float, state: SessionState) -> None:
    windows = session()
    found = judge(replace(windows, waited_ns=windows.ran_ns * share / (1 - share)))
    assert found.state is state


def test_a_baseline_that_waited_is_disturbed_though_it_is_shorter_than_a_span() -> None:
    windows = session(window_s=1.0)  # five windows of baseline
    found = judge(replace(windows, waited_ns=put(np.zeros(COUNT), 0.12 / 0.88 * 1e9, 0, 5)))
    assert found.baseline == (0, 5)
    assert found.state is SessionState.CONTENTION
    assert set(found.windows[:5]) == {SessionState.CONTENTION}


@pytest.mark.parametrize(("rise", "state"), [(0.049, SessionState.STEADY), (0.051, SessionState.STEAL)])
def test_five_percent_more_steal_is_steal(rise: float, state: SessionState) -> None:
    windows = replace(session(), steal_share=np.full(COUNT, 0.2))
    assert judge(replace(windows, steal_share=put(windows.steal_share, 0.2 + rise))).state is state


@pytest.mark.parametrize(
    ("ln", "heat", "state"),
    [
        (0.0799, [], SessionState.STEADY),
        (0.0801, [], SessionState.SLOW_CORE),
        (0.0299, HOT, SessionState.STEADY),
        (0.0301, HOT, SessionState.HEAT),
    ],
)
def test_eight_percent_longer_is_slow_and_three_is_hot(ln: float, heat: list[str], state: SessionState) -> None:
    windows = replace(session(), least_ns=np.full(COUNT, LEAST_NS))
    assert judge(replace(windows, least_ns=times(windows.least_ns, float(np.exp(ln)))), heat).state is state


def test_a_short_disturbance_is_not_the_sessions() -> None:
    windows = session()
    waited = put(windows.waited_ns, float(windows.ran_ns[0]) * 0.08, 30, 38)  # 8 windows of 7 %
    assert judge(replace(windows, waited_ns=waited)).state is SessionState.STEADY


@pytest.mark.parametrize(
    ("count", "window_s", "known"),
    [
        (0, 0.1, False),
        (1, 0.1, False),
        (22, 0.1, False),
        (23, 0.1, True),
        (7, 1.0, False),
        (8, 1.0, True),
        (6, 9.0, True),
    ],
)
def test_too_few_windows_are_unknown_and_say_so(count: int, window_s: float, known: bool) -> None:
    found = judge(session(count, window_s=window_s))
    assert (found.state is SessionState.STEADY) is known
    assert len(found.windows) == count
    if not known:
        assert f"{count} windows: too few" in found.evidence[0]
        assert set(found.windows) <= {SessionState.UNKNOWN}


def test_a_baseline_that_still_moved_is_unknown() -> None:
    windows = session()
    moving = times(windows.least_ns, 1.12, 0, 10)  # it became faster, and then stayed so
    found = judge(replace(windows, least_ns=moving))
    assert found.state is SessionState.UNKNOWN
    assert "baseline unsettled" in found.evidence[0]


@pytest.mark.parametrize("name", EVERYTHING)
def test_what_cannot_be_read_is_said_beside_steady(name: str) -> None:
    found = judge(unread(session(), name))
    assert found.state is SessionState.STEADY
    assert "cannot be read here" in found.evidence[0]


def test_a_fall_where_causes_cannot_be_read_is_unknown_and_names_them() -> None:
    found = judge(unread(waiting(session(), 0.3), *EVERYTHING))
    assert found.state is SessionState.UNKNOWN
    for cause in ("a quota", "waiting for a core", "steal"):
        assert f"{cause} cannot be read here" in found.evidence[0]


def test_looks_that_begin_late_and_end_early_are_enough() -> None:
    windows = waiting(stolen(session(), 0.0), 0.3)
    for name in ("waited_ns", "ran_ns", "steal_share", "stops"):
        windows = with_series(windows, {name: put(put(getattr(windows, name), np.nan, 0, 3), np.nan, 55, 60)})
    found = judge(windows)
    assert found.state is SessionState.CONTENTION
    assert set(found.windows[35:50]) == {SessionState.CONTENTION}
    steal = stolen(session(), 0.3)
    steal = replace(steal, steal_share=put(steal.steal_share, np.nan, 50, 60))
    assert judge(steal).state is SessionState.STEAL


def test_looks_that_cover_little_of_a_session_are_not_read() -> None:
    windows = session()
    windows = replace(windows, waited_ns=put(windows.waited_ns, np.nan, 10, 60))
    assert "waiting for a core cannot be read" in judge(windows).evidence[0]


def test_wall_time_is_no_ground_for_a_slow_core_where_waits_cannot_be_read() -> None:
    """On an accelerator only wall time tells; it is longer for who waits, too."""
    windows = replace(slowed(session(), 1.2), by_cpu_time=False)
    known = judge(windows)
    assert known.state is SessionState.SLOW_CORE
    assert "their own wall time" in known.evidence[0]
    blind = unread(windows, "waited_ns")
    assert judge(blind).state is SessionState.UNKNOWN
    assert "whether they waited" in " ".join(judge(blind).evidence)
    assert judge(blind, HOT).state is SessionState.HEAT


def test_a_clock_too_coarse_for_the_model_names_no_slow_core() -> None:
    windows = slowed(session(), 1.05)
    found = judge(replace(windows, least_ns=np.zeros(COUNT)))
    assert found.state is SessionState.STEADY
    assert "the time of a single inference cannot be read" in found.evidence[0]
    assert judge(replace(session(), least_ns=put(session().least_ns, 0.0))).state is SessionState.STEADY


def test_a_step_is_found_within_one_window() -> None:
    for seed in range(10):
        windows = slowed(session(100, seed=seed), 1.25, 40, 100)
        found = change_point(windows.rate, windows.start_s)
        assert found == pytest.approx(4.0, abs=WINDOW_S)


def test_a_few_windows_at_the_end_are_not_the_change() -> None:
    windows = slowed(session(100), 1.25, 40, 100)
    found = change_point(times(windows.rate, 0.7, 97, 100), windows.start_s)
    assert found == pytest.approx(4.0, abs=WINDOW_S)


def test_no_change_point_where_nothing_changes_or_there_is_too_little() -> None:
    windows = session()
    assert change_point(np.full(COUNT, 5.0), windows.start_s) is None
    assert change_point(windows.rate[:15], windows.start_s[:15]) is None
    assert change_point(windows.rate, windows.start_s) is None


def test_a_long_session_is_searched_too() -> None:
    """Two hours of windows; a search that takes a minute would hold up every report."""
    windows = session(72_000)
    found = change_point(times(windows.rate, 0.8, 30_000, 72_000), windows.start_s)
    assert found == pytest.approx(3000, abs=12 * WINDOW_S)


def test_a_loss_is_timed_when_it_stays() -> None:
    windows = session()
    fallen = replace(windows, rate=times(np.full(COUNT, 900.0), 0.85, 30))
    assert fell_for_good(fallen, 900.0, 0.10) == pytest.approx(3.0)
    assert fell_for_good(fallen, 900.0, 0.25) is None
    dip = replace(windows, rate=times(np.full(COUNT, 900.0), 0.5, 30, 34))
    assert fell_for_good(dip, 900.0, 0.10) is None, "four windows are not for good"
    assert fell_for_good(replace(dip, rate=times(dip.rate, 0.5, 34, 35)), 900.0, 0.10) == pytest.approx(3.0)


def test_a_slow_start_is_no_loss() -> None:
    windows = session()
    start = replace(windows, rate=times(np.full(COUNT, 900.0), 0.7, 0, 8))
    assert fell_for_good(start, 900.0, 0.10) is None
    later = replace(start, rate=times(start.rate, 0.7, 50))
    assert fell_for_good(later, 900.0, 0.10) == pytest.approx(5.0)


#: All that intake lets through: positive rates and times, counters that grow, in whatever order.
NUMBERS = st.floats(1e-9, 1e18)
COUNTS = st.one_of(st.floats(0, 1e24), st.just(float("nan")))


@st.composite
def any_windows(draw: st.DrawFn) -> Windows:
    count = draw(st.integers(1, 70))
    lengths = draw(arrays(np.float64, count, elements=st.floats(1e-9, 1e6)))
    ends = np.cumsum(lengths)

    def series(elements: st.SearchStrategy[float]) -> Series:
        return draw(arrays(np.float64, count, elements=elements))

    return Windows(
        start_s=ends - lengths,
        end_s=ends,
        rate=series(NUMBERS),
        busy_ns=series(NUMBERS),
        least_ns=series(st.one_of(st.just(0.0), NUMBERS)),
        waited_ns=series(COUNTS),
        ran_ns=series(COUNTS),
        stops=series(COUNTS),
        steal_share=series(st.one_of(st.floats(0, 1e24), st.just(float("nan")))),
        by_cpu_time=draw(st.booleans()),
    )


@settings(max_examples=150, deadline=None)
@given(any_windows(), st.floats(0, 1e9), st.floats(0, 1e9), st.integers(1, 4096))
def test_nothing_that_a_device_may_say_makes_it_fail(windows: Windows, since: float, lasts: float, cores: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = judge(windows, cut=Cut(since, since + lasts, cores, "cut"))
        burst = float(np.median(windows.rate[slice(*found.baseline)]))
        fell_for_good(windows, burst, 0.1)
        change_point(windows.rate, windows.start_s)
    assert len(found.windows) == len(windows)
    assert found.evidence
    assert found.state is SessionState.UNKNOWN or set(found.windows) <= {SessionState.STEADY, found.state}
    assert 0 <= found.baseline[0] < found.baseline[1] <= found.settled[0] <= found.settled[1] == len(windows)


def test_the_thresholds_are_those_that_were_measured() -> None:
    assert (detect.BASELINE_WINDOWS, detect.BASELINE_S, detect.QUOTA_SPAN, detect.QUOTA_STOPS) == (20, 5.0, 8, 3)
    assert (detect.WAIT_SPAN, detect.WAIT_RISE, detect.WAIT_AT_START) == (20, 0.05, 0.10)
    assert detect.OWN_SHARE == 0.75
    assert (detect.SLOWER, detect.SLOWER_WITH_HEAT, detect.UNEXPLAINED_LOSS) == (0.08, 0.03, 0.10)
