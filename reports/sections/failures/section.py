"""Jobs that failed: how each ended, and what it left as evidence; attempts that failed in jobs that did not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from reports.model.entries import Entry, by_comparison, subject_of
from reports.model.jobs import ended_of
from reports.model.section import Failure, Material, Section, SectionKind, in_a_line

#: Of the evidence the end, where an error's cause stands; the job's own page has more.
_LONGEST_EVIDENCE = 1_500


@dataclass(frozen=True, kw_only=True)
class Failures(Section):
    """Every failed job of a page. `partly`: jobs that have a value though some of their attempts failed."""

    partly: tuple[Failure, ...]


def make(material: Material) -> tuple[Failures, ...]:
    """One section, where any attempt failed."""
    several = len(by_comparison(material.entries)) > 1
    failed = tuple(_failures([each for each in material.entries if not each.result.outcome.ok], several=several))
    partly = tuple(_failures([each for each in material.entries if _partly(each)], several=several))
    if not failed and not partly:
        return ()
    found = [f"{each.who}, {each.scenario}: {each.kind}" for each in failed]
    some = [f"attempts failed in {len(partly)} job{'s' if len(partly) > 1 else ''} with a value"] if partly else []
    return (
        Failures(
            anchor="failures",
            subject="",
            finding=in_a_line(found) if found else in_a_line(some),
            failures=failed,
            partly=partly,
        ),
    )


def _partly(entry: Entry) -> bool:
    return entry.result.outcome.ok and not ended_of(entry).clean


def _failures(entries: Sequence[Entry], *, several: bool) -> Iterator[Failure]:
    """`several`: jobs of one model on one workload need no name of both."""
    for entry in entries:
        ended = ended_of(entry)
        yield Failure(
            anchor=f"failure-{entry.anchor}",
            job=entry.anchor,
            who=f"{subject_of(entry)} · {entry.who}" if several else entry.who,
            scenario=entry.scenario,
            kind=ended.kind,
            reason=ended.reason,
            attempts=ended.attempts,
            evidence=ended.evidence[-_LONGEST_EVIDENCE:],
        )


SECTION = SectionKind(name="failures", heading="Failures", make=make, order=10)
