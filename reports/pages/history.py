"""The page of a store's history: what changed and why, what is missing, and a drawing for each figure that matters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median

from benchharness.judge.step_words import (
    bridged_text,
    cause_text,
    date_text,
    family_text,
    figure_text,
    fleet_lines,
    gap_text,
    headline,
    interval_text,
    machines_text,
    nights_text,
    remarks,
    size_text,
    when_text,
    whose_text,
    worse_text,
)
from benchharness.metrics import METRICS
from benchharness.results.result import Estimate
from benchharness.results.trends import Certainty, History, Step, Track, Trend
from benchharness.units import Scale, common_scale, quantity_text, scale_for
from reports.figures.figure import Ends
from reports.figures.trend import Line, Mark, TrendChart
from reports.model.estimates import quantity
from reports.model.foot import Foot, moment
from reports.model.links import Link
from reports.model.numbers import rounded
from reports.model.tables import Quantity
from reports.model.visible import name_text, value_text
from reports.pages.environment import environment

#: Drawings on a page, and nights in the table beneath each; changes that are listed. The rest is counted.
MOST_DRAWN, _MOST_NIGHTS, _MOST_LISTED = 40, 40, 100
_DAY_S = 86400.0


@dataclass(frozen=True, kw_only=True)
class Change:
    """A step, in words."""

    when: str
    whose: str
    figure: str
    size: str
    interval: str
    verdict: str  # worse, better or ""
    cause: str
    href: str  # its drawing's place; "" where none is drawn


@dataclass(frozen=True, kw_only=True)
class Row:
    """A figure in a line: what it was last, and its last step or why it has none."""

    whose: str
    figure: str
    newest: Quantity
    ratio: str
    step: str
    verdict: str
    missing: str


@dataclass(frozen=True, kw_only=True)
class Multiple:
    """A figure with its drawing, and its newest nights as rows (date, value, ratio, base)."""

    anchor: str
    whose: str
    figure: str
    row: Row
    chart: TrendChart
    nights: tuple[tuple[str, str, str, str], ...]
    left_out: int
    bridged: tuple[str, ...]  # which of them are told by a bridge, and by what


@dataclass(frozen=True, kw_only=True)
class FleetLine:
    """A figure of several devices of one target, in words."""

    whose: str
    figure: str
    told: str
    odd: bool


@dataclass(frozen=True, kw_only=True)
class HistoryPage:
    """Everything on the page."""

    title: str
    finding: str
    remarks: tuple[str, ...]
    sees: tuple[str, ...]  # what the machines can see, as their self-tests say
    confirmed: tuple[Change, ...]
    likely: tuple[Change, ...]
    drift: tuple[Change, ...]
    more: tuple[int, ...]  # of each of these so many are left out
    missing: tuple[Row, ...]
    more_missing: int
    multiples: tuple[Multiple, ...]
    others: tuple[Row, ...]
    fleets: tuple[FleetLine, ...]
    more_fleets: int
    foot: Foot


def render_history(history: History, links: Sequence[Link], now: datetime, most_drawn: int = MOST_DRAWN) -> str:
    """The page as HTML."""
    page = history_page(history, now, most_drawn)
    return environment().get_template("pages/history.html.j2").render(page=page, links=links)


def history_page(history: History, now: datetime, most_drawn: int = MOST_DRAWN) -> HistoryPage:
    """The page as plain data."""
    ordered = sorted(history.trends, key=_rank)
    drawn = {id(trend): f"trend-{number}" for number, trend in enumerate(ordered[:most_drawn], start=1)}
    changes = [
        [_change(history, *each, drawn) for each in history.steps(certainty)]
        for certainty in (Certainty.CONFIRMED, Certainty.LIKELY, Certainty.DRIFT)
    ]
    confirmed, likely, drift = (tuple(each[:_MOST_LISTED]) for each in changes)
    gone = history.missing
    return HistoryPage(
        title=f"History: {headline(history)}",
        finding=_finding(history),
        remarks=tuple(value_text(each) for each in remarks(history)),
        sees=tuple(value_text(each) for each in machines_text(history)),
        confirmed=confirmed,
        likely=likely,
        drift=drift,
        more=tuple(max(len(each) - _MOST_LISTED, 0) for each in changes),
        missing=tuple(_row(trend, history) for trend in gone[:_MOST_LISTED]),
        more_missing=max(len(gone) - _MOST_LISTED, 0),
        multiples=tuple(_multiple(trend, drawn[id(trend)], history) for trend in ordered[:most_drawn]),
        others=tuple(_row(trend, history) for trend in history.trends if id(trend) not in drawn),
        fleets=tuple(_fleets(history))[:_MOST_LISTED],
        more_fleets=max(len(history.fleets) - _MOST_LISTED, 0),
        foot=Foot(runs=(), written=moment(now)),
    )


def _rank(trend: Trend) -> tuple[bool, bool, bool, bool, bool]:
    """What a reader looks for first is drawn: what changed, what is missing, what has a budget, what is named."""
    kinds = {step.certainty for step in trend.steps}
    return (
        Certainty.CONFIRMED not in kinds,
        Certainty.LIKELY not in kinds,
        trend.gap is None,
        trend.limit is None,
        not METRICS[trend.metric].headline,
    )


def _finding(history: History) -> str:
    if not history.nights:
        return "No night is in this store."
    return f"{nights_text(history)}. {family_text(history)}."


def _change(history: History, trend: Trend, step: Step, drawn: dict[int, str]) -> Change:
    return Change(
        when=when_text(history, step),
        whose=_whose(trend),
        figure=value_text(figure_text(trend)),
        size=size_text(step, trend.unit),
        interval=interval_text(step),
        verdict=worse_text(step),
        cause=value_text(cause_text(step)),
        href=f"#{drawn[id(trend)]}" if id(trend) in drawn else "",
    )


def _whose(trend: Trend) -> str:
    parts = (trend.hardware, trend.model, *whose_text(trend).split(" · "))
    return value_text(" · ".join(name_text(part) or "(no name)" for part in parts))


def _row(trend: Trend, history: History) -> Row:
    step = trend.change
    told = "no step" if step is None else f"{size_text(step, trend.unit)} on {date_text(history, step.night)}"
    return Row(
        whose=_whose(trend),
        figure=value_text(figure_text(trend)),
        newest=quantity(_newest(trend.absolute), trend.unit, None),
        ratio=_times(trend.ratio, -1) if trend.ratio else "no base",
        step=told if step is None or step.certainty is Certainty.CONFIRMED else f"likely {told}",
        verdict="" if step is None else worse_text(step),
        missing=value_text(gap_text(trend.gap)) if trend.gap else "",
    )


def _newest(track: Track) -> Estimate:
    low, high = track.lows[-1], track.highs[-1]
    reason = "" if low is not None and high is not None else "one attempt"
    return Estimate(value=track.values[-1], low=low, high=high, count=track.counts[-1], reason=reason)


def _fleets(history: History) -> Iterator[FleetLine]:
    """Those with a device that stands out first, then those with steps."""
    for fleet, told in sorted(fleet_lines(history), key=lambda each: (not each[0].stands_out, not each[0].steps)):
        trend = fleet.trends[0]
        yield FleetLine(
            whose=_whose(trend), figure=value_text(figure_text(trend)), told=value_text(told), odd=fleet.stands_out
        )


def _times(track: Track, at: int) -> str:
    value, low, high = track.values[at], track.lows[at], track.highs[at]
    return f"× {quantity_text(value, '', half=0.0 if low is None or high is None else (high - low) / 2)}"


# Drawings


def _multiple(trend: Trend, anchor: str, history: History) -> Multiple:
    scale = common_scale(trend.unit, list(trend.absolute.values)) or scale_for(trend.unit, trend.absolute.values[-1])
    nights = tuple(_nights(trend, history, scale))
    return Multiple(
        anchor=anchor,
        whose=_whose(trend),
        figure=value_text(figure_text(trend)),
        row=_row(trend, history),
        chart=_chart(trend, history, scale),
        nights=nights[-_MOST_NIGHTS:][::-1],
        left_out=max(len(nights) - _MOST_NIGHTS, 0),
        bridged=tuple(value_text(each) for each in bridged_text(trend)),
    )


def _nights(trend: Trend, history: History, scale: Scale) -> Iterator[tuple[str, str, str, str]]:
    ratios = {night: at for at, night in enumerate(trend.ratio.nights)}
    bases = {night: at for at, night in enumerate(trend.base.nights)}
    over = {night for each in trend.bridged for night in each.nights}
    for at, night in list(enumerate(trend.absolute.nights)):
        base = quantity_text(trend.base.values[bases[night]], trend.unit, scale) if night in bases else "none"
        ratio = _times(trend.ratio, ratios[night]) if night in ratios else "none"
        if night in over:
            base = f"{base}, by the bridge"
        yield date_text(history, night), quantity_text(trend.absolute.values[at], trend.unit, scale), ratio, base


def _chart(trend: Trend, history: History, scale: Scale) -> TrendChart:
    days = _days(history, trend)
    here = [at for at, night in enumerate(history.nights) if night.suite == trend.suite]
    first, last = (date_text(history, here[end]) for end in (0, -1))
    if first == last and len(here) > 1:  # several runs of one day
        first, last = (f"{history.nights[here[end]].started:%H:%M}" for end in (0, -1))
    return TrendChart(
        title=f"{value_text(figure_text(trend))}, {_whose(trend)}",
        unit=scale.symbol or "value",
        note="",
        first=first,
        last=last,
        days=days[here[-1]],
        absolute=_line(trend.absolute, days, 1 / scale.divisor),
        ratio=_line(trend.ratio, days, 1.0) if trend.ratio else None,
        drift=_line(trend.base, days, _to_level(trend) / scale.divisor) if trend.base else None,
        limit=None if trend.limit is None else rounded(trend.limit / scale.divisor),
        marks=tuple(
            Mark(
                day=days[step.night],
                confirmed=step.certainty is Certainty.CONFIRMED,
                verdict=worse_text(step),
                text=f"{when_text(history, step)}: {size_text(step, trend.unit)} {worse_text(step)}".rstrip(),
            )
            for step in trend.steps
        ),
    )


def _days(history: History, trend: Trend) -> list[float]:
    """By night, the days since the first night of the trend's suite."""
    first = next(night.started for night in history.nights if night.suite == trend.suite)
    return [(night.started - first).total_seconds() / _DAY_S for night in history.nights]


def _to_level(trend: Trend) -> float:
    """What brings the base's values to where the figure's began, so that one can be seen move with the other."""
    nights = set(trend.base.nights)
    own = [value for night, value in zip(trend.absolute.nights, trend.absolute.values, strict=True) if night in nights]
    few = max(len(own) // 4, 1)
    return median(own[:few]) / median(trend.base.values[:few])


def _line(track: Track, days: Sequence[float], factor: float) -> Line:
    return Line(
        days=tuple(days[night] for night in track.nights),
        ends=tuple(_ends(*each, factor) for each in zip(track.values, track.lows, track.highs, strict=True)),
    )


def _ends(value: float, low: float | None, high: float | None, factor: float) -> Ends:
    lower, upper = (value if end is None else end for end in (low, high))
    return rounded(value * factor), rounded(lower * factor), rounded(upper * factor)
