"""The suite that benchmarks what was made against the original: `suite.toml` in the output folder."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchharness.compress.outputs import read_record
from benchharness.compress.recipes import CORE_ML, RECIPES
from benchharness.compress.source import Source
from benchharness.device import adapters
from benchharness.suite.scenarios import usual_scenarios

SUITE = "suite.toml"
_ORIGINAL = "original"
_FIRST_LINE = "# Written by `benchharness compress`, again whenever it runs: copy it before you change it.\n"
#: What whoever wants to know what was lost has to uncomment, with the line under [scenarios].
_WITHOUT_DATA = '# evaluation = "heldout.txt"  # what quality is measured on; written by --evaluate\n'
#: What whoever runs the suite on another system has to uncomment.
_OFF_MACOS = '# accelerator = "reference"  # where Core ML cannot predict, off macOS: quality, no latency or memory'


def write_suite(
    out: Path, source: Source, precision: str | None, evaluate: Path | None = None
) -> tuple[Path | None, str]:
    """Writes the suite over all artefacts in `out` that were made from this original; its path, or None and why.

    With data to evaluate on, given now or in the suite that is replaced, it measures quality too.
    """
    runtime = _runtime(source.format)
    variants = _variants(out, source)
    path = out / SUITE
    if not variants:
        return None, "nothing was made"
    if runtime is None:
        return None, f"no adapter opens {source.format} here"
    if not _is_ours(path):
        return None, f"{path} is there, and not written by benchharness compress"
    original = {"artefact": _relative(source.path, out), "recipe": "as given"}
    if precision is not None:
        original["precision"] = precision
    name = source.path.stem if source.path.is_file() else source.path.name
    data = _relative(evaluate, out) if evaluate is not None else _evaluation_before(path)
    lines = [
        _FIRST_LINE,
        f"name = {_text(name)}\n",
        "[models.model]",
        f"reference = {_text(_ORIGINAL)}",
        _WITHOUT_DATA if data is None else f"evaluation = {_text(data)}\n",
        "[models.model.variants]",
        *(f"{_text(key)} = {_table(variant)}" for key, variant in {_ORIGINAL: original, **variants}.items()),
        "\n[[configurations]]",
        f"runtime = {_text(runtime)}",
        *([_OFF_MACOS] if source.format == CORE_ML else []),
        "\n[scenarios]",
        *(f"{name} = {{}}" for name in usual_scenarios()),
        *(f"{'# ' if data is None else ''}{name} = {{}}" for name in _of_evaluation()),
        "",
    ]
    temporary = path.with_suffix(f".{os.getpid()}")
    temporary.write_text("\n".join(lines), encoding="utf-8")
    temporary.replace(path)
    return path, ""


def _of_evaluation() -> list[str]:
    usual = usual_scenarios()
    return [name for name in usual_scenarios(evaluated=True) if name not in usual]


def _runtime(format_: str) -> str | None:
    return next((name for name in adapters.usable() if format_ in adapters.formats(name)), None)


def _variants(out: Path, source: Source) -> dict[str, dict[str, str]]:
    """Tables of the variants. One of each precision tells it: results of one precision are contrasted."""
    found: dict[str, dict[str, str]] = {}
    told = set()
    for name, recipe in RECIPES.items():
        record = read_record(out / name)
        if record is None or record["source"]["digest"] != source.digest:
            continue
        found[name] = {"artefact": f"{name}/{record['artefact']['path']}", "recipe": recipe.description}
        if recipe.precision not in told:
            found[name]["precision"] = recipe.precision
            told.add(recipe.precision)
    return found


def _relative(path: Path, folder: Path) -> str:
    """A path as the suite has it: relative to its folder where one leads there (on Windows, not to another drive)."""
    try:
        return Path(os.path.relpath(path, folder.absolute())).as_posix()
    except ValueError:
        return path.as_posix()


def _is_ours(path: Path) -> bool:
    try:
        return path.read_text(encoding="utf-8").startswith(_FIRST_LINE)
    except FileNotFoundError:
        return True
    except (OSError, UnicodeDecodeError):
        return False


def _evaluation_before(path: Path) -> str | None:
    """The evaluation data that an earlier call was given, where it is still there."""
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8"))["models"]["model"]["evaluation"]
        return told if isinstance(told, str) and (path.parent / told).is_file() else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _table(values: Mapping[str, Any]) -> str:
    return "{ " + ", ".join(f"{key} = {_text(value)}" for key, value in values.items()) + " }"


def _text(value: str) -> str:
    """TOML's basic strings are JSON's, but for one control character."""
    return json.dumps(value).replace("\x7f", "\\u007f")
