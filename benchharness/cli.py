"""The command line, and the composition root: the only module that knows stores, launchers, adapters and reports."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchharness import __version__, errors
from benchharness.errors import BenchharnessError, NothingRan, UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from benchharness.artefact import Manifest
    from benchharness.hardware import HardwareTarget
    from benchharness.result import Result, Run
    from benchharness.store import Store
    from benchharness.suite import Attempts, Suite

app = typer.Typer(
    help="What a compressed model costs on each device it ships to, and what it lost on the way.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)


class ScenarioName(StrEnum):
    """The scenarios that can be chosen."""

    FIRST_TOKEN = "first-token"  # noqa: S105 - a scenario, not a secret
    STEADY = "steady"


class ExportFormat(StrEnum):
    """The formats that `export` writes."""

    JSON = "json"
    CSV = "csv"


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
    list[ScenarioName] | None, typer.Option("--scenario", help="Only this one; may be repeated.")
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


@app.command()
def run(
    what: Annotated[
        list[Path] | None, typer.Argument(metavar="SUITE.toml | MODEL…", help="A suite, or models.")
    ] = None,
    reference: Annotated[
        Path | None, typer.Option(help="The model that others are compared with; else the first.")
    ] = None,
    task: Annotated[TaskName | None, typer.Option(help="The models' task, where their signature misleads.")] = None,
    on: OnOption = "this-machine",
    scenario: ScenarioOption = None,
    attempts: AttemptsOption = None,
    ci_target: TargetOption = None,
    max_time: MaxTimeOption = None,
    timeout: TimeoutOption = None,
    out: OutOption = Path("report"),
    resume: Annotated[
        str | None,
        typer.Option("--resume", metavar="[RUN]", help="Go on with an interrupted run; the latest unless named."),
    ] = None,
    store: StoreOption = None,
) -> None:
    """Run a suite, or compare models without one.

    Example: [bold]benchharness run model.onnx model-int8.onnx --ci-target 2%[/bold]
    """
    if resume is not None:
        if what:
            raise UsageError("--resume goes on with the suite that its run stored; leave the suite or models away")
        _resume(resume, max_time=max_time, out=out, store=store)
        return
    from benchharness.hardware import load_hardware

    suite = _suite(what or [], reference, task)
    suite = _overridden(suite, scenario, attempts=attempts, ci_target=ci_target, max_time=max_time, timeout=timeout)
    _run_suite(suite, load_hardware(on), out=out, store=store)


@app.command()
def demo(
    on: OnOption = "this-machine",
    attempts: AttemptsOption = None,
    out: OutOption = Path("report"),
    store: StoreOption = None,
) -> None:
    """Benchmark the bundled demo model at every precision and write the report.

    Example: [bold]benchharness demo --out report[/bold]
    """
    from benchharness.hardware import load_hardware
    from benchharness.suite import load_suite

    found = Path(__file__).parent.parent / "examples" / "demo_model" / "suite.toml"
    if not found.is_file():
        raise UsageError("the demo model is not part of this installation; run the demo from a checkout: make demo")
    suite = _overridden(load_suite(found), None, attempts=attempts, ci_target=None, max_time=None, timeout=None)
    _run_suite(suite, load_hardware(on), out=out, store=store)


@app.command()
def runs(store: StoreOption = None) -> None:
    """List the runs in the store, newest first.

    Example: [bold]benchharness runs[/bold]
    """
    from benchharness.terminal import run_table

    _console().print(run_table(_open(store).list_runs()))


@app.command()
def show(run: RunArgument = "latest", store: StoreOption = None) -> None:
    """Show a run's results as tables.

    Example: [bold]benchharness show latest[/bold]
    """
    from benchharness.terminal import summary

    summary(*_results(_open(store), run), _console())


@app.command()
def report(
    names: Annotated[list[str] | None, typer.Argument(metavar="RUN…", help="Runs to put into one report.")] = None,
    out: OutOption = Path("report"),
    store: StoreOption = None,
) -> None:
    """Write one HTML report per hardware target.

    Example: [bold]benchharness report latest --out report[/bold]
    """
    opened = _open(store)
    _write_reports([_results(opened, name) for name in names or ["latest"]], out)


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

    Example: [bold]benchharness export latest --format csv --out results.csv[/bold]
    """
    from benchharness.export import to_csv, to_json

    text = (to_json if format_ is ExportFormat.JSON else to_csv)(*_results(_open(store), run))
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

    Example: [bold]benchharness adapters[/bold]
    """
    from rich.table import Table
    from rich.text import Text

    from benchharness.availability import availabilities

    table = Table("adapter", "runs here", "version", "formats", "accelerators")
    for found in availabilities():
        runs_here = Text("yes", "green") if found.available else Text(f"no: {found.reason}", "red")
        row = (found.version, ", ".join(found.formats), "\n".join(found.accelerators))
        table.add_row(found.name, runs_here, *map(Text, row))
    _console().print(table)


def main() -> None:
    """Runs the command line; errors become a sentence on standard error and an exit code."""
    arguments = _with_bare_resume(sys.argv[1:])
    signal.signal(signal.SIGTERM, _as_interrupt)  # a job runner's polite end is Ctrl-C's
    try:
        code = app(arguments, standalone_mode=False)
    except BenchharnessError as error:
        _fail(str(error), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        _fail("interrupted", errors.INTERRUPTED)
    except Exception as error:
        if not hasattr(error, "format_message"):  # click's own errors about options have a sentence; others are ours
            raise
        _fail(f"{error.format_message()}; see: benchharness --help", errors.USAGE)
    else:
        sys.exit(code if isinstance(code, int) else errors.DONE)


def _as_interrupt(_signal: int, _frame: Any) -> None:
    raise KeyboardInterrupt


def _with_bare_resume(arguments: Sequence[str]) -> list[str]:
    """`--resume` alone means the latest run; the option parser wants that said."""
    spelled = []
    for position, argument in enumerate(arguments):
        spelled.append(argument)
        following = arguments[position + 1] if position + 1 < len(arguments) else "-"
        if argument == "--resume" and following.startswith("-"):
            spelled.append("latest")
    return spelled


def _fail(message: str, code: int) -> None:
    from rich.console import Console

    Console(stderr=True).print(f"benchharness: {message}", style="red", markup=False, highlight=False, soft_wrap=True)
    sys.exit(code)


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Print the version and end.", is_eager=True)] = False,
) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


def _suite(what: Sequence[Path], reference: Path | None, task: TaskName | None) -> Suite:
    from benchharness.device import adapters
    from benchharness.prepare import suite_from_models
    from benchharness.suite import load_suite

    if not what:
        raise UsageError("name a suite (suite.toml) or one or more models (model.onnx); or try: benchharness demo")
    suites = [path for path in what if path.suffix == ".toml"]
    if not suites:
        known = {name: adapters.formats(name) for name in adapters.usable()}
        return suite_from_models(what, known, reference=reference, task=task.value if task else None)
    if len(what) > 1:
        raise UsageError("name one suite, or models; not both, and not two suites")
    if reference or task:
        raise UsageError("--reference and --task are for models without a suite; write them into the suite")
    return load_suite(suites[0])


def _overridden(
    suite: Suite,
    scenario: Sequence[ScenarioName] | None,
    *,
    attempts: int | None,
    ci_target: str | None,
    max_time: str | None,
    timeout: str | None,
) -> Suite:
    """The suite with the command line's word put over its own."""
    from benchharness import quantity
    from benchharness.suite import Scenarios

    rules: dict[str, Any] = {}
    if attempts is not None:
        rules |= {"at_least": attempts, "at_most": max(attempts, suite.attempts.at_most)}
    if ci_target is not None:
        rules["interval"] = quantity.share(ci_target)
    if max_time is not None:
        rules["max_time"] = quantity.seconds(max_time)
    if timeout is not None:
        rules["timeout"] = quantity.seconds(timeout)
    changed: dict[str, Any] = {"attempts": suite.attempts.model_copy(update=rules)}
    if scenario:
        tables = suite.scenarios.model_dump(by_alias=True)
        chosen = {name.value: tables[name.value] or {} for name in scenario}
        changed["scenarios"] = Scenarios.model_validate(chosen, context="checked before")
    return suite.model_copy(update=changed)


