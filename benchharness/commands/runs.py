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
    from benchharness.terminal.tables import run_table

    terminal().print(run_table(api.runs(store=store)))
