"""Compares two builds of a model, or of what runs it."""

# No annotations from the future: typer would evaluate each text, which takes a tenth of what help takes.
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from benchharness.commands import ending
from benchharness.commands.options import (
    AllowOption,
    BasePythonOption,
    MarginOption,
    MaxTimeOption,
    OnOption,
    PrimaryOption,
    ScenarioOption,
    StoreOption,
    TimeoutOption,
    gate_changes,
)


def compare(
    base: Annotated[
        str | None,
        typer.Argument(metavar="BASE", help="A suite, a model, REVISION:SUITE of this git repository, or a run."),
    ] = None,
    candidate: Annotated[
        str | None, typer.Argument(metavar="CANDIDATE", help="The same; left out where only the environment differs.")
    ] = None,
    base_python: BasePythonOption = None,
    candidate_python: Annotated[
        Path | None, typer.Option("--candidate-python", metavar="PYTHON", help="The candidate's interpreter.")
    ] = None,
    primary: PrimaryOption = None,
    margin: MarginOption = None,
    allow: AllowOption = None,
    scenario: ScenarioOption = None,
    max_time: MaxTimeOption = None,
    timeout: TimeoutOption = None,
    on: OnOption = "this-machine",
    json: Annotated[bool, typer.Option("--json", help="A row for each metric, as JSON.")] = False,
    resume: Annotated[
        str | None,
        typer.Option("--resume", metavar="[RUN]", help="Go on with an interrupted one; the latest unless named."),
    ] = None,
    store: StoreOption = None,
) -> None:
    """Compare two builds: interleaved pairs of fresh processes, until each metric is told or the most pairs are made.

    \b
    Example:
      benchharness compare v1/suite.toml v2/suite.toml
      benchharness compare suite.toml --base-python old/bin/python
    """
    import sys

    from benchharness import builds
    from benchharness.errors import UsageError
    from benchharness.suite.overrides import Overrides
    from benchharness.terminal.progress import watch

    watching = partial(watch, stderr=json)

    if resume is None and base is None:
        raise UsageError("name a base and a candidate: benchharness compare v1/suite.toml v2/suite.toml")
    try:
        if resume is not None:
            found = builds.resume(resume, store=store, watching=watching)
        else:
            found = builds.compare(
                str(base),
                candidate,
                base_python=base_python,
                candidate_python=candidate_python,
                on=on,
                gate=gate_changes(primary, margin, allow),
                overrides=Overrides(max_time=max_time, timeout=timeout, scenarios=scenario),
                store=store,
                watching=watching,
            )
    except (KeyboardInterrupt, BrokenPipeError) as error:
        ending.say_how_to_resume(error, store, "compare")
    if json:
        sys.stdout.write(f"{found.to_json()}\n")
    else:
        ending.show_comparison(found)
    ending.end(*found.ended())