def _run_suite(suite: Suite, hardware: HardwareTarget, *, out: Path, store: str | None) -> None:
    from benchharness.device.adapters import formats
    from benchharness.places import digest_cache
    from benchharness.plan import plan
    from benchharness.prepare import gather

    materials = gather(suite, digest_cache())
    planned = plan(suite, hardware, materials, formats)
    opened = _open(store)
    made = opened.create_run(
        suite=suite.name,
        digest=suite.digest,
        suite_json=suite.model_dump_json(by_alias=True),
        hardware_json=hardware.model_dump_json(),
        planned=planned,
    )
    _execute(opened, made, suite.attempts, hardware, dict(materials.manifests), out)


def _resume(name: str, *, max_time: str | None, out: Path, store: str | None) -> None:
    from benchharness import quantity
    from benchharness.hardware import HardwareTarget
    from benchharness.places import digest_cache
    from benchharness.prepare import gather, verify
    from benchharness.suite import restore_suite

    opened = _open(store)
    run = opened.find(name)
    suite_json, hardware_json = opened.suite_and_hardware(run)
    suite, hardware = restore_suite(suite_json), HardwareTarget.model_validate_json(hardware_json)
    manifests = dict(gather(suite, digest_cache()).manifests)
    verify(manifests, {job.artefact: job.digest for job, _ in opened.jobs(run)})
    rules = suite.attempts
    if max_time is not None:
        rules = rules.model_copy(update={"max_time": quantity.seconds(max_time)})
    _execute(opened, run, rules, hardware, manifests, out)


