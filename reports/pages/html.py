"""A target's page -> self-contained HTML: nothing fetched, every name escaped by the template engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from benchharness.judge.answer import answers
from benchharness.results.result import Result, Run
from reports.model.found import Found, by_hardware
from reports.model.links import Link
from reports.model.page import Page
from reports.pages.environment import environment
from reports.pages.view import page_of


def render(
    run: Run,
    results: Sequence[Result],
    *,
    written: datetime,
    hardware: Sequence[str] = (),
    not_run: Mapping[str, str] | None = None,
    title: str | None = None,
) -> dict[str, str]:
    """The reports on one run: HTML by hardware target. For the other arguments see `targets_of` and `page_of`."""
    found = targets_of(run, results, hardware=hardware, not_run=not_run or {})
    return {each.hardware: render_page(page_of(each, written=written, title=title)) for each in found}


def targets_of(
    run: Run, results: Sequence[Result], *, hardware: Sequence[str] = (), not_run: Mapping[str, str]
) -> list[Found]:
    """What a run found, by hardware target.

    `hardware` names targets that get a page even without results, `not_run` those that were planned and not run, with
    the reason.
    """
    whole = Found(run=run, hardware="", results=results, answers=answers(results))
    there = {found.hardware: found for found in by_hardware(whole) if found.results}
    names = list(dict.fromkeys([*hardware, *there]))
    return [
        replace(
            there.get(name) or Found(run=run, hardware=name, results=[]),
            others=[other for other in names if other != name],
            not_run=not_run,
        )
        for name in names
    ]


def render_page(page: Page, links: Sequence[Link] = ()) -> str:
    """One page as HTML, with its neighbours."""
    return environment(page.kinds).get_template("pages/target.html.j2").render(page=page, links=links)
