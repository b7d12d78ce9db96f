"""Budgets: limits that a suite or a hardware target sets, and whether a result keeps them.

A result passes only where the whole 95 % interval is on the right side of the limit, misses where all of it is on the
wrong side, and is undecided in between or where there is no interval: more attempts may decide it. What is no
evidence (`evidence`) keeps no budget and misses none: it is undecided, with the reason.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from benchharness import quantity
from benchharness.errors import UsageError
from benchharness.evidence import no_evidence
from benchharness.metrics import METRICS, Better
from benchharness.result import MetricResult, Result, Verdict, VerdictKind

#: Short names that budgets may use beside the metrics' own.
ALIASES = {"download": "download_size", "size": "artefact_size"}


@dataclass(frozen=True, kw_only=True)
class Budget:
    """A limit on one metric, in its base unit; `text` is how it was written, `origin` who wrote it."""

    metric: str
    percentile: int | None
    limit: float
    text: str
    origin: str

    @property
    def title(self) -> str:
        """`itl p95` or `model_ttft`."""
        return self.metric if self.percentile is None else f"{self.metric} p{self.percentile}"


def parse(table: Mapping[str, Any], origin: str) -> list[Budget]:
    """The budgets of a `[budgets]` table. Raises `UsageError` for an unknown metric, percentile, or wrong unit.

    `model_ttft = "250 ms"`, or `itl = { p95 = "50 ms" }` for metrics that have percentiles.
    """
    return [budget for key, value in table.items() for budget in _parse_one(key, value, origin)]


def _parse_one(key: str, value: Any, origin: str) -> Iterator[Budget]:
    metric = METRICS.get(ALIASES.get(key, key))
    if metric is None:
        names = [*ALIASES, *METRICS]
        nearest = difflib.get_close_matches(key, names, n=1)
        hint = f"did you mean {nearest[0]!r}?" if nearest else f"budgets are for {', '.join(names)}"
        raise UsageError(f"{key!r} is no metric; {hint}")
    if isinstance(value, str):
        if metric.percentiles:
            example = f'{key} = {{ p{metric.percentiles[-1]} = "{value}" }}'
            raise UsageError(f"{key} has percentiles: say which one, such as {example}")
        yield _budget(metric.name, None, value, origin)
        return
    if not isinstance(value, Mapping):
        raise UsageError(f'{key}: {value!r} has no unit: write it as text, such as "250 ms"')
    known = {f"p{percentile}": percentile for percentile in metric.percentiles}
    for name, text in value.items():
        if name not in known:
            raise UsageError(f"{key} has no {name!r} (there are: {', '.join(known) or 'no percentiles'})")
        if not isinstance(text, str):
            raise UsageError(f'{key}.{name}: {text!r} has no unit: write it as text, such as "250 ms"')
        yield _budget(metric.name, known[name], text, origin)


def _budget(metric: str, percentile: int | None, text: str, origin: str) -> Budget:
    try:
        limit = quantity.limit(text, METRICS[metric].unit)
    except UsageError as error:
        raise UsageError(f"{metric}: {error}") from error
    return Budget(metric=metric, percentile=percentile, limit=limit, text=text, origin=origin)


def judged(results: Sequence[Result], budgets: Sequence[Budget]) -> list[Result]:
    """The results with a verdict for each budget on a metric that they have."""
    return [replace(result, verdicts=list(_verdicts(result, budgets))) for result in results]


def unmeasured(results: Sequence[Result], budgets: Sequence[Budget]) -> list[Budget]:
    """Budgets on which no result says anything: they are not kept, only unasked."""
    told = {verdict.budget for result in results for verdict in result.verdicts}
    return [budget for budget in budgets if f"{budget.title} {budget.text}" not in told]


def _verdicts(result: Result, budgets: Sequence[Budget]) -> Iterator[Verdict]:
    if not result.job.ships:
        return
    for budget in budgets:
        for metric in result.metrics:
            if metric.name == budget.metric and metric.parameters.get("percentile") == budget.percentile:
                yield _verdict(metric, budget, no_evidence(result, metric))


def _verdict(metric: MetricResult, budget: Budget, doubt: str) -> Verdict:
    estimate = metric.estimate
    kind, reason = VerdictKind.UNDECIDED, doubt
    if doubt:
        pass
    elif estimate.value is None or estimate.low is None or estimate.high is None:
        reason = estimate.reason or "there is no interval"
    else:
        better, worse = estimate.low, estimate.high
        within, beyond = worse <= budget.limit, better > budget.limit
        if METRICS[metric.name].better is Better.HIGHER:
            within, beyond = better >= budget.limit, worse < budget.limit
        if within:
            kind = VerdictKind.PASS
        elif beyond:
            kind = VerdictKind.MISS
        else:
            reason = "the interval spans the budget: more attempts may decide it"
    return Verdict(
        budget=f"{budget.title} {budget.text}",
        origin=budget.origin,
        metric=metric.name,
        parameters=metric.parameters,
        limit=budget.limit,
        kind=kind,
        reason=reason,
    )
