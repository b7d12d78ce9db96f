"""Results -> self-contained HTML pages: no script, nothing fetched, every name escaped by the template engine."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from benchharness.errors import UsageError
from benchharness.judge.choice import Choice
from benchharness.results.result import Result, Run
from reports.figures.svg import svg
from reports.model.page import Page
from reports.model.section import SectionKind, Unmeasured
from reports.pages.view import Runs, pages

if TYPE_CHECKING:
    from jinja2 import Environment

_REPORTS = Path(__file__).parent.parent
_LONGEST_FILE_NAME = 80


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
    choices: Mapping[str, Sequence[Choice]] | None = None,
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
    )
    return {name: render_page(page) for name, page in views.items()}


def render_page(page: Page) -> str:
    """One page as HTML."""
    from markupsafe import Markup

    style = (_REPORTS / "pages" / "style.css").read_text(encoding="utf-8")
    return (
        _environment(page.kinds)
        .get_template("pages/target.html.j2")
        .render(
            page=page,
            style=Markup(style),  # noqa: S704 - a style sheet of ours
        )
    )


def write(html: Mapping[str, str], folder: Path) -> list[Path]:
    """Writes each page into `folder` under the name of its hardware target, whole or not at all.

    Raises `UsageError` where the folder cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        written = []
        for name, page in zip(_file_names(list(html)), html.values(), strict=True):
            _write_whole(folder / name, page)
            written.append(folder / name)
    except OSError as error:
        raise UsageError(f"{folder}: the report cannot be written ({error.strerror}); choose another folder") from error
    return written


def _file_names(names: Sequence[str]) -> Iterator[str]:
    """Names that any file system takes, all different even where capitals do not count."""
    taken: set[str] = set()
    for name in names:
        stem = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:_LONGEST_FILE_NAME] or "report"
        candidate, number = stem, 1
        while candidate.casefold() in taken:
            number += 1
            candidate = f"{stem}-{number}"
        taken.add(candidate.casefold())
        yield f"{candidate}.html"


def _write_whole(path: Path, text: str) -> None:
    """Through a file beside it, so that a reader never meets half a page."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with beside.open("x", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        beside.replace(path)
    except BaseException:
        with suppress(OSError):
            beside.unlink()
        raise


@cache
def _environment(sections: tuple[SectionKind, ...]) -> Environment:
    """Templates stand beside the code whose data they show: a section's go by its name, others by their folder."""
    from jinja2 import ChoiceLoader, Environment, FileSystemLoader, PrefixLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=ChoiceLoader(
            [
                PrefixLoader({kind.name: FileSystemLoader(kind.folder) for kind in sections}),
                PrefixLoader({name: FileSystemLoader(_REPORTS / name) for name in ("model", "pages")}),
            ]
        ),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # Marked as safe: the XML writer has escaped all text in it.
    environment.globals["svg"] = lambda figure, name: Markup(svg(figure, name))  # noqa: S704
    return environment
