"""Candidates against each other: who dominates whom, and which is first by what is wished for. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from benchharness.errors import UsageError
from benchharness.metrics import METRICS, Better
from benchharness.results.result import TELLS_APART, Estimate


class Wish(StrEnum):
    """What the best of several fit candidates has most of."""

    SMALLEST = "smallest"
    FASTEST = "fastest"

    @classmethod
    def _missing_(cls, value: object) -> None:
        raise UsageError(f"{value!r} is no wish; the recommended variant is one of: {', '.join(cls)}")


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A candidate's figure for one objective. The `reference` lost nothing, by definition and not by measurement.

    `doubt` says why it is no evidence: it is shown, and nothing is decided by it.
    """

    metric: str
    estimate: Estimate
    reference: bool = False
    output: str = ""  # the worst of several outputs
    used: str = ""  # how much of the evaluation data it stands on
    doubt: str = ""
    of_program: bool = False  # of a whole process that has no Python in it, as a worker's has


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A variant on a configuration. `dominated_by` names another one; `unfit` says why it is not to be shipped.

    `kept` are the budgets that it was seen to keep: none where none is set.
    """

    hardware: str
    model: str
    workload: str
    variant: str
    configuration: str
    figures: Mapping[str, Figure]
    kept: Sequence[str] = ()
    unfit: Sequence[str] = ()
    dominated_by: str = ""

    @property
    def name(self) -> str:
        """`int8 · onnxruntime 2 threads`."""
        return f"{self.variant} · {self.configuration}"


def held_together(candidates: Sequence[Candidate], tells_apart: float) -> list[Candidate]:
    """The candidates, each with the name of one that dominates it, of the front where one does."""
    above = [
        [at for at, other in enumerate(candidates) if other is not each and dominates(other, each, tells_apart)]
        for each in candidates
    ]
    first = [next((at for at in better if not above[at]), next(iter(better), None)) for better in above]
    names = ["" if at is None else candidates[at].name for at in first]
    return [replace(each, dominated_by=name) for each, name in zip(candidates, names, strict=True)]


def dominates(one: Candidate, other: Candidate, tells_apart: float = TELLS_APART) -> bool:
    """Whether `one` is clearly better somewhere and nowhere clearly worse, in everything that `other` has a figure of.

    Where either has shown nothing in it, or has a figure that is no evidence, it may well be worse: it is not said.
    """
    pairs = [(one.figures.get(objective), theirs) for objective, theirs in other.figures.items()]
    compared = [(mine, theirs) for mine, theirs in pairs if mine is not None and _comparable(mine, theirs)]
    if len(compared) < len(pairs):
        return False
    better = [
        _clearly_better(mine, theirs, tells_apart)
        for mine, theirs in compared
        if theirs.of_program or not mine.of_program  # what a program does without may be Python alone
    ]
    worse = [_clearly_better(theirs, mine, tells_apart) for mine, theirs in compared]
    return any(better) and not any(worse)


def _comparable(one: Figure, other: Figure) -> bool:
    same = _about(one.metric) == _about(other.metric)
    return same and not one.doubt and not other.doubt


def _about(metric: str) -> str:
    """The metric itself, or the one that it bounds from below."""
    return METRICS[metric].bounds or metric


def _clearly_better(one: Figure, other: Figure, tells_apart: float) -> bool:
    if METRICS[one.metric].bounds and not one.reference:
        return False  # a lower bound of what was lost: it may be any amount more
    if METRICS[one.metric].better is Better.HIGHER:
        one, other = other, one
    return one.estimate.clearly_below(other.estimate, tells_apart)


class Ranking:
    """The fit candidates by what is wished for. Those without evidence in it are not ranked, and that is said."""

    def __init__(self, fit: Sequence[Candidate], wish: Wish, tells_apart: float) -> None:
        self.wish = wish
        self.objective, self._second = ("size", "speed") if wish is Wish.SMALLEST else ("speed", "size")
        self.fit = fit
        self._tells_apart = tells_apart
        shown = [each for each in fit if objective_shown(each, self.objective)]
        metric = shown[0].figures[self.objective].metric if shown else ""
        self.ranked = [each for each in shown if each.figures[self.objective].metric == metric]
        self.unranked = [each for each in fit if each not in self.ranked]

    def first(self) -> tuple[Candidate | None, list[Candidate]]:
        """The one to name, and those that cannot be told from it.

        Nobody is clearly better than any of them. Of several the one is named that no other of them clearly beats in
        the second objective, and of several such the first in the suite.
        """
        equals = self._unbeaten(self.ranked, self.objective)
        if not equals:
            return None, []
        named = (self._unbeaten(equals, self._second) or equals)[0]
        return named, [each for each in equals if each is not named]

    def _unbeaten(self, some: Sequence[Candidate], objective: str) -> list[Candidate]:
        shown = [each for each in some if objective_shown(each, objective)]
        return [each for each in shown if not any(self._beats(other, each, objective) for other in shown)]

    def _beats(self, one: Candidate, other: Candidate, objective: str) -> bool:
        mine, theirs = one.figures[objective], other.figures[objective]
        return _comparable(mine, theirs) and _clearly_better(mine, theirs, self._tells_apart)

    @property
    def rule(self) -> str:
        """Who is named of several that are tied."""
        second = "fastest" if self.wish is Wish.SMALLEST else "smallest"
        return f"named is the {second} of them where that is clear, else the first in the suite"


def objective_shown(candidate: Candidate, objective: str) -> bool:
    """Whether a candidate has a figure for an objective that is evidence."""
    figure = candidate.figures.get(objective)
    return figure is not None and figure.estimate.value is not None and not figure.doubt
