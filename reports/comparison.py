"""The table that compares the variants and configurations of one model on one workload, and who leads in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from benchharness.judge.unequal import Factor, differences
from benchharness.metrics import Better
from benchharness.results.result import EXACT, TELLS_APART, Estimate, MetricResult
from reports.columns import Measure, cell_of, column, column_groups, find, joined, measures_of, scale_of
from reports.conditions import conditions_of, notices_of
from reports.contrasts import contrasts_of
from reports.entries import Colours, Entry, by_row, configuration_name
from reports.estimates import better_of, quantity, ratio
from reports.jobs import ended_of, job_detail, warnings_of
from reports.memory import memory_of
from reports.page import Comparison, Facts, Leader, Row, Warned
from reports.placement import placements_of
from reports.series import figures_of
from reports.sizes import is_smallest, sizes_of, smallest
from reports.tables import Cell, Ratio
from reports.units import Scale
from reports.visible import fact_texts, name_text, value_text

_MOST_NAMES = 3


def comparison(anchor: str, entries: Sequence[Entry], colours: Colours) -> Comparison:
    """One model on one workload; `entries` are its jobs, `colours` numbers the model's variants."""
    job = entries[0].result.job
    entries = _by_runtime(entries)
    rows = by_row(entries)
    anchors = [f"{anchor}-row-{number}" for number in range(1, len(rows) + 1)]
    measures = measures_of(entries)
    found = [[find(row, measure) for measure in measures] for row in rows]
    apart = [_apart(measure, rows, [line[at] for line in found]) for at, measure in enumerate(measures)]
    bests = [_best(measure, rows, [line[at] for line in found], apart[at]) for at, measure in enumerate(measures)]
    scales = [scale_of(line[at] for line in found) for at in range(len(measures))]
    cells = [
        joined(
            (
                replace(
                    cell_of(row, measure, scales[at], _to_reference),
                    best=number in bests[at] and not _tied(number, rows, [line[at] for line in found]),
                )
                for at, measure in enumerate(measures)
            ),
            states=("absent",),
        )
        for number, row in enumerate(rows)
    ]
    conditions = conditions_of(entries)
    common = _carried_by_all(entries)
    headings = _headings(rows)
    return Comparison(
        anchor=anchor,
        model=name_text(job.model),
        workload=name_text(job.workload.name),
        task=_task(entries),
        configuration=_only([configuration_name(entry.result.job.configuration) for entry in entries]),
        asked=_asked(job.workload.to_json()),
        leaders=tuple(_leaders(rows, measures, found, bests, scales)),
        smallest=smallest(rows),
        failed=sum(not entry.result.outcome.ok for entry in entries),
        jobs=len(entries),
        groups=tuple(column_groups(measures, entries)),
        rows=tuple(_row(anchors[at], headings[at], row, cells[at], rows, common) for at, row in enumerate(rows)),
        notices=(*notices_of(entries, conditions), *_no_leaders(measures, apart)),
        warnings=tuple(common),
        conditions=conditions,
        figures=figures_of(entries, colours),
        runtimes=contrasts_of(rows, anchors),
        placements=placements_of(rows),
        memory=memory_of([entry for entry in entries if not entry.weights_only], colours),
        details=tuple(job_detail(entry) for entry in entries),
    )


def _by_runtime(entries: Sequence[Entry]) -> list[Entry]:
    """Those of one runtime together, in the order in which the runtimes come first."""
    runtimes = list(dict.fromkeys(_runtime(entry) for entry in entries))
    return sorted(entries, key=lambda entry: runtimes.index(_runtime(entry)))


def _runtime(entry: Entry) -> str:
    return name_text(entry.result.job.configuration.runtime or "runtime not recorded")


def _headings(rows: Sequence[Sequence[Entry]]) -> list[str]:
    """For each row the name of its runtime and its reference, where the rows of several runtimes begin."""
    references: dict[str, dict[str, None]] = {}
    for row in rows:
        references.setdefault(_runtime(row[0]), {})[name_text(row[0].result.job.reference)] = None
    if len(references) == 1:
        return ["" for _ in rows]
    headings = []
    for number, row in enumerate(rows):
        runtime = _runtime(row[0])
        begins = number == 0 or _runtime(rows[number - 1][0]) != runtime
        headings.append(f"{runtime}; reference: {', '.join(references[runtime])}" if begins else "")
    return headings


