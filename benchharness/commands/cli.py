"""The command line: options, exit codes, and what is printed. Everything else is `benchharness.api`'s."""

# No annotations from the future: typer would evaluate each text, which takes a tenth of what help takes.
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from benchharness import __version__, errors
from benchharness.commands.entry import fail
from benchharness.errors import NothingRan, UsageError
from benchharness.scenarios import BUILT_IN

if TYPE_CHECKING:
    from rich.console import Console

    from benchharness.api import Findings
    from benchharness.suite.asked import Asked

app = typer.Typer(
    help="What a compressed model costs on each device it ships to, and what it lost on the way.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


class ExportFormat(StrEnum):
    """The formats that `export` writes."""

    JSON = "json"
    CSV = "csv"


class Undecided(StrEnum):
    """What an undecided budget does to the exit code."""

    WARN = "warn"
    FAIL = "fail"


class WishName(StrEnum):
    """Which of the fit variants is recommended."""

    SMALLEST = "smallest"
    FASTEST = "fastest"


class TaskName(StrEnum):
    """The tasks a model can have."""

    CAUSAL_LM = "causal-lm"
    CLASSIFIER = "classifier"
    EMBEDDING = "embedding"
    TENSOR = "tensor"


StoreOption = Annotated[
    str | None,
    typer.Option(
        "--store", envvar="BENCHHARNESS_STORE", metavar="URL", help="Where attempts are kept (SQLAlchemy URL)."
    ),
]
RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="A run's id, a unique prefix of it, or 'latest'.")]
OutOption = Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Where the HTML report goes.")]
OnOption = Annotated[str, typer.Option("--on", metavar="TARGET.toml", help="The hardware target.")]
ScenarioOption = Annotated[
    list[str] | None,
    typer.Option("--scenario", metavar=f"[{'|'.join(BUILT_IN)}]", help="Only this one; may be repeated."),
]
AttemptsOption = Annotated[int | None, typer.Option("--attempts", min=1, max=1000, help="Fresh processes per job.")]
TargetOption = Annotated[
    str | None,
    typer.Option("--ci-target", metavar="SHARE", help='Go on until 95 % intervals are this narrow, such as "2%".'),
]
MaxTimeOption = Annotated[
    str | None, typer.Option("--max-time", metavar="TIME", help='For the whole run, such as "10 min".')
]
TimeoutOption = Annotated[
    str | None, typer.Option("--timeout", metavar="TIME", help="For one attempt; 10 min unless said.")
]
UndecidedOption = Annotated[
    Undecided, typer.Option("--undecided", help="Whether a budget that no interval decides makes the exit code 1.")
]
EvaluateOption = Annotated[
    Path | None,
    typer.Option("--evaluate", metavar="DATA", help="What quality is measured on: .txt, .jsonl, .tokens, .npz."),
]
ThreadsOption = Annotated[
    list[int] | None,
    typer.Option("--threads", min=1, help="For runtimes that take it; may be repeated, one configuration each."),
]
RuntimeOption = Annotated[
    list[str] | None, typer.Option("--runtime", metavar="NAME", help="Only this one; may be repeated.")
]
BudgetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--budget",
        metavar="METRIC=LIMIT",
        help='Such as "kld=0.1 nats" or "steady_inference.p95=40 ms"; may be repeated.',
    ),
]
DimensionOption = Annotated[
    list[str] | None,
    typer.Option(
        "--dimension",
        metavar="NAME=LENGTH",
        help='A length by its name, or by input and axis, from 0: "x[2]=48"; may be repeated.',
    ),
]
InputOption = Annotated[
    Path | None, typer.Option("--input", metavar="DATA.npz", help="Real inputs, an array for each; first axis samples.")
]
StateOption = Annotated[
    list[str] | None,
    typer.Option(
        "--state",
        metavar="OUTPUT=INPUT",
        help='An output that the next call takes as an input: "stateN=state"; may be repeated.',
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="JSON instead of tables.")]


