"""Runs the bundled demo model."""

# No annotations from the future: typer would evaluate each text, which takes a tenth of what help takes.
from pathlib import Path

from benchharness.commands.ending import conclude
from benchharness.commands.options import AttemptsOption, NoReportOption, OnOption, OutOption, StoreOption


def demo(
    on: OnOption = "this-machine",
    attempts: AttemptsOption = None,
    out: OutOption = Path("report"),
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

    conclude(
        lambda: api.run(demo_suite(), on=on, attempts=attempts, store=store),
        out=None if no_report else out,
        store=store,
    )
