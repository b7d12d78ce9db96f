"""The sections of a page: a package each, with its data, its figures and its template, and one row here.

A package has a module whose `make` turns a page's material into frozen sections and, beside it, `section.html.j2` with
the macros `section` and, where the row says so, `card`. A row of a package elsewhere is a section on the same footing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from inspect import getfile
from pathlib import Path

from reports.model.section import Material, Section
from reports.sections.budgets import section as budgets
from reports.sections.choice import section as choice
from reports.sections.comparison import section as comparison
from reports.sections.constrained import section as constrained
from reports.sections.pauses import section as pauses
from reports.sections.quality import section as quality
from reports.sections.sustained import section as sustained


class Side(Enum):
    """Where a section's card stands at a glance."""

    LEFT = 1
    RIGHT = 2


@dataclass(frozen=True, kw_only=True)
class SectionKind:
    """A row of the registry.

    `tells` names what was in effect that the section shows itself, so that the details of a job leave it out.
    """

    name: str  # unique: its templates go by it
    heading: str  # "" where the subject says enough
    make: Callable[[Material], Sequence[Section]]
    card: Side | None
    card_first: bool = False  # before those of its side whose sections stand above it
    tells: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """Where its template is: beside the module that makes its sections."""
        return Path(getfile(self.make)).parent

    @property
    def template(self) -> str:
        """The template's name."""
        return f"{self.name}/section.html.j2"

    def title(self, section: Section) -> str:
        """What heads a section of this kind."""
        return ": ".join(part for part in (self.heading, section.subject) if part)


#: In the order of the page.
SECTIONS = (
    SectionKind(name="budgets", heading="Budgets", make=budgets.make, card=Side.RIGHT),
    SectionKind(name="choice", heading="Which one to ship", make=choice.make, card=Side.RIGHT, card_first=True),
    SectionKind(
        name="comparison",
        heading="",
        make=comparison.make,
        card=Side.LEFT,
        tells=("placement", "placement_unknown", "fallback"),
    ),
    SectionKind(name="sustained", heading="Sustained sessions", make=sustained.make, card=Side.LEFT),
    SectionKind(name="pauses", heading="Pauses between requests", make=pauses.make, card=None),
    SectionKind(
        name="constrained",
        heading="Constrained devices",
        make=constrained.make,
        card=Side.LEFT,
        tells=("constrained",),
    ),
    SectionKind(
        name="quality",
        heading="What compression lost",
        make=quality.make,
        card=Side.LEFT,
        tells=("examples", "continuations"),
    ),
)
