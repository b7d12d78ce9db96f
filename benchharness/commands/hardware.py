"""Describes a device."""

# No annotations from the future: typer would evaluate each text, which takes a tenth of what help takes.
import sys
from typing import Annotated

import typer

from benchharness.commands.ending import terminal
from benchharness.commands.options import JsonOption, OnOption, StoreOption


def hardware(
    probe: Annotated[
        str, typer.Option("--probe", metavar="TIME", help='How long to measure noise; "0 s" for not at all.')
    ] = "2 s",
    on: OnOption = "this-machine",
    json_: JsonOption = False,
    store: StoreOption = None,
) -> None:
    """Describe a device: what it is, its sensors, its limits, and how noisy it is.

    \b
    Example:
      benchharness hardware --probe "2 s"
    """
    from benchharness import api
    from benchharness import units as quantity
    from benchharness.terminal import hardware as hardware_view

    description = api.hardware(quantity.seconds(probe), on)
    if json_:
        sys.stdout.write(f"{hardware_view.to_json(description)}\n")
        return
    for table in hardware_view.hardware_tables(description):
        terminal().print(table)
