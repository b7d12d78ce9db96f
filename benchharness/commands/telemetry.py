"""What comes home from the field: tallies of devices in use are merged, released with noise, and shown."""

# No annotations from the future: typer would evaluate each text, which takes a tenth of what help takes.
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchharness.commands.ending import tell_paths, terminal
from benchharness.commands.options import RunArgument, StoreOption

if TYPE_CHECKING:
    from benchharness.telemetry.received import Received
    from benchharness.telemetry.told import Lab

telemetry = typer.Typer(
    help="""Merge what opted-in devices counted, release it with noise, and show it beside the lab's figures.

\b
Example:
  benchharness telemetry merge tallies/ --lab latest --out field.html
""",
    no_args_is_help=True,
    rich_markup_mode=None,
)
FilesArgument = Annotated[list[Path], typer.Argument(metavar="FILES…", help="Tallies, or folders of them.")]
LedgerOption = Annotated[Path, typer.Option("--ledger", metavar="LEDGER", help="The aggregator's ledger.")]
LabOption = Annotated[
    str | None, typer.Option("--lab", metavar="RUN", help="Show this run's figures beside the field's.")
]
PageOption = Annotated[Path | None, typer.Option("--out", metavar="FILE.html", help="Also a page.")]
DocumentOption = Annotated[bool, typer.Option("--json", help="The counts as JSON, instead of tables.")]
#: Of files that were refused, so many are named.
_MOST_NAMED = 20


@telemetry.command()
def tally(
    run: RunArgument = "latest",
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Where the files go.")] = Path("tallies"),
    store: StoreOption = None,
) -> None:
    """Write what a device would have counted in a run: a file for each hardware target and model.

    \b
    Example:
      benchharness telemetry tally latest --out tallies
    """
    from benchharness import api
    from benchharness.errors import UsageError
    from benchharness.telemetry.lab import tallies_of
    from benchharness.terminal.console import say

    found = api.load(run, store=store)
    made = tallies_of(found.run, found.results)
    if not made:
        raise UsageError(f"run {found.run.id} measured nothing that a tally counts")
    try:
        out.mkdir(parents=True, exist_ok=True)
        for each in made:
            path = out / f"tally-{each.period}-{each.hardware}-{each.model}-{each.device[:8]}.json"
            path.write_text(each.text(), encoding="ascii", newline="\n")
            say(terminal(), f"{path}: {each.events:,} events")
    except OSError as error:
        raise UsageError(f"{out}: cannot be written ({error.strerror})") from error


@telemetry.command()
def merge(
    files: FilesArgument,
    period: Annotated[str | None, typer.Option("--period", metavar="YYYY-MM", help="The month.")] = None,
    model: Annotated[str | None, typer.Option("--model", metavar="NAME", help="The model.")] = None,
    lab: LabOption = None,
    out: PageOption = None,
    document: DocumentOption = False,
    store: StoreOption = None,
) -> None:
    """Add up tallies, one vote a device, without noise: for the aggregator's own eyes.

    \b
    Example:
      benchharness telemetry merge tallies/ --period 2026-10 --lab latest --out field.html
    """
    from benchharness.errors import UsageError
    from benchharness.telemetry.told import told_of
    from benchharness.telemetry.votes import Counted, counted, places_of

    received = _received(files)
    if not received.tallies:
        raise UsageError("none of the files is a tally; devices write them with benchharness/device/tally.py")
    chosen = received.of(period, model)
    first = chosen.tallies[0]
    counts = counted(chosen.tallies, places_of(chosen.tallies))
    merged = Counted(period=first.period, model=first.model, counts=counts)
    told = told_of(merged, _lab(lab, store, first.model), repeated=chosen.repeated)
    _show(told, merged.to_json(), out, document=document)


@telemetry.command(name="open")
def open_(
    path: Annotated[Path, typer.Argument(metavar="LEDGER", help="The new ledger's file.")],
    epsilon: Annotated[str, typer.Option("--epsilon", metavar="E", help="What a device may lose, for ever.")],
    model: Annotated[str, typer.Option("--model", metavar="NAME", help="The model that it is about.")],
    hardware: Annotated[list[str], typer.Option("--hardware", metavar="TARGET", help="A kind of device; repeatable.")],
    variant: Annotated[list[str], typer.Option("--variant", metavar="NAME", help="A variant; repeatable.")],
) -> None:
    """Open a ledger: the whole budget, and what may be asked about. None of it is ever changed.

    \b
    Example:
      benchharness telemetry open fleet.ledger --epsilon 6 --model chat --hardware pixel-8 --variant int4
    """
    from benchharness.telemetry.ledger import Ledger, shown
    from benchharness.terminal.console import say

    made = Ledger.create(path, budget=epsilon, model=model, hardware=hardware, variants=variant)
    say(terminal(), f"{path}: epsilon {shown(made.left)} for each device, for as long as it is used")


