"""Rules that end measuring: pure, and asked for the width only where it decides."""

from __future__ import annotations

import math
from pathlib import Path
from typing import NoReturn

import pytest

from benchharness.execute.jobs import Execution, seconds_left
from benchharness.execute.stopping import ByInterval, Fixed, hopeless, rule_of
from benchharness.results.result import Outcome, OutcomeKind
from benchharness.results.store import Store
from benchharness.suite.tables import Attempts
from tests.unit.made_up import attempt, job, measured

OK = Outcome(kind=OutcomeKind.OK)


def never() -> NoReturn:
    raise AssertionError("nobody needs the width here")


def of(kind: OutcomeKind) -> Outcome:
    return Outcome(kind=kind, reason="so it was")


def test_a_suite_without_an_interval_asks_for_a_number() -> None:
    rule = rule_of(None, 5, 20)
    assert rule == Fixed(5)
    assert rule.reason_to_stop(4, never) is None
    assert rule.reason_to_stop(5, never) == "5 attempts, as asked"
    assert rule.shortfall(never) == ""


def test_an_interval_is_looked_at_from_the_least_attempts_on() -> None:
    rule = rule_of(0.02, 5, 20)
    assert rule == ByInterval(0.02, 5, 20)
    assert rule.reason_to_stop(4, never) is None
    assert rule.reason_to_stop(5, lambda: 0.021) is None
    assert rule.reason_to_stop(7, lambda: 0.02) == "intervals within 2.0 % after 7 attempts"


def test_the_most_attempts_end_it_and_say_what_is_missing() -> None:
    rule = ByInterval(0.02, 5, 20)
    told = "20 attempts, the most allowed; interval not reached: ± 5.0 % where ± 2.0 % was asked for"
    assert rule.reason_to_stop(20, lambda: 0.05) == told
    assert rule.shortfall(lambda: 0.01) == ""
    assert ByInterval(0.02, 5, 3).reason_to_stop(4, lambda: 1.0) is None  # the least counts before the most


@pytest.mark.parametrize(
    ("outcomes", "reason"),
    [
        ([OK], None),
        ([of(OutcomeKind.UNSUPPORTED)], "unsupported: it would end like that every time"),
        ([OK, of(OutcomeKind.INVALID)], "invalid: it would end like that every time"),
        ([of(OutcomeKind.CRASHED)], None),
        ([of(OutcomeKind.CRASHED), of(OutcomeKind.TIMEOUT)], "2 attempts failed and none succeeded"),
        ([OK, of(OutcomeKind.CRASHED), of(OutcomeKind.CRASHED)], None),
    ],
)
def test_what_more_attempts_would_not_help(outcomes: list[Outcome], reason: str | None) -> None:
    assert hopeless(outcomes) == reason


def test_a_number_of_attempts_is_expected_from_the_first_on() -> None:
    assert [Fixed(5).expected(made, never) for made in (0, 4, 5)] == [5, 5, 5]


@pytest.mark.parametrize(
    ("made", "width", "expected"),
    [
        (0, 0.0, 5),  # nobody knows yet
        (1, float("inf"), 5),
        (5, 0.04, 20),  # twice as wide as asked for: four times as many
        (5, 0.03, 12),
        (10, 0.021, 12),
        (5, 0.01, 5),  # narrow enough: none beyond the least
        (2, 0.001, 5),
        (5, 1.0, 50),  # the most allowed
        (9, float("inf"), 50),
    ],
)
def test_what_an_interval_will_still_take_goes_with_the_square_of_its_width(
    made: int, width: float, expected: int
) -> None:
    assert ByInterval(0.02, 5, 50).expected(made, lambda: width) == expected


def test_the_time_left_counts_an_attempt_that_jobs_share_once() -> None:
    assert seconds_left([("a", 3), ("b", 2)], {}) is None
    assert seconds_left([("a", 3), ("b", 2)], {"a": [2.0, 4.0], "b": [10.0]}) == pytest.approx(3 * 3 + 2 * 10)
    assert seconds_left([("a", 3), ("new", 2)], {"a": [2.0], "gone": [6.0]}) == pytest.approx(3 * 2 + 2 * 4)
    assert seconds_left([("pass", 1), ("pass", 1), ("pass", 1)], {"a": [5.0]}) == pytest.approx(5)
    assert seconds_left([], {"a": [5.0]}) == 0


def test_a_run_expects_what_its_intervals_will_take(tmp_path: Path) -> None:
    """Two jobs, one of them wider than asked for after six attempts: what that takes, and one of the other."""
    store = Store(f"sqlite:///{tmp_path / 'store.db'}")
    planned = [job(letter * 16, variant=variant) for letter, variant in (("a", "fp32"), ("b", "int8"))]
    run = store.create_run(suite="s", digest="", suite_json="{}", hardware_json="{}", planned=planned)
    for each, values in zip(planned, ((100.0, 100.0), (100.0, 108.0)), strict=True):
        for round_ in range(6):
            store.save_attempt(run, attempt(round_, measured("decode_rate", values[round_ % 2]), job=each.key))
    execution = Execution(
        store, run, rules=Attempts.model_validate({"interval": "2 %", "at_most": 500}), manifests={}, observer=Nobody()
    )
    narrow, wide = execution._states.values()
    assert execution._missing(narrow) == 1
    needed = math.ceil(6 * (wide.width() / 0.02) ** 2)
    assert needed > 12
    assert execution._missing(wide) == needed - 6
    execution._spent_s[wide.shares] = [2.0]
    left, left_s = execution._left()
    assert left == 1 + needed - 6
    assert left_s == pytest.approx(2.0 * left)
    store.close()


class Nobody:
    """Watches nothing."""

    def begins(self, *_: object) -> None: ...
    def phase(self, *_: object) -> None: ...
    def ended(self, *_: object) -> None: ...
    def done(self, *_: object) -> None: ...