def _to_reference(entry: Entry, metric: MetricResult) -> Ratio:
    return ratio(metric, is_reference=entry.result.job.is_reference)


def _task(entries: Sequence[Entry]) -> str:
    """What the suite says, or what the device found out."""
    told = (entry.result.job.task or entry.result.effective.task for entry in entries)
    return name_text(next((task for task in told if task), "task not recorded"))


def _asked(workload: Mapping[str, Any]) -> Facts:
    shown = {key: value for key, value in workload.items() if key != "name" and value not in (None, {}, [])}
    return tuple(fact_texts(shown))


def _value(metric: MetricResult | None) -> float | None:
    return None if metric is None else metric.estimate.value


def _apart(
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


def _no_leaders(measures: Sequence[Measure], apart: Sequence[Mapping[str, str]]) -> Iterator[str]:
    about: dict[str, list[str]] = {}
    for measure, told in zip(measures, apart, strict=True):
        for reason in told.values():
            about.setdefault(reason, []).append(_leader_title(measure, measures))
    for reason, titles in about.items():
        yield f"No row leads in {', '.join(titles)}, because the rows did not do the same work. {reason}."


def _best(
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


def _tied(best: int, rows: Sequence[Sequence[Entry]], metrics: Sequence[MetricResult | None]) -> bool:
    """Whether another row of the run cannot be told from the best one: then no cell is marked as the best."""
    run = rows[best][0].run
    found = {
        number: metric.estimate
        for number, metric in enumerate(metrics)
        if metric is not None and metric.estimate.value is not None and rows[number][0].run == run
    }
    return any(_overlap(found[best], other) is not False for number, other in found.items() if number != best)


def _leaders(
    rows: Sequence[Sequence[Entry]],
    measures: Sequence[Measure],
    found: Sequence[Sequence[MetricResult | None]],
    bests: Sequence[Sequence[int]],
    scales: Sequence[Scale | None],
) -> list[Leader]:
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


def _row(
    anchor: str,
    heading: str,
    row: Sequence[Entry],
    cells: tuple[Cell, ...],
    rows: Sequence[Sequence[Entry]],
    common: Sequence[Warned],
) -> Row:
    job = row[0].result.job
    return Row(
        anchor=anchor,
        heading=heading,
        run=row[0].run,
        variant=name_text(job.variant),
        configuration=configuration_name(job.configuration),
        recipe=value_text(job.recipe),
        reference=job.is_reference,
        who=row[0].who,
        sizes=tuple(sizes_of(row, rows)),
        smallest=is_smallest(job, rows),
        cells=cells,
        ended=tuple(ended_of(entry) for entry in row),
        warnings=tuple(_merged(row, common)),
    )


def _carried_by_all(entries: Sequence[Entry]) -> list[Warned]:
    """Warnings that every job which was measured carries, told once for all of them."""
    measured = [warnings_of(entry) for entry in entries if entry.result.metrics]
    if len(measured) < 2:
        return []
    return [
        replace(warning, about="every job that has a value")
        for warning in measured[0]
        if all(any(_alike(warning, other) for other in others) for others in measured)
    ]


def _merged(row: Sequence[Entry], common: Sequence[Warned]) -> list[Warned]:
    """A row's warnings: those that several of its scenarios carry once, those that all rows carry not again."""
    found: list[Warned] = []
    for warning in (warning for entry in row for warning in warnings_of(entry)):
        if any(_alike(warning, other) for other in common):
            continue
        at = next((at for at, other in enumerate(found) if _alike(warning, other)), None)
        if at is None:
            found.append(warning)
        else:
            found[at] = replace(found[at], about=f"{found[at].about}, {warning.about}")
    return found


def _alike(warning: Warned, other: Warned) -> bool:
    return (warning.kind, warning.message, warning.hint) == (other.kind, other.message, other.hint)


def _only(names: Sequence[str]) -> str:
    return names[0] if len(set(names)) == 1 else ""
