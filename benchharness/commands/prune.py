"""Drops samples of old runs."""

# No annotations from the future: typer would evaluate each text, which takes a tenth of what help takes.
import sys
from typing import Annotated

import typer

from benchharness.commands.ending import terminal
from benchharness.commands.options import StoreOption, YesOption


def prune(
    keep: Annotated[str, typer.Option("--keep", metavar="AGE", help='Whose samples stay: "90d", "12 weeks", "36 h".')],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and drop nothing.")] = False,
    yes: YesOption = False,
    store: StoreOption = None,
) -> None:
    """Drop samples of runs that ended longer ago, and keep every value, interval and percentile.

    \b
    Example:
      benchharness prune --keep 90d --dry-run
    """
    from datetime import UTC, datetime, timedelta

    from benchharness import stores
    from benchharness import units as quantity
    from benchharness.terminal.console import console, say
    from benchharness.terminal.store_lines import prunable_line, pruned_lines
    from benchharness.terminal.underway import underway

    before = datetime.now(UTC) - timedelta(seconds=quantity.age(keep))
    found = stores.prunable(before, store=store)
    say(terminal(), prunable_line(found, before))
    if dry_run:
        return
    if found.measurements and not yes and sys.stdin.isatty() and not typer.confirm("Drop them?", err=True):
        say(terminal(), "nothing was dropped")
        return
    with underway(console(stderr=True)) as watching:
        done = stores.prune(before, store=store, watching=lambda at, of: watching("measurements", at, of))
    for line in pruned_lines(done):
        say(terminal(), line)
