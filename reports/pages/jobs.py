"""The page of every job of a run on one hardware target: what a table's figure stands on, down to the attempts' ids.

Whatever all jobs have alike is told once, at the top.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from reports.model.conditions import Facts, Unreadable
from reports.model.entries import Entry, entries_of
from reports.model.foot import Foot, foot_of
from reports.model.found import Found
from reports.model.jobs import JobDetail, Setting, job_detail
from reports.model.links import Link
from reports.model.visible import name_text
from reports.pages.environment import environment


@dataclass(frozen=True, kw_only=True)
class Alike:
    """What all jobs have alike."""

    settings: tuple[Setting, ...] = ()
    facts: Facts = ()
    unreadable: tuple[Unreadable, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Group:
    """The jobs of one variant of a model."""

    title: str
    jobs: tuple[JobDetail, ...]


@dataclass(frozen=True, kw_only=True)
class JobsPage:
    """Every job of a run on one hardware target."""

    title: str
    finding: str
    alike: Alike
    groups: tuple[Group, ...]
    foot: Foot


def render_jobs(found: Found, links: Sequence[Link], written: str) -> str:
    """The page as HTML."""
    return environment().get_template("pages/jobs.html.j2").render(page=jobs_page(found, written), links=links)


def anchors(found: Found) -> dict[str, str]:
    """Where each job stands on that page, by the job's key."""
    return {result.job.key: f"job-{number}" for number, result in enumerate(found.results, start=1)}


def jobs_page(found: Found, written: str) -> JobsPage:
    """The page as plain data."""
    entries = entries_of(found.results)
    details = [job_detail(entry) for entry in entries]
    alike = _alike(details)
    by_variant: dict[str, list[JobDetail]] = {}
    for entry, detail in zip(entries, details, strict=True):
        by_variant.setdefault(_variant(entry), []).append(_without(detail, alike))
    failed = sum(not detail.ended.ok for detail in details)
    return JobsPage(
        title=f"Jobs of {name_text(found.run.suite)} on {name_text(found.hardware)}",
        finding=_finding(len(details), failed),
        alike=alike,
        groups=tuple(Group(title=title, jobs=tuple(jobs)) for title, jobs in by_variant.items()),
        foot=foot_of([found], written),
    )


def _finding(jobs: int, failed: int) -> str:
    return f"{jobs} job{'' if jobs == 1 else 's'}, {f'{failed} failed' if failed else 'all ok'}."


def _variant(entry: Entry) -> str:
    job = entry.result.job
    return f"{name_text(job.model)} · {name_text(job.variant)}"


def _alike(details: Sequence[JobDetail]) -> Alike:
    """Of a lone job nothing is taken away."""
    if len(details) < 2:
        return Alike()
    first, *others = details
    settings = set.intersection(*(set(each.settings) for each in others))
    facts = set.intersection(*(set(each.facts) for each in others))
    unreadable = set.intersection(*(set(each.unreadable) for each in others))
    return Alike(
        settings=tuple(each for each in first.settings if each in settings),
        facts=tuple(each for each in first.facts if each in facts),
        unreadable=tuple(each for each in first.unreadable if each in unreadable),
    )


def _without(detail: JobDetail, alike: Alike) -> JobDetail:
    return replace(
        detail,
        settings=tuple(each for each in detail.settings if each not in alike.settings),
        facts=tuple(each for each in detail.facts if each not in alike.facts),
        unreadable=tuple(each for each in detail.unreadable if each not in alike.unreadable),
    )