@app.command()
def run(
    what: Annotated[
        list[Path] | None, typer.Argument(metavar="SUITE.toml | MODEL…", help="A suite, or models.")
    ] = None,
    reference: Annotated[
        Path | None, typer.Option(help="The model that others are compared with; else the first.")
    ] = None,
    task: Annotated[TaskName | None, typer.Option(help="The models' task, where their signature misleads.")] = None,
    threads: ThreadsOption = None,
    runtime: RuntimeOption = None,
    budget: BudgetOption = None,
    dimension: DimensionOption = None,
    input_: InputOption = None,
    state: StateOption = None,
    evaluate: EvaluateOption = None,
    on: OnOption = "this-machine",
    scenario: ScenarioOption = None,
    attempts: AttemptsOption = None,
    ci_target: TargetOption = None,
    max_time: MaxTimeOption = None,
    timeout: TimeoutOption = None,
    undecided: UndecidedOption = Undecided.WARN,
    out: OutOption = Path("report"),
    resume: Annotated[
        str | None,
        typer.Option("--resume", metavar="[RUN]", help="Go on with an interrupted run; the latest unless named."),
    ] = None,
    store: StoreOption = None,
) -> None:
    """Run a suite, or compare models without one.

    \b
    Example:
      benchharness run model.onnx model-int8.onnx --ci-target 2%
    """
    from benchharness import api
    from benchharness.suite.overrides import Overrides

    asked = asked_of(threads, runtime, budget, dimension, input_, state, evaluate)
    overrides = Overrides(
        attempts=attempts,
        interval=ci_target,
        max_time=max_time,
        timeout=timeout,
        scenarios=scenario,
    )
    try:
        if resume is None:
            found = api.run(
                what or [], on=on, reference=reference, task=task, asked=asked, overrides=overrides, store=store
            )
        elif what or scenario or reference or task or asked.given:
            raise UsageError("--resume goes on with what its run stored; leave the suite, models and scenarios away")
        else:
            found = api.resume(resume, overrides=overrides, store=store)
    except (KeyboardInterrupt, BrokenPipeError):
        say_how_to_resume(store)
    finish(found, out, undecided)


@app.command()
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

    suite = Path(__file__).parent.parent / "examples" / "demo_model" / "suite.toml"
    if not suite.is_file():
        raise UsageError("the demo model is not part of this installation; run the demo from a checkout: make demo")
    try:
        found = api.run(suite, on=on, attempts=attempts, store=store)
    except (KeyboardInterrupt, BrokenPipeError):
        say_how_to_resume(store)
    finish(found, out, Undecided.WARN)


@app.command()
def runs(store: StoreOption = None) -> None:
    """List the runs in the store, newest first.

    \b
    Example:
      benchharness runs
    """
    from benchharness import api
    from benchharness.terminal.tables import run_table

    terminal().print(run_table(api.runs(store=store)))


@app.command()
def show(run: RunArgument = "latest", store: StoreOption = None) -> None:
    """Show a run's results as tables.

    \b
    Example:
      benchharness show latest
    """
    from benchharness import api
    from benchharness.terminal.tables import summary

    found = api.load(run, store=store)
    summary(found.run, found.results, terminal())


@app.command()
def report(
    names: Annotated[list[str] | None, typer.Argument(metavar="RUN…", help="Runs to put into one report.")] = None,
    out: OutOption = Path("report"),
    store: StoreOption = None,
) -> None:
    """Write one HTML report per hardware target.

    \b
    Example:
      benchharness report latest --out report
    """
    from benchharness import api

    _tell_paths(api.render([api.load(name, store=store) for name in names or ["latest"]], out))


@app.command()
def export(
    run: RunArgument = "latest",
    format_: Annotated[ExportFormat, typer.Option("--format", help="The format.")] = ExportFormat.JSON,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="A file; standard output unless named.")
    ] = None,
    store: StoreOption = None,
) -> None:
    """Export a run's results for other programs.

    \b
    Example:
      benchharness export latest --format csv --out results.csv
    """
    from benchharness import api

    found = api.load(run, store=store)
    text = found.to_json() if format_ is ExportFormat.JSON else found.to_csv()
    if out is None:
        sys.stdout.write(text if text.endswith("\n") else f"{text}\n")
        return
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{out}: cannot be written ({error.strerror})") from error


@app.command()
def adapters(store: StoreOption = None) -> None:
    """Say which runtimes can run here, or why not.

    \b
    Example:
      benchharness adapters
    """
    from benchharness.launch.availability import adapters_table

    terminal().print(adapters_table())