def _execute(
    store: Store, run: str, rules: Attempts, hardware: HardwareTarget, manifests: dict[Path, Manifest], out: Path
) -> None:
    """Walks a run's jobs, shows and reports what was found. The exit code says what became of the jobs."""
    from benchharness.execute import Execution
    from benchharness.launch.local import LocalLauncher
    from benchharness.places import state_folder
    from benchharness.terminal import PlainLines, ProgressBar, summary

    console = _console()
    count = store.run(run).jobs
    bar = ProgressBar(console, count, count * rules.at_least) if console.is_terminal else PlainLines(console)
    state = state_folder(store.url)
    launcher = LocalLauncher(state, str(hardware.python) if hardware.python else None)
    try:
        with bar:
            Execution(store, run, rules=rules, manifests=manifests, observer=bar).walk(launcher, state)
    except KeyboardInterrupt:
        kept = store.run(run).attempts
        _fail(f"stopped; {kept} attempts are kept. Go on with: benchharness run --resume {run}", errors.INTERRUPTED)
    found, results = _results(store, run)
    summary(found, results, console)
    _write_reports([(found, results)], out)
    _exit_with(results)


def _exit_with(results: Sequence[Result]) -> None:
    failed = [result for result in results if not result.outcome.ok]
    if failed and len(failed) == len(results):
        raise NothingRan(f"not one of {len(results)} jobs gave a result; the first: {failed[0].outcome}")
    if failed:
        raise typer.Exit(errors.SOME_FAILED)


def _results(store: Store, name: str) -> tuple[Run, list[Result]]:
    from benchharness.derive import derive

    run = store.find(name)
    return store.run(run), derive(store.jobs(run), store.attempts(run))


def _write_reports(found: Sequence[tuple[Run, Sequence[Result]]], out: Path) -> None:
    from datetime import UTC, datetime

    from reports.html import render_runs, write

    for path in write(render_runs(found, written=datetime.now(UTC)), out):
        _console().print(f"report: {path}", highlight=False, soft_wrap=True)


def _open(url: str | None) -> Store:
    from benchharness.places import default_store
    from benchharness.store import Store

    return Store(url or default_store())


def _console() -> Console:
    from rich.console import Console

    return Console()
