"""The commands that make variants of a model: `compress`, and `sweep`, which runs and judges them too."""

# No annotations from the future: typer would evaluate each text, which takes a tenth of what help takes.
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchharness import errors
from benchharness.commands.cli import (
    AttemptsOption,
    BudgetOption,
    DimensionOption,
    EvaluateOption,
    InputOption,
    MaxTimeOption,
    OnOption,
    OutOption,
    RuntimeOption,
    StateOption,
    StoreOption,
    TargetOption,
    TaskName,
    ThreadsOption,
    Undecided,
    UndecidedOption,
    WishName,
    app,
    asked_of,
    finish,
    say_how_to_resume,
    terminal,
)
from benchharness.errors import NothingRan, UsageError

if TYPE_CHECKING:
    from benchharness.compress import Compressed

__all__ = ["app"]  # with every command, these two and those of `cli`

ToOption = Annotated[
    str, typer.Option("--to", metavar="RECIPE,…", help="Precisions (int8, int4, fp16), recipes by name, or all.")
]
CalibrateOption = Annotated[
    Path | None,
    typer.Option("--calibrate", metavar="DATA", help="Samples for static recipes: .npz, .jsonl, or .txt for text."),
]


@app.command()
def compress(
    model: Annotated[
        Path | None, typer.Argument(metavar="MODEL", help="A model file, or the folder that holds it.")
    ] = None,
    to: ToOption = "",
    calibrate: CalibrateOption = None,
    evaluate: EvaluateOption = None,
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Where the variants go.")] = Path("variants"),
    force: Annotated[
        bool, typer.Option("--force", help="Make again what is there, whatever it was made from.")
    ] = False,
    timeout: Annotated[str, typer.Option("--timeout", metavar="TIME", help="For one recipe.")] = "60 min",
    list_: Annotated[bool, typer.Option("--list", help="Show every recipe and end.")] = False,
    store: StoreOption = None,
) -> None:
    """Make smaller variants of a model with the tools of its ecosystem, and the suite that compares them.

    \b
    Example:
      benchharness compress model.onnx --to int8,int4 --out variants
    """
    from benchharness import units as quantity
    from benchharness.compress.view import recipe_table

    if list_:
        terminal().print(recipe_table())
        return
    if model is None:
        raise UsageError("name a model, such as: benchharness compress model.onnx --to int8,int4; --list shows recipes")
    data = (calibrate, evaluate)
    made = _make([model], _words(to), out, *data, force=force, timeout_s=quantity.seconds(timeout))[model]
    if any(one.failure for one in made):
        raise typer.Exit(errors.SOME_FAILED)


@app.command()
def sweep(
    models: Annotated[list[Path], typer.Argument(metavar="MODEL…", help="One original of each format.")],
    to: ToOption = "",
    calibrate: CalibrateOption = None,
    evaluate: EvaluateOption = None,
    budget: BudgetOption = None,
    wish: Annotated[
        WishName, typer.Option("--wish", help="Which of the fit variants is recommended.")
    ] = WishName.SMALLEST,
    task: Annotated[TaskName | None, typer.Option(help="The models' task, where their signature misleads.")] = None,
    threads: ThreadsOption = None,
    runtime: RuntimeOption = None,
    dimension: DimensionOption = None,
    input_: InputOption = None,
    state: StateOption = None,
    variants: Annotated[Path, typer.Option("--variants", metavar="FOLDER", help="Where the variants go.")] = Path(
        "variants"
    ),
    on: OnOption = "this-machine",
    attempts: AttemptsOption = None,
    ci_target: TargetOption = None,
    max_time: MaxTimeOption = None,
    undecided: UndecidedOption = Undecided.WARN,
    out: OutOption = Path("report"),
    store: StoreOption = None,
) -> None:
    """Compress a model, run every variant, and recommend one: the smallest or fastest that keeps all budgets.

    \b
    Example:
      benchharness sweep model.onnx --to int8,int4 --evaluate heldout.txt --budget "kld=0.1 nats"
    """
    from benchharness import api
    from benchharness import units as quantity
    from benchharness.suite.materials import evaluation_data
    from benchharness.suite.overrides import Overrides
    from benchharness.sweep import Sweep, suite_of
    from benchharness.terminal.choice import show_choices

    wishes = asked_of(threads, runtime, budget, dimension, input_, state, evaluate)
    asked = Sweep(originals=models, calibrate=calibrate, task=task.value if task else None, asked=wishes)
    evaluation_data(suite_of(asked, {}))  # what is wrong with the request is said before minutes are spent on it
    made = _make(models, _words(to), variants, calibrate, evaluate, force=False, timeout_s=quantity.seconds("60 min"))
    overrides = Overrides(attempts=attempts, interval=ci_target, max_time=max_time)
    try:
        found = api.run(suite_of(asked, made), on=on, overrides=overrides, store=store)
    except (KeyboardInterrupt, BrokenPipeError):
        say_how_to_resume(store)
    show_choices(found.choices(wish.value), terminal())
    finish(found, out, undecided)


def _words(to: str) -> list[str]:
    words = [word.strip() for word in to.split(",") if word.strip()]
    if not words:
        raise UsageError("say what to make, such as: --to int8,int4; 'benchharness compress --list' shows the recipes")
    return words


def _make(
    models: Sequence[Path],
    to: Sequence[str],
    out: Path,
    calibrate: Path | None,
    evaluate: Path | None,
    *,
    force: bool,
    timeout_s: float,
) -> dict[Path, list["Compressed"]]:
    """What became of every recipe, by model; shown as it goes. Raises `NothingRan` where nothing was made."""
    from benchharness import compress as compressing
    from benchharness.compress.view import ProgressLines, compressed_table

    made: dict[Path, list[Compressed]] = {}
    for model in models:
        folder = out if len(models) == 1 else out / model.suffix.lstrip(".") if model.is_file() else out / model.name
        with ProgressLines(terminal()) as progress:
            made[model] = compressing.compress(
                model,
                to,
                out=folder,
                calibrate=calibrate,
                evaluate=evaluate,
                force=force,
                timeout_s=timeout_s,
                progress=progress,
            )
        terminal().print(compressed_table(made[model]))
    everything = [one for of_one in made.values() for one in of_one]
    if everything and all(one.failure for one in everything):
        raise NothingRan(f"not one of {len(everything)} variants was made; the first: {everything[0].failure}")
    return made
