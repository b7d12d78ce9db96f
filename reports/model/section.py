"""What every section of a page is, and what the sections of one page are made from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from inspect import getfile
from pathlib import Path

from reports.model.entries import Colours, Entry

#: A word that a section uses, and what it means.
Glossary = tuple[tuple[str, str], ...]
#: (budget as written, who set it, the run; without it where there is one) of a budget that nothing was measured for.
Unmeasured = Sequence[tuple[str, ...]]


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A failed job, in one line, and where its row stands."""

    anchor: str
    who: str
    scenario: str
    kind: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Section:
    """A section of a page. `subject` follows the heading that its kind has; either may be "".

    `lead` is what the page's first lines say of it, `bad` whether that is bad news.
    """

    anchor: str
    subject: str
    lead: str = ""
    bad: bool = False
    failures: tuple[Failure, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Material:
    """What the sections of one page are made from; `told_elsewhere` are facts of a job that some section shows itself.

    `colours` number the variants of each model, `silent` is what the page does not speak of, `jobs_href` the page of
    its jobs; "" where it stands alone.
    """

    entries: Sequence[Entry]
    colours: Mapping[str, Colours]
    told_elsewhere: frozenset[str] = frozenset()
    silent: Sequence[str] = ()
    jobs_href: str = ""

    @property
    def costs(self) -> list[Entry]:
        """Jobs that measured what a device does in what time and memory."""
        return [entry for entry in self.entries if entry.result.job.against is None]

    @property
    def losses(self) -> list[Entry]:
        """Jobs that are comparisons themselves: what was lost against a reference."""
        return [entry for entry in self.entries if entry.result.job.against is not None]


class Side(Enum):
    """Where a section's card stands at a glance."""

    LEFT = 1
    RIGHT = 2


@dataclass(frozen=True, kw_only=True)
class SectionKind:
    """What a page knows of its sections of one kind, beside the sections themselves.

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
