"""Says what a model is, without running it."""

# No annotations from the future: typer would evaluate each text, which takes a tenth of what help takes.
import sys
from pathlib import Path
from typing import Annotated

import typer

from benchharness.commands.ending import terminal
from benchharness.commands.options import JsonOption, OnOption, StoreOption


def inspect(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model file, or the folder that holds it.")],
    compressed: Annotated[
        bool, typer.Option("--compressed", help="Also its download size, which takes a while.")
    ] = False,
    details: Annotated[bool, typer.Option("--details", help="Long lists whole.")] = False,
    on: OnOption = "this-machine",
    json_: JsonOption = False,
    store: StoreOption = None,
) -> None:
    """Say what a model is: task, inputs, outputs, operators, weights by precision, quantization, size, digest.

    \b
    Example:
      benchharness inspect model.onnx
    """
    import json

    from benchharness import api
    from benchharness.terminal.inspection import inspection_tables

    found = api.inspect(model, compressed=compressed, on=on)
    if json_:
        sys.stdout.write(f"{json.dumps(found, indent=1)}\n")
        return
    for table in inspection_tables(found, whole=details):
        terminal().print(table)
