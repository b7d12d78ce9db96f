"""Tests this machine: what it could see, how often it would cry wolf, and what makes it noisy."""

# No annotations from the future: typer would evaluate each text, which takes a tenth of what help takes.
from typing import Annotated

import typer

from benchharness import errors
from benchharness.commands import ending
from benchharness.commands.options import OnOption, StoreOption


def selftest(
    pairs: Annotated[int, typer.Option("--pairs", min=20, max=500, help="Pairs of processes; 30 take a minute.")] = 30,
    on: OnOption = "this-machine",
    store: StoreOption = None,
) -> None:
    """Compare a model with itself: this machine's false alarms, the smallest change it shows, and what disturbs it.

    \b
    Example:
      benchharness selftest --pairs 60
    """
    from benchharness import builds
    from benchharness.terminal.progress import watch
    from benchharness.terminal.selftest import show_selftest

    try:
        found = builds.selftest(pairs=pairs, on=on, store=store, watching=watch)
    except (KeyboardInterrupt, BrokenPipeError):
        # What it tells of is pairs that follow each other: those after a break would be of another stretch.
        ending.fail("interrupted; begin it anew with: benchharness selftest", errors.INTERRUPTED)
    show_selftest(found.tests, found.disturbances, found.noise, ending.terminal())
