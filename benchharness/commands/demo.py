"""Runs the bundled demo model."""

# No annotations from the future: typer would evaluate each text, which takes a tenth of what help takes.
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchharness.commands.ending import conclude, terminal
from benchharness.commands.options import (
    AttemptsOption,
    DetailsOption,
    NoReportOption,
    OnSeveralOption,
    OutOption,
    Shown,
    StoreOption,
    WarningsOption,
)

if TYPE_CHECKING:
    from benchharness.api import Findings


def demo(
    on: OnSeveralOption = None,
    attempts: AttemptsOption = None,
    out: OutOption = Path("report"),
    details: DetailsOption = False,
    warnings: WarningsOption = False,
    no_report: NoReportOption = False,
    store: StoreOption = None,
) -> None:
    """Benchmark the bundled demo model in three runtimes at two precisions, and write the report.

    \b
    Example:
      benchharness demo --out report
    """
    from benchharness import api
    from benchharness.locations import demo_suite
    from benchharness.suite.fields import THIS_MACHINE

    conclude(
        lambda watching: api.run_on(
            on or [THIS_MACHINE], demo_suite(), attempts=attempts, store=store, watching=watching
        ),
        out=None if no_report else out,
        store=store,
        shown=Shown(details=details, warnings=warnings),
        last=_what_next,
    )


def _what_next(found: "Sequence[Findings]", paths: Sequence[Path]) -> None:
    from benchharness.terminal.console import say
    from benchharness.terminal.newcomer import what_next

    for line in what_next([result for each in found for result in each.results], paths):
        say(terminal(), line)
