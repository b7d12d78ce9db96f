"""Shows a run's results as tables."""

# No annotations from the future: typer would evaluate each text, which takes a tenth of what help takes.
from benchharness.commands.ending import terminal
from benchharness.commands.options import RunArgument, StoreOption


def show(run: RunArgument = "latest", store: StoreOption = None) -> None:
    """Show a run's results as tables.

    \b
    Example:
      benchharness show latest
    """
    from benchharness import api
    from benchharness.terminal.tables import summary

    found = api.load(run, store=store)
    summary(found.run, found.results, terminal())