@telemetry.command()
def ledger(
    path: Annotated[Path, typer.Argument(metavar="LEDGER", help="The ledger's file.")],
) -> None:
    """Say what was asked, what it cost, and what is left.

    \b
    Example:
      benchharness telemetry ledger fleet.ledger
    """
    from benchharness.telemetry.ledger import Ledger
    from benchharness.terminal.telemetry import show_ledger

    show_ledger(Ledger.read(path), terminal())


@telemetry.command()
def release(
    files: FilesArgument,
    ledger: LedgerOption,
    period: Annotated[str, typer.Option("--period", metavar="YYYY-MM", help="The month; it must be over.")],
    epsilon: Annotated[str, typer.Option("--epsilon", metavar="E", help="What this release costs each device.")],
    histogram: Annotated[
        list[str], typer.Option("--of", metavar="HISTOGRAM", help="What is released; repeatable: the fewer, the surer.")
    ],
    hardware: Annotated[
        list[str] | None,
        typer.Option("--hardware", metavar="TARGET", help="Only this one; repeatable. [default: the ledger's]"),
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Ask anew what was answered before, and pay for it.")] = False,
    lab: LabOption = None,
    out: PageOption = None,
    document: DocumentOption = False,
    store: StoreOption = None,
) -> None:
    """Release a month with noise by OpenDP, paid for in the ledger. Asked again it is told again, for nothing.

    \b
    Example:
      benchharness telemetry release tallies/ --ledger fleet.ledger --period 2026-10 --epsilon 1 \\
        --of model_ttft --of session_end --out field.html
    """
    from benchharness.telemetry.ledger import Ledger, Question
    from benchharness.telemetry.noise import check_installed
    from benchharness.telemetry.release import release as released
    from benchharness.telemetry.told import told_of_release
    from benchharness.terminal.console import say

    check_installed()
    opened = Ledger.read(ledger)
    question = Question.of(period=period, hardware=hardware or opened.hardware, histograms=histogram, epsilon=epsilon)
    opened.check(question)
    beside = _lab(lab, store, opened.model)
    if opened.answered(question) is not None and not again:
        found = released(ledger, (), question)
    else:
        tallies = _received(files).about(period, opened.model)
        told = f"devices that sent a tally of {opened.model} in {period}: {len(tallies):,}, which is for you alone"
        say(terminal(stderr=True), told, "" if tallies else "yellow")
        found = released(ledger, tallies, question, again=again)
    _show(told_of_release(found, beside), found.counted.to_json(), out, document=document)


@telemetry.command()
def privacy(
    file: Annotated[
        Path | None, typer.Argument(metavar="[TALLY]", help="A device's file. [default: one of a single session]")
    ] = None,
    ledger: Annotated[
        Path | None, typer.Option("--ledger", metavar="LEDGER", help="Instead: all that left this fleet.")
    ] = None,
) -> None:
    """Show every byte that leaves a device, or a fleet, and what it says.

    \b
    Example:
      benchharness telemetry privacy tallies/tally-2026-10-chat.json
      benchharness telemetry privacy --ledger fleet.ledger
    """
    from benchharness.telemetry.privacy import bounds_text, pieces_of, released_pieces, smallest
    from benchharness.terminal.telemetry import show_pieces

    if ledger is not None:
        show_pieces(released_pieces(ledger), "", terminal())
    else:
        show_pieces(pieces_of(file) if file is not None else smallest(), bounds_text(), terminal())


def _received(files: list[Path]) -> "Received":
    """The tallies, be there any or none; what was refused is told on standard error, whose reader has the files."""
    from benchharness.telemetry.received import read
    from benchharness.terminal.console import say
    from benchharness.terminal.values import one_line

    found = read(files)
    for each in found.refused[:_MOST_NAMED]:
        say(terminal(stderr=True), one_line(f"not counted: {each.name}: {each.reason}", 600), "yellow")
    if len(found.refused) > _MOST_NAMED:
        say(terminal(stderr=True), f"not counted: {len(found.refused) - _MOST_NAMED} more files", "yellow")
    return found


def _lab(run: str | None, store: str | None, model: str) -> "Lab":
    """A run's figures of this model; none where no run was named."""
    from benchharness import api
    from benchharness.telemetry.lab import lab_figures

    if run is None:
        return {}
    return lab_figures([result for result in api.load(run, store=store).results if result.job.model == model])


def _show(told: dict[str, Any], content: dict[str, Any], out: Path | None, *, document: bool) -> None:
    from benchharness import api
    from benchharness.terminal.telemetry import show_field

    if document:
        sys.stdout.write(f"{json.dumps(content)}\n")
    else:
        show_field(told, terminal())
    if out is not None:
        tell_paths([api.render_field(told, out)], stderr=document)
