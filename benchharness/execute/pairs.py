"""When enough was measured of two builds: at the numbers of pairs fixed beforehand, and at no others. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchharness.judge.builds import DECIDED, Comparison, compared, settled, twins
from benchharness.judge.design import Design
from benchharness.judge.pairs import Change
from benchharness.results.result import Result


@dataclass(frozen=True)
class Looks:
    """Those of a design."""

    design: Design

    def due(self, pairs: int) -> bool:
        """Whether this is a number of pairs to look after; past the last one, for whoever missed it."""
        return pairs in self.design.looks or pairs > self.design.looks[-1]

    def expected(self, pairs: int) -> int:
        """After how many pairs somebody looks next: whether that will be the last, nobody knows."""
        return next((look for look in self.design.looks if look > pairs), self.design.looks[-1])

    def enough(self, results: Sequence[Result]) -> dict[str, str]:
        """By pair why it gets no more, of all results of a run. What goes on has no entry."""
        pairs = twins(results)
        made = {each.candidate.job.pair: each.made for each in pairs}
        found: dict[str, list[Comparison]] = {pair: [] for pair in made}
        for each in compared(pairs, self.design):
            found[each.job.pair].append(each)
        return {pair: reason for pair, of_one in found.items() if (reason := self._reason(made[pair], of_one))}

    def _reason(self, made: int, found: Sequence[Comparison]) -> str:
        if not self.due(made):
            return ""
        if not any(each.primary for each in found):
            return f"{made} pairs, and none of {', '.join(self.design.primary)} is measured here"
        hopeless = next((each for each in found if not each.metric and each.kind is Change.UNDECIDED), None)
        if hopeless is not None:
            return hopeless.reason
        if settled(found):
            return f"{DECIDED} {made} pairs"
        return f"{made} pairs, the most planned" if made >= self.design.looks[-1] else ""
