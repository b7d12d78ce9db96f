"""A target's page -> self-contained HTML: nothing fetched, every name escaped by the template engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from benchharness.judge.answer import Answer, answers
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
    hardware: Sequence[str] = (),
    not_run: Mapping[str, str] | None = None,
    answered: Sequence[Answer] | None = None,
    **options: Any,
) -> dict[str, str]:
    """The reports on one run: HTML by hardware target. `options` are those of `page_of`.

    `hardware` names targets that get a page even without results, `not_run` those that were planned and not run, with
    the reason. `answered` are the run's answers where its suite makes them others than the results alone do.
    """
    made = answers(results) if answered is None else answered
    whole = Found(run=run, hardware="", results=results, answers=made)
    there = {found.hardware: found for found in by_hardware(whole) if found.results}
    names = list(dict.fromkeys([*hardware, *there]))
    found = [
        replace(
            there.get(name) or Found(run=run, hardware=name, results=[]),
            others=[other for other in names if other != name],
            not_run=not_run or {},
        )
        for name in names
    ]
    return {each.hardware: render_page(page_of(each, **options)) for each in found}


def render_page(page: Page, links: Sequence[Link] = ()) -> str:
    """One page as HTML, with its neighbours."""
    return environment(page.kinds).get_template("pages/target.html.j2").render(page=page, links=links)
