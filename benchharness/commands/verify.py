"""Verifies a store."""

# No annotations from the future: typer would evaluate each text, which takes a tenth of what help takes.
import typer

from benchharness.commands.ending import terminal
from benchharness.commands.options import StoreOption
from benchharness.errors import GATE_FAILED


def verify(store: StoreOption = None) -> None:
    """Verify that a store is whole and says the same throughout; exit code 1 where it does not. Nothing is written.

    \b
    Example:
      benchharness verify --store sqlite:///nightly.db
    """
    from benchharness import stores
    from benchharness.terminal.console import console, say
    from benchharness.terminal.store_lines import verified_lines
    from benchharness.terminal.underway import underway
    from benchharness.terminal.values import visible

    with underway(console(stderr=True)) as watching:
        found = stores.verify(store=store, watching=lambda done, of: watching("measurements", done, of))
    for line in verified_lines(found):
        say(terminal(), visible(line))
    if not found.sound:
        raise typer.Exit(GATE_FAILED)
