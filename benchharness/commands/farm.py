"""A farm of devices: it is made, members are enrolled, agents and a scheduler work, and suites are submitted to it."""

# No annotations from the future: typer would evaluate each text, which takes a tenth of what help takes.
from pathlib import Path
from typing import Annotated

import typer

from benchharness.commands import farm_devices, farm_prune
from benchharness.commands.ending import terminal
from benchharness.commands.farm_devices import PassOption

farm = typer.Typer(
    help="""Run suites on many devices of many hosts, every night.

\b
Example:
  benchharness farm init farm --name farm.lab --agent desk --submitter ann
""",
    no_args_is_help=True,
    rich_markup_mode=None,
)
FolderArgument = Annotated[Path, typer.Argument(metavar="FOLDER", help="The farm's folder, on the server.")]
RoleArgument = Annotated[str, typer.Argument(metavar="NAME", help="A member: a host, or who submits.")]


@farm.callback()
def _installed() -> None:
    from benchharness.farm import check_installed

    check_installed()


@farm.command()
def init(
    folder: FolderArgument,
    name: Annotated[str | None, typer.Option(help="How hosts reach the server: its name, or an address.")] = None,
    also: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Another name of it; repeatable.")] = None,
    port: Annotated[int | None, typer.Option(min=1024, max=65535, help="Where it listens; 5433 unless said.")] = None,
    listen: Annotated[str | None, typer.Option(metavar="ADDRESS", help="On which of its addresses; on all.")] = None,
    agent: Annotated[list[str] | None, typer.Option(metavar="HOST", help="A host with devices; repeatable.")] = None,
    submitter: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Who submits; repeatable.")] = None,
    user: Annotated[str | None, typer.Option(metavar="USER", help="Who runs the server, where root makes it.")] = None,
    on_server: Annotated[
        str | None,
        typer.Option("--on-server", metavar="CONNINFO", help="A PostgreSQL that is there already, without a password."),
    ] = None,
    server_ca: Annotated[
        Path | None, typer.Option("--server-ca", metavar="FILE", help="By which certificate that is known.")
    ] = None,
) -> None:
    """Make a farm: a PostgreSQL server of its own with TLS, certificates, roles, queue and store. It is left running.

    \b
    Example:
      benchharness farm init farm --name farm.lab --agent desk --agent rack --submitter ann
      benchharness farm init farm --on-server 'host=db.lab dbname=bench user=me' --server-ca ca.pem --agent desk
    """
    from benchharness.errors import UsageError
    from benchharness.farm.members import Farm
    from benchharness.terminal.console import say

    # Who submits first: what is signed by him is known to agents from the beginning.
    members = [*(("submitter", each) for each in submitter or ()), *(("agent", each) for each in agent or ())]
    if on_server is None:
        made = Farm.create(
            folder.absolute(), name=name or "localhost", port=port or 5433, listen=listen or "*", user=user,
            also=also or (), members=members,
        )  # fmt: skip
        say(terminal(), f"a farm at {name or 'localhost'}:{port or 5433}, in {made.folder}")
    else:
        if also or listen or user or server_ca is None:
            raise UsageError(
                "--on-server goes with --server-ca, --name, --port, and neither --also, --listen nor --user"
            )
        made = Farm.create_on(
            folder.absolute(), on_server, server_authority=server_ca, name=name, port=port, members=members
        )
        say(
            terminal(),
            f"a farm in {made.folder}; its server's administrator does what {made.for_the_administrator} says",
        )
    for kind, role in members:
        say(terminal(), f"pass of the {kind} {role}: {made.pass_of(role)}; it is a secret, carry it there")
    say(terminal(), f"next: benchharness farm {'serve' if on_server is None else 'check'} {folder}")


@farm.command()
def check(folder: FolderArgument) -> None:
    """See whether a server that was there before the farm keeps out all but members, and let them in where it does.

    \b
    Example:
      benchharness farm check farm
    """
    from benchharness.farm.members import Farm
    from benchharness.terminal.console import say

    made = Farm.load(folder)
    for each in made.open():
        say(terminal(), f"worth knowing: {each}", "yellow")
    told = (
        "the farm has a server of its own: there is nothing to check"
        if made.there is None
        else "refused: plain text, no certificate, another member's, a foreign one; members may log in"
    )
    say(terminal(), f"{told}. Next: benchharness farm serve {folder}")


