"""Results -> self-contained HTML pages: nothing fetched, every name escaped by the template engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from benchharness.judge.choice import Choice
from benchharness.results.result import Result, Run
from reports.model.page import Page
from reports.model.section import SectionKind, Side, Unmeasured
from reports.pages.environment import environment
from reports.pages.view import Choices, Runs, pages


def render(
    run: Run,
    results: Sequence[Result],
    *,
    written: datetime,
    title: str | None = None,
    hardware: Sequence[str] = (),
    not_run: Mapping[str, str] | None = None,
    unmeasured: Unmeasured = (),
    choices: Sequence[Choice] = (),
) -> dict[str, str]:
    """The reports on one run: HTML by hardware target. See `render_runs`."""
    return render_runs(
        [(run, results)],
        written=written,
        title=title,
        hardware=hardware,
        not_run=not_run,
        unmeasured=unmeasured,
        choices={run.id: choices},
    )


def render_runs(
    runs: Runs,
    *,
    written: datetime,
    title: str | None = None,
    hardware: Sequence[str] = (),
    not_run: Mapping[str, str] | None = None,
    unmeasured: Unmeasured = (),
    choices: Choices | None = None,
) -> dict[str, str]:
    """The reports on one or more runs: one HTML page for each hardware target, by its name.

    `written` is the moment that the page states. `title` heads every page in place of its own. `hardware` names
    targets that get a page even without results; `not_run` those that were planned and not run, with the reason.
    `unmeasured` are budgets that no result says anything about: (as written, who set it, the run's id). `choices` are
    those made from each run, by its id.
    """
    views = pages(
        runs,
        written=written,
        title=title,
        hardware=hardware,
        not_run=not_run,
        unmeasured=unmeasured,
        choices=choices,
    )
    return {name: render_page(page) for name, page in views.items()}


def render_page(page: Page) -> str:
    """One page as HTML."""
    return (
        environment(page.kinds)
        .get_template("pages/target.html.j2")
        .render(
            page=page,
            left=_cards(page.kinds, Side.LEFT),
            right=_cards(page.kinds, Side.RIGHT),
        )
    )


def _cards(sections: Sequence[SectionKind], side: Side) -> list[SectionKind]:
    """The kinds whose cards stand on a side at a glance, in their order there."""
    return sorted((kind for kind in sections if kind.card is side), key=lambda kind: not kind.card_first)
