"""Finds the build that got worse."""

# No annotations from the future: typer would evaluate each text, which takes a tenth of what help takes.
from typing import Annotated

import typer

from benchharness.commands import ending
from benchharness.commands.options import (
    AllowOption,
    MarginOption,
    MaxTimeOption,
    OnOption,
    PrimaryOption,
    ScenarioOption,
    StoreOption,
    TimeoutOption,
    gate_changes,
)


def bisect(
    builds: Annotated[
        list[str],
        typer.Argument(metavar="BUILD…", help="Oldest first: suites, models, runs; or with --good one suite's path."),
    ],
    good: Annotated[
        str | None, typer.Option("--good", metavar="REVISION", help="The last revision known to be good.")
    ] = None,
    bad: Annotated[str, typer.Option("--bad", metavar="REVISION", help="The revision that is worse.")] = "HEAD",
    primary: PrimaryOption = None,
    margin: MarginOption = None,
    allow: AllowOption = None,
    scenario: ScenarioOption = None,
    max_time: MaxTimeOption = None,
    timeout: TimeoutOption = None,
    on: OnOption = "this-machine",
    store: StoreOption = None,
) -> None:
    """Find the build that got worse: pairs against the oldest, until the step is confirmed or gone.

    \b
    Example:
      benchharness bisect suite.toml --good v1.4 --bad HEAD
    """
    from benchharness import builds as api
    from benchharness.errors import INTERRUPTED, UsageError
    from benchharness.suite.overrides import Overrides
    from benchharness.suite.revision import between
    from benchharness.terminal.console import say
    from benchharness.terminal.progress import watch

    if good is not None and len(builds) != 1:
        raise UsageError("with --good name one suite, by its path in the repository")
    console = ending.terminal()
    try:
        found = api.bisect(
            builds if good is None else between(good, bad, builds[0]),
            on=on,
            gate=gate_changes(primary, margin, allow),
            overrides=Overrides(max_time=max_time, timeout=timeout, scenarios=scenario),
            store=store,
            watching=watch,
            hear=lambda build, left: say(console, f"comparing {build} (at most {left} more)"),
        )
    except (KeyboardInterrupt, BrokenPipeError):
        told = "interrupted; what was compared is in the store (benchharness runs)"
        ending.fail(
            f"{told}. A bisection asks its builds in one go: begin it anew with: benchharness bisect", INTERRUPTED
        )
    for each in found.made:
        ending.show_comparison(each)
    if found.first_worse is None:
        say(console, found.reason)
    else:
        say(console, f"first worse: {found.first_worse}; last good: {found.last_good}; {found.reason}")
    ending.end(*found.ends.ended())
