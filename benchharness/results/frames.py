"""Results as pandas DataFrames and as a table for notebooks. pandas is imported only here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from benchharness.metrics import METRICS
from benchharness.results.result import MetricResult, Result, Run

if TYPE_CHECKING:
    from benchharness.results.trends import History

_TREND = [
    *("suite", "hardware", "device", "model", "variant", "configuration", "workload", "scenario", "metric", "unit"),
]
_CELL = ["hardware", "model", "variant", "configuration", "workload", "scenario"]


def results_frame(results: Sequence[Result]) -> pd.DataFrame:
    """A row per result and metric; one row with an empty metric for a result that has none.

    Values in base units (ns, bytes, per second); NaN where unknown, with the reason beside it.
    """
    rows = []
    for result in results:
        cell = {**_cell(result), "outcome": result.outcome.exported, "attempts": sum(result.outcomes.values())}
        rows += [{**cell, **_metric(metric)} for metric in result.metrics] or [cell]
    columns = [*_CELL, "outcome", "attempts", "metric", *_parameters(results), "unit", "value", "low", "high"]
    return pd.DataFrame(
        rows, columns=[*columns, "ratio", "ratio_low", "ratio_high", "statistic", "reason", "ratio_reason"]
    )


def attempts_frame(results: Sequence[Result]) -> pd.DataFrame:
    """A row per attempt and metric: its value and its raw samples, in the metric's base unit.

    Where samples were pruned there are none, with the reason beside it.
    """
    rows = [
        {
            **_cell(result),
            "attempt": value.attempt,
            "device": value.device,
            "round": value.round,
            "metric": metric.name,
            **metric.parameters,
            "unit": metric.unit,
            "value": value.value,
            "samples": None if value.why_no_samples else list(value.samples),
            "samples_reason": value.why_no_samples,
        }
        for result in results
        for metric in result.metrics
        for value in metric.attempts
    ]
    columns = [*_CELL, "attempt", "device", "round", "metric", *_parameters(results), "unit", "value", "samples"]
    return pd.DataFrame(rows, columns=[*columns, "samples_reason"])


def comparison_frame(results: Sequence[Result]) -> pd.DataFrame:
    """Ratios to the reference: rows by metric, columns by variant and ("ratio", "low", "high")."""
    frame = results_frame(results)
    compared = frame[frame["ratio"].notna()]
    rows = [*(column for column in _CELL if column != "variant"), "metric", *_parameters(results)]
    keys = compared[rows].astype(object).fillna("")  # a pivot would drop rows in which a parameter does not apply
    table = compared[["variant", "ratio", "ratio_low", "ratio_high"]].join(keys)
    pivot = table.pivot_table(index=rows, columns="variant", values=["ratio", "ratio_low", "ratio_high"])
    return pivot.swaplevel(axis="columns").sort_index(axis="columns")


def history_frame(history: History) -> pd.DataFrame:
    """A row per trend, night and sort of figure: "absolute" and "base" in the metric's unit, "ratio" to the base."""
    rows = [
        {
            **{name: getattr(trend, name) for name in _TREND},
            **trend.parameters,
            "sort": sort,
            "run": history.nights[night].run,
            "night": history.nights[night].started,
            "value": value,
            "low": low,
            "high": high,
            "attempts": count,
        }
        for trend in history.trends
        for sort, track in (("absolute", trend.absolute), ("ratio", trend.ratio), ("base", trend.base))
        for night, value, low, high, count in zip(
            track.nights, track.values, track.lows, track.highs, track.counts, strict=True
        )
    ]
    parameters = dict.fromkeys(name for trend in history.trends for name in trend.parameters)
    columns = [*_TREND, *parameters, "sort", "run", "night", "value", "low", "high", "attempts"]
    return pd.DataFrame(rows, columns=columns)


def summary_html(run: Run, results: Sequence[Result]) -> str:
    """The headline metrics as an HTML table; every text in it is escaped."""
    frame = results_frame(results)
    rows = [{each.name for each in result.metrics if each.estimate.value is not None} for result in results]
    headline = [name for name, metric in METRICS.items() if metric.is_named(rows)]
    shown = frame[frame["metric"].isin(headline) | frame["metric"].isna()]
    title = pd.DataFrame([{"run": run.id, "suite": run.suite, "state": run.state, "attempts": run.attempts}])
    columns = ["model", "variant", "configuration", "workload", "scenario", "outcome", "metric", "unit"]
    columns += [name for name in ("used",) if name in shown]  # how much of the evaluation data
    table = shown[[*columns, "value", "low", "high", "ratio"]].dropna(axis=1, how="all")
    return str(title.to_html(index=False, escape=True)) + str(table.to_html(index=False, escape=True, na_rep=""))


def _cell(result: Result) -> dict[str, Any]:
    job = result.job
    return {
        "hardware": job.hardware,
        "model": job.model,
        "variant": job.variant,
        "configuration": job.configuration.name,
        "workload": job.workload.name,
        "scenario": job.scenario,
    }


def _metric(metric: MetricResult) -> dict[str, Any]:
    estimate, ratio = metric.estimate, metric.ratio
    compared: Mapping[str, Any] = {}
    if ratio is not None:
        compared = {
            "ratio": ratio.value,
            "ratio_low": ratio.low,
            "ratio_high": ratio.high,
            "ratio_reason": ratio.reason,
        }
    return {
        "metric": metric.name,
        **metric.parameters,
        "unit": metric.unit,
        "value": estimate.value,
        "low": estimate.low,
        "high": estimate.high,
        "statistic": estimate.statistic,
        "reason": estimate.reason,
        **compared,
    }


def _parameters(results: Sequence[Result]) -> list[str]:
    """Every parameter that some metric has, in the order first met."""
    return list(dict.fromkeys(name for result in results for metric in result.metrics for name in metric.parameters))
