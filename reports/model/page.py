"""A target's page as frozen plain data: the answers first, then its sections, and at the foot what names things."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from benchharness.judge.answer import AnswerKind
from reports.figures.figure import Figure
from reports.model.answers import Told
from reports.model.foot import Foot
from reports.model.gate import GateTold
from reports.model.section import Section, SectionKind

Kind = TypeVar("Kind", bound=Section)


@dataclass(frozen=True, kw_only=True)
class Export:
    """A run's data as an address that holds it, and the file's name."""

    title: str
    href: str
    file: str


@dataclass(frozen=True, kw_only=True)
class Trusted:
    """One line of trust. `noisy`: something disturbed times and rates; `warnings` in all, `anchor` has them."""

    noisy: bool
    findings: tuple[str, ...]
    warnings: int
    anchor: str


@dataclass(frozen=True, kw_only=True)
class Page:
    """One report: a hardware target in one run, and what it says."""

    title: str
    heading: str  # "" where there is nothing to add to the answers
    hardware: str
    suite: str
    machine: str
    moment: str  # when it was measured
    jobs: int
    jobs_ok: int
    attempts: str
    trust: Trusted | None
    sees: tuple[str, ...]  # what its machine can see, as the newest self-test of each device says
    gate: GateTold | None  # what the page says first, where its run compares two builds
    answers: tuple[Told, ...]
    said_of_all: tuple[str, ...]  # what each of several answers says
    tradeoffs: Mapping[str, Figure]  # by an answer's anchor
    kinds: tuple[SectionKind, ...]  # in the order of the page
    sections: Mapping[str, tuple[Section, ...]]  # by the name of their kind
    foot: Foot
    exports: tuple[Export, ...] = ()
    jobs_href: str = ""  # the page of its jobs; "" where the page stands alone

    @property
    def verdicts(self) -> tuple[Told, ...]:
        """The answers that head the page: below a gate's verdict none that has no verdict."""
        return tuple(each for each in self.answers if self.gate is None or each.kind != AnswerKind.NO_BUDGETS)

    def of(self, kind: type[Kind]) -> tuple[Kind, ...]:
        """The sections of one class."""
        return tuple(each for several in self.sections.values() for each in several if isinstance(each, kind))
