"""Makes variants of a model, runs them, and recommends one."""

# No annotations from the future: typer would evaluate each text, which takes a tenth of what help takes.
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchharness.commands import ending
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
    PartName,
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
from benchharness.errors import UsageError

if TYPE_CHECKING:
    from benchharness.api import Findings
    from benchharness.compress import Compressed, Recipe
    from benchharness.compress.sweep import Sweep
    from benchharness.sensitivity import Mixed


def sweep(
    models: Annotated[list[Path], typer.Argument(metavar="MODEL…", help="One original of each format.")],
    to: ToOption = "",
    calibrate: CalibrateOption = None,
    evaluate: EvaluateOption = None,
    budget: BudgetOption = None,
    wish: WishOption = WishName.SMALLEST,
    sensitivity: Annotated[
        PartName | None,
        typer.Option(help="First rank these by what they cost in quality, and look for a mixed variant in the budget."),
    ] = None,
    task: Annotated[TaskName | None, typer.Option(help="The models' task, where their signature misleads.")] = None,
    threads: ThreadsOption = None,
    runtime: RuntimeOption = None,
    dimension: DimensionOption = None,
    input_: InputOption = None,
    state: StateOption = None,
    calibration_draws: Annotated[
        int, typer.Option("--calibration-draws", min=0, max=20, help="Calibrate on so many random halves too.")
    ] = 0,
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
    mixed = _mixed(asked, to, sensitivity, variants, on or [THIS_MACHINE], store, stderr=shown.is_document)
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
    more, recipes = _drawn(asked, to, calibration_draws, variants, stderr=shown.is_document)
    if mixed is not None:
        more, recipes = [*more, mixed.made], {**recipes, mixed.recipe.name: mixed.recipe}
    if more:
        made[models[0]] = [*made[models[0]], *more]
    suite = suite_of(asked, made, recipes=recipes)
    overrides = Overrides(attempts=attempts, interval=ci_target, max_time=max_time)
    conclude(
        lambda watching: api.run_on(on or [THIS_MACHINE], suite, overrides=overrides, store=store, watching=watching),
        out=None if no_report else out,
        store=store,
        shown=shown,
        undecided_fails=undecided is Undecided.FAIL,
        last=partial(_last_words, recipes=recipes),
        choosing=True,
    )


def _mixed(
    asked: "Sweep", to: str, by: PartName | None, variants: Path, on: Sequence[str], store: str | None, *, stderr: bool
) -> "Mixed | None":
    """What was found part by part, shown; the variant that leaves some as they are, if one was wanted and is there."""
    if by is None:
        return None
    words = recipes_named(to)
    if len(asked.originals) != 1 or len(words) != 1 or len(on) != 1 or asked.asked.evaluate is None:
        raise UsageError(
            "--sensitivity looks at one model by one recipe on one device: give one model, one --to, one --on, and "
            "what quality is measured on (--evaluate)"
        )
    from benchharness.compress.view import ProgressLines
    from benchharness.sensitivity import sensitivity
    from benchharness.sensitivity.view import tables
    from benchharness.terminal.progress import watch

    console = ending.terminal(stderr=stderr)
    with ProgressLines(console) as progress:
        try:
            found = sensitivity(
                asked.originals[0],
                words[0],
                evaluate=asked.asked.evaluate,
                by=by.value,
                out=variants,
                calibrate=asked.calibrate,
                task=asked.task,
                asked=asked.asked,
                on=on[0],
                store=store,
                progress=progress,
                watching=lambda: watch(stderr=stderr),
            )
        except (KeyboardInterrupt, BrokenPipeError) as error:
            ending.say_how_to_resume(error, store)
    for each in tables(found):
        console.print(each)
    return found.mixed if found.mixed is not None and found.mixed.left else None


def _drawn(
    asked: "Sweep", to: str, draws: int, variants: Path, *, stderr: bool
) -> tuple[list["Compressed"], dict[str, "Recipe"]]:
    """The variants that random halves of the calibration data make, and their recipes by name."""
    if not draws:
        return [], {}
    from benchharness.compress.choosing import choose
    from benchharness.compress.draws import drawn
    from benchharness.compress.making import open_workshop
    from benchharness.compress.source import find_format
    from benchharness.compress.view import ProgressLines

    (model, *others) = asked.originals
    if others or asked.calibrate is None or asked.asked.evaluate is None:
        raise UsageError("--calibration-draws takes one model, --calibrate and --evaluate")
    chosen, _ = choose(recipes_named(to), find_format(model), calibrated=True)
    recipes = [each for recipe in chosen if recipe.needs_calibration for each in drawn(recipe, draws)]
    with ProgressLines(ending.terminal(stderr=stderr)) as progress:
        made = open_workshop(model, variants, asked.calibrate, progress=progress).make_all(recipes)
    return made, {recipe.name: recipe for recipe in recipes}


def _last_words(found: "Sequence[Findings]", paths: Sequence[Path], *, recipes: Mapping[str, "Recipe"]) -> None:
    from benchharness.sensitivity.draws import spread_lines
    from benchharness.sensitivity.relation import relation_lines
    from benchharness.terminal.console import tell

    for each in found:
        for line in (*spread_lines(each.results, recipes), *relation_lines(each.results)):
            tell(ending.terminal(), line)
    ending.tell_paths(paths)
