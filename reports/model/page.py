"""What a report's page shows, as frozen plain data: strings ready to print and numbers ready to plot.

No HTML and no drawing: tests and other kinds of report read the same data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from reports.model.section import Failure, Section, SectionKind

Kind = TypeVar("Kind", bound=Section)


@dataclass(frozen=True, kw_only=True)
class RunLine:
    """A run in the header."""

    label: str
    id: str
    suite: str
    suite_digest: str
    started: str
    state: str
    version: str


@dataclass(frozen=True, kw_only=True)
class Page:
    """One report: a hardware target, its runs, and what they say."""

    title: str
    hardware: str
    written: str
    devices: tuple[str, ...]
    runs: tuple[RunLine, ...]
    several_runs: bool
    compared: str
    configuration: str  # the one of all jobs; "" where they differ
    jobs: int
    warnings: int
    kinds: tuple[SectionKind, ...]  # in the order of the page
    sections: Mapping[str, tuple[Section, ...]]  # by the name of their kind, in the order of the page

    @property
    def failures(self) -> tuple[Failure, ...]:
        """Every failed job that a section has a row of."""
        return tuple(failure for several in self.sections.values() for each in several for failure in each.failures)

    def of(self, kind: type[Kind]) -> tuple[Kind, ...]:
        """The sections of one class."""
        return tuple(each for several in self.sections.values() for each in several if isinstance(each, kind))
