"""Makes the variants: checks everything first, then one recipe after the other, then the suite over all of them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from benchharness.compress import outputs
from benchharness.compress.choosing import choose
from benchharness.compress.parts import Weight
from benchharness.compress.process import Failed, carry_out
from benchharness.compress.recipes import Recipe, plain
from benchharness.compress.source import Source, find_format, find_source, is_lone
from benchharness.compress.suite_file import write_suite
from benchharness.errors import UsageError
from benchharness.locations import digest_cache
from benchharness.suite.artefact import DigestCache
from benchharness.suite.data_files import data_file

#: k-means over a few hundred million weights takes about this long.
TIMEOUT_S = 3600.0


@dataclass(frozen=True, kw_only=True)
class Compressed:
    """What became of one recipe. Sizes are those of the model and its weights, without tokenizer and the like."""

    recipe: str
    path: Path | None  # the artefact; None where it was not made
    bytes: int
    source_bytes: int
    seconds: float
    failure: str = ""
    log: str = ""  # of a failure: the last lines that the tool printed
    log_file: Path | None = None  # ... and where they are kept
    notes: Sequence[str] = ()


class Progress(Protocol):
    """Whoever wants to hear how it goes."""

    def tells(self, words: str) -> None:
        """A remark on the whole."""

    def begins(self, recipe: str, position: int, of: int) -> None:
        """The recipe at this position, counted from 1, is being made."""

    def ended(self, made: Compressed) -> None:
        """It was made, kept, or failed."""


class _Silence:
    def tells(self, words: str) -> None: ...
    def begins(self, recipe: str, position: int, of: int) -> None: ...
    def ended(self, made: Compressed) -> None: ...


def compress(
    model: str | Path,
    to: Sequence[str],
    *,
    out: str | Path,
    calibrate: str | Path | None = None,
    evaluate: str | Path | None = None,
    force: bool = False,
    timeout_s: float = TIMEOUT_S,
    progress: Progress | None = None,
) -> list[Compressed]:
    """Makes a variant of `model` for each recipe in `to`: names, precisions (`int8`), or `all`.

    Each goes to `out/<recipe>/`, with `recipe.json` beside it; `out/suite.toml` benchmarks all of them against the
    original, and compares them on the data `evaluate`, if it is given. What was made before in the same way is kept,
    unless `force`. `timeout_s` is for one recipe. Raises `UsageError` before anything is made; a recipe that fails is
    told in its `failure`.
    """
    path = Path(model).expanduser().absolute()
    evaluation = None if evaluate is None else data_file(Path(evaluate).expanduser().absolute()).path
    chosen, left_out = choose(to, find_format(path), calibrated=calibrate is not None)
    told = progress or _Silence()
    for recipe in left_out:
        told.tells(f"{recipe.name} is left out: it needs calibration data (--calibrate)")
    workshop = open_workshop(path, out, calibrate, timeout_s=timeout_s, progress=told)
    made = workshop.make_all(chosen, force=force)
    suite, why = write_suite(workshop.out, workshop.source, workshop.found["precision"], evaluation)
    told.tells(f"no suite.toml was written: {why}" if suite is None else f"suite: {suite}")
    return made


def open_workshop(
    model: str | Path,
    out: str | Path,
    calibrate: str | Path | None = None,
    *,
    timeout_s: float = TIMEOUT_S,
    progress: Progress | None = None,
) -> Workshop:
    """Looks at a model and at the calibration data. Raises `UsageError` where they are not what they should be."""
    told = progress or _Silence()
    path, folder = Path(model).expanduser().absolute(), Path(out).expanduser()
    data = None if calibrate is None else Path(calibrate).expanduser().absolute()
    format_ = find_format(path)
    used = outputs.versions(format_)
    _prepare(folder, path)
    found = _look(path, format_, data, timeout_s)
    if found["calibration"] is not None and "used" in found["calibration"]:
        told.tells(f"calibration: {found['calibration']['used']}, in {found['calibration']['count']} chunks")
    cache = digest_cache()
    return Workshop(
        out=folder,
        source=find_source(path, format_, cache),
        found=found,
        versions=used,
        data=data,
        timeout_s=timeout_s,
        cache=cache,
        progress=told,
    )


def _prepare(out: Path, model: Path) -> None:
    """Makes the output folder. Raises `UsageError`."""
    if not is_lone(model) and out.absolute().is_relative_to(model):
        raise UsageError(f"--out {out}: lies in the model's own folder, and would change it; choose another")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--out {out}: cannot be made ({error.strerror}); choose another folder") from error
    outputs.sweep(out)


def _look(path: Path, format_: str, data: Path | None, timeout_s: float) -> dict[str, Any]:
    """What the tools say of the model and the calibration data. Raises `UsageError` where they cannot read them."""
    if data is not None and not data.is_file():
        raise UsageError(f"--calibrate {data}: no such file; check the path")
    order = {"do": "look", "artefact": str(path), "format": format_, "calibrate": None if data is None else str(data)}
    try:
        return carry_out(order, timeout_s)
    except Failed as error:
        raise UsageError(str(error)) from error


@dataclass(frozen=True, kw_only=True)
class Workshop:
    """Where variants of one model are made: what is the same for every recipe."""

    out: Path
    source: Source
    found: Mapping[str, Any]  # what the tools say of the model and the calibration data
    versions: Mapping[str, str]  # of the tools
    data: Path | None
    timeout_s: float
    cache: DigestCache
    progress: Progress

    @property
    def weights(self) -> list[Weight]:
        """What recipes can make smaller."""
        return [Weight(**each) for each in self.found["weights"]]

    def make_all(self, recipes: Sequence[Recipe], *, force: bool = False) -> list[Compressed]:
        """Makes a variant by each recipe, or keeps that of before.

        Raises `UsageError`, before anything is made, where something else is in the place of one.
        """
        wanted = {
            recipe.name: outputs.made_from(recipe, self.source, self.found["calibration"], self.versions)
            for recipe in recipes
        }
        records = {name: outputs.kept(self.out / name, each, self.cache, force=force) for name, each in wanted.items()}
        made = []
        for position, recipe in enumerate(recipes, 1):
            self.progress.begins(recipe.name, position, len(recipes))
            record = records[recipe.name]
            one = self.make(recipe, wanted[recipe.name]) if record is None else self.keep(recipe, record)
            self.progress.ended(one)
            made.append(one)
        self.cache.save()
        return made

    def make(self, recipe: Recipe, wanted: Mapping[str, Any]) -> Compressed:
        """Runs a recipe in a process of its own. Whatever goes wrong is told in the answer."""
        started = time.monotonic()
        try:
            with outputs.made_whole(self.out, recipe.name) as folder:
                answer = carry_out(self._order(recipe, folder), self.timeout_s)
                seconds = time.monotonic() - started
                record = outputs.write_record(folder, recipe, wanted, answer, seconds, self.cache)
            outputs.drop_log(self.out, recipe.name)
        except Failed as error:
            seconds = time.monotonic() - started
            return self._failed(recipe, str(error), seconds, error.log)
        except OSError as error:
            return self._failed(recipe, f"{self.out}: cannot be written ({error})", time.monotonic() - started)
        return self._told(recipe, record)

    def keep(self, recipe: Recipe, record: Mapping[str, Any]) -> Compressed:
        """What was made before in the same way."""
        return self._told(recipe, record, "kept from before")

    def _order(self, recipe: Recipe, folder: Path) -> dict[str, Any]:
        return {
            "do": "compress",
            "artefact": str(self.source.path),
            "format": self.source.format,
            "recipe": recipe.of or recipe.name,
            "settings": plain(recipe.settings),
            "left": list(recipe.left),
            "draw": recipe.draw,
            "folder": str(folder.absolute()),
            "calibrate": str(self.data) if recipe.needs_calibration else None,
        }

    def _told(self, recipe: Recipe, record: Mapping[str, Any], *notes: str) -> Compressed:
        artefact = record["artefact"]
        larger = ["not smaller than the original"] if artefact["model_bytes"] >= self.found["bytes"] else []
        return Compressed(
            recipe=recipe.name,
            path=self.out / recipe.name / artefact["path"],
            bytes=artefact["model_bytes"],
            source_bytes=self.found["bytes"],
            seconds=record["seconds"],
            notes=(*notes, *larger, *record["notes"]),
        )

    def _failed(self, recipe: Recipe, reason: str, seconds: float, log: str = "") -> Compressed:
        return Compressed(
            recipe=recipe.name,
            path=None,
            bytes=0,
            source_bytes=self.found["bytes"],
            seconds=seconds,
            failure=reason,
            log=log,
            log_file=outputs.keep_log(self.out, recipe.name, f"{reason}\n\n{log}\n") if log else None,
        )
