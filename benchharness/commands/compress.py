"""Makes variants of a model."""

# No annotations from the future: typer would evaluate each text, which takes a tenth of what help takes.
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchharness import errors
from benchharness.commands.ending import terminal
from benchharness.commands.options import CalibrateOption, EvaluateOption, StoreOption, ToOption
from benchharness.errors import NothingRan, UsageError

if TYPE_CHECKING:
    from benchharness.compress import Compressed


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
    made = make_variants([model], recipes_named(to), out, *data, force=force, timeout_s=quantity.seconds(timeout))[
        model
    ]
    if any(one.failure for one in made):
        raise typer.Exit(errors.SOME_FAILED)


def recipes_named(to: str) -> list[str]:
    """What `--to` names. Raises `UsageError` where it names nothing."""
    words = [word.strip() for word in to.split(",") if word.strip()]
    if not words:
        raise UsageError("say what to make, such as: --to int8,int4; 'benchharness compress --list' shows the recipes")
    return words


def make_variants(
    models: Sequence[Path],
    to: Sequence[str],
    out: Path,
    calibrate: Path | None,
    evaluate: Path | None,
    *,
    force: bool,
    timeout_s: float,
    stderr: bool = False,
) -> dict[Path, list["Compressed"]]:
    """What became of every recipe, by model; shown as it goes. Raises `NothingRan` where nothing was made."""
    from benchharness import compress as compressing
    from benchharness.compress.view import ProgressLines, compressed_table

    made: dict[Path, list[Compressed]] = {}
    for model in models:
        folder = out if len(models) == 1 else out / model.suffix.lstrip(".") if model.is_file() else out / model.name
        with ProgressLines(terminal(stderr=stderr)) as progress:
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
        terminal(stderr=stderr).print(compressed_table(made[model]))
    everything = [one for of_one in made.values() for one in of_one]
    if everything and all(one.failure for one in everything):
        several = f"not one of {len(everything)} variants was made; the first: {everything[0].failure}"
        raise NothingRan(several if len(everything) > 1 else f"the one variant was not made: {everything[0].failure}")
    return made
