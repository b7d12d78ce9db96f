"""What a KLD meant in points of accuracy, over the variants of one model that were measured. Pure.

A fitted line of this model, this data and these recipes, with its uncertainty; of another model it says nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from benchharness.results.result import Result
from benchharness.sensitivity.hurts import loss_of
from benchharness.units import percent_text

#: Fewer variants give a line through anything.
_FEWEST = 4
_CONFIDENCE = 0.95
#: Of variants by their weight in the fit (Kish's effective number of the squares) so many have to carry the line.
_CARRYING = 2.0


@dataclass(frozen=True, kw_only=True)
class Relation:
    """Points of accuracy that are lost for each nat of KLD: `slope`, and its 95 % interval."""

    slope: float  # a share of 1 for each nat
    low: float
    high: float
    variants: int


def relation(divergences: Sequence[float], losses: Sequence[float]) -> Relation | str:
    """The line through the origin that fits best: what is its reference diverges by nothing and loses nothing.

    `divergences` are in nats, `losses` shares of 1. Least squares; the interval is Student's, on n - 1 degrees of
    freedom. Why there is none, in words, for fewer than four variants or where the line hangs on one or two of them.
    """
    x, y = np.asarray(divergences, np.float64), np.asarray(losses, np.float64)
    power = float(x @ x)
    if len(x) < _FEWEST:
        return f"it takes {_FEWEST} variants, and there are {len(x)}"
    if power == 0.0 or power**2 / float(np.sum(x**4)) < _CARRYING:
        return "one or two variants that diverge most would carry the line alone"
    slope = float(x @ y) / power
    left = y - slope * x
    half = float(stats.t.ppf((1 + _CONFIDENCE) / 2, len(x) - 1)) * float(np.sqrt(left @ left / (len(x) - 1) / power))
    return Relation(slope=slope, low=slope - half, high=slope + half, variants=len(x))


def relation_lines(results: Sequence[Result]) -> Iterator[str]:
    """A line for each model of which enough variants have both a KLD and a change of accuracy."""
    by_model: dict[str, list[tuple[float, float]]] = {}
    for result in results:
        if result.job.against is None:
            continue
        divergence, change = loss_of(result, "kld"), loss_of(result, "accuracy_change")
        if divergence and change and divergence.estimate.value is not None and change.estimate.value is not None:
            by_model.setdefault(result.job.model, []).append((divergence.estimate.value, -change.estimate.value))
    for model, pairs in by_model.items():
        found = relation(*zip(*pairs, strict=True))
        if isinstance(found, Relation):
            yield _line(model, found, max(divergence for divergence, _ in pairs))
        elif len(pairs) >= _FEWEST:
            yield f"{model}: what a KLD means in accuracy is unknown: {found}"


def _line(model: str, found: Relation, most: float) -> str:
    share, low, high = (percent_text(each * most, 2) for each in (found.slope, found.low, found.high))
    said = (
        f"{model}: over its {found.variants} variants here a KLD of {most:.3g} nats goes with {share} of accuracy lost"
    )
    if found.low <= 0.0:
        return f"{said} [{low}, {high}]: no loss can be told from it"
    return f"{said} [{low}, {high}], and less in proportion"
