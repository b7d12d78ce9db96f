"""Brings runs of other stores into this one."""

# No annotations from the future: typer would evaluate each text, which takes a tenth of what help takes.
from typing import Annotated

import typer

from benchharness.commands.ending import terminal
from benchharness.commands.options import StoreOption
from benchharness.errors import SOME_FAILED


def import_(
    sources: Annotated[list[str], typer.Argument(metavar="STORE…", help="Files of other stores, or their URLs.")],
    store: StoreOption = None,
) -> None:
    """Bring runs of other machines' stores into this one; exit code 3 where one is refused. Nothing there is changed.

    \b
    Example:
      benchharness import nightly-pi5.db nightly-mac.db
    """
    from benchharness import stores
    from benchharness.terminal.console import console, say
    from benchharness.terminal.store_lines import imported_lines
    from benchharness.terminal.underway import underway
    from benchharness.terminal.values import visible

    with underway(console(stderr=True)) as watching:
        done = stores.import_stores(sources, store=store, watching=watching)
    for each in done:
        for line in imported_lines(each):
            say(terminal(), visible(line))
    if any(each.refused for each in done):
        raise typer.Exit(SOME_FAILED)
