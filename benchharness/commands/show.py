"""Shows what a run found."""

# No annotations from the future: typer would evaluate each text, which takes a tenth of what help takes.
from typing import TYPE_CHECKING, Annotated

import typer

from benchharness.commands import ending
from benchharness.commands.options import (
    DetailsOption,
    Form,
    FormOption,
    RunArgument,
    Shown,
    StoreOption,
    WarningsOption,
    WishName,
    WishOption,
)

if TYPE_CHECKING:
    from benchharness.api import Findings


def show(
    run: RunArgument = "latest",
    details: DetailsOption = False,
    warnings: WarningsOption = False,
    job: Annotated[
        str | None,
        typer.Option("--job", metavar="KEY|TITLE", help="Everything of one job, by its key or a part of its title."),
    ] = None,
    form: FormOption = Form.TABLE,
    wish: WishOption = WishName.SMALLEST,
    store: StoreOption = None,
) -> None:
    """Show what a run found: the verdict, one table for each model and workload, and what makes it less sure.

    \b
    Example:
      benchharness show latest --details
    """
    from benchharness import api

    found = api.load(run, store=store)
    if job is None:
        _show_comparison(found, form, store)
        ending.show(found, Shown(form=form, details=details, warnings=warnings, wish=wish))
        return
    from benchharness.terminal.job import find_job, show_job

    show_job(find_job(found.results, job), ending.terminal())


def _show_comparison(found: "Findings", form: Form, store: str | None) -> None:
    """First what became of it since the base, where the run compares two builds."""
    if form is not Form.TABLE or found.since is None:
        return
    from benchharness import builds
    from benchharness.terminal.comparison import show_verdict

    if found.since.gated is not None:
        show_verdict(found.since.gated, ending.terminal())
    ending.show_comparison(builds.load(found.run.id, store=store))
