"""Rules that end measuring: pure, and asked for the width only where it decides."""

from __future__ import annotations

from typing import NoReturn

import pytest

from benchharness.execute.stopping import ByInterval, Fixed, hopeless, rule_of
from benchharness.results.result import Outcome, OutcomeKind

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
    assert rule.reason_to_stop(7, lambda: 0.02) == "intervals within 2.0% after 7 attempts"


def test_the_most_attempts_end_it_and_say_what_is_missing() -> None:
    rule = ByInterval(0.02, 5, 20)
    told = "20 attempts, the most allowed; interval not reached: ± 5.0% where ± 2.0% was asked for"
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
