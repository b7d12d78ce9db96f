"""Which pages there are, what each file is called, and which of them link to which.

A report on one run is a page for each hardware target, and its jobs beside it; several runs on one target are compared
on one page instead, as runs or, where they are of several devices, as those. A site is an index over many runs, and for
each suite all of its targets and the page of each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from benchharness.judge.fleet import Fleet
from benchharness.results.trends import History
from reports.model.foot import moment
from reports.model.found import Found, by_hardware
from reports.model.links import Link
from reports.model.visible import name_text
from reports.pages.files import file_names
from reports.pages.fleet import render_fleet
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

    `fleets` are the pages of targets with several devices, `history` is whether the site has one.
    """

    suites: Mapping[str, str]
    targets: Mapping[Key, Places]
    history: bool = False
    fleets: Mapping[Key, str] = field(default_factory=dict)

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
        *(f"{suite[:40]}.{hardware[:30]}.devices" for suite, hardware in keys),
    ]
    _, _, *made = file_names(asked)
    pages = iter(made[len(suites) :])
    return Names(
        suites=dict(zip(suites, made, strict=False)),
        targets={key: Places(page=next(pages), jobs=next(pages)) for key in keys},
        history=history,
        fleets=dict(zip(keys, pages, strict=True)),
    )


@dataclass(frozen=True, kw_only=True)
class Devices:
    """A hardware target by several of its devices, and the run of each."""

    fleet: Fleet
    found: Sequence[Found]


def suite_pages(
    found: Sequence[Found], names: Names, written: datetime, several: Mapping[str, Devices] | None = None
) -> dict[str, str]:
    """The pages of one suite, by file: all targets, and each with its jobs.

    `several` has, by hardware target, those of which several devices tell: they have a page of their devices too.
    """
    several = several or {}
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
        if each.hardware in several:
            together, file = several[each.hardware], names.fleets[suite, each.hardware]
            here = Link(title=f"{len(together.fleet.units)} devices of {name_text(each.hardware)}")
            hrefs = [place.jobs if one.run.id == each.run.id else "" for one in together.found]
            pages[file] = render_fleet(together.fleet, together.found, hrefs, [*links, here], written)
            links = [*links, replace(here, href=file)]
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


def report_pages(runs: Sequence[Found], written: datetime, fleets: Sequence[Fleet] = ()) -> dict[str, str]:
    """A report on one run or several: a page for each hardware target; more than one have a page of all.

    Several runs on one target are compared; where they are of several devices, `fleets` has what these say together.
    """
    together = {fleet.hardware: fleet for fleet in fleets if fleet.together}
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
        pages |= _target_or_runs(several, files[hardware], links, written, together.get(hardware))
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
    several: Sequence[Found], files: Sequence[str], links: Sequence[Link], written: datetime, fleet: Fleet | None
) -> dict[str, str]:
    page, *jobs = files
    if len(several) == 1:
        return target_pages(several[0], Places(page=page, jobs=jobs[0]), links, written)
    here = Link(title=name_text(several[0].hardware), href=page)
    what = "runs on" if fleet is None else "devices of"
    title = Link(title=f"{len(several)} {what} {name_text(several[0].hardware)}")
    if fleet is not None:
        pages = {page: render_fleet(fleet, several, jobs, [*links, title], written)}
    else:
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
