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
from typing import TYPE_CHECKING, Any

from benchharness.errors import UsageError
from benchharness.results.result import Result, Run
from reports import charts
from reports.budgets import Unmeasured
from reports.figures import Figure
from reports.page import Page
from reports.session_page import Constraints, Pauses, Sessions
from reports.view import Runs, pages

if TYPE_CHECKING:
    from jinja2 import Environment

_TEMPLATES = Path(__file__).parent / "templates"
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
    choices: Sequence[Mapping[str, Any]] = (),
) -> dict[str, str]:
    """The reports on one run: HTML by hardware target. See `render_runs`."""
    return render_runs(
        [(run, results)],
        written=written,
        title=title,
        hardware=hardware,
        not_run=not_run,
        unmeasured=unmeasured,
        choices=choices,
    )


def render_runs(
    runs: Runs,
    *,
    written: datetime,
    title: str | None = None,
    hardware: Sequence[str] = (),
    not_run: Mapping[str, str] | None = None,
    unmeasured: Unmeasured = (),
    choices: Sequence[Mapping[str, Any]] = (),
) -> dict[str, str]:
    """The reports on one or more runs: one HTML page for each hardware target, by its name.

    `written` is the moment that the page states. `title` heads every page in place of its own. `hardware` names
    targets that get a page even without results; `not_run` those that were planned and not run, with the reason.
    `unmeasured` are budgets that no result says anything about: (as written, who set it, the run's id). `choices` are
    recommendations as plain mappings, see `reports.choice`.
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
    from markupsafe import Markup

    figures: dict[str, Figure] = {
        f"{comparison.anchor}-{part}-{number}": figure
        for comparison in page.comparisons
        for part, found in (
            ("figure", comparison.figures),
            ("ratios", comparison.runtimes and comparison.runtimes.figures),
            ("memory", comparison.memory and comparison.memory.figures),
        )
        for number, figure in enumerate(found or (), start=1)
    }
    figures |= {
        f"{table.anchor}-figure-{number}": figure
        for quality in page.qualities
        for table in quality.tables
        for number, figure in enumerate(table.figures, start=1)
    }
    sections: tuple[Sessions | Pauses | Constraints, ...] = (*page.sessions, *page.pauses, *page.constraints)
    for section in sections:
        figures.update(section.figures)
    figures |= {f"{choice.anchor}-figure": choice.figure for choice in page.choices if choice.figure}
    # Marked as safe: a style sheet of ours, and SVG whose text the XML writer has escaped.
    drawn = {name: Markup(charts.svg(figure, name)) for name, figure in figures.items()}  # noqa: S704
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            page=page,
            drawn=drawn,
            legend=charts.legend,
            description=charts.description,
            style=Markup((_TEMPLATES / "style.css").read_text(encoding="utf-8")),  # noqa: S704
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
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
