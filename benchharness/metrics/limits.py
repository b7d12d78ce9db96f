"""Budgets: limits on metrics, as a suite or a hardware target writes them. `judge.budgets` tells who keeps them."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from benchharness import units as quantity
from benchharness.errors import UsageError
from benchharness.metrics import METRICS, Metric

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
    output: str | None = None

    @property
    def title(self) -> str:
        """`itl p95`, `sqnr of mask` or `model_ttft`."""
        if self.output is not None:
            return f"{self.metric} of {self.output}"
        return self.metric if self.percentile is None else f"{self.metric} p{self.percentile}"


def parse(table: Mapping[str, Any], origin: str) -> list[Budget]:
    """The budgets of a `[budgets]` table. Raises `UsageError` for an unknown metric, percentile, or wrong unit.

    `model_ttft = "250 ms"`, `itl = { p95 = "50 ms" }` for metrics that have percentiles, `sqnr = { mask = "30 dB" }`
    for one output of several.
    """
    return [budget for key, value in table.items() for budget in _parse_one(key, value, origin)]


def metric_named(key: str) -> Metric:
    """The metric of a name, or of a short one. Raises `UsageError`."""
    metric = METRICS.get(ALIASES.get(key, key))
    if metric is None:
        names = [*ALIASES, *METRICS]
        nearest = difflib.get_close_matches(key, names, n=1)
        hint = f"did you mean {nearest[0]!r}?" if nearest else f"budgets are for {', '.join(names)}"
        raise UsageError(f"{key!r} is no metric; {hint}")
    return metric


def _parse_one(key: str, value: Any, origin: str) -> Iterator[Budget]:
    metric = metric_named(key)
    if isinstance(value, str):
        if metric.percentiles:
            example = f'{key} = {{ p95 = "{value}" }} in a suite or --budget "{key}.p95={value}"'
            raise UsageError(f"{key} has percentiles: say which one, such as {example}")
        yield _budget(metric.name, None, value, origin)
        return
    if not isinstance(value, Mapping):
        raise UsageError(f'{key}: {value!r} has no unit: write it as text, such as "250 ms"')
    known = {f"p{percentile}": percentile for percentile in metric.percentiles or metric.tails}
    for name, text in value.items():
        if name not in known and not metric.by_output:
            raise UsageError(f"{key} has no {name!r} (there are: {', '.join(known) or 'no percentiles'})")
        if not isinstance(text, str):
            raise UsageError(f'{key}.{name}: {text!r} has no unit: write it as text, such as "250 ms"')
        if metric.by_output:
            yield replace(_budget(metric.name, None, text, origin), output=name)
        else:
            yield _budget(metric.name, known[name], text, origin)


def _budget(metric: str, percentile: int | None, text: str, origin: str) -> Budget:
    try:
        limit = quantity.limit(text, METRICS[metric].unit)
    except UsageError as error:
        raise UsageError(f"{metric}: {error}") from error
    return Budget(metric=metric, percentile=percentile, limit=limit, text=text, origin=origin)
