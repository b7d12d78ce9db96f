"""Writes HTML pages: the report on one run, several runs compared, or a site over the whole store."""

# No annotations from the future: typer would evaluate each text, which takes a tenth of what help takes.
from pathlib import Path
from typing import Annotated

import typer

from benchharness.commands.ending import tell_paths
from benchharness.commands.options import OutOption, StoreOption
from benchharness.errors import UsageError


def report(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="RUN…", help="The run; two or more are compared on one page.")
    ] = None,
    out: OutOption = Path("report"),
    site: Annotated[
        Path | None,
        typer.Option("--site", metavar="DIR", help="Linked pages over every run in the store, from DIR/index.html on."),
    ] = None,
    store: StoreOption = None,
) -> None:
    """Write HTML pages: one per hardware target, and every job beside it.

    \b
    Example:
      benchharness report latest --out report
      benchharness report 0195a3c2 0195b7d0 --out compared
      benchharness report --site public
    """
    from benchharness import api

    if site is None:
        tell_paths(api.render([api.load(name, store=store) for name in names or ["latest"]], out))
        return
    if names:
        raise UsageError("--site writes every suite of the store: name no run beside it")
    tell_paths(api.site(site, store=store)[:1])
