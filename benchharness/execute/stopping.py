"""When enough was measured: rules that know counts, outcomes and one figure that decides, and nothing else. Pure.

A rule watches one job. It is asked after each attempt, and answers with the reason to stop, or with None to go on.
What is enough of two builds' pairs, their `judge.design` says.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, inf, isfinite
from typing import Protocol

from benchharness.results.result import Outcome, OutcomeKind, Result
from benchharness.units import percent_text

#: Outcomes that the same job would have again, however often it is tried.
_FINAL = frozenset((OutcomeKind.UNSUPPORTED, OutcomeKind.INVALID))
#: Failures in a row, before anything worked, after which a job is given up.
_MOST_FAILURES = 2

#: What a rule decides by, asked for where it matters only: the widest relative half-interval of what is watched,
#: infinite where there is none yet.
Found = Callable[[], float]


class Rule(Protocol):
    """Decides whether another attempt is worth its time."""

    def reason_to_stop(self, made: int, found: Found) -> str | None:
        """After so many attempts: why no other one is made, or None."""
        ...

    def shortfall(self, found: Found) -> str:
        """What is missing where something else ends the measuring, as the end of a sentence."""
        ...

    def expected(self, made: int, found: Found) -> int:
        """How many attempts it will probably have taken in the end, as far as so many can tell."""
        ...


class Ending(Protocol):
    """Decides, after each attempt of a run, whether the rest of the run is worth its time."""

    def reason_to_end(self, results: Sequence[Result]) -> str | None:
        """After what these results stand on: why no job gets another attempt, or None."""
        ...


@dataclass(frozen=True)
class Fixed:
    """So many attempts, whatever they say."""

    attempts: int

    def reason_to_stop(self, made: int, found: Found) -> str | None:
        """Stops after the last one."""
        return f"{made} attempt{'' if made == 1 else 's'}, as asked" if made >= self.attempts else None

    def shortfall(self, found: Found) -> str:
        """Nothing was promised of the interval."""
        return ""

    def expected(self, made: int, found: Found) -> int:
        """So many."""
        return self.attempts


@dataclass(frozen=True)
class ByInterval:
    """Until the intervals are as narrow as asked for, between `at_least` and `at_most` attempts."""

    interval: float
    at_least: int
    at_most: int

    def reason_to_stop(self, made: int, found: Found) -> str | None:
        """Stops as soon as the widest interval is narrow enough, or when no more attempts are allowed."""
        if made >= self.at_least and found() <= self.interval:
            return f"intervals within {percent_text(self.interval, 1)} after {made} attempts"
        if made >= max(self.at_most, self.at_least):
            return f"{made} attempts, the most allowed{self.shortfall(found)}"
        return None

    def shortfall(self, found: Found) -> str:
        """How wide the intervals still are."""
        width = found()
        if width <= self.interval:
            return ""
        asked = percent_text(self.interval, 1)
        return f"; interval not reached: ± {percent_text(width, 1)} where ± {asked} was asked for"

    def expected(self, made: int, found: Found) -> int:
        """An interval narrows with the root of the attempts; without one yet, the fewest, then the most allowed."""
        width = found() if made else inf
        if not isfinite(width):
            return self.at_least if made < self.at_least else max(self.at_most, self.at_least)
        needed = ceil(min(made * (width / self.interval) ** 2, self.at_most))
        return max(needed, self.at_least)


def rule_of(interval: float | None, at_least: int, at_most: int) -> Rule:
    """The rule that a suite's numbers mean."""
    return Fixed(at_least) if interval is None else ByInterval(interval, at_least, at_most)


def hopeless(outcomes: Sequence[Outcome]) -> str | None:
    """Why more attempts would not help after these, whatever the rule; None where they may."""
    last = outcomes[-1]
    if last.kind in _FINAL:
        return f"{last.kind}: it would end like that every time"
    if len(outcomes) >= _MOST_FAILURES and not any(outcome.ok for outcome in outcomes):
        return f"{len(outcomes)} attempts failed and none succeeded"
    return None
