"""Runs the bundled demo model."""

# No annotations from the future: typer would evaluate each text, which takes a tenth of what help takes.
from pathlib import Path

from benchharness.commands.ending import conclude
from benchharness.commands.options import AttemptsOption, OnOption, OutOption, StoreOption
from benchharness.errors import UsageError


def demo(
    on: OnOption = "this-machine",
    attempts: AttemptsOption = None,
    out: OutOption = Path("report"),
    store: StoreOption = None,
) -> None:
    """Benchmark the bundled demo model in three runtimes at two precisions, and write the report.

    \b
    Example:
      benchharness demo --out report
    """
    from benchharness import api

    suite = Path(__file__).parents[2] / "examples" / "demo_model" / "suite.toml"
    if not suite.is_file():
        raise UsageError("the demo model is not part of this installation; run the demo from a checkout: make demo")
    conclude(lambda: api.run(suite, on=on, attempts=attempts, store=store), out=out, store=store)
