"""Who leads in each column of a comparison, and who cannot be told from the leader."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchharness.judge.unequal import Factor, differences
from benchharness.metrics import Better
from benchharness.results.result import EXACT, TELLS_APART, Estimate, MetricResult
from benchharness.units import Scale
from reports.model.entries import Entry
from reports.model.estimates import better_of, quantity, ratio
from reports.model.tables import Quantity, Ratio
from reports.model.visible import name_text, value_text
from reports.sections.comparison.columns import Measure, column

_MOST_NAMES = 3


@dataclass(frozen=True, kw_only=True)
class Leader:
    """The best row of one headline metric. `beside`: rows that it is not clearly apart from.

    `over` names the reference that its ratio is to; "" where all rows have the same.
    """

    metric: str
    who: str
    quantity: Quantity
    ratio: Ratio | None
    over: str
    beside: str


def _value(metric: MetricResult | None) -> float | None:
    return None if metric is None else metric.estimate.value


def work_apart(
    measure: Measure, rows: Sequence[Sequence[Entry]], metrics: Sequence[MetricResult | None]
) -> Mapping[str, str]:
    """By run: what differs between the work of two rows of a column, so that neither leads; only where something does.

    Sizes are no work.
    """
    first: dict[str, Entry] = {}
    told: dict[str, str] = {}
    for row, metric in zip(rows, metrics, strict=True):
        if metric is None or metric.estimate.value is None or metric.estimate.statistic == EXACT:
            continue
        entry = next(entry for entry in row if entry.scenario == measure.scenario)
        other = first.setdefault(entry.run, entry)
        if entry is not other and (unequal := differences(entry.result, other.result, Factor.CONFIGURATION)):
            told.setdefault(entry.run, f"{entry.who} and {other.who}: {value_text('; '.join(unequal))}")
    return told


def no_leaders(measures: Sequence[Measure], apart: Sequence[Mapping[str, str]]) -> Iterator[str]:
    """Why no row leads where the rows did unequal work."""
    about: dict[str, list[str]] = {}
    for measure, told in zip(measures, apart, strict=True):
        for reason in told.values():
            about.setdefault(reason, []).append(_leader_title(measure, measures))
    for reason, titles in about.items():
        yield f"No row leads in {', '.join(titles)}, because the rows did not do the same work. {reason}."


def best_rows(
    measure: Measure,
    rows: Sequence[Sequence[Entry]],
    metrics: Sequence[MetricResult | None],
    apart: Mapping[str, str],
) -> list[int]:
    """Which row of each run has the best value; none where there is nothing to compare it with, or unequal work.

    An interval speaks of its own run, so rows of two runs are not ranked.
    """
    values = {number: value for number, metric in enumerate(metrics) if (value := _value(metric)) is not None}
    choose = max if better_of(measure.name) is Better.HIGHER else min
    bests = []
    for run in dict.fromkeys(rows[number][0].run for number in values):
        here = {number: value for number, value in values.items() if rows[number][0].run == run}
        if len(here) > 1 and run not in apart:
            bests.append(choose(here, key=here.__getitem__))
    return bests


def tied(best: int, rows: Sequence[Sequence[Entry]], metrics: Sequence[MetricResult | None]) -> bool:
    """Whether another row of the run cannot be told from the best one: then no cell is marked as the best."""
    run = rows[best][0].run
    found = {
        number: metric.estimate
        for number, metric in enumerate(metrics)
        if metric is not None and metric.estimate.value is not None and rows[number][0].run == run
    }
    return any(_overlap(found[best], other) is not False for number, other in found.items() if number != best)


def leaders(
    rows: Sequence[Sequence[Entry]],
    measures: Sequence[Measure],
    found: Sequence[Sequence[MetricResult | None]],
    bests: Sequence[Sequence[int]],
    scales: Sequence[Scale | None],
) -> list[Leader]:
    """The best row of each column, with who cannot be told from it."""
    references = {row[0].result.job.reference for row in rows}
    leaders = []
    for at, best in ((at, best) for at, several in enumerate(bests) for best in several):
        measure, metric, run = measures[at], found[best][at], rows[best][0].run
        if metric is None:
            continue
        job = rows[best][0].result.job
        others = {
            rows[number][0].who: other.estimate
            for number, line in enumerate(found)
            if number != best
            and rows[number][0].run == run
            and (other := line[at]) is not None
            and other.estimate.value is not None
        }
        leaders.append(
            Leader(
                metric=_leader_title(measure, measures),
                who=rows[best][0].who,
                quantity=quantity(metric.estimate, metric.unit, scales[at]),
                ratio=ratio(metric, is_reference=job.is_reference),
                over=name_text(job.reference) if len(references) > 1 and not job.is_reference else "",
                beside=_beside(metric.estimate, others),
            )
        )
    return leaders


def _leader_title(measure: Measure, measures: Sequence[Measure]) -> str:
    """The column's title, with what tells it from another column of the same metric."""
    whole = column(measure, {}, "")
    alike = [other for other in measures if other.name == measure.name]
    if len({other.scenario for other in alike}) > 1:
        return f"{whole.title}, {measure.scenario}"
    return f"{whole.title}, {whole.parameters}" if len(alike) > 1 else whole.title


def _beside(best: Estimate, others: Mapping[str, Estimate]) -> str:
    """Who cannot be told from the best: their intervals overlap, or there is none to tell by."""
    overlapping = [who for who, other in others.items() if _overlap(best, other)]
    blind = _blind(best, others)
    told = []
    if overlapping:
        told.append(f"interval overlaps with {_names(overlapping)}")
    if blind:
        told.append(f"no interval to tell it from {_names(blind)}")
    return "; ".join(told)


def _blind(best: Estimate, others: Mapping[str, Estimate]) -> list[str]:
    """Rows without an interval. Those behind one that is clearly apart need none: they are further off still."""
    nearest_first = sorted(others.items(), key=lambda item: abs((item[1].value or 0) - (best.value or 0)))
    found = []
    for who, other in nearest_first:
        overlap = _overlap(best, other)
        if overlap is False:
            break
        if overlap is None:
            found.append(who)
    return found


def _overlap(first: Estimate, second: Estimate) -> bool | None:
    if first.low is None or first.high is None or second.low is None or second.high is None:
        return None
    return not (first.clearly_below(second, TELLS_APART) or second.clearly_below(first, TELLS_APART))


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(names[:_MOST_NAMES]) + more
