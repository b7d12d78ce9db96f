"""What a page's jobs warn of: a line for each kind, and behind it every message with its hint and its jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchharness.judge.trust import Trust, trust
from reports.model.entries import Entry, by_comparison, subject_of
from reports.model.section import Material, Section, SectionKind, in_a_line
from reports.model.visible import name_text, value_text


@dataclass(frozen=True, kw_only=True)
class Message:
    """A warning, and the jobs that carry it; `jobs` has none where all of a page do."""

    text: str
    hint: str
    jobs: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """The warnings of one kind. `finding` says how many jobs carry one."""

    name: str
    finding: str
    hint: str  # that all of its messages have; "" where they have different ones
    messages: tuple[Message, ...]


@dataclass(frozen=True, kw_only=True)
class Warned(Section):
    """All warnings of a page."""

    kinds: tuple[Kind, ...]


def make(material: Material) -> tuple[Warned, ...]:
    """One section, where any job carries a warning."""
    found = trust([entry.result for entry in material.entries])
    if not found:
        return ()
    names = _names(material.entries)
    kinds = tuple(_kind(each, names, everything=len(material.entries)) for each in found)
    return (Warned(anchor="warnings", subject="", finding=in_a_line([kind.finding for kind in kinds]), kinds=kinds),)


def _names(entries: Sequence[Entry]) -> Mapping[str, tuple[str, ...]]:
    """By the title of a job: what a page calls it. Runs may have a job of one title each."""
    several = len(by_comparison(entries)) > 1
    names: dict[str, list[str]] = {}
    for entry in entries:
        told = f"{subject_of(entry)} · {entry.who}" if several else entry.who
        names.setdefault(entry.result.job.title, []).append(f"{told}, {entry.scenario}")
    return {title: tuple(told) for title, told in names.items()}


def _kind(found: Trust, names: Mapping[str, tuple[str, ...]], *, everything: int) -> Kind:
    hints = {warning.hint for warning, _ in found.details}
    shared = hints.pop() if len(hints) == 1 else ""
    return Kind(
        name=name_text(found.kind),
        finding=found.finding,
        hint=value_text(shared) if shared else "",
        messages=tuple(
            Message(
                text=value_text(warning.message),
                hint=value_text(warning.hint) if warning.hint != shared else "",
                jobs=_jobs([name for title in titles for name in names[title]], everything),
            )
            for warning, titles in found.details
        ),
    )


def _jobs(names: Sequence[str], everything: int) -> tuple[str, ...]:
    return () if len(names) == everything else tuple(names)


SECTION = SectionKind(name="warnings", heading="Warnings", make=make, order=20)
