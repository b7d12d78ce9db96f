"""Makes variants of a model, runs them, and recommends one."""

# No annotations from the future: typer would evaluate each text, which takes a tenth of what help takes.
from pathlib import Path
from typing import Annotated

import typer

from benchharness.commands.compress import make_variants, recipes_named
from benchharness.commands.ending import conclude
from benchharness.commands.options import (
    AttemptsOption,
    BudgetOption,
    CalibrateOption,
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
    Shown,
    StateOption,
    StoreOption,
    TargetOption,
    TaskName,
    ThreadsOption,
    ToOption,
    Undecided,
    UndecidedOption,
    WarningsOption,
    WishName,
    WishOption,
    asked_of,
)


def sweep(
    models: Annotated[list[Path], typer.Argument(metavar="MODEL…", help="One original of each format.")],
    to: ToOption = "",
    calibrate: CalibrateOption = None,
    evaluate: EvaluateOption = None,
    budget: BudgetOption = None,
    wish: WishOption = WishName.SMALLEST,
    task: Annotated[TaskName | None, typer.Option(help="The models' task, where their signature misleads.")] = None,
    threads: ThreadsOption = None,
    runtime: RuntimeOption = None,
    dimension: DimensionOption = None,
    input_: InputOption = None,
    state: StateOption = None,
    variants: Annotated[Path, typer.Option("--variants", metavar="FOLDER", help="Where the variants go.")] = Path(
        "variants"
    ),
    on: OnSeveralOption = None,
    attempts: AttemptsOption = None,
    ci_target: TargetOption = None,
    max_time: MaxTimeOption = None,
    undecided: UndecidedOption = Undecided.WARN,
    out: OutOption = Path("report"),
    details: DetailsOption = False,
    warnings: WarningsOption = False,
    form: FormOption = Form.TABLE,
    no_report: NoReportOption = False,
    store: StoreOption = None,
) -> None:
    """Compress a model, run every variant, and recommend one: the smallest or fastest that keeps all budgets.

    \b
    Example:
      benchharness sweep model.onnx --to int8,int4 --evaluate heldout.txt --budget "kld=0.1 nats"
    """
    from benchharness import api
    from benchharness import units as quantity
    from benchharness.compress.sweep import Sweep, suite_of
    from benchharness.suite.fields import THIS_MACHINE
    from benchharness.suite.materials import evaluation_data
    from benchharness.suite.overrides import Overrides

    wishes = asked_of(threads, runtime, budget, dimension, input_, state, evaluate)
    asked = Sweep(originals=models, calibrate=calibrate, task=task.value if task else None, asked=wishes)
    evaluation_data(suite_of(asked, {}))  # what is wrong with the request is said before minutes are spent on it
    shown = Shown(form=form, details=details, warnings=warnings, wish=wish)
    made = make_variants(
        models,
        recipes_named(to),
        variants,
        calibrate,
        evaluate,
        force=False,
        timeout_s=quantity.seconds("60 min"),
        stderr=shown.is_document,
    )
    overrides = Overrides(attempts=attempts, interval=ci_target, max_time=max_time)
    conclude(
        lambda watching: api.run_on(
            on or [THIS_MACHINE], suite_of(asked, made), overrides=overrides, store=store, watching=watching
        ),
        out=None if no_report else out,
        store=store,
        shown=shown,
        undecided_fails=undecided is Undecided.FAIL,
        choosing=True,
    )
