"""What lies in the output folder: an artefact for each recipe, with `recipe.json` beside it.

`OUT/<recipe>/` holds the artefact, a folder `model` where the original is a folder and else `model.onnx` or the like.
`recipe.json` lies beside it and so is no part of it: it counts neither in its size nor in its digest.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from benchharness.compress.programs import versions_of_programs
from benchharness.compress.recipes import OPTIONAL_PACKAGES, PACKAGES, SEED, Recipe
from benchharness.compress.source import Source, manifest_as
from benchharness.errors import UsageError
from benchharness.suite.artefact import DigestCache
from benchharness.suite.data_files import RECORD

_SCHEMA = 1
_MAKING = ".making-"
_LOG_ENDING = ".failed.log"
_NOT_INSTALLED = "not installed"
#: What two artefacts must share to be the same.
_MADE_FROM = ("recipe", "settings", "seed", "versions", "source", "calibration")


def versions(format_: str) -> dict[str, str]:
    """Versions of what decides what a recipe makes. Raises `UsageError` where a tool is missing."""
    found = {}
    for name in (*PACKAGES[format_], *OPTIONAL_PACKAGES.get(format_, ())):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError as error:
            if name in PACKAGES[format_]:
                raise UsageError(
                    f"compressing {format_} models needs the package {name!r}, which is not here; install the tools: "
                    "pip install 'benchharness[compress]'"
                ) from error
            found[name] = _NOT_INSTALLED
    return found


def made_from(
    recipe: Recipe, source: Source, calibration: Mapping[str, Any] | None, used: Mapping[str, str]
) -> dict[str, Any]:
    """Everything that decides what a recipe makes of a model: the first part of its record."""
    return {
        "recipe": recipe.name,
        "settings": recipe.told,
        "seed": SEED,
        "versions": {**used, **versions_of_programs(recipe.settings)},
        "source": {"name": source.path.name, "digest": source.digest, "bytes": source.bytes},
        "calibration": dict(calibration) if recipe.needs_calibration and calibration is not None else None,
    }


def read_record(folder: Path) -> dict[str, Any] | None:
    """The record of an earlier artefact; None where the folder holds none that is understood."""
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        known = record["schema"] == _SCHEMA and all(key in record for key in (*_MADE_FROM, "artefact", "seconds"))
        return record if known and isinstance(record["artefact"]["path"], str) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def kept(folder: Path, wanted: Mapping[str, Any], cache: DigestCache, *, force: bool) -> dict[str, Any] | None:
    """The record of an artefact that need not be made again; None where it is to be made.

    Raises `UsageError` for what is in the way: an artefact of other making unless `force`, and anything else always.
    """
    if not folder.exists():
        return None
    record = read_record(folder)
    if record is None:
        raise UsageError(f"{folder}: is there, and not made by benchharness; move it away or choose another --out")
    different = _differences(record, wanted)
    if not different and _is_whole(folder, record, cache):
        return None if force else record
    if force:
        return None
    why = f"was made from other {' and '.join(different)}" if different else "has changed since it was made"
    if "files" not in record["artefact"] and different in ([], ["weights"]):
        why += ", or by an earlier version of benchharness, which took other files for the model"
    raise UsageError(f"{folder}: {why}; replace it with --force, or choose another --out")


@contextmanager
def made_whole(out: Path, name: str) -> Iterator[Path]:
    """A folder to fill, which becomes `out/name` at the end and replaces what was there, or vanishes on an error."""
    making = Path(tempfile.mkdtemp(dir=out, prefix=f"{_MAKING}{os.getpid()}-"))
    try:
        filled = making / name
        filled.mkdir()
        yield filled
        final = out / name
        if final.exists():
            final.rename(making / "before")
        filled.rename(final)
    finally:
        shutil.rmtree(making, ignore_errors=True)


def sweep(out: Path) -> None:
    """Removes what runs that were killed left half made; those that still go on keep theirs."""
    for left in out.glob(f"{_MAKING}*"):
        process = left.name.removeprefix(_MAKING).partition("-")[0]
        if not process.isdigit() or not psutil.pid_exists(int(process)):
            shutil.rmtree(left, ignore_errors=True)


def keep_log(out: Path, name: str, words: str) -> Path | None:
    """Writes what a tool printed before it failed beside the artefacts. None where that cannot be written."""
    path = out / f"{name}{_LOG_ENDING}"
    try:
        path.write_text(words, encoding="utf-8")
    except OSError:
        return None
    return path


def drop_log(out: Path, name: str) -> None:
    """Removes the log of an earlier failure: the recipe has succeeded since."""
    with suppress(OSError):
        (out / f"{name}{_LOG_ENDING}").unlink(missing_ok=True)


def write_record(
    folder: Path, recipe: Recipe, wanted: Mapping[str, Any], made: Mapping[str, Any], seconds: float, cache: DigestCache
) -> dict[str, Any]:
    """Writes `recipe.json` beside an artefact and returns what it holds. `made` is the answer of its process."""
    manifest = manifest_as(recipe.format, folder / made["artefact"], cache)
    record = {
        "schema": _SCHEMA,
        **wanted,
        "format": recipe.format,
        "family": recipe.family,
        "bits": recipe.bits,
        "precision": recipe.precision,
        "description": recipe.description,
        "deterministic": recipe.deterministic,
        "why_not_deterministic": recipe.why_not_deterministic,
        "artefact": {
            "path": made["artefact"],
            "beside": made["beside"],  # weights next to a lone model file
            "digest": manifest.digest,
            "bytes": manifest.bytes,
            "files": [entry.path for entry in manifest.entries],
            "model_bytes": made["bytes"],  # without the small files that come with it
        },
        "notes": made["notes"],
        "seconds": round(seconds, 1),
    }
    (folder / RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return record


def _differences(record: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """In words: what an earlier artefact was made from that is not so now."""
    found = []
    for key in _MADE_FROM:
        old, new = record[key], wanted[key]
        if key == "source":
            old, new = old["digest"], new["digest"]
        if old == new:
            continue
        if key == "versions":
            moved = [
                f"{name} {old.get(name, 'unknown')}, now {version}"
                for name, version in new.items()
                if old.get(name) != version
            ]
            found.append(f"versions ({'; '.join(moved)})")
        else:
            found.append({"source": "weights", "calibration": "calibration data"}.get(key, key))
    return found


def _is_whole(folder: Path, record: Mapping[str, Any], cache: DigestCache) -> bool:
    """Whether an artefact's files are still those that were written."""
    artefact = record["artefact"]
    try:
        found = manifest_as(record["format"], folder / artefact["path"], cache)
        return bool(found.digest == artefact["digest"])
    except (UsageError, TypeError, KeyError):
        return False
