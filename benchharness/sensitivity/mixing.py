"""Which parts a mixed variant leaves as they are: those that cost most for what they save, and as few as possible."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchharness.compress import Compressed, Recipe
from benchharness.compress.parts import Part
from benchharness.results.result import Estimate, Verdict, VerdictKind
from benchharness.sensitivity.hurts import Hurt


@dataclass(frozen=True, kw_only=True)
class Mixed:
    """A variant that leaves some parts as they are, as it was measured."""

    recipe: Recipe
    made: Compressed
    left: Sequence[Part]
    loss: Estimate
    verdicts: Sequence[Verdict]  # on quality

    @property
    def bytes(self) -> int:
        """Of the model and its weights."""
        return self.made.bytes

    @property
    def keeps(self) -> bool:
        """Whether it keeps every budget on quality, by its whole interval."""
        return bool(self.verdicts) and all(verdict.kind is VerdictKind.PASS for verdict in self.verdicts)


def order_of_leaving(ranking: Sequence[Hurt], metric: str) -> list[Part]:
    """The parts that were measured, what costs most a byte first."""
    measured = [hurt for hurt in ranking if hurt.loss.value is not None]
    return [hurt.part for hurt in sorted(measured, key=lambda hurt: hurt.per_byte(metric), reverse=True)]


def fewest(most: int, keeps: Callable[[int], bool]) -> int | None:
    """The smallest number from 1 to `most` that keeps, by halving: leaving more parts never costs quality, so it is
    taken. What is returned was tried; None where not even `most` keeps, which was tried too.
    """
    if most < 1 or not keeps(most):
        return None
    low, high = 1, most
    while low < high:
        middle = (low + high) // 2
        if keeps(middle):
            high = middle
        else:
            low = middle + 1
    return high
