"""Writes the HTML report over one or several runs."""

# No annotations from the future: typer would evaluate each text, which takes a tenth of what help takes.
from pathlib import Path
from typing import Annotated

import typer

from benchharness.commands.ending import tell_paths
from benchharness.commands.options import OutOption, StoreOption


def report(
    names: Annotated[list[str] | None, typer.Argument(metavar="RUN…", help="Runs to put into one report.")] = None,
    out: OutOption = Path("report"),
    store: StoreOption = None,
) -> None:
    """Write one HTML report per hardware target.

    \b
    Example:
      benchharness report latest --out report
    """
    from benchharness import api

    tell_paths(api.render([api.load(name, store=store) for name in names or ["latest"]], out))
