"""Says which runtimes can run, or why not."""

# No annotations from the future: typer would evaluate each text, which takes a tenth of what help takes.
from benchharness.commands.ending import terminal
from benchharness.commands.options import StoreOption


def adapters(store: StoreOption = None) -> None:
    """Say which runtimes can run here, or why not.

    \b
    Example:
      benchharness adapters
    """
    from benchharness import api
    from benchharness.terminal.adapters import adapters_table

    terminal().print(adapters_table(api.adapters()))
