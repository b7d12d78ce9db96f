"""What the host makes of a constrained attempt's trials: steps, floor, chains, metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchharness.judge.derive import derive_one
from benchharness.records import TrialEnd
from benchharness.results.courses import SLOWER_FROM, Ladder, Step, StepOutcome
from benchharness.results.plausibility import contradictions
from benchharness.results.result import Attempt, Measurement, Outcome, OutcomeKind, WarningKind
from benchharness.results.told import Effective
from benchharness.scenarios.constrained.ladder import constrained_metrics, ladder_of
from tests.unit.made_up import job

ANSWERED, LATE, ERROR, OUT_OF_MEMORY, HUNG, CRASHED = TrialEnd
MIB = 2**20
SECOND = 1e9
USUAL = [(ANSWERED, time * SECOND, 1e7, 10, 40 * MIB, 0) for time in (0.9, 1.0, 1.0, 1.1, 1.2)]
FACTS = {"by": "cgroup version 1", "floor": "memory floor", "needed": 4, "memory": "ok", "chain": ["int8", "int4"]}


def trials(*codes: int, time_s: float = 1.0, page_ins: float = 10) -> list[tuple[float, ...]]:
    return [(code, time_s * SECOND, 1e7, page_ins, 30 * MIB, float(code == OUT_OF_MEMORY)) for code in codes]


def step(number: int, constraint: str, amount: float | None, rows: Sequence[Sequence[float]]) -> Measurement:
    parameters: dict[str, Any] = {"constraint": constraint, "step": number, "by": "cgroup version 1"}
    if amount is not None:
        parameters["amount"] = amount
    samples = [number for row in rows for number in row]
    return Measurement(metric="constrained_trials", parameters=parameters, value=1.0, samples=samples, row_length=6)


def tries(number: int, limit: float, rows: Sequence[Sequence[float]]) -> Measurement:
    samples = [number for row in rows for number in row]
    parameters = {"limit_bytes": limit, "step": number}
    return Measurement(metric="fallback_tries", parameters=parameters, value=1.0, samples=samples, row_length=3)


def attempt(*measurements: Measurement, **facts: Any) -> Attempt:
    return Attempt(
        id="a",
        job="j",
        round=0,
        device="d",
        host="h",
        started=datetime.now(UTC),
        duration_ns=1,
        outcome=Outcome(kind=OutcomeKind.OK),
        measurements=[step(0, "none", None, USUAL), *measurements],
        effective=Effective.from_json({"constrained": {**FACTS, **facts}}),
    )


def ladder(*measurements: Measurement, **facts: Any) -> Ladder:
    found = ladder_of(attempt(*measurements, **facts))
    assert found is not None
    return found


def only(*rows: tuple[float, ...], constraint: str = "memory", amount: float | None = 32.0 * MIB) -> Step:
    return ladder(step(1, constraint, amount, rows)).steps[1]


def test_the_floor_lies_between_the_largest_that_failed_and_the_smallest_above_that_suffices() -> None:
    found = ladder(
        step(1, "memory", 64 * MIB, trials(*[ANSWERED] * 4)),
        step(2, "memory", 16 * MIB, trials(OUT_OF_MEMORY, OUT_OF_MEMORY)),
        step(3, "memory", 32 * MIB, trials(ANSWERED, OUT_OF_MEMORY, *[ANSWERED] * 3)),
        step(4, "memory", 29 * MIB, trials(ANSWERED, ANSWERED, OUT_OF_MEMORY, OUT_OF_MEMORY)),
    )
    assert (found.failing_bytes, found.floor_bytes) == (29 * MIB, 32 * MIB)
    assert found.unconstrained_ns == SECOND
    assert [each.answered for each in found.steps] == [5, 4, 0, 4, 2]
    assert found.reason == ""


def test_a_limit_that_suffices_below_one_that_failed_is_no_floor() -> None:
    found = ladder(
        step(1, "memory", 64 * MIB, trials(*[ANSWERED] * 4)),
        step(2, "memory", 32 * MIB, trials(HUNG, HUNG)),
        step(3, "memory", 16 * MIB, trials(*[ANSWERED] * 4)),
    )
    assert (found.failing_bytes, found.floor_bytes) == (32 * MIB, 64 * MIB)


def test_an_address_space_floor_is_another_metric() -> None:
    made = attempt(
        step(1, "address space", 64 * MIB, trials(*[ANSWERED] * 4)),
        step(2, "address space", 60 * MIB, trials(ERROR, ERROR)),
        floor="address-space floor",
        by="address-space limit",
    )
    (metric,) = (each for each in constrained_metrics(made) if each.name.endswith("_floor"))
    assert metric.name == "address_space_floor"
    assert (metric.estimate.low, metric.estimate.value, metric.estimate.high) == (60 * MIB, 64 * MIB, 64 * MIB)


def test_without_a_floor_the_reason_is_told_and_no_metric_made() -> None:
    made = attempt(step(1, "memory", None, []), memory="no cgroups on this system")
    found = ladder_of(made)
    assert found is not None
    assert (found.floor_bytes, found.reason) == (None, "no cgroups on this system")
    assert found.steps[1].outcome is StepOutcome.NOT_APPLIED
    assert not [each for each in constrained_metrics(made) if each.name == "memory_floor"]


def test_trials_beside_what_was_not_there_to_their_end_tell_nothing() -> None:
    steps = (
        step(1, "foreground maps", None, trials(ANSWERED, ANSWERED, time_s=3)),
        step(2, "cores", 1, trials(*[ANSWERED] * 4)),
    )
    found = ladder(*steps, unheld=[1], reasons=[[1, "maps: it is not in front, after 2 trials"]])
    assert (found.steps[1].outcome, found.steps[1].slower, found.steps[1].trials) == (StepOutcome.UNKNOWN, None, 2)
    assert found.steps[1].reason == "maps: it is not in front, after 2 trials"
    assert found.steps[2].outcome is StepOutcome.FINE
    decided = step(1, "foreground maps", None, trials(*[ANSWERED] * 4, time_s=3))
    assert ladder(decided).steps[1].outcome is StepOutcome.SLOWER
    assert ladder(decided, unheld=[1]).steps[1].outcome is StepOutcome.UNKNOWN
    assert ladder(*steps).steps[1].outcome is StepOutcome.UNKNOWN, "two of the four that are needed, and no failure"
    for harmful in ("1", {"1": 1}, [[1]], None, [True, "1"]):
        assert ladder(*steps, unheld=harmful).steps[2].outcome is StepOutcome.FINE


OUTCOMES = [
    (trials(*[ANSWERED] * 4), StepOutcome.FINE),
    (trials(*[ANSWERED] * 4, time_s=1.0949), StepOutcome.FINE),  # printed as 1.09
    (trials(*[ANSWERED] * 4, time_s=1.0951), StepOutcome.SLOWER),  # printed as 1.10
    (trials(*[ANSWERED] * 4, time_s=1.15), StepOutcome.SLOWER),
    (trials(*[ANSWERED] * 4, time_s=0.5), StepOutcome.FINE),
    (trials(*[ANSWERED] * 4, time_s=1.3), StepOutcome.SLOWER),
    (trials(LATE, LATE, time_s=10, page_ins=5000), StepOutcome.THRASHING),
    (trials(LATE, LATE, time_s=10, page_ins=12), StepOutcome.TIMEOUT),
    (trials(HUNG, HUNG, time_s=10, page_ins=5000), StepOutcome.TIMEOUT),
    (trials(ERROR, ERROR), StepOutcome.ERROR),
    (trials(CRASHED, CRASHED), StepOutcome.ERROR),
    (trials(ANSWERED, OUT_OF_MEMORY, ANSWERED, OUT_OF_MEMORY), StepOutcome.KILLED),
    (trials(LATE, OUT_OF_MEMORY), StepOutcome.KILLED),
    ([], StepOutcome.NOT_APPLIED),
]


@pytest.mark.parametrize(("rows", "outcome"), OUTCOMES)
def test_what_trials_come_to(rows: list[tuple[float, ...]], outcome: StepOutcome) -> None:
    assert only(*rows).outcome is outcome


def test_too_slow_without_a_processor_is_slower_and_not_thrashing() -> None:
    assert only(*trials(LATE, LATE), constraint="cpu quota", amount=0.1).outcome is StepOutcome.SLOWER


def test_too_late_with_an_answer_as_fast_as_usual_is_not_called_slower() -> None:
    found = only(*trials(ANSWERED, time_s=1.02), *trials(*[LATE] * 4, time_s=10), constraint="cpu quota", amount=0.1)
    assert found.outcome is StepOutcome.TIMEOUT
    assert found.slower == pytest.approx(1.02)


@settings(max_examples=60, deadline=None)
@given(times=st.lists(st.floats(0.2, 9.9), min_size=4, max_size=6), late=st.integers(0, 5), quota=st.booleans())
def test_fine_and_slower_follow_the_ratio_that_is_printed(times: list[float], late: int, quota: bool) -> None:
    rows = [*(row for time in times for row in trials(ANSWERED, time_s=time)), *trials(*[LATE] * late, time_s=10)]
    found = only(*rows, constraint="cpu quota" if quota else "memory", amount=0.5)
    assert found.slower is not None
    printed = float(f"{found.slower:.2f}")
    assert printed >= SLOWER_FROM or found.outcome is not StepOutcome.SLOWER
    assert printed < SLOWER_FROM or found.outcome is not StepOutcome.FINE
    if late == 0:
        assert found.outcome is (StepOutcome.SLOWER if printed >= SLOWER_FROM else StepOutcome.FINE)


def test_slower_is_told_over_those_that_answered() -> None:
    found = only(*trials(*[ANSWERED] * 4, time_s=3), *trials(LATE, time_s=10))
    assert found.slower == pytest.approx(3)
    assert found.time_ns == 3 * SECOND
    assert (found.trials, found.answered, found.page_ins, found.peak_bytes) == (5, 4, 10, 30 * MIB)


def test_a_chain_tells_who_answered_and_what_was_lost() -> None:
    made = attempt(
        tries(1, 30 * MIB, [(0, OUT_OF_MEMORY, 2 * SECOND), (1, ANSWERED, 3 * SECOND)]),
        reasons=[[1, "killed by the kernel"]],
    )
    found = ladder_of(made)
    assert found is not None
    (chain,) = found.chains
    assert [(link.variant, link.outcome, link.reason) for link in chain.links] == [
        ("int8", StepOutcome.KILLED, "killed by the kernel"),
        ("int4", StepOutcome.FINE, ""),
    ]
    assert (chain.answered_by, chain.time_ns, chain.lost_ns) == ("int4", 5 * SECOND, 2 * SECOND)
    values = {each.name: each.estimate.value for each in constrained_metrics(made)}
    assert (values["fallback_time"], values["fallback_time_lost"]) == (5 * SECOND, 2 * SECOND)


def test_a_chain_that_nobody_answers_has_no_time() -> None:
    made = attempt(tries(1, 30 * MIB, [(0, LATE, 2 * SECOND), (1, ERROR, SECOND)]))
    found = ladder_of(made)
    assert found is not None
    assert found.chains[0].answered_by is None
    values = {each.name: each.estimate.value for each in constrained_metrics(made)}
    assert "fallback_time" not in values
    assert values["fallback_time_lost"] == 3 * SECOND


def test_raw_rows_are_kept() -> None:
    raw = [each for each in constrained_metrics(attempt()) if each.name == "constrained_trials"]
    assert [list(each.attempts[0].samples) for each in raw] == [[number for row in USUAL for number in row]]


@pytest.mark.parametrize(
    "facts",
    [
        {"needed": "four", "chain": 7, "reasons": {"a": 1}, "floor": ["x"], "memory": None},
        {"reasons": [1, [2], ["x", "y"], [1, None]], "by": None},
    ],
)
def test_what_a_device_tells_beside_its_rows_is_not_trusted(facts: dict[str, Any]) -> None:
    assert ladder(step(1, "memory", 64 * MIB, trials(*[ANSWERED] * 4)), **facts).floor_bytes == 64 * MIB


def test_parameters_of_another_kind_are_none() -> None:
    odd = Measurement(
        metric="constrained_trials",
        parameters={"step": "last", "amount": "much", "constraint": 3},
        value=1,
        samples=trials(7)[0],
        row_length=6,
    )
    chain = Measurement(
        metric="fallback_tries",
        parameters={"limit_bytes": "little"},
        value=1,
        samples=[9, 9, 1],
        row_length=3,
    )
    found = ladder(odd, chain)
    assert (found.steps[1].amount, found.steps[1].outcome) == (None, StepOutcome.ERROR)
    assert found.chains[0].links[0].variant == "variant 10"


def test_trials_that_took_no_time_are_no_trials() -> None:
    made = replace(attempt(), measurements=[step(0, "none", None, trials(ANSWERED, time_s=0))])
    assert ladder_of(made) is None


def test_rows_of_another_width_are_no_trials() -> None:
    odd = Measurement(metric="constrained_trials", parameters={"step": 1}, value=1, samples=[1, 2, 3], row_length=2)
    assert ladder(odd).steps[1].trials == 0


def test_an_attempt_without_trials_has_no_ladder() -> None:
    bare = Attempt(
        id="a",
        job="j",
        round=0,
        device="d",
        host="h",
        started=datetime.now(UTC),
        duration_ns=1,
        outcome=Outcome(kind=OutcomeKind.OK),
    )
    assert ladder_of(bare) is None
    assert list(constrained_metrics(bare)) == []


def warned(not_charged: Any) -> list[str]:
    floor = [
        step(1, "memory", 80.0 * MIB, trials(*[ANSWERED] * 4)),
        step(2, "memory", 60.0 * MIB, trials(*[OUT_OF_MEMORY] * 2)),
    ]
    made = job(scenario="constrained")
    found = derive_one(made, [replace(attempt(*floor, not_charged_bytes=not_charged), job=made.key)], "")
    return [warning.message for warning in found.warnings if warning.kind is WarningKind.NOT_CHARGED]


@pytest.mark.parametrize("told", [[0, 0], [0, 3.9 * MIB], None, [], "much", ["a", "b"]])
def test_a_floor_that_counts_nearly_everything_is_not_doubted(told: Any) -> None:
    assert warned(told) == []


def test_memory_that_no_limit_counted_is_a_doubt_about_the_floor() -> None:
    (message,) = warned([0, 30 * MIB])
    assert "up to 30 MiB" in message


@pytest.mark.parametrize(
    ("metric", "row", "sentence"),
    [
        ("constrained_trials", [6.0, 1e9, 1e7, 1.0, 1.0, 0.0], "outcome is 6 to 6"),
        ("constrained_trials", [0.0, 0.0, 1e7, 1.0, 1.0, 0.0], "time is 0 to 0"),
        ("constrained_trials", [0.0, 1e9, 1e7, -1.0, 1.0, 0.0], "page-ins is -1 to -1"),
        ("constrained_trials", [0.0, 1e9], "numbers in rows of"),
        ("fallback_tries", [0.0, 9.0, 1e9], "outcome is 9 to 9"),
    ],
)
def test_rows_that_cannot_be_are_refused(metric: str, row: list[float], sentence: str) -> None:
    width = 6 if metric == "constrained_trials" else 3
    made = Measurement(metric=metric, parameters={}, value=0.0, samples=row, row_length=width)
    assert any(sentence in each for each in contradictions([made], 10**12, None))


@pytest.mark.parametrize(("metric", "width"), [("constrained_trials", 6), ("fallback_tries", 3)])
def test_a_constraint_that_could_not_be_set_has_no_rows(metric: str, width: int) -> None:
    made = Measurement(metric=metric, parameters={}, value=0.0, samples=[], row_length=width)
    assert list(contradictions([made], 10**12, None)) == []
