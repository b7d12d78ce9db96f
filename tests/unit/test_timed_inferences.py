"""Sessions that time their inferences themselves: what cannot be is refused, and states go from one to the next."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from benchharness.contract import EffectiveConfiguration, Inferences, StampClock, TensorSpec
from benchharness.device.inputs.states import States
from benchharness.device.scenarios.stage import inference_timer, timed_inference
from benchharness.device.timed_inferences import TimedInferences
from benchharness.errors import InvalidOutput, Unsupported

PAGE = StampClock("performance.now", stamped_at="browser", resolution_ns=5_000)
CALL_S = 0.002


class Page:
    """Answers the sum of what it was fed and a state; says that each inference took `taken_ns`."""

    inputs: Sequence[TensorSpec] = (TensorSpec("x", "float32", (1,)), TensorSpec("state", "float32", (1,)))
    outputs: Sequence[TensorSpec] = (TensorSpec("y", "float32", (1,)), TensorSpec("stateN", "float32", (1,)))
    effective = EffectiveConfiguration(accelerators=("wasm",), threads=1)

    def __init__(self, taken_ns: int = 100_000, clock: StampClock = PAGE, extra: int = 0) -> None:
        self.clock, self._taken_ns, self._extra = clock, taken_ns, extra
        self.asked: list[int] = []

    def run(self, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        return self.run_timed(inputs, 1).outputs

    def run_timed(self, inputs: Mapping[str, Any], count: int) -> Inferences:
        self.asked.append(count)
        time.sleep(max(CALL_S, count * 150e-6))
        after = inputs["x"] + inputs["state"]
        return Inferences([self._taken_ns] * (count + self._extra), {"y": after, "stateN": after})


def fed() -> dict[str, Any]:
    return {"x": np.ones(1, np.float32), "state": np.zeros(1, np.float32)}


def timed(page: Page, said: Mapping[str, str] | None = None) -> TimedInferences:
    found = TimedInferences.of(page, States.of(page, said if said is not None else {}))
    assert found is not None
    return found


def test_a_plain_session_is_timed_from_outside() -> None:
    class Plain:
        inputs: Sequence[TensorSpec] = ()
        outputs: Sequence[TensorSpec] = ()
        effective = Page.effective

        def run(self, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
            time.sleep(CALL_S)
            return {}

    session = Plain()
    assert TimedInferences.of(session, States({}, "suite")) is None
    assert timed_inference(session, {}) >= CALL_S * 1e9
    assert inference_timer(session, {}, 10)() >= CALL_S * 1e9


def test_a_time_is_what_the_session_says_and_many_are_one_call() -> None:
    page = Page()
    once = inference_timer(timed(page), fed(), 40)
    assert [once() for _ in range(42)] == [100_000] * 42
    assert page.asked == [1, 40, 40]  # one, to learn how long it takes; then as many as are allowed
    assert timed_inference(timed(page), fed()) == 100_000


def test_a_call_is_no_longer_than_a_fraction_of_a_second() -> None:
    page = Page()
    session = timed(page)
    session._last_ns = 50_000_000
    session.several(fed(), 1000)
    assert page.asked == [5]


def test_states_go_from_one_inference_to_the_next() -> None:
    page = Page()
    session = timed(page, {"stateN": "state"})
    assert session.several(fed(), 100) == [100_000]
    took_ns, outputs = session.one(fed())
    assert (took_ns, float(outputs["y"][0])) == (100_000, 2.0)
    assert page.asked == [1, 1]


@pytest.mark.parametrize(
    ("page", "error", "told"),
    [
        (Page(taken_ns=50_000_000), InvalidOutput, "the whole call took"),
        (Page(taken_ns=-5), InvalidOutput, "took -5 ns"),
        (Page(taken_ns=float("nan")), InvalidOutput, "took nan ns"),  # type: ignore[arg-type] # as a lying one would
        (Page(taken_ns=True), InvalidOutput, "took True ns"),
        (Page(extra=1), InvalidOutput, "1 inferences were asked for, and 2 are timed"),
        (Page(taken_ns=0), Unsupported, "an inference took less than a step of the clock"),
    ],
)
def test_what_cannot_be_is_no_time(page: Page, error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        timed(page).one(fed())


def test_a_clock_that_cannot_be_one_is_refused() -> None:
    with pytest.raises(InvalidOutput, match="stamps at 'moon'"):
        timed(Page(clock=StampClock("sundial", stamped_at="moon", resolution_ns=1)))


def test_whose_clock_it_is_stands_in_the_facts() -> None:
    assert timed(Page()).facts() == {
        "timed_by": "performance.now",
        "stamped_at": "browser",
        "clock_resolution_ns": 5_000,
        "tokens_per_stamp": 1,
    }
