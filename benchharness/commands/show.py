"""Shows what a run found."""

# No annotations from the future: typer would evaluate each text, which takes a tenth of what help takes.
from typing import TYPE_CHECKING, Annotated

import typer

from benchharness.commands import ending
from benchharness.commands.options import (
    DetailsOption,
    Form,
    FormOption,
    Shown,
    StoreOption,
    WarningsOption,
    WishName,
    WishOption,
)
from benchharness.errors import UsageError

if TYPE_CHECKING:
    from benchharness.api import Findings


def show(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="RUN…", help="A run's id, a prefix of it, or 'latest'; of several devices one each."),
    ] = None,
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

    Of several runs, each on another device of a hardware target, what these say of it together, and who stands out.

    \b
    Example:
      benchharness show latest --details
      benchharness show 0195a3c2 0195a3d7 0195a3f0
    """
    from benchharness import api

    if names is not None and len(names) > 1:
        if job is not None or form is Form.MARKDOWN:
            raise UsageError("of several runs there is a table or JSON: what their devices say together")
        ending.show_fleets([api.load(name, store=store) for name in names], details=details, json_=form is Form.JSON)
        return
    found = api.load(names[0] if names else "latest", store=store)
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
        show_verdict(found.since.gated, ending.terminal(), state=found.run.state)
    ending.show_comparison(builds.load(found.run.id, store=store))
