"""Inside the worker: how windows are cut, when the next request is due, and what is done before a pause."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from benchharness.device.line import protocol
from benchharness.device.scenarios.pauses import measure_pauses
from benchharness.device.scenarios.stage import Stage
from benchharness.device.scenarios.sustained import Windows, _next_ns, _work
from benchharness.device.worker import _Progress
from benchharness.records import SUSTAINED_WINDOW

MS = 1_000_000
S = 1000 * MS


class Clock:
    """All of time's clocks as one that the test moves; sleeping moves it, too."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_ns = 5 * S
        self.slept: list[float] = []
        for name in ("perf_counter_ns", "process_time_ns", "thread_time_ns"):
            monkeypatch.setattr(time, name, lambda: self.now_ns)
        monkeypatch.setattr(time, "sleep", self._sleep)

    def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_ns += round(seconds * 1e9)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def table(windows: Windows) -> list[dict[str, float]]:
    return [row._asdict() for row in SUSTAINED_WINDOW.rows(windows.rows)]


def work(clock: Clock, settings: dict[str, Any], *, takes_ns: int, inferences: int = 1) -> list[dict[str, float]]:
    """A session of requests that take so long."""

    def request(wall: list[int], cpu: list[int]) -> int:
        for _ in range(inferences):
            clock.now_ns += takes_ns // inferences
            wall.append(takes_ns // inferences)
            cpu.append(takes_ns // inferences)
        return takes_ns // 2

    longest_ns, enough = settings.get("window_ns", S), settings.get("window_inferences", 100)
    windows = Windows(2 * S, longest_ns=longest_ns, inferences=enough)
    _work(stage(settings), windows, request)
    return table(windows)


def stage(settings: dict[str, Any]) -> Stage:
    return cast(Stage, SimpleNamespace(settings=settings, progress=lambda *_: None))


def test_a_window_ends_with_its_time_or_with_enough_inferences(clock: Clock) -> None:
    slow = work(clock, {"duration_ns": 3 * S}, takes_ns=50 * MS)
    assert [row["inferences"] for row in slow] == [20, 20, 20]
    assert (slow[0]["start"], slow[0]["end"]) == (3 * S, 4 * S), "since the worker was spawned"
    fast = work(clock, {"duration_ns": S}, takes_ns=20 * MS, inferences=20)
    assert [row["inferences"] for row in fast] == [100] * 10
    assert fast[0]["requests"] == 5
    assert fast[0]["ttft"] == 10 * MS


def test_no_window_is_shorter_than_a_tenth_of_a_second(clock: Clock) -> None:
    rows = work(clock, {"duration_ns": S, "window_inferences": 1}, takes_ns=10 * MS)
    assert [row["end"] - row["start"] for row in rows] == [100 * MS] * 10


def test_a_window_holds_what_its_inferences_took(clock: Clock) -> None:
    (row,) = work(clock, {"duration_ns": 200 * MS}, takes_ns=200 * MS, inferences=4)
    assert (row["busy"], row["process_cpu"]) == (200 * MS, 200 * MS)
    assert {row[name] for name in ("least_wall", "p50_wall", "p90_wall", "most_wall", "least_cpu")} == {50 * MS}


@pytest.mark.parametrize(("duration_ms", "counts"), [(30, [3]), (1030, [100]), (1150, [100, 15])])
def test_what_is_left_at_the_end_is_a_window_unless_it_is_a_rest(
    clock: Clock, duration_ms: int, counts: list[int]
) -> None:
    rows = work(clock, {"duration_ns": duration_ms * MS}, takes_ns=10 * MS)
    assert [row["inferences"] for row in rows] == counts


@pytest.mark.parametrize(
    ("settings", "due_ms"),
    [
        ({}, 130),
        ({"every_ns": 500 * MS}, 600),
        ({"every_ns": 20 * MS}, 130),
        ({"duty": 0.5}, 160),
        ({"duty": 0.1}, 400),
    ],
)
def test_the_next_request_is_due_as_paced(settings: dict[str, Any], due_ms: int) -> None:
    """One that began at 100 ms and ended at 130."""
    assert _next_ns(settings, 100 * MS, 130 * MS) == due_ms * MS


def test_requests_begin_at_their_pace_and_the_session_ends_in_time(clock: Clock) -> None:
    rows = work(clock, {"duration_ns": 2 * S, "every_ns": 500 * MS}, takes_ns=10 * MS)
    assert sum(row["requests"] for row in rows) == 4
    assert clock.now_ns == 5 * S + 1510 * MS, "after the last request nothing is waited for"
    assert clock.slept == pytest.approx([0.49] * 3)


def test_a_late_request_delays_the_next_and_none_is_made_up_for(clock: Clock) -> None:
    rows = work(clock, {"duration_ns": 2 * S, "every_ns": 500 * MS}, takes_ns=700 * MS)
    assert sum(row["requests"] for row in rows) == 3
    assert clock.slept == []


def test_a_session_back_to_back_never_sleeps(clock: Clock) -> None:
    work(clock, {"duration_ns": S}, takes_ns=10 * MS)
    assert clock.slept == []


def pauses_of(settings: dict[str, Any], request: Callable[[], dict[str, float]]) -> list[dict[str, Any]]:
    return measure_pauses(stage(settings), request)


def test_pauses_take_turns_in_an_order_that_rotates(clock: Clock) -> None:
    answers = iter(range(1, 100))
    found = pauses_of({"pauses_ns": [0, S, 2 * S], "pause_repeats": 2}, lambda: {"ttft_after_pause": next(answers)})
    assert clock.slept == [0, 1, 2, 1, 2, 0]
    samples = {each["parameters"]["pause_s"]: each["samples"] for each in found}
    assert samples == {0.0: [1, 6], 1.0: [2, 4], 2.0: [3, 5]}


@pytest.mark.parametrize(
    "settings", [{}, {"pauses_ns": (), "pause_repeats": 5}, {"pauses_ns": [S], "pause_repeats": 0}]
)
def test_without_pauses_nothing_is_measured(settings: dict[str, Any], clock: Clock) -> None:
    assert pauses_of(settings, lambda: {"x": 1.0}) == []
    assert clock.slept == []


def test_the_garbage_collector_works_before_the_pause_and_not_after_it(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would wake the core whose sleep is what a pause is about."""
    order: list[str] = []
    monkeypatch.setattr(gc, "collect", lambda: order.append("collect"))
    monkeypatch.setattr(time, "sleep", lambda _: order.append("pause"))

    def request() -> dict[str, float]:
        order.append("request")
        return {"ttft_after_pause": 1.0}

    pauses_of({"pauses_ns": [S], "pause_repeats": 2}, request)
    assert order == ["collect", "pause", "request"] * 2


def test_progress_is_told_now_and_then(clock: Clock, tmp_path: Path) -> None:
    """However often it is reported, and at the beginning too: every message is work on the measured machine."""
    sent: list[dict[str, Any]] = []
    progress = _Progress(cast(protocol.Writer, SimpleNamespace(send=sent.append)), "id")
    for at in range(2000):
        progress("session (s)", at // 1000, 2)
        clock.now_ns += MS
    progress("check", 0, 1)
    progress("check", 1, 1)
    assert 9 <= len([each for each in sent if each["phase"] == "session (s)"]) <= 11
    assert sent[-1] == {"type": "progress", "id": "id", "phase": "check", "done": 0, "total": 1}
