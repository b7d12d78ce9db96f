"""Lists the runs in the store."""

# No annotations from the future: typer would evaluate each text, which takes a tenth of what help takes.
from benchharness.commands.ending import terminal
from benchharness.commands.options import StoreOption


def runs(store: StoreOption = None) -> None:
    """List the runs in the store, newest first.

    \b
    Example:
      benchharness runs
    """
    from benchharness import api
    from benchharness.terminal.console import say
    from benchharness.terminal.run_list import run_lines

    console = terminal()
    for line in run_lines(api.runs(store=store), console.width):
        say(console, line)
