"""Which recipes a user means by `--to`: by name, by precision, or all of the model's format."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

from benchharness.compress.recipes import CORE_ML, RECIPES, Recipe
from benchharness.errors import UsageError

#: Every recipe of the model's format.
ALL = "all"
#: Precisions that no tool makes of a format, and what to do instead.
_NOT_MADE = {
    (CORE_ML, "fp16"): "coremltools cannot round a converted program to float16; convert the original model anew with "
    "coremltools.convert(..., compute_precision=coremltools.precision.FLOAT16), which is its default"
}


def choose(to: Sequence[str], format_: str, *, calibrated: bool) -> tuple[list[Recipe], list[Recipe]]:
    """The recipes asked for by name, precision or `all`; and those that `all` leaves out for want of calibration data.

    Raises `UsageError` for a name that is none, or of another format, or whose calibration data is not given.
    """
    if not to:
        raise UsageError(f"--to is missing; name a precision or a recipe, such as --to {_examples(format_)}")
    of_format = [recipe for recipe in RECIPES.values() if recipe.format == format_]
    chosen: dict[str, Recipe] = {}
    left_out = []
    for word in to:
        if word == ALL:
            left_out = [recipe for recipe in of_format if recipe.needs_calibration and not calibrated]
            chosen.update({recipe.name: recipe for recipe in of_format if recipe not in left_out})
        else:
            recipe = _named(word, format_, of_format)
            if recipe.needs_calibration and not calibrated:
                raise UsageError(
                    f"{recipe.name} needs calibration data; give it with --calibrate DATA (.npz, .jsonl, .txt)"
                )
            chosen[recipe.name] = recipe
    _refuse_unused_data(to, chosen, of_format, calibrated)
    return list(chosen.values()), left_out


def _named(word: str, format_: str, of_format: Sequence[Recipe]) -> Recipe:
    if word in RECIPES:
        recipe = RECIPES[word]
        if recipe.format != format_:
            raise UsageError(
                f"{word} makes {recipe.format} models, and this is {format_}; try --to {_examples(format_)}"
            )
        return recipe
    for recipe in of_format:
        if recipe.default and recipe.precision == word:
            return recipe
    if (format_, word) in _NOT_MADE:
        raise UsageError(f"--to {word} is unsupported for {format_}: {_NOT_MADE[format_, word]}")
    known = [recipe.name for recipe in of_format]
    precisions = [recipe.precision for recipe in of_format if recipe.default]
    nearest = difflib.get_close_matches(word, [*known, *precisions, ALL], n=1) or difflib.get_close_matches(
        word, list(RECIPES), n=1
    )
    hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
    raise UsageError(
        f"no recipe is called {word!r}{hint} (for {format_} there are: {', '.join([*precisions, ALL, *known])})"
    )


def _refuse_unused_data(
    to: Sequence[str], chosen: Mapping[str, Recipe], of_format: Sequence[Recipe], calibrated: bool
) -> None:
    """Whoever gives calibration data wants it used."""
    if not calibrated or any(recipe.needs_calibration for recipe in chosen.values()):
        return
    using = [recipe.name for recipe in of_format if recipe.needs_calibration]
    advice = f"add --to {using[0]}, or leave --calibrate away" if using else "leave it away: no recipe of it needs any"
    meant = ", ".join(f"{word} is {name}" for word, name in zip(to, chosen, strict=False) if word != name)
    raise UsageError(f"--calibrate is given, and no recipe asked for uses it{f' ({meant})' if meant else ''}; {advice}")


def _examples(format_: str) -> str:
    return ",".join(recipe.precision for recipe in RECIPES.values() if recipe.format == format_ and recipe.default)
