"""Makes the variants, measures the quality of each, and looks for the mixed one that keeps the budgets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchharness import api
from benchharness.compress import Compressed, Recipe
from benchharness.compress.choosing import choose
from benchharness.compress.making import TIMEOUT_S, Progress, Workshop, open_workshop
from benchharness.compress.parts import By, Part, parts_of
from benchharness.compress.source import find_format
from benchharness.compress.sweep import Sweep, suite_of
from benchharness.errors import NothingRan, UsageError
from benchharness.results.result import Estimate, Result
from benchharness.sensitivity.hurts import Hurt, loss_of, metric_of, ranked
from benchharness.sensitivity.mixing import Mixed, fewest, order_of_leaving
from benchharness.sensitivity.recipes import alone, leaving
from benchharness.suite.asked import Asked

if TYPE_CHECKING:
    from benchharness import measure

#: More parts than these take hours, and a table of them is read by nobody.
MOST_PARTS = 256


@dataclass(frozen=True, kw_only=True)
class Sensitivity:
    """What a recipe costs, part by part, and what was tried to keep the budgets."""

    recipe: str
    by: By
    metric: str  # that parts are ranked by
    original_bytes: int
    ranking: Sequence[Hurt]  # worst first
    whole: Mixed | None  # the recipe on all parts; None where it could not be measured
    tried: Sequence[Mixed] = ()  # in the order that they were tried
    left_out: Sequence[str] = ()  # parts that the recipe does not change, by name
    budgeted: bool = False  # whether a budget on quality was given
    runs: Sequence[str] = ()  # the runs that measured it, by id

    @property
    def mixed(self) -> Mixed | None:
        """The smallest variant that was tried and keeps every budget on quality, the whole recipe included."""
        kept = [each for each in (self.whole, *self.tried) if each is not None and each.keeps]
        return min(kept, key=lambda each: each.bytes, default=None)


def sensitivity(
    model: str | Path,
    to: str,
    *,
    evaluate: str | Path,
    by: By | str = By.BLOCK,
    out: str | Path = "variants",
    calibrate: str | Path | None = None,
    task: str | None = None,
    asked: Asked | None = None,
    budgets: Mapping[str, Any] | None = None,
    on: str = "this-machine",
    store: str | None = None,
    timeout_s: float = TIMEOUT_S,
    progress: Progress | None = None,
    watching: Callable[[], measure.Watching] | None = None,
) -> Sensitivity:
    """Ranks the parts of a model by what the recipe `to` costs where it compresses them alone.

    With `budgets` on quality (`{"kld": "0.1 nats"}`) it looks for the smallest mixed variant that keeps them. Variants
    go to `out`, runs to the store. Raises `UsageError`, and `NothingRan` where no part could be measured.
    """
    path = Path(model).expanduser().absolute()
    chosen, _ = choose([to], find_format(path), calibrated=calibrate is not None)
    if len(chosen) != 1:
        raise UsageError(f"--to {to}: parts are looked at by one recipe at a time; name one")
    wishes = replace(asked or Asked(), evaluate=evaluate, budgets=budgets or (asked or Asked()).budgets)
    sweep = Sweep(originals=[path], calibrate=Path(calibrate) if calibrate else None, task=task, asked=wishes)
    workshop = open_workshop(path, out, calibrate, timeout_s=timeout_s, progress=progress)
    parts = parts_of(workshop.weights, By(by))
    _check_parts(parts, By(by), path)

    def run(made: Sequence[Compressed], recipes: Sequence[Recipe]) -> api.Findings:
        suite = suite_of(
            sweep, {path: made}, recipes={recipe.name: recipe for recipe in recipes}, scenarios={"quality": {}}
        )
        return api.run(suite, on=on, store=store, watching=watching() if watching else None)

    return _Search(recipe=chosen[0], by=By(by), parts=parts, workshop=workshop, run=run, budgets=wishes.budgets).made()


def _check_parts(parts: Sequence[Part], by: By, model: Path) -> None:
    if len(parts) < 2:
        advice = "; try --sensitivity layer" if by is By.BLOCK else ""
        raise UsageError(f"{model}: has {len(parts)} part that could be compressed alone, so there is no order{advice}")
    if len(parts) > MOST_PARTS:
        advice = "; try --sensitivity block" if by is By.LAYER else ""
        raise UsageError(f"{model}: has {len(parts)} parts, more than the {MOST_PARTS} that are looked at{advice}")


@dataclass(frozen=True, kw_only=True)
class _Search:
    """One model, one recipe, and what was found so far."""

    recipe: Recipe
    by: By
    parts: Sequence[Part]
    workshop: Workshop
    run: Callable[[Sequence[Compressed], Sequence[Recipe]], api.Findings]
    budgets: Mapping[str, Any]
    runs: list[str] = field(default_factory=list)

    def made(self) -> Sensitivity:
        recipes = [self.recipe, *alone(self.recipe, self.parts)]
        made = self.workshop.make_all(recipes)
        results = self._measured(made, recipes)
        metric = metric_of([each for each in results.values() if each.metrics], list(self.budgets))
        if not metric:
            raise NothingRan(f"no variant has a figure of quality that parts can be ranked by{_why(results, made)}")
        ranking = ranked(
            [self._hurt(part, one, results, metric) for part, one in zip(self.parts, made[1:], strict=True)], metric
        )
        whole = self._mixed(self.recipe, (), made[0], results, metric)
        found = Sensitivity(
            recipe=self.recipe.name,
            by=self.by,
            metric=metric,
            original_bytes=self.workshop.found["bytes"],
            ranking=[hurt for hurt in ranking if not hurt.failure.startswith("nothing to compress")],
            whole=whole,
            left_out=[hurt.part.name for hurt in ranking if hurt.failure.startswith("nothing to compress")],
            budgeted=any(verdict for result in results.values() for verdict in result.verdicts),
            runs=self.runs,
        )
        if not found.budgeted or (whole is not None and whole.keeps):
            return found
        return replace(found, tried=self._tried(order_of_leaving(found.ranking, metric), metric), runs=self.runs)

    def _tried(self, order: Sequence[Part], metric: str) -> list[Mixed]:
        """Leaves more and more parts as they are; with all of them left there would be nothing to compress."""
        tried: list[Mixed] = []

        def keeps(count: int) -> bool:
            recipe = leaving(self.recipe, order[:count], self.parts)
            made = self.workshop.make_all([recipe])
            mixed = self._mixed(recipe, order[:count], made[0], self._measured(made, [recipe]), metric)
            if mixed is not None:
                tried.append(mixed)
            return mixed is not None and mixed.keeps

        fewest(len(order) - 1, keeps)
        return tried

    def _measured(self, made: Sequence[Compressed], recipes: Sequence[Recipe]) -> dict[str, Result]:
        """By variant what its comparison with the original yielded."""
        if not any(one.path for one in made):
            return {}
        found = self.run(made, recipes)
        self.runs.append(found.run.id)
        return {result.job.variant: result for result in found.results if result.job.against is not None}

    def _hurt(self, part: Part, one: Compressed, results: Mapping[str, Result], metric: str) -> Hurt:
        result = results.get(one.recipe)
        shown = loss_of(result, metric) if result else None
        failure = one.failure or (str(result.outcome) if result and not result.outcome.ok else "")
        return Hurt(
            part=part,
            variant=one.recipe,
            saved=max(self.workshop.found["bytes"] - one.bytes, 0) if one.path else 0,
            loss=shown.estimate if shown else Estimate(value=None, reason=failure or "it was not measured"),
            failure=failure,
        )

    def _mixed(
        self, recipe: Recipe, left: Sequence[Part], one: Compressed, results: Mapping[str, Result], metric: str
    ) -> Mixed | None:
        result = results.get(one.recipe)
        shown = loss_of(result, metric) if result else None
        if result is None or shown is None or one.path is None:
            return None
        return Mixed(
            recipe=recipe,
            made=one,
            left=left,
            loss=shown.estimate,
            verdicts=result.verdicts,
        )


def _why(results: Mapping[str, Result], made: Sequence[Compressed]) -> str:
    told = [one.failure for one in made if one.failure]
    told += [str(result.outcome) for result in results.values() if not result.outcome.ok]
    return f"; the first reason: {told[0]}" if told else ""
