"""Says which runtimes can run, or why not."""

# No annotations from the future: typer would evaluate each text, which takes a tenth of what help takes.
from benchharness.commands.ending import terminal
from benchharness.commands.options import OnOption, StoreOption


def adapters(on: OnOption = "this-machine", store: StoreOption = None) -> None:
    """Say which runtimes can run on a device, or why not.

    \b
    Example:
      benchharness adapters --on raspberry-pi-5
    """
    from benchharness import api
    from benchharness.terminal.adapters import show_adapters

    show_adapters(api.adapters(on), terminal())
