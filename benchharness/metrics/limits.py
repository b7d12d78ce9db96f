"""Budgets: limits on metrics, as a suite or a hardware target writes them. `judge.budgets` tells who keeps them."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from benchharness import units as quantity
from benchharness.errors import UsageError
from benchharness.metrics import METRICS, Better, Metric, Unit

#: What a relative budget is against: the suite's reference variant, or the other build of a comparison.
REFERENCE, BASE = "reference", "base"
#: What a ratio says nothing of: differences already, or values that may be zero.
NO_RATIO = (Unit.NATS, Unit.SHARE, Unit.DECIBELS, Unit.BITS_PER_BYTE)
#: Short names that may be used beside the metrics' own.
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
    against: str = ""  # `REFERENCE` or `BASE`: then the limit is by what share a metric may be worse than that

    @property
    def title(self) -> str:
        """`itl p95`, `sqnr of mask` or `model_ttft`."""
        if self.output is not None:
            return f"{self.metric} of {self.output}"
        return self.metric if self.percentile is None else f"{self.metric} p{self.percentile}"


def parse(table: Mapping[str, Any], origin: str) -> list[Budget]:
    """The budgets of a `[budgets]` table. Raises `UsageError` for an unknown metric, percentile, or wrong unit.

    `model_ttft = "250 ms"`, `itl = { p95 = "50 ms" }` for metrics that have percentiles, `sqnr = { mask = "30 dB" }`
    for one output of several, `decode_rate = { worse_by = "5 %", against = "reference" }` for one against another.
    """
    return [budget for key, value in table.items() for budget in _parse_one(key, value, origin)]


def metric_named(key: str) -> Metric:
    """The metric of a name, or of a short one. Raises `UsageError`."""
    metric = METRICS.get(ALIASES.get(key, key))
    if metric is None:
        nearest = difflib.get_close_matches(key, [*ALIASES, *METRICS], n=1)
        usual = [*ALIASES, *(each.name for each in METRICS.values() if each.headline)]
        hint = f"did you mean {nearest[0]!r}?" if nearest else f"metrics are for example {', '.join(usual)}"
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
    if "worse_by" in value or "against" in value:
        yield _relative(metric, key, value, origin)
        return
    known = {f"p{percentile}": percentile for percentile in metric.percentiles or metric.tails}
    for name, text in value.items():
        if name not in known and not metric.parts:
            raise UsageError(f"{key} has no {name!r} (there are: {', '.join(known) or 'no percentiles'})")
        if not isinstance(text, str):
            raise UsageError(f'{key}.{name}: {text!r} has no unit: write it as text, such as "250 ms"')
        if metric.parts:
            yield replace(_budget(metric.name, None, text, origin), output=name)
        else:
            yield _budget(metric.name, known[name], text, origin)


def _relative(metric: Metric, key: str, value: Mapping[str, Any], origin: str) -> Budget:
    """`{ worse_by = "5 %", against = "reference" }`; of a metric with percentiles the median, or the one of `of`."""
    example = f'{key} = {{ worse_by = "5 %", against = "reference" }}'
    unknown = set(value) - {"worse_by", "against", "of"}
    if unknown or not isinstance(value.get("worse_by"), str) or value.get("against") not in (REFERENCE, BASE):
        raise UsageError(f"{key}: a relative budget is such as {example}; against is {REFERENCE!r} or {BASE!r}")
    if metric.unit in NO_RATIO or metric.better is Better.NEITHER:
        raise UsageError(f"{key} has no ratio: it is a difference, or may be zero; set a limit on it")
    known = {f"p{percentile}": percentile for percentile in metric.percentiles or metric.tails}
    which = value.get("of", "p50" if metric.percentiles else None)
    if which is not None and which not in known:
        raise UsageError(f"{key} has no {which!r} (there are: {', '.join(known) or 'no percentiles'})")
    try:
        share = quantity.share(value["worse_by"])
    except UsageError as error:
        raise UsageError(f"{key}.worse_by: {error}") from error
    return Budget(
        metric=metric.name,
        percentile=None if which is None else known[which],
        limit=share,
        text=f"at most {value['worse_by'].strip()} worse than {value['against']}",
        origin=origin,
        against=value["against"],
    )


def _budget(metric: str, percentile: int | None, text: str, origin: str) -> Budget:
    try:
        limit = quantity.limit(text, METRICS[metric].unit)
    except UsageError as error:
        raise UsageError(f"{metric}: {error}") from error
    return Budget(metric=metric, percentile=percentile, limit=limit, text=text, origin=origin)
