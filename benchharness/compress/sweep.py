"""One command from a model to a decision: compress it, run every variant, compare, recommend."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchharness.compress.recipes import RECIPES, Recipe
from benchharness.device import adapters
from benchharness.errors import UsageError
from benchharness.suite.asked import Asked
from benchharness.suite.planning import artefact_format
from benchharness.suite.tables import Suite, suite_from_table

if TYPE_CHECKING:
    from benchharness.compress import Compressed

#: The name of an original among its variants, after its format.
ORIGINAL = "original"


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """Originals, one of each format, and what to compare their variants on."""

    originals: Sequence[Path]
    calibrate: Path | None = None
    task: str | None = None
    asked: Asked = field(default_factory=Asked)


def suite_of(
    sweep: Sweep,
    made: Mapping[Path, Sequence[Compressed]],
    *,
    recipes: Mapping[str, Recipe] | None = None,
    scenarios: Mapping[str, Any] | None = None,
) -> Suite:
    """The suite over the originals and what was made of each; a recipe that failed is left out.

    `recipes`: beside those that have a name in the table; `scenarios`: instead of the usual ones. Raises `UsageError`
    for two originals of one format and for one that no runtime opens.
    """
    known = {**RECIPES, **(recipes or {})}
    variants: dict[str, dict[str, Any]] = {}
    references, runtimes = [], []
    for original in sweep.originals:
        runtime, format_ = _runtime(original, sweep.asked)
        if runtime in runtimes:
            raise UsageError(f"{original}: another model here is {format_} too; give one original of each format")
        runtimes.append(runtime)
        name = f"{format_.lstrip('.')}-{ORIGINAL}" if len(sweep.originals) > 1 else ORIGINAL
        references.append(name)
        variants[name] = {"artefact": str(original.absolute()), "recipe": "as given", "precision": ORIGINAL}
        for one in made.get(original, ()):
            if one.path is not None:
                variants[one.recipe] = _variant(known[one.recipe], one.path)
    model = {"reference": references, "variants": variants, "task": sweep.task, **sweep.asked.of_model()}
    if sweep.calibrate is not None:
        model["calibration"] = str(sweep.calibrate.absolute())
    return suite_from_table(
        {
            "name": "sweep",
            "models": {_model_name(sweep.originals[0]): model},
            "configurations": [_configuration(runtime, sweep.asked) for runtime in runtimes],
            **sweep.asked.of_suite(),
            **({"scenarios": scenarios} if scenarios else {}),
        }
    )


def _variant(recipe: Recipe, artefact: Path) -> dict[str, Any]:
    return {"artefact": str(artefact.absolute()), "recipe": recipe.description, "precision": recipe.precision}


def _runtime(original: Path, asked: Asked) -> tuple[str, str]:
    for name, known in asked.among({name: adapters.formats(name) for name in adapters.usable()}).items():
        format_ = artefact_format(original, known)
        if format_ is not None:
            return name, format_
    who = f"{' and '.join(asked.runtimes)} does not open it" if asked.runtimes else "no adapter opens it"
    raise UsageError(f"{original}: {who}; see 'benchharness adapters'")


def _configuration(runtime: str, asked: Asked) -> dict[str, Any]:
    """The runtime as a product would use it. Where Core ML cannot predict, what its weights say."""
    if runtime == "coreml" and sys.platform != "darwin":
        return {"runtime": runtime, "accelerator": "reference"}
    return {"runtime": runtime, **asked.of_runtime(runtime)}


def _model_name(original: Path) -> str:
    return original.stem if original.is_file() else original.name.removesuffix(".mlpackage")
