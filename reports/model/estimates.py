"""Estimates in words: values with intervals, and ratios with the verdict that their interval allows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchharness.metrics import METRICS, Better
from benchharness.results.result import EXACT, Estimate, MetricResult
from benchharness.units import Scale, interval_text, quantity_text
from reports.model.tables import Quantity, Ratio
from reports.model.visible import name_text, value_text, visible, words_of

_NO_REASON = "no reason was recorded"
#: An interval that says no more than its value, which is told as next to nothing.
_NOTHING = "≈ 0 to ≈ 0"


def quantity(estimate: Estimate, unit: str, scale: Scale | None = None) -> Quantity:
    """A value with its interval, or `unknown` with the reason."""
    if estimate.value is None:
        return Quantity(text="unknown", reason=visible(estimate.reason or _NO_REASON))
    text = quantity_text(estimate.value, name_text(unit), scale, _half(estimate))
    if estimate.statistic == EXACT:
        return Quantity(text=text)
    if estimate.low is None or estimate.high is None:
        return Quantity(text=text, reason=f"no interval: {visible(estimate.reason or _NO_REASON)}")
    interval = interval_text(estimate.low, estimate.high, estimate.value, unit, scale)
    return Quantity(text=text, interval="" if interval == _NOTHING else interval)


def why_not_drawn(metrics: Sequence[MetricResult]) -> str:
    """Why figures lack samples of these metrics, once for each day on which some were pruned; empty where none was."""
    reasons = sorted({value.why_no_samples for metric in metrics for value in metric.attempts} - {""})
    return ", ".join(reasons)


def _half(estimate: Estimate) -> float:
    """Half of the interval; 0 where there is none."""
    return 0.0 if estimate.low is None or estimate.high is None else (estimate.high - estimate.low) / 2


def ratio(metric: MetricResult, *, is_reference: bool) -> Ratio:
    """This over the reference. Better or worse is said only where `Estimate.apart` says so."""
    if is_reference:
        return Ratio(text="reference", verdict="reference")
    missing = "here" if metric.estimate.value is None else "on the reference"
    return ratio_of(metric.name, metric.ratio, f"no value {missing}")


def ratio_of(name: str, estimate: Estimate | None, missing: str) -> Ratio:
    """A ratio of a metric, whatever it is compared with; `missing` says why there is none."""
    if estimate is None:
        return Ratio(text="no ratio", verdict="none", reason=missing)
    if estimate.value is None:
        return Ratio(text="no ratio", verdict="none", reason=visible(estimate.reason or _NO_REASON))
    text = f"{quantity_text(estimate.value, '', half=_half(estimate))}×"
    if estimate.low is None or estimate.high is None:
        return Ratio(text=text, verdict="no-interval", reason=visible(estimate.reason or _NO_REASON))
    return Ratio(
        text=text,
        interval="" if estimate.statistic == EXACT else interval_text(estimate.low, estimate.high, estimate.value, ""),
        verdict=_verdict(estimate, better_of(name)),
    )


def better_of(name: str) -> Better | None:
    """Which direction is better; None for a metric that this version does not know."""
    return METRICS[name].better if name in METRICS else None


def title_of(name: str) -> str:
    """A metric's title, or its name where this version does not know it."""
    return METRICS[name].title if name in METRICS else name_text(name)


def metric_title(metric: MetricResult) -> str:
    """The title with the percentile, which reads better there than among the parameters."""
    percentile = metric.parameters.get("percentile")
    title = title_of(metric.name)
    return title if percentile is None else f"{title} p{name_text(percentile)}"


def parameters_text(parameters: Mapping[str, object]) -> str:
    """Every parameter but the percentile."""
    return ", ".join(
        f"{words_of(name)} {words_of(value) if name == 'phase' else value_text(value, name)}"
        for name, value in parameters.items()
        if name != "percentile"
    )


def _verdict(estimate: Estimate, better: Better | None) -> str:
    if estimate.low is None or estimate.high is None:
        return "no-interval"
    if not estimate.apart:
        return "same" if estimate.statistic == EXACT and estimate.value == 1 else "not-apart"
    if better in (None, Better.NEITHER):
        return "unjudged"
    return "better" if (estimate.apart < 0) == (better is Better.LOWER) else "worse"
