"""Devices that are reached over SSH or adb: adds, lists, checks, prepares and cleans them."""

# No annotations from the future: typer would evaluate each text, which takes a tenth of what help takes.
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchharness.commands.ending import terminal
from benchharness.errors import SOME_FAILED

if TYPE_CHECKING:
    from benchharness.launch.ssh.host_key import HostKey

device = typer.Typer(
    help="""Add, list, check, prepare and clean the devices that are reached over SSH or adb.

\b
Example:
  benchharness device add ssh://bench@pi5.lab --hardware raspberry-pi-5
""",
    no_args_is_help=True,
    rich_markup_mode=None,
)
#: A command on the device itself.
_TELLS_IT = "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub"
NameArgument = Annotated[str, typer.Argument(metavar="DEVICE", help="A device's name, as in devices/NAME.toml.")]


@device.command()
def add(
    connect: Annotated[
        str, typer.Argument(metavar="ADDRESS", help="ssh://[USER@]HOST[:PORT], adb://SERIAL or adb://HOST:PORT.")
    ],
    name: Annotated[str | None, typer.Option(help="What it is called here; else the host's first name.")] = None,
    hardware: Annotated[
        str | None, typer.Option(metavar="TARGET", help="The hardware target that it is one of; else its name.")
    ] = None,
    key: Annotated[Path | None, typer.Option(metavar="FILE", help="A private key here; else your SSH agent's.")] = None,
    jump: Annotated[
        str | None, typer.Option(metavar="ssh://[USER@]HOST[:PORT]", help="A host that leads there.")
    ] = None,
    python: Annotated[str, typer.Option(metavar="PATH", help="The Python there, 3.9 or later.")] = "python3",
    system: Annotated[str, typer.Option(metavar="[linux|macos|windows]", help="What runs there.")] = "linux",
    fingerprint: Annotated[
        str | None, typer.Option(metavar="SHA256:…", help="The host key's, as 'ssh-keygen -lf' prints it there.")
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Write its profile anew.")] = False,
) -> None:
    """Make a device known: check its host key, look at it, and write devices/NAME.toml.

    \b
    Example:
      benchharness device add ssh://bench@pi5.lab --hardware raspberry-pi-5
      benchharness device add adb://0A041FDD4003EA --name pixel8 --hardware pixel-8
    """
    from benchharness import devices
    from benchharness.terminal.console import say
    from benchharness.terminal.device_list import device_lines, has_runtimes

    key = key.expanduser().absolute() if key else None
    asked = devices.asked(connect, name=name, hardware=hardware, key=key, jump=jump, python=python, system=system)
    presented = devices.host_key(asked)
    if presented is not None:
        _trust(presented, fingerprint, asked.connect)
    path, added = devices.add(asked, presented, again=again)
    for line in device_lines([added]):
        say(terminal(), line)
    say(terminal(), f"written: {path}")
    ready = has_runtimes(added) and added.found.get("python") != "none"
    first = "check" if ready else "prepare"
    suite = "" if ready else " --for SUITE.toml"
    say(
        terminal(),
        f"next: benchharness device {first} {added.name}{suite}, then benchharness run SUITE.toml --on {added.name}",
    )


def _trust(presented: "HostKey", given: str | None, where: str) -> None:
    """Goes on with a host key that is known, or whose fingerprint somebody says. Raises `UsageError`."""
    import sys

    from benchharness.errors import UsageError

    if given is None and presented.is_known:
        return
    if given is None and sys.stdin.isatty():
        typer.echo(f"{where} shows a host key that is not known here: {presented.fingerprint}", err=True)
        typer.echo(f"Compare it with what the device itself says: {_TELLS_IT}", err=True)
        given = typer.prompt("Its fingerprint", err=True)
    if given is None:
        raise UsageError(
            f"{where} shows a host key that is not known here, {presented.fingerprint}; if the device itself says so "
            f"({_TELLS_IT} there), give it: --fingerprint {presented.fingerprint}"
        )
    if given.strip() != presented.fingerprint:
        raise UsageError(
            f"{where} shows the host key {presented.fingerprint}, and not {given.strip()[:100]}: either that is "
            "another key's fingerprint, or somebody stands between; nothing was sent there"
        )


@device.command(name="list")
def list_() -> None:
    """List the devices that have a profile.

    \b
    Example:
      benchharness device list
    """
    from benchharness import devices
    from benchharness.terminal.console import say
    from benchharness.terminal.device_list import device_lines

    known = devices.known()
    if known:
        for line in device_lines(known):
            say(terminal(), line)
    else:
        say(
            terminal(),
            "no device has a profile; add one with: benchharness device add ssh://user@host, or adb://SERIAL",
        )


@device.command()
def check(
    name: NameArgument,
    suite: Annotated[
        Path | None, typer.Option("--for", metavar="SUITE.toml", help="What must run there; else any runtime will do.")
    ] = None,
    probe: Annotated[
        str, typer.Option("--probe", metavar="TIME", help='How long to measure noise; "0 s" for not at all.')
    ] = "2 s",
) -> None:
    """Say what a device lacks for measuring, and how noisy it is. Exit code 3 where something will not run.

    \b
    Example:
      benchharness device check pi5 --for suite.toml
    """
    from benchharness import devices
    from benchharness import units as quantity
    from benchharness.execute.checking import State
    from benchharness.terminal.check_list import check_lines
    from benchharness.terminal.console import tell

    found = devices.check(name, suite, quantity.seconds(probe))
    for line, style in check_lines(found):
        tell(terminal(), line, style, indent=0)
    if any(each.state is State.BAD for each in found):
        raise typer.Exit(SOME_FAILED)


@device.command()
def prepare(
    name: NameArgument,
    suite: Annotated[
        Path | None, typer.Option("--for", metavar="SUITE.toml", help="Its runtimes are installed.")
    ] = None,
    runtime: Annotated[
        list[str] | None, typer.Option("--runtime", metavar="NAME", help="This one too; may be repeated.")
    ] = None,
) -> None:
    """Make an environment on a device with the runtimes that a suite needs. Wheels are fetched here, by hash.

    \b
    Example:
      benchharness device prepare pi5 --for suite.toml
    """
    from benchharness import devices
    from benchharness.terminal.console import console, say, tell
    from benchharness.terminal.underway import underway

    told = console(stderr=True)
    with underway(told) as sent:
        made = devices.prepare(name, suite, runtime or (), tell=lambda line: tell(told, line, "dim"), sent=sent)
    words = "made" if made.made else "there already"
    say(terminal(), f"environment {words}: {made.python}")
    tell(terminal(), ", ".join(f"{package} {version}" for package, version in made.packages.items()), "dim")
    for each in made.runtimes:
        say(terminal(), f"{each.name} {each.version}" if each.available else f"{each.name} does not run: {each.reason}")
    if not all(each.available for each in made.runtimes):
        raise typer.Exit(SOME_FAILED)


@device.command()
def clean(
    name: NameArgument,
    everything: Annotated[
        bool, typer.Option("--all", help="Models, environments and finished attempts too: all that is ours there.")
    ] = False,
) -> None:
    """Clear a device of what dead runs left, or of everything that is ours.

    \b
    Example:
      benchharness device clean pi5 --all
    """
    from benchharness import devices
    from benchharness.terminal.console import say

    found = devices.clean(name, everything=everything)
    for each in found.removed:
        say(terminal(), f"removed: {each}")
    for run, count in found.waiting.items():
        say(terminal(), f"{count} finished attempts wait there: benchharness run --resume {run}")
    if not found.removed and not found.waiting:
        say(terminal(), "nothing of ours is left over there")
