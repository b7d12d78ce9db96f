"""What the sections on sessions, pauses and constrained devices show, as frozen plain data; see `page`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reports.session_figures import LadderChart, PauseCurves, RateBars, SessionChart, SlowdownBars
from reports.tables import MemoryTable

if TYPE_CHECKING:
    from reports.page import Unreadable

#: A word that a section uses, and what it means.
Glossary = tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Missing:
    """A job without anything to show: why."""

    anchor: str
    who: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class SessionPart:
    """The sessions of one job: the verdict on the worst attempt and its evidence, then the others in a line each."""

    anchor: str  # of the job's details
    who: str
    verdict: str
    tone: str  # ok, bad, or "" for neither
    counts: str
    evidence: tuple[str, ...]
    others: tuple[str, ...]
    figure: SessionChart | None
    silent: tuple[str, ...]  # what is not in the figure, and why
    unreadable: tuple[Unreadable, ...]
    folded: bool  # nothing happened in it, and another one is open


@dataclass(frozen=True, kw_only=True)
class Sessions:
    """The sustained sessions of a model on a workload."""

    anchor: str
    title: str
    summary: str
    told: tuple[str, ...]
    bars: RateBars | None
    table: MemoryTable
    parts: tuple[SessionPart, ...]
    missing: tuple[Missing, ...]
    glossary: Glossary

    @property
    def figures(self) -> dict[str, RateBars | SessionChart]:
        """Every figure, by its name on the page."""
        found: dict[str, RateBars | SessionChart] = {}
        if self.bars:
            found[f"{self.anchor}-bars"] = self.bars
        for number, part in enumerate(self.parts, start=1):
            if part.figure:
                found[f"{self.anchor}-chart-{number}"] = part.figure
        return found


@dataclass(frozen=True, kw_only=True)
class Pauses:
    """What a pause before a request does to its speed, for a model on a workload."""

    anchor: str
    title: str
    told: tuple[str, ...]
    figure: PauseCurves
    table: MemoryTable

    @property
    def figures(self) -> dict[str, PauseCurves]:
        """Every figure, by its name on the page."""
        return {f"{self.anchor}-figure": self.figure}


@dataclass(frozen=True, kw_only=True)
class StepRow:
    """One step of a ladder in words. `sign` and `tone` stand beside the outcome's word."""

    constraint: str
    answered: str
    slower: str
    time: str
    page_ins: str
    peak: str
    outcome: str
    sign: str
    tone: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class LadderSteps:
    """The steps of one attempt."""

    anchor: str
    who: str
    about: str
    steps: tuple[StepRow, ...]
    folded: bool


@dataclass(frozen=True, kw_only=True)
class ChainRow:
    """One fallback chain under one limit. `tries` are (variant, outcome, sign, tone, time, reason)."""

    who: str
    limit: str
    tries: tuple[tuple[str, str, str, str, str, str], ...]
    answered_by: str
    time: str
    lost: str


@dataclass(frozen=True, kw_only=True)
class FloorPart:
    """Everything found under limits of one kind. What limits of another kind found stands in a part of its own."""

    name: str
    heading: str
    told: tuple[str, ...]
    table: MemoryTable
    figure: LadderChart | None
    ladders: tuple[LadderSteps, ...]
    chains: tuple[ChainRow, ...]


@dataclass(frozen=True, kw_only=True)
class Constraints:
    """How a model on a workload fares with less: memory, CPU, and other load beside it."""

    anchor: str
    title: str
    summary: str
    floors: tuple[FloorPart, ...]
    slowdown: SlowdownBars | None
    slow_steps: tuple[LadderSteps, ...]
    missing: tuple[Missing, ...]
    glossary: Glossary

    @property
    def figures(self) -> dict[str, LadderChart | SlowdownBars]:
        """Every figure, by its name on the page."""
        found: dict[str, LadderChart | SlowdownBars] = {}
        for number, floor in enumerate(self.floors, start=1):
            if floor.figure:
                found[f"{self.anchor}-floor-{number}"] = floor.figure
        if self.slowdown:
            found[f"{self.anchor}-slowdown"] = self.slowdown
        return found
