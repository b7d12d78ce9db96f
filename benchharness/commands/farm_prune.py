"""Pruning by hand: a farm's tables by who owns it, and a host's cache."""

# No annotations from the future: typer would evaluate each text, which takes a tenth of what help takes.
from pathlib import Path
from typing import Annotated

import typer

from benchharness.commands.ending import terminal
from benchharness.commands.farm_devices import PassOption


def prune(
    folder: Annotated[Path | None, typer.Argument(metavar="[FOLDER]", help="The farm's folder, on the server.")] = None,
    keep: Annotated[str | None, typer.Option(metavar="AGE", help='Jobs that ended, from now on: "30 d".')] = None,
    keep_audit: Annotated[str | None, typer.Option(metavar="AGE", help='The trail, from now on: "365 d".')] = None,
    cache: Annotated[str | None, typer.Option(metavar="SIZE", help='On a host: no more than this: "5 GB".')] = None,
    work: Annotated[Path | None, typer.Option(metavar="FOLDER", help="The agent's, as for farm agent.")] = None,
    member: PassOption = None,
) -> None:
    """Drop what nobody asks for any more: on the server of the farm's tables, on a host of the agent's cache.

    The scheduler does the first each hour, and an agent the second after each job. No figure goes: the store is not
    touched.

    \b
    Example:
      benchharness farm prune farm --keep '14 d'
      benchharness farm prune --farm passes/desk --cache '5 GB'
    """
    if folder is None:
        _prune_host(member, cache, work)
    else:
        _prune_tables(folder, keep, keep_audit)


def _prune_tables(folder: Path, keep: str | None, keep_audit: str | None) -> None:
    from datetime import timedelta

    from benchharness import units
    from benchharness.farm.members import Farm
    from benchharness.farm.pruning import prune_as_owner, words
    from benchharness.terminal.console import say

    jobs, trail = (None if each is None else timedelta(seconds=units.age(each)) for each in (keep, keep_audit))
    gone, kept, kept_audit = prune_as_owner(Farm.load(folder).place, keep_jobs=jobs, keep_audit=trail)
    say(terminal(), f"pruned: {words(gone)}")
    say(terminal(), f"kept: jobs for {kept.days} days after they were told of, the trail for {kept_audit.days} days")


def _prune_host(member: Path | None, cache: str | None, work: Path | None) -> None:
    from benchharness import units
    from benchharness.farm.allowed import Allowed
    from benchharness.farm.cache import Cache
    from benchharness.farm.passes import Pass
    from benchharness.terminal.console import say

    here = Pass.load(member)
    most = Allowed.load(here.folder / "agent.toml").cache if cache is None else units.size(cache)
    done = Cache((work or here.folder / "work") / "cache").evict(most)
    say(terminal(), f"{done.files} files, {done.bytes / 1e6:.1f} MB, left the cache")
    say(terminal(), f"{done.left_files} files, {done.left_bytes / 1e6:.1f} MB, are in it")
