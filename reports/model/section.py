"""What every section of a page is, and what the sections of one page are made from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from inspect import getfile
from pathlib import Path

from benchharness.judge.builds import Since
from reports.model.entries import Colours, Entry

#: A word that a section uses, and what it means.
Glossary = tuple[tuple[str, str], ...]
#: A finding is one line, whatever names are in it.
_MOST_WORDS, _LONGEST_LINE = 25, 240


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A failed job: who, how it ended, and what it left as evidence. `job` is the anchor of its details."""

    anchor: str
    job: str
    who: str
    scenario: str
    kind: str
    reason: str
    attempts: str
    evidence: str


@dataclass(frozen=True, kw_only=True)
class Section:
    """A section of a page, folded. `subject` follows the heading that its kind has; either may be "".

    `finding` is the line that stands for it while it is folded: its most telling figures.
    """

    anchor: str
    subject: str
    finding: str = ""
    failures: tuple[Failure, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Material:
    """What the sections of one page are made from; `told_elsewhere` are facts of a job that some section shows itself.

    `colours` number the variants of each model. `others` are hardware targets with pages of their own, `not_run` those
    that were planned and not run, with the reason; `broken` are sections that cannot be shown. `jobs_href` is the page
    of its jobs; "" where it stands alone.
    """

    entries: Sequence[Entry]
    colours: Mapping[str, Colours]
    others: Sequence[str] = ()
    not_run: Mapping[str, str] = field(default_factory=dict)
    broken: Sequence[str] = ()
    told_elsewhere: frozenset[str] = frozenset()
    jobs_href: str = ""
    since: Since | None = None  # what became of a candidate, where two builds are compared

    @property
    def costs(self) -> list[Entry]:
        """Jobs that measured what a device does in what time and memory."""
        return [entry for entry in self.entries if not entry.result.job.of_answers]

    @property
    def losses(self) -> list[Entry]:
        """Jobs that are comparisons themselves: what was lost against a reference."""
        return [entry for entry in self.entries if entry.result.job.against is not None]


@dataclass(frozen=True, kw_only=True)
class SectionKind:
    """What a page knows of its sections of one kind, beside the sections themselves.

    Sections stand by `order`. `tells` names what was in effect that the section shows itself, so that the details of
    a job leave it out.
    """

    name: str  # unique: its templates go by it
    heading: str  # "" where the subject says enough
    make: Callable[[Material], Sequence[Section]]
    order: int = 95  # after those that measured something, before how it was measured
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


def in_a_line(parts: Iterable[str], otherwise: str = "") -> str:
    """As many of the parts as make one line, and how many more there are; `otherwise` where there is none."""
    found = [part for part in parts if part]
    for kept in range(len(found), 0, -1):
        more = f"; and {len(found) - kept} more" if kept < len(found) else ""
        line = f"{'; '.join(found[:kept])}{more}"
        if len(line.split()) <= _MOST_WORDS and len(line) <= _LONGEST_LINE:
            return line
    if not found:
        return otherwise
    return " ".join(found[0].split()[: _MOST_WORDS - 1])[: _LONGEST_LINE - 2].rstrip() + " …"
