"""Tells what changed over the runs of a store."""

# No annotations from the future: typer would evaluate each text, which takes a tenth of what help takes.
import sys
from pathlib import Path
from typing import Annotated

import typer

from benchharness.commands.ending import tell_paths, terminal
from benchharness.commands.options import Form, FormOption, StoreOption


def history(
    suite: Annotated[str | None, typer.Option("--suite", metavar="NAME", help="Only runs of this suite.")] = None,
    hardware: Annotated[
        str | None, typer.Option("--hardware", metavar="TARGET", help="Only this hardware target.")
    ] = None,
    metric: Annotated[str | None, typer.Option("--metric", metavar="NAME", help="Only this metric.")] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="AGE", help='Only runs no older, such as "90d" or "12w".')
    ] = None,
    base: Annotated[
        list[str] | None,
        typer.Option(
            "--base",
            metavar="BUILD",
            help="The pinned base, by the beginning of its id or its artefact's digest.",
        ),
    ] = None,
    bridge: Annotated[
        list[str] | None,
        typer.Option("--bridge", metavar="RUN", help="A run that compared an old base with a new one, to join both."),
    ] = None,
    form: FormOption = Form.TABLE,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE.html", help="Also a page with a drawing for each figure.")
    ] = None,
    store: StoreOption = None,
) -> None:
    """Tell what changed over the runs in the store: trends, steps with their likely causes, and what is missing.

    \b
    Example:
      benchharness history --since 90d --out history.html
    """
    from benchharness import api

    found = api.history(
        store=store,
        suite=suite,
        hardware=hardware,
        metric=metric,
        since=since,
        base=tuple(base or ()),
        bridge=tuple(bridge or ()),
    )
    if form is Form.JSON:
        sys.stdout.write(f"{found.to_json()}\n")
    elif form is Form.MARKDOWN:
        from benchharness.terminal.history import history_markdown

        sys.stdout.write(history_markdown(found))
    else:
        from benchharness.terminal.history import show_history

        show_history(found, terminal())
    if out is not None:
        tell_paths([api.render_history(found, out)], stderr=form is not Form.TABLE)
