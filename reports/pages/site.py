"""Which pages there are, what each file is called, and which of them link to which.

A report on one run is a page for each hardware target, and its jobs beside it; several runs on one target are compared
on one page instead. A site is an index over many runs, and for each suite all of its targets and the page of each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from benchharness.results.trends import History
from reports.model.foot import moment
from reports.model.found import Found, by_hardware
from reports.model.links import Link
from reports.model.visible import name_text
from reports.pages.files import file_names
from reports.pages.history import render_history
from reports.pages.html import render_page
from reports.pages.index import Entry, render_index
from reports.pages.jobs import render_jobs
from reports.pages.runs import render_runs
from reports.pages.targets import MOST_ACROSS, Places, render_targets
from reports.pages.view import page_of

INDEX, HISTORY = "index.html", "history.html"
_ALL_TARGETS = "All targets"
Key = tuple[str, str]  # suite and hardware target


@dataclass(frozen=True)
class Names:
    """The files of a site: by suite the page of all targets, by suite and hardware target its page and its jobs.

    `history` is whether the site has one.
    """

    suites: Mapping[str, str]
    targets: Mapping[Key, Places]
    history: bool = False

    @property
    def above(self) -> list[Link]:
        """The pages over all suites."""
        return [Link(title="Index", href=INDEX), *([Link(title="History", href=HISTORY)] if self.history else [])]


def names_of(keys: Sequence[Key], *, history: bool = False) -> Names:
    """File names for these suites and hardware targets, all different, and none that of the index or the history."""
    suites = list(dict.fromkeys(suite for suite, _ in keys))
    asked = [
        "index",
        "history",
        *(f"{suite[:40]}.targets" for suite in suites),
        *(f"{suite[:40]}.{hardware[:30]}{end}" for suite, hardware in keys for end in ("", ".jobs")),
    ]
    _, _, *made = file_names(asked)
    pages = iter(made[len(suites) :])
    return Names(
        suites=dict(zip(suites, made, strict=False)),
        targets={key: Places(page=next(pages), jobs=next(pages)) for key in keys},
        history=history,
    )


def suite_pages(found: Sequence[Found], names: Names, written: datetime) -> dict[str, str]:
    """The pages of one suite, by file: all targets, and each with its jobs."""
    suite = found[0].run.suite
    places = [names.targets[suite, each.hardware] for each in found]
    all_targets = names.suites[suite]
    targets = [Link(title=name_text(each.hardware), href=place.page) for each, place in zip(found, places, strict=True)]
    beside = targets if len(targets) <= MOST_ACROSS else []  # the tables name each
    pages = {
        all_targets: render_targets(found, places, [*names.above, Link(title=_ALL_TARGETS), *beside], moment(written)),
    }
    for each, place in zip(found, places, strict=True):
        links = [*names.above, Link(title=_ALL_TARGETS, href=all_targets)]
        pages |= target_pages(each, place, links, written)
    return pages


def index_pages(entries: Sequence[Entry], now: datetime, history: History | None = None) -> dict[str, str]:
    """The index and the history, by their files."""
    links = Names({}, {}, history is not None).above
    pages = {INDEX: render_index(entries, _here(links, INDEX), now)}
    return pages if history is None else pages | {HISTORY: render_history(history, _here(links, HISTORY), now)}


def _here(links: Sequence[Link], file: str) -> list[Link]:
    """Links of which the one to the page itself leads nowhere."""
    return [replace(link, href="") if link.href == file else link for link in links]


def report_pages(runs: Sequence[Found], written: datetime) -> dict[str, str]:
    """A report on one run or several: a page for each hardware target; more than one have a page of all."""
    ordered = sorted(_each_once(runs), key=lambda each: each.run.started)
    by_target: dict[str, list[Found]] = {}
    for each in (found for run in ordered for found in by_hardware(run)):
        by_target.setdefault(each.hardware, []).append(each)
    asked = [f"{hardware[:60]}{end}" for hardware, several in by_target.items() for end in _ends(several)]
    *made, all_targets = file_names([*asked, "targets"])
    names = iter(made)
    files = {hardware: [next(names) for _ in _ends(several)] for hardware, several in by_target.items()}
    several_targets = len(by_target) > 1
    links = [Link(title=_ALL_TARGETS, href=all_targets)] if several_targets else []
    pages: dict[str, str] = {}
    for hardware, several in by_target.items():
        pages |= _target_or_runs(several, files[hardware], links, written)
    if several_targets:
        newest = [several[-1] for several in by_target.values()]
        places = [Places(page=each[0], jobs=each[-1]) for each in files.values()]
        targets = [Link(title=name_text(hardware), href=each[0]) for hardware, each in files.items()]
        beside = targets if len(targets) <= MOST_ACROSS else []
        pages[all_targets] = render_targets(newest, places, [Link(title=_ALL_TARGETS), *beside], moment(written))
    return pages


def target_pages(found: Found, place: Places, links: Sequence[Link], written: datetime) -> dict[str, str]:
    """The page of a hardware target and that of its jobs, by file; `links` lead to the pages above them."""
    here = Link(title=name_text(found.hardware), href=place.page)
    page = page_of(found, written=written, jobs_href=place.jobs)
    return {
        place.page: render_page(page, [*links, replace(here, href="")]),
        place.jobs: render_jobs(found, [*links, here, Link(title="Jobs")], moment(written)),
    }


def _target_or_runs(
    several: Sequence[Found], files: Sequence[str], links: Sequence[Link], written: datetime
) -> dict[str, str]:
    page, *jobs = files
    if len(several) == 1:
        return target_pages(several[0], Places(page=page, jobs=jobs[0]), links, written)
    here = Link(title=name_text(several[0].hardware), href=page)
    title = Link(title=f"{len(several)} runs on {name_text(several[0].hardware)}")
    pages = {page: render_runs(several, jobs, [*links, title], moment(written))}
    for found, file in zip(several, jobs, strict=True):
        pages[file] = render_jobs(found, [*links, here, Link(title="Jobs")], moment(written))
    return pages


def _ends(several: Sequence[Found]) -> list[str]:
    """How the names of a target's files end: its page, and a page of jobs for each run."""
    if len(several) == 1:
        return ["", ".jobs"]
    return ["", *(f".{each.run.id[:12]}.jobs" for each in several)]


def _each_once(runs: Sequence[Found]) -> list[Found]:
    return list({found.run.id: found for found in runs}.values())