@farm.command()
def enrol(
    folder: FolderArgument,
    role: RoleArgument,
    kind: Annotated[str, typer.Option("--as", metavar="[agent|submitter|reader]", help="What it may do.")] = "agent",
) -> None:
    """Make a member, and its pass.

    \b
    Example:
      benchharness farm enrol farm rack
    """
    from benchharness.errors import UsageError
    from benchharness.farm.members import Farm
    from benchharness.farm.roles import GROUPS
    from benchharness.terminal.console import say

    if kind not in GROUPS:
        raise UsageError(f"--as {kind}: a member is one of {', '.join(GROUPS)}")
    farm_ = Farm.load(folder)
    made = farm_.enrol(role, kind)
    say(terminal(), f"pass of the {kind} {role}: {made.folder}; it is a secret, carry it there")
    farm_.open()
    key = made.folder / "signing.pub"
    if key.is_file():
        say(
            terminal(),
            f"hosts that shall make what {role} submits need in their agent.toml, under [keys]: "
            f'{role} = "{key.read_text(encoding="utf-8").strip()}"',
        )


@farm.command()
def revoke(folder: FolderArgument, role: RoleArgument) -> None:
    """Shut a member out, now: certificate, role, and the lines that it has.

    \b
    Example:
      benchharness farm revoke farm rack
    """
    from benchharness.farm.members import Farm
    from benchharness.terminal.console import say

    Farm.load(folder).revoke(role)
    say(terminal(), f"{role} is shut out; its devices are quarantined, and what it runs is handed on")


@farm.command()
def serve(folder: FolderArgument) -> None:
    """Run a farm's server and its scheduler until Ctrl-C.

    \b
    Example:
      benchharness farm serve farm
    """
    from benchharness.farm.members import Farm
    from benchharness.farm.passes import Pass
    from benchharness.farm.running import log_lines, run_scheduler

    log_lines()
    made = Farm.load(folder)
    member = Pass.load(made.pass_of(made.scheduler))
    if made.there is not None:
        made.open()
        run_scheduler(member)
        return
    if not made.server.runs:
        made.server.start()
    try:
        run_scheduler(member)
    finally:
        made.server.stop()


@farm.command()
def agent(
    devices: Annotated[Path, typer.Option(metavar="DIR", help="The folder of its devices' profiles.")] = Path(
        "devices"
    ),
    work: Annotated[Path | None, typer.Option(metavar="FOLDER", help="For its files; in the pass unless said.")] = None,
    member: PassOption = None,
) -> None:
    """Work for a farm on this host until Ctrl-C: one worker a device.

    \b
    Example:
      benchharness farm agent --farm passes/desk --devices devices
    """
    from benchharness.farm.passes import Pass
    from benchharness.farm.running import log_lines, run_agent

    log_lines()
    run_agent(Pass.load(member), devices.absolute(), work)


@farm.command()
def submit(
    suite: Annotated[Path, typer.Argument(metavar="SUITE.toml", help="What is measured.")],
    on: Annotated[str | None, typer.Option("--on", metavar="NAME,…", help="Hardware targets or devices.")] = None,
    where: Annotated[str | None, typer.Option(metavar="KEY=VALUE,…", help="Labels that a device must have.")] = None,
    devices: Annotated[int | None, typer.Option(min=1, help="So many different devices of each.")] = None,
    base: Annotated[
        Path | None, typer.Option(metavar="SUITE.toml", help="Another build, compared in pairs on one device.")
    ] = None,
    priority: Annotated[int, typer.Option(help="Higher ones go first.")] = 0,
    within: Annotated[str | None, typer.Option(metavar="TIME", help='Not to begin later, such as "8 h".')] = None,
    nightly: Annotated[
        str | None, typer.Option(metavar="CRON", help='Now, and again at these times, UTC: "0 2 * * *".')
    ] = None,
    member: PassOption = None,
) -> None:
    """Sign a suite and queue it.

    \b
    Example:
      benchharness farm submit suite.toml --on 'pixel-8,raspberry-pi-5'
      benchharness farm submit suite.toml --where soc=sm8650 --devices 3 --nightly '0 2 * * *'
    """
    from benchharness import units
    from benchharness.farm import asking
    from benchharness.farm.passes import Pass
    from benchharness.terminal.console import say

    within_s = units.seconds(within) if within else None
    done = asking.submit(
        Pass.load(member), suite, on=on, where=where, base=base, devices=devices, priority=priority,
        within_s=within_s, nightly=nightly,
    )  # fmt: skip
    sent = f", {done.sent_bytes / 1e6:.1f} MB sent" if done.sent_bytes else ""
    for digest, path in done.code.items():
        say(terminal(), f'{path} is code: a host makes it where its agent.toml has it: code = ["{digest}"]')
    say(terminal(), f"submission {done.id}: {done.jobs} {'job' if done.jobs == 1 else 'jobs'} queued{sent}")


