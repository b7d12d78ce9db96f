"""Exports a run's results for other programs."""

# No annotations from the future: typer would evaluate each text, which takes a tenth of what help takes.
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from benchharness.commands.options import RunArgument, StoreOption
from benchharness.errors import UsageError


class ExportFormat(StrEnum):
    """The formats that `export` writes."""

    JSON = "json"
    CSV = "csv"


def export(
    run: RunArgument = "latest",
    format_: Annotated[ExportFormat, typer.Option("--format", help="The format.")] = ExportFormat.JSON,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="A file; standard output unless named.")
    ] = None,
    store: StoreOption = None,
) -> None:
    """Export a run's results for other programs.

    \b
    Example:
      benchharness export latest --format csv --out results.csv
    """
    from benchharness import api

    found = api.load(run, store=store)
    text = found.to_json() if format_ is ExportFormat.JSON else found.to_csv()
    if out is None:
        sys.stdout.write(text if text.endswith("\n") else f"{text}\n")
        return
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{out}: cannot be written ({error.strerror})") from error
