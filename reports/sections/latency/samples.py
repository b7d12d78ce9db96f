"""Samples -> what the figures draw. No figure is made where there is nothing to draw."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from benchharness.metrics import METRICS
from benchharness.results.result import AttemptValue, MetricResult
from benchharness.units import Scale, scale_for
from reports.figures.figure import Figure
from reports.model.entries import Colours, Entry, configuration_name, same_key
from reports.model.estimates import parameters_text, why_not_drawn
from reports.model.numbers import rounded
from reports.model.visible import name_text
from reports.sections.latency.chart import Curve, CurvePanel, Distribution, Lane, Strip, TokenCurves

#: Metrics whose samples are shown one by one.
_DISTRIBUTIONS = ("model_ttft", "steady_inference")
#: More dots than this in one row lie on each other; order statistics of each attempt keep the shape and both ends.
_MOST_DOTS, _FEWEST_DOTS = 240, 5
#: Beyond this ratio of largest to smallest, a linear axis squeezes most strips into a line.
_LOGARITHMIC_FROM = 8.0
#: More points on a curve than this are closer than a pixel.
_MOST_POINTS = 80
Floats = npt.NDArray[np.float64]
Measured = tuple[Entry, MetricResult]


def figures_of(entries: Sequence[Entry], colours: Colours) -> tuple[Figure, ...]:
    """Every figure of one model on one workload that has data; `colours` numbers the model's variants."""
    strips = (_distribution(alike, colours) for name in _DISTRIBUTIONS for alike in _alike(entries, name))
    curves = (found for alike in _alike(entries, "itl") if (found := _token_curves(alike, colours)))
    return (*strips, *curves)


def gone_of(entries: Sequence[Entry]) -> str:
    """Why samples are not drawn that once would have been; empty where all of them are there."""
    drawn = (*_DISTRIBUTIONS, "itl")
    metrics = (each for entry in entries if not entry.weights_only for each in entry.result.metrics)
    return why_not_drawn([each for each in metrics if each.name in drawn])


def _alike(entries: Sequence[Entry], name: str) -> list[list[Measured]]:
    """Metrics of one name with samples, those of equal scenario and parameters together, one percentile of each job."""
    groups: dict[tuple[str, str], dict[str, Measured]] = {}
    for entry in entries:
        for metric in entry.result.metrics if not entry.weights_only else ():
            if metric.name != name or not any(len(_samples(value)) for value in metric.attempts):
                continue
            parameters = {key: value for key, value in metric.parameters.items() if key != "percentile"}
            # All percentiles of a metric carry the same samples.
            groups.setdefault((entry.scenario, same_key(parameters)), {}).setdefault(entry.anchor, (entry, metric))
    return [list(group.values()) for group in groups.values()]


def _title(metric: MetricResult, entry: Entry, several: bool) -> str:
    parameters = parameters_text(metric.parameters)
    parts = [METRICS[metric.name].title, parameters, entry.scenario if several else ""]
    return ", ".join(part for part in parts if part)


def _distribution(measured: Sequence[Measured], colours: Colours) -> Distribution:
    entry, first = measured[0]
    of_each = [[found for value in metric.attempts if len(found := _samples(value))] for _, metric in measured]
    everything = np.concatenate([found for several in of_each for found in several])
    least, most = float(everything.min()), float(everything.max())
    scale = scale_for(first.unit, float(np.median(everything)))
    strips = tuple(
        Strip(
            label=each.who,
            colour=colours.get(each.artefact, 0),
            lanes=tuple(_lanes(several, scale)),
        )
        for (each, _), several in zip(measured, of_each, strict=True)
    )
    thinned = any(lane.total > len(lane.values) for strip in strips for lane in strip.lanes)
    note = "One lane for each attempt (a fresh process), one dot for each sample, a line at the attempt's median."
    if thinned:
        note += " Of longer attempts samples at even ranks are drawn, lowest and highest included."
    return Distribution(
        title=_title(first, entry, "(" in entry.scenario),
        unit=scale.symbol,
        note=note,
        logarithmic=least > 0 and most > _LOGARITHMIC_FROM * least,
        strips=strips,
    )


def _samples(value: AttemptValue) -> Floats:
    """The samples that are numbers, or the one value that an attempt has; none where they were pruned."""
    if value.why_no_samples:
        return np.array([])
    found = np.asarray(value.samples if len(value.samples) else [value.value], dtype=np.float64)
    return found[np.isfinite(found)]


def _lanes(attempts: Sequence[Floats], scale: Scale) -> Iterator[Lane]:
    most = max(_FEWEST_DOTS, _MOST_DOTS // len(attempts))
    for samples in attempts:
        ordered = np.sort(samples) / scale.divisor
        ranks = np.unique(np.linspace(0, len(ordered) - 1, min(len(ordered), most)).round().astype(int))
        yield Lane(values=_rounded(ordered[ranks]), middle=_rounded([np.median(ordered)])[0], total=len(ordered))


def _token_curves(measured: Sequence[Measured], colours: Colours) -> TokenCurves | None:
    answers = [(entry, rows) for entry, metric in measured if (rows := _rows(metric.attempts)) is not None]
    if not answers:
        return None
    entry, metric = measured[0]
    scale = scale_for(metric.unit, float(np.median(np.concatenate([rows.ravel() for _, rows in answers]))))
    panels: dict[str, list[Curve]] = {}
    for each, rows in answers:
        panel = panels.setdefault(configuration_name(each.result.job.configuration), [])
        panel.append(_curve(each, rows, scale, colours))
    fewest = min(len(rows) for _, rows in answers)
    return TokenCurves(
        title=f"{_title(metric, entry, '(' in entry.scenario)}, by position in the answer",
        unit=scale.symbol,
        note=f"Line: median over all answers of all attempts (at least {fewest}). Band: 10 % to 90 % of them.",
        panels=tuple(CurvePanel(label=label, curves=tuple(curves)) for label, curves in panels.items()),
    )


def _rows(attempts: Sequence[AttemptValue]) -> Floats | None:
    """All answers, one a row, as long as the shortest; None where the samples have no rows."""
    found = []
    for value in attempts:
        length = value.row_length
        whole = len(value.samples) // length if length > 0 and not value.why_no_samples else 0
        if whole:
            found.append(np.asarray(value.samples[: whole * length], dtype=np.float64).reshape(whole, length))
    if not found:
        return None
    shortest = min(rows.shape[1] for rows in found)
    stacked = np.vstack([rows[:, :shortest] for rows in found])
    return stacked if bool(np.isfinite(stacked).all()) else None


def _curve(entry: Entry, rows: Floats, scale: Scale, colours: Colours) -> Curve:
    width = -(-rows.shape[1] // _MOST_POINTS)
    low, middle, high = (
        np.array(
            [
                np.percentile(rows[:, start : start + width], percentile) / scale.divisor
                for start in range(0, rows.shape[1], width)
            ]
        )
        for percentile in (10, 50, 90)
    )
    # Gap i of an answer ends with token i + 2: the first token has no gap before it.
    starts = np.arange(0, rows.shape[1], width)
    ends = np.minimum(starts + width, rows.shape[1]) - 1
    return Curve(
        label=name_text(entry.result.job.variant),
        colour=colours.get(entry.artefact, 0),
        index=_rounded((starts + ends) / 2 + 2),
        middle=_rounded(middle),
        low=_rounded(low),
        high=_rounded(high),
    )


def _rounded(values: Sequence[float] | Floats) -> tuple[float, ...]:
    return tuple(map(rounded, values))
