"""How often to warm up and to repeat, and a collector that keeps out of the way."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain, count, repeat

import pytest

from benchharness.device.timing import goes_on, quiet_collector, warm_up

MINUTE_NS = 60_000_000_000


class Clock:
    """A clock that the test moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_ns = 1_000
        monkeypatch.setattr(time, "perf_counter_ns", lambda: self.now_ns)

    def passes(self, samples: Iterator[float]) -> float:
        sample = next(samples)
        self.now_ns += int(sample)
        return sample


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_warm_up_ends_when_two_halves_of_twenty_agree(clock: Clock) -> None:
    samples = repeat(1_000.0)
    assert len(warm_up(lambda: clock.passes(samples), at_least=2, longest_ns=MINUTE_NS)) == 40


def test_warm_up_waits_for_the_steady_state(clock: Clock) -> None:
    samples = chain((1_000.0 * 0.9**index for index in range(30)), repeat(40.0))
    made = warm_up(lambda: clock.passes(samples), at_least=2, longest_ns=MINUTE_NS)
    assert 60 <= len(made) <= 75
    assert made[:2] == [1_000.0, 900.0]


@pytest.mark.parametrize(("step", "settles"), [(0.04, True), (0.06, False)])
def test_halves_agree_within_five_percent(clock: Clock, step: float, settles: bool) -> None:
    samples = chain(repeat(1_000.0, 20), repeat(1_000.0 * (1 + step)))
    made = warm_up(lambda: clock.passes(samples), at_least=2, longest_ns=MINUTE_NS)
    assert (len(made) == 40) is settles


def test_warm_up_ends_with_its_time(clock: Clock) -> None:
    samples = (1_000.0 + 500 * index for index in count())  # never steady
    made = warm_up(lambda: clock.passes(samples), at_least=2, longest_ns=20_000)
    assert sum(made[:-1]) < 20_000 <= sum(made)


def test_warm_up_never_makes_fewer_than_asked_for(clock: Clock) -> None:
    samples = repeat(1_000.0)
    assert len(warm_up(lambda: clock.passes(samples), at_least=3, longest_ns=0)) == 3
    assert len(warm_up(lambda: clock.passes(samples), at_least=55, longest_ns=MINUTE_NS)) == 55
    assert warm_up(lambda: clock.passes(samples), at_least=0, longest_ns=0) == []


@pytest.mark.parametrize(
    ("taken", "elapsed_ns", "on"),
    [
        (0, 0, True),
        (4, 99_000, True),  # too few, though the time is over
        (5, 999, True),
        (5, 1_000, False),
        (99, 999, True),
        (100, 0, False),
        (200, 0, False),
    ],
)
def test_repeats_go_on_while_there_are_too_few_or_time_is_left(
    clock: Clock, taken: int, elapsed_ns: int, on: bool
) -> None:
    started_ns = clock.now_ns - elapsed_ns
    assert goes_on(taken, started_ns, at_least=5, at_most=100, min_time_ns=1_000) is on


def test_the_collector_is_off_inside_and_as_before_outside() -> None:
    assert gc.isenabled()
    with suppress(KeyError), quiet_collector():
        assert not gc.isenabled()
        assert gc.get_freeze_count() > 0
        raise KeyError
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0


def test_a_collector_that_was_off_stays_off() -> None:
    gc.disable()
    try:
        with quiet_collector():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
