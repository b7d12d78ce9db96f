"""Runs a suite, or models without one; goes on with an interrupted run."""

# No annotations from the future: typer would evaluate each text, which takes a tenth of what help takes.
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchharness.commands.ending import conclude
from benchharness.commands.options import (
    AttemptsOption,
    BudgetOption,
    DetailsOption,
    DimensionOption,
    EvaluateOption,
    Form,
    FormOption,
    InputOption,
    MaxTimeOption,
    NoReportOption,
    OnSeveralOption,
    OutOption,
    RuntimeOption,
    ScenarioOption,
    Shown,
    StateOption,
    StoreOption,
    TargetOption,
    TaskName,
    ThreadsOption,
    TimeoutOption,
    Undecided,
    UndecidedOption,
    WarningsOption,
    asked_of,
)
from benchharness.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchharness.api import Findings, Watching


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
    on: OnSeveralOption = None,
    scenario: ScenarioOption = None,
    attempts: AttemptsOption = None,
    ci_target: TargetOption = None,
    max_time: MaxTimeOption = None,
    timeout: TimeoutOption = None,
    undecided: UndecidedOption = Undecided.WARN,
    out: OutOption = Path("report"),
    details: DetailsOption = False,
    warnings: WarningsOption = False,
    form: FormOption = Form.TABLE,
    no_report: NoReportOption = False,
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
    from benchharness.suite.fields import THIS_MACHINE
    from benchharness.suite.overrides import Overrides

    asked = asked_of(threads, runtime, budget, dimension, input_, state, evaluate)
    overrides = Overrides(
        attempts=attempts,
        interval=ci_target,
        max_time=max_time,
        timeout=timeout,
        scenarios=scenario,
    )
    if resume is not None and (what or scenario or reference or task or asked.given):
        raise UsageError("--resume goes on with what its run stored; leave the suite, models and scenarios away")

    def measure(watching: "Callable[[], Watching]") -> "Sequence[Findings]":
        if resume is not None:
            return [api.resume(resume, overrides=overrides, store=store, watching=watching())]
        return api.run_on(
            on or [THIS_MACHINE],
            what or [],
            reference=reference,
            task=task,
            asked=asked,
            overrides=overrides,
            store=store,
            watching=watching,
        )

    shown = Shown(form=form, details=details, warnings=warnings)
    conclude(
        measure, out=None if no_report else out, store=store, shown=shown, undecided_fails=undecided is Undecided.FAIL
    )