@farm.command()
def status(
    member: PassOption = None,
    live: Annotated[bool, typer.Option("--live", help="Draw it anew every second until Ctrl-C.")] = False,
    json_: Annotated[bool, typer.Option("--json", help="JSON instead of tables.")] = False,
    out: Annotated[Path | None, typer.Option(metavar="FILE.html", help="A page instead.")] = None,
) -> None:
    """Say how the farm stands: jobs, devices, submissions, and what was refused.

    \b
    Example:
      benchharness farm status --live
    """
    import json

    from benchharness import api
    from benchharness.farm import asking
    from benchharness.farm.passes import Pass
    from benchharness.terminal.console import say
    from benchharness.terminal.farm import draw_live, farm_tables

    here = Pass.load(member)
    found = asking.status(here)
    if json_:
        typer.echo(json.dumps(found, indent=1))
    elif out is not None:
        say(terminal(), f"page: {api.render_farm(found, out)}")
    elif not live:
        for each in farm_tables(found):
            terminal().print(each)
    else:
        draw_live(lambda: asking.status(here), found, terminal())


@farm.command()
def show(
    submission: Annotated[str, typer.Argument(metavar="SUBMISSION", help="Its id, or how that begins.")],
    night: Annotated[
        int | None, typer.Option(min=0, help="Which of its nights, from 0; the newest unless said.")
    ] = None,
    details: Annotated[bool, typer.Option("--details", help="Every metric.")] = False,
    json_: Annotated[bool, typer.Option("--json", help="JSON instead of tables.")] = False,
    out: Annotated[Path | None, typer.Option("--out", metavar="FOLDER", help="Pages, too.")] = None,
    member: PassOption = None,
) -> None:
    """Show what a submission found: each hardware target by all of its devices, each device, and who stands out.

    \b
    Example:
      benchharness farm show 6f1c
    """
    from benchharness import api
    from benchharness.commands.ending import show_fleets, tell_paths
    from benchharness.farm import asking
    from benchharness.farm.passes import Pass
    from benchharness.terminal.console import say

    here = Pass.load(member)
    made = asking.jobs_of(here, submission, night)
    found = [api.load(each.run, store=here.store) for each in made if each.run]
    show_fleets(found, details=details, json_=json_)
    for each in made:
        if not each.run and not json_:
            say(terminal(), f"job {each.job}: {each.status}{f': {each.why}' if each.why else ''}", "yellow")
    if out is not None and found:
        tell_paths(api.render(found, out), stderr=json_)


farm.command(name="devices")(farm_devices.devices)


@farm.command()
def store(member: PassOption = None) -> None:
    """Print the URL of the farm's store, for --store of every other command. It holds no secret.

    \b
    Example:
      benchharness history --store "$(benchharness farm store)"
    """
    from benchharness.farm.passes import Pass

    typer.echo(Pass.load(member).store)


@farm.command()
def cancel(
    submission: Annotated[str, typer.Argument(metavar="SUBMISSION", help="Its id, or how that begins.")],
    member: PassOption = None,
) -> None:
    """Take what is left of a submission out of the queue, and end what runs of it.

    \b
    Example:
      benchharness farm cancel 6f1c
    """
    from benchharness.farm import asking
    from benchharness.farm.passes import Pass
    from benchharness.terminal.console import say

    say(terminal(), f"{asking.cancel(Pass.load(member), submission)} jobs cancelled")


farm.command()(farm_prune.prune)
farm.command()(farm_devices.drain)
farm.command()(farm_devices.quarantine)