@app.command()
def hardware(
    probe: Annotated[
        str, typer.Option("--probe", metavar="TIME", help='How long to measure noise; "0 s" for not at all.')
    ] = "2 s",
    json_: JsonOption = False,
    store: StoreOption = None,
) -> None:
    """Describe this machine: what it is, its sensors, its limits, and how noisy it is.

    \b
    Example:
      benchharness hardware --probe "2 s"
    """
    from benchharness import units as quantity
    from benchharness.terminal import hardware as hardware_view

    description = hardware_view.describe_hardware(quantity.seconds(probe))
    if json_:
        sys.stdout.write(f"{hardware_view.to_json(description)}\n")
        return
    for table in hardware_view.hardware_tables(description):
        terminal().print(table)


@app.command()
def inspect(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model file, or the folder that holds it.")],
    compressed: Annotated[
        bool, typer.Option("--compressed", help="Also its download size, which takes a while.")
    ] = False,
    json_: JsonOption = False,
    store: StoreOption = None,
) -> None:
    """Say what a model is: task, inputs, outputs, operators, weights by precision, quantization, size, digest.

    \b
    Example:
      benchharness inspect model.onnx
    """
    import json

    from benchharness.terminal.inspection import inspect_model, inspection_tables

    found = inspect_model(model, compressed=compressed)
    if json_:
        sys.stdout.write(f"{json.dumps(found, indent=1)}\n")
        return
    for table in inspection_tables(found):
        terminal().print(table)


def asked_of(
    threads: Sequence[int] | None,
    runtime: Sequence[str] | None,
    budget: Sequence[str] | None,
    dimension: Sequence[str] | None,
    input_: Path | None,
    state: Sequence[str] | None,
    evaluate: Path | None,
) -> "Asked":
    """What the options for models without a suite ask for. Raises `UsageError`."""
    from benchharness.suite.asked import Asked, budgets_from, dimensions_from, state_from

    return Asked(
        threads=tuple(threads or ()),
        runtime=tuple(runtime or ()),
        budgets=budgets_from(budget or ()),
        dimensions=dimensions_from(dimension or ()),
        inputs=input_,
        state=state_from(state or ()),
        evaluate=evaluate,
    )


def say_how_to_resume(store: str | None) -> NoReturn:
    """Ends an interrupted run, naming the command that goes on with it."""
    from benchharness import api

    latest = next(iter(api.runs(store=store)), None)
    if latest is None or latest.state == "finished":
        fail("interrupted before anything was measured", errors.INTERRUPTED)
    kept = f"stopped; {latest.attempts} attempts are kept"
    fail(f"{kept}. Go on with: benchharness run --resume {latest.id}", errors.INTERRUPTED)


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Print the version and end.", is_eager=True)] = False,
) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


def finish(found: "Findings", out: Path, undecided: Undecided) -> None:
    """Shows and reports what a run found, and ends with the exit code that says it: 4 before 1 before 3."""
    from benchharness.results.result import VerdictKind
    from benchharness.terminal.tables import summary

    console = terminal()
    summary(found.run, found.results, console)
    for budget in found.unmeasured_budgets:
        line = f"budget {budget.title} {budget.text} (set by the {budget.origin}) is undecided: nothing measured it"
        console.print(line, style="yellow", markup=False, highlight=False)
    _tell_paths(found.render(out))
    failed = [result for result in found.results if not result.outcome.ok]
    if failed and len(failed) == len(found.results):
        raise NothingRan(f"not one of {len(failed)} jobs gave a result; the first: {failed[0].outcome}")
    open_question = undecided is Undecided.FAIL and found.verdicts(VerdictKind.UNDECIDED) > 0
    if found.verdicts(VerdictKind.MISS) or open_question:
        raise typer.Exit(errors.GATE_FAILED)
    if failed:
        raise typer.Exit(errors.SOME_FAILED)


def _tell_paths(paths: Sequence[Path]) -> None:
    for path in paths:
        terminal().print(f"report: {path}", markup=False, highlight=False, soft_wrap=True)


def terminal() -> "Console":
    """Where commands print."""
    from benchharness.terminal.tables import console

    return console()
