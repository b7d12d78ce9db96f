"""A farm's devices: they are listed, finish what they run, are taken out, and taken in again."""

# No annotations from the future: typer would evaluate each text, which takes a tenth of what help takes.
from pathlib import Path
from typing import Annotated

import typer

from benchharness.commands.ending import terminal

PassOption = Annotated[
    Path | None, typer.Option("--farm", metavar="PASS", envvar="BENCHHARNESS_FARM", help="The folder of your pass.")
]
NameArgument = Annotated[str, typer.Argument(metavar="DEVICE|HOST", help="A device, or all of a host.")]
BackOption = Annotated[bool, typer.Option("--back", help="Take it in again.")]


def devices(member: PassOption = None) -> None:
    """List the farm's devices, with their labels.

    \b
    Example:
      benchharness farm devices
    """
    from benchharness.farm import asking
    from benchharness.farm.passes import Pass
    from benchharness.terminal.farm import device_table, label_lines

    found = asking.status(Pass.load(member))["devices"]
    terminal().print(device_table(found))
    for line in label_lines(found):
        terminal().print(line)


def drain(name: NameArgument, back: BackOption = False, member: PassOption = None) -> None:
    """Let a device, or a host, finish what it runs and begin nothing more.

    \b
    Example:
      benchharness farm drain rack
    """
    _set(member, name, "ready" if back else "draining", "")


def quarantine(
    name: NameArgument,
    why: Annotated[str, typer.Option(help="For whoever looks after it.")] = "",
    back: BackOption = False,
    member: PassOption = None,
) -> None:
    """Take a device out that cannot be trusted, or take it in again.

    \b
    Example:
      benchharness farm quarantine pixel8-2 --why 'its battery swells'
    """
    _set(member, name, "ready" if back else "quarantined", why)


def _set(member: Path | None, name: str, state: str, why: str) -> None:
    from benchharness.farm import asking
    from benchharness.farm.passes import Pass
    from benchharness.terminal.console import say

    count = asking.set_state(Pass.load(member), name, state, why)
    say(terminal(), f"{name}: {count} {'device is' if count == 1 else 'devices are'} {state}")
