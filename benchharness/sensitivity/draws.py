"""How far quality spreads over draws of the calibration data, told beside what one draw's own interval says. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from benchharness.compress import Recipe
from benchharness.metrics import METRICS
from benchharness.results.result import Estimate, Result
from benchharness.sensitivity.hurts import loss_of, metric_of
from benchharness.terminal.values import estimated, one_line


def spread_lines(results: Sequence[Result], recipes: Mapping[str, Recipe]) -> Iterator[str]:
    """A line for each recipe that was calibrated on several draws: least and largest loss, and what that means."""
    by_recipe: dict[str, list[Result]] = {}
    for result in results:
        recipe = recipes.get(result.job.variant)
        if recipe is not None and recipe.draw and result.job.against is not None:
            by_recipe.setdefault(recipe.of, []).append(result)
    for name, drawn in by_recipe.items():
        metric = metric_of(drawn, [])
        losses = [shown.estimate for each in drawn if metric and (shown := loss_of(each, metric)) is not None]
        yield one_line(f"{name}: {_spread(metric, losses, len(drawn))}")


def _spread(metric: str, losses: Sequence[Estimate], of: int) -> str:
    ordered = sorted((each for each in losses if each.value is not None), key=lambda each: each.value or 0.0)
    if len(ordered) < 2:
        return f"{len(ordered)} of {of} draws of the calibration data could be compared, so there is no spread"
    least, largest = ordered[0], ordered[-1]
    unit = METRICS[metric].unit
    apart = least.clearly_below(largest, 0.0)
    beyond = (
        "more than one draw's own interval: the choice of calibration data matters"
        if apart
        else ("within one draw's own interval: the choice of calibration data is not seen to matter")
    )
    between = f"{METRICS[metric].title} between {estimated(least, unit)} and {estimated(largest, unit)}"
    return f"over {len(ordered)} draws of half of the calibration data {between}, {beyond}"
