"""One command from a model to a decision: compress it, run every variant, compare, recommend."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchharness.device import adapters
from benchharness.errors import UsageError
from benchharness.plan import artefact_format
from benchharness.suite import Suite, suite_from_table

if TYPE_CHECKING:
    from benchharness.compress import Compressed

#: The name of an original among its variants, after its format.
ORIGINAL = "original"


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """Originals, one of each format, and what to compare their variants on."""

    originals: Sequence[Path]
    calibrate: Path | None = None
    evaluate: Path | None = None
    task: str | None = None
    threads: int | None = None
    budgets: Mapping[str, Any] = field(default_factory=dict)


def suite_of(sweep: Sweep, made: Mapping[Path, Sequence[Compressed]]) -> Suite:
    """The suite over the originals and what was made of each; a recipe that failed is left out.

    Raises `UsageError` for two originals of one format and for one that no runtime opens.
    """
    variants: dict[str, dict[str, Any]] = {}
    references, runtimes = [], []
    for original in sweep.originals:
        runtime, format_ = _runtime(original)
        if runtime in runtimes:
            raise UsageError(f"{original}: another model here is {format_} too; give one original of each format")
        runtimes.append(runtime)
        name = f"{format_.lstrip('.')}-{ORIGINAL}" if len(sweep.originals) > 1 else ORIGINAL
        references.append(name)
        variants[name] = {"artefact": str(original.absolute()), "recipe": "as given", "precision": ORIGINAL}
        for one in made.get(original, ()):
            if one.path is not None:
                variants[one.recipe] = _variant(one.recipe, one.path)
    model: dict[str, Any] = {"reference": references, "variants": variants, "task": sweep.task}
    for key, path in (("evaluation", sweep.evaluate), ("calibration", sweep.calibrate)):
        if path is not None:
            model[key] = str(path.absolute())
    scenarios: dict[str, Any] = {"first-token": {}, "steady": {}}
    if sweep.evaluate is not None:
        scenarios["quality"] = {}
    return suite_from_table(
        {
            "name": "sweep",
            "models": {_model_name(sweep.originals[0]): model},
            "configurations": [_configuration(runtime, sweep.threads) for runtime in runtimes],
            "scenarios": scenarios,
            "budgets": dict(sweep.budgets),
        }
    )


def _variant(recipe: str, artefact: Path) -> dict[str, Any]:
    from benchharness.compress import RECIPES

    made_by = RECIPES[recipe]
    return {"artefact": str(artefact.absolute()), "recipe": made_by.description, "precision": made_by.precision}


def _runtime(original: Path) -> tuple[str, str]:
    for name in adapters.usable():
        format_ = artefact_format(original, adapters.formats(name))
        if format_ is not None:
            return name, format_
    raise UsageError(f"{original}: no adapter opens it; see 'benchharness adapters'")


def _configuration(runtime: str, threads: int | None) -> dict[str, Any]:
    """The runtime as a product would use it. Where Core ML cannot predict, what its weights say."""
    if runtime == "coreml":
        return {"runtime": runtime} if sys.platform == "darwin" else {"runtime": runtime, "accelerator": "reference"}
    return {"runtime": runtime, "threads": threads} if threads else {"runtime": runtime}


def _model_name(original: Path) -> str:
    return original.stem if original.is_file() else original.name.removesuffix(".mlpackage")


def budgets_from(given: Sequence[str]) -> dict[str, str]:
    """`["peak_memory=600 MiB", "kld=0.1 nats"]` as a table. Raises `UsageError`."""
    table = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals or not key.strip() or not value.strip():
            raise UsageError(f'--budget {text!r}: write a metric, "=" and a limit with its unit: "peak_memory=600 MiB"')
        table[key.strip()] = value.strip()
    return table
