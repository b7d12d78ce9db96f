"""Gates a release or a nightly run on a comparison with a pinned base build, budgets and limits."""

# No annotations from the future: typer would evaluate each text, which takes a tenth of what help takes.
from pathlib import Path
from typing import Annotated

import typer

from benchharness.commands import ending
from benchharness.commands.options import (
    AllowOption,
    MarginOption,
    MaxTimeOption,
    OnSeveralOption,
    PrimaryOption,
    ScenarioOption,
    StoreOption,
    TimeoutOption,
    gate_changes,
)


def gate(
    suite: Annotated[str | None, typer.Argument(metavar="SUITE.toml", help="The candidate's suite.")] = None,
    base: Annotated[
        str | None,
        typer.Option("--base", metavar="BASE", help="A suite, a model or REVISION:SUITE; else the suite's own."),
    ] = None,
    primary: PrimaryOption = None,
    margin: MarginOption = None,
    allow: AllowOption = None,
    scenario: ScenarioOption = None,
    max_time: MaxTimeOption = None,
    timeout: TimeoutOption = None,
    on: OnSeveralOption = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FOLDER", help="Where JUnit XML, Markdown, Bencher and benchmark-action JSON go."
        ),
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option("--resume", metavar="[RUN]", help="Go on with an interrupted gate; the latest unless named."),
    ] = None,
    store: StoreOption = None,
) -> None:
    """Say whether a build may pass: exit code 0 green, 1 red, 5 undecided; of several devices the worst.

    \b
    Example:
      benchharness gate suite.toml --base v1.4:suite.toml --out gate
      benchharness gate suite.toml --on pixel --on raspberry --out gate
    """
    from benchharness import builds
    from benchharness.errors import UsageError
    from benchharness.suite.fields import THIS_MACHINE
    from benchharness.suite.overrides import Overrides
    from benchharness.terminal.comparison import show_gate
    from benchharness.terminal.progress import watch

    if resume is None and suite is None:
        raise UsageError("name the candidate's suite: benchharness gate suite.toml --base v1.4:suite.toml")
    try:
        if resume is not None:
            found = builds.resume_on(resume, store=store, watching=watch)
        else:
            found = builds.gate_on(
                on or [THIS_MACHINE],
                str(suite),
                base=base,
                gate=gate_changes(primary, margin, allow),
                overrides=Overrides(max_time=max_time, timeout=timeout, scenarios=scenario),
                store=store,
                watching=watch,
            )
    except (KeyboardInterrupt, BrokenPipeError) as error:
        ending.say_how_to_resume(error, store, "gate")
    for each in found.gatings:
        show_gate(each.verdict, each.machine, ending.terminal(), each.where)
    ending.show_shared([each.first.findings for each in found.gatings])
    if out is not None:
        ending.tell_paths(found.write(out))
    ending.tell_github(found)
    ending.end(*found.ended())
