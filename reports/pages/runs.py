"""Two or more runs on one hardware target: what changed between them, and each figure of each run.

Runs an hour apart agree within their intervals in 71 % of figures, because a machine's own speed moves. So times and
memory of different runs are called neither better nor worse; what no attempt can change is compared exactly.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from benchharness.judge.answer import Answer, Cell, Column, worst_first
from benchharness.judge.unequal import Factor, differences
from benchharness.metrics import Unit
from benchharness.results.result import EXACT, Estimate, Result
from benchharness.units import Scale, quantity_text
from reports.model.foot import Foot, foot_of, moment
from reports.model.found import Found
from reports.model.links import Link
from reports.model.visible import name_text, value_text
from reports.pages.cells import Shown, empty, scale_of, shown
from reports.pages.changes import Change, changes
from reports.pages.environment import environment
from reports.pages.jobs import anchors

_MOST_NAMED = 4
_MOST_HEADLINES = 2
#: A share of what a value may differ by and still be the same: doubles that were added up in another order.
_ROUNDING = 1e-9


@dataclass(frozen=True, kw_only=True)
class Head:
    """A run at the head of a table, and what it answered."""

    title: str
    id: str
    state: str
    headlines: tuple[str, ...]
    href: str  # its jobs


class Said(Enum):
    """What the figures of a line come to."""

    DIFFER = 1
    ALIKE = 2  # no clear difference
    ONCE = 4  # not in every run, or in none
    APART = 3  # not comparable


@dataclass(frozen=True, kw_only=True)
class Line:
    """A variant, a configuration and a metric; `said` is all that may be said of the runs' figures together."""

    who: str
    metric: str
    cells: tuple[Shown, ...]
    said: str
    kind: Said


@dataclass(frozen=True, kw_only=True)
class Lost:
    """What a row has no figure of in one run, though it has in another, and why."""

    who: str
    run: str
    metrics: tuple[str, ...]
    why: str

    def __str__(self) -> str:
        more = f" and {len(self.metrics) - _MOST_NAMED} more" if len(self.metrics) > _MOST_NAMED else ""
        return f"{self.who} has no {', '.join(self.metrics[:_MOST_NAMED])}{more} in the run of {self.run}: {self.why}."


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One model and workload. `apart` are figures of jobs that were asked for otherwise, each with the reason."""

    subject: str
    lost: tuple[Lost, ...]
    differ: tuple[Line, ...]
    alike: tuple[Line, ...]
    apart: tuple[Line, ...]


@dataclass(frozen=True, kw_only=True)
class RunsPage:
    """Several runs on one hardware target."""

    title: str
    headline: str  # whether the answer is still the same
    finding: str
    heads: tuple[Head, ...]
    changes: tuple[Change, ...]
    compared: tuple[Compared, ...]
    foot: Foot


Metric = tuple[str, int | None, str]


@dataclass(frozen=True, kw_only=True)
class Key:
    """What two runs' figures share: the row of an answer, and the metric."""

    variant: str
    configuration: str
    metric: Metric


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A cell of a run's answer with its column, and the result that it is of."""

    column: Column
    cell: Cell
    result: Result | None
    like: str  # the cell of the result's job: equal where figures may be compared


def render_runs(found: Sequence[Found], hrefs: Sequence[str], links: Sequence[Link], written: str) -> str:
    """The page as HTML; `hrefs` lead to the jobs of each run."""
    page = runs_page(found, hrefs, written)
    return environment().get_template("pages/runs.html.j2").render(page=page, links=links)


def runs_page(found: Sequence[Found], hrefs: Sequence[str], written: str) -> RunsPage:
    """The page as plain data; every one of `found` is of the same hardware target, in order of time."""
    changed = changes(found)
    subjects = dict.fromkeys((answer.model, answer.workload) for each in found for answer in each.answers)
    compared = tuple(_compared(model, workload, found, hrefs) for model, workload in subjects)
    return RunsPage(
        title=f"{len(found)} runs on {name_text(found[0].hardware)}",
        headline=_headline(found),
        finding=" ".join([_finding(changed), *_no_longer(compared, moment(found[-1].run.started))]),
        heads=tuple(_head(each, href) for each, href in zip(found, hrefs, strict=True)),
        changes=changed,
        compared=compared,
        foot=foot_of(found, written),
    )


def _headline(found: Sequence[Found]) -> str:
    """What the last run answers, and what the first did where that is another thing."""
    first, last = (
        {(each.model, each.workload): each.headline for each in run.answers} for run in (found[0], found[-1])
    )
    subjects = dict.fromkeys((*first, *last))
    others = [subject for subject in subjects if first.get(subject) != last.get(subject)]
    if not subjects:
        return "No results"
    if not others:
        return f"Same answer: {value_text(next(iter(last.values())))}" if len(subjects) == 1 else "Same answers"
    told = [
        (f"{' · '.join(subject)}: " if len(subjects) > 1 else "")
        + f"{last.get(subject, 'not run')} (was: {first.get(subject, 'not run')})"
        for subject in others[:_MOST_HEADLINES]
    ]
    more = f"; and {len(others) - _MOST_HEADLINES} more" if len(others) > _MOST_HEADLINES else ""
    return value_text(f"New answer: {'; '.join(told)}{more}")


def _finding(changed: Sequence[Change]) -> str:
    if not changed:
        return "Nothing that is recorded changed between them."
    names = [change.what for change in changed]
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return f"Changed: {', '.join(names[:_MOST_NAMED])}{more}."


def _head(found: Found, href: str) -> Head:
    several = len(found.answers) > 1
    return Head(
        title=moment(found.run.started),
        id=name_text(found.run.id),
        state=name_text(found.run.state),
        headlines=tuple(
            value_text(f"{answer.model} · {answer.workload}: {answer.headline}" if several else answer.headline)
            for answer in worst_first(found.answers)
        ),
        href=href,
    )


def _compared(model: str, workload: str, found: Sequence[Found], hrefs: Sequence[str]) -> Compared:
    told = [_figures(each, model, workload) for each in found]
    jobs = [_places(each, href) for each, href in zip(found, hrefs, strict=True)]
    scales = _scales(told)
    lines = [_line(key, [each.get(key) for each in told], scales[key.metric], jobs) for key in _in_order(told)]
    by_kind = {kind: tuple(line for line in lines if line.kind is kind) for kind in Said}
    return Compared(
        subject=f"{name_text(model)} · {name_text(workload)}",
        lost=tuple(_lost(by_kind[Said.ONCE], [moment(each.run.started) for each in found])),
        differ=by_kind[Said.DIFFER],
        alike=by_kind[Said.ALIKE],
        apart=by_kind[Said.APART],
    )


def _line(key: Key, figures: Sequence[Figure | None], scale: Scale | None, jobs: Sequence[Mapping[str, str]]) -> Line:
    measured = [figure for figure in figures if figure]
    column = measured[0].column
    said, kind = _unlike(measured), Said.APART
    if not said:
        said, kind = _said([figure.cell.estimate for figure in measured], column)
    return Line(
        who=f"{name_text(key.variant)} · {name_text(key.configuration)}",
        metric=name_text(column.title),
        cells=tuple(_shown(figure, scale, here) for figure, here in zip(figures, jobs, strict=True)),
        said=said,
        kind=kind,
    )


def _lost(lines: Sequence[Line], runs: Sequence[str]) -> Iterator[Lost]:
    """One for each row and run; a row that never had a figure lost none."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for line in lines:
        if any(cell.quantity for cell in line.cells):
            for cell, run in zip(line.cells, runs, strict=True):
                if not cell.quantity:
                    found.setdefault((line.who, run, cell.why), []).append(line.metric)
    for (who, run, why), metrics in found.items():
        yield Lost(who=who, run=run, metrics=tuple(metrics), why=why)


def _no_longer(compared: Sequence[Compared], last: str) -> Iterator[str]:
    """Which rows lost figures in the last run."""
    names = list(dict.fromkeys(each.who for one in compared for each in one.lost if each.run == last))
    if names:
        more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
        yield f"No longer measured in full: {', '.join(names[:_MOST_NAMED])}{more}."


def _places(found: Found, href: str) -> dict[str, str]:
    return {key: f"{href}#{anchor}" for key, anchor in anchors(found).items()}


def _figures(found: Found, model: str, workload: str) -> dict[Key, Figure]:
    """The figures of a run's answer by variant, configuration and metric."""
    answer = next((each for each in found.answers if (each.model, each.workload) == (model, workload)), None)
    return dict(_each_figure(answer)) if answer else {}


def _each_figure(answer: Answer) -> Iterator[tuple[Key, Figure]]:
    for row in answer.rows:
        results = {result.job.key: (result, result.job.cell) for result in row.results}
        for column, cell in zip(answer.columns, row.cells, strict=True):
            metric = (column.metric, column.percentile, column.output)
            key = Key(variant=row.variant, configuration=row.configuration, metric=metric)
            result, like = results.get(cell.job, (None, ""))
            yield key, Figure(column=column, cell=cell, result=result, like=like)


def _in_order(told: Sequence[Mapping[Key, Figure]]) -> list[Key]:
    """The figures of one variant and configuration together, in the order of the first run."""
    keys = dict.fromkeys(key for figures in told for key in figures)
    rows: dict[tuple[str, str], list[Key]] = {}
    for key in keys:
        rows.setdefault((key.variant, key.configuration), []).append(key)
    return [key for together in rows.values() for key in together]


def _scales(told: Sequence[Mapping[Key, Figure]]) -> dict[Metric, Scale | None]:
    """One multiple for each metric over all rows and runs."""
    by_metric: dict[Metric, list[tuple[Column, Cell]]] = {}
    for figures in told:
        for key, figure in figures.items():
            by_metric.setdefault(key.metric, []).append((figure.column, figure.cell))
    return {metric: scale_of(figures) for metric, figures in by_metric.items()}


def _shown(figure: Figure | None, scale: Scale | None, jobs: Mapping[str, str]) -> Shown:
    return shown(figure.cell, figure.column, scale, jobs) if figure else empty("not in this run")


def _unlike(figures: Sequence[Figure]) -> str:
    """Why figures of one row stand apart: their jobs were asked for otherwise; "" where they were not."""
    measured = [(figure.result, figure.like) for figure in figures if figure.result]
    other = next((result for result, like in measured if like != measured[0][1]), None)
    if other is None:
        return ""
    first, _ = measured[0]
    told = [*differences(first, other, Factor.CONFIGURATION), *_configured(first, other)]
    return value_text("; ".join(told) or "asked for otherwise")


def _configured(one: Result, other: Result) -> Iterator[str]:
    ours, theirs = one.job.configuration.to_json(), other.job.configuration.to_json()
    for name in dict.fromkeys((*ours, *theirs)):
        if ours.get(name) != theirs.get(name):
            yield f"{name} {value_text(ours.get(name))} against {value_text(theirs.get(name))}"


def _said(estimates: Sequence[Estimate | None], column: Column) -> tuple[str, Said]:
    """What may be said of the first run's figure and the last's."""
    measured = [each for each in estimates if each is not None and each.value is not None]
    if len(measured) < 2:
        return ("in one run only" if measured else "no figure"), Said.ONCE
    first, last = measured[0], measured[-1]
    if _exact(first) and _exact(last):
        return _exactly(first, last, column)
    if None in (first.low, first.high, last.low, last.high):
        return "an interval is missing", Said.ALIKE
    if not (first.clearly_below(last, 0.0) or last.clearly_below(first, 0.0)):
        return "intervals overlap", Said.ALIKE
    return f"{_change(first, last, column)}: only pairs decide", Said.DIFFER


def _exact(estimate: Estimate) -> bool:
    """Whether no attempt can change it: sizes, and what is counted over the same inputs."""
    return estimate.statistic == EXACT or estimate.drawn > 0


def _exactly(first: Estimate, last: Estimate, column: Column) -> tuple[str, Said]:
    assert first.value is not None
    assert last.value is not None
    if abs(last.value - first.value) <= _ROUNDING * max(abs(last.value), abs(first.value)):
        return "the same", Said.ALIKE
    return f"{_change(first, last, column)}, exactly", Said.DIFFER


def _change(first: Estimate, last: Estimate, column: Column) -> str:
    """How the last differs from the first: in percent, or in the unit where a percentage would mislead."""
    assert first.value is not None
    assert last.value is not None
    change = last.value - first.value
    sign = "+" if change > 0 else "\N{MINUS SIGN}"
    if column.unit == Unit.SHARE:
        return f"{sign}{quantity_text(100 * abs(change), '')} points"
    if column.unit in _NO_RATIOS or first.value <= 0:
        return f"{sign}{quantity_text(abs(change), column.unit)}"
    return f"{sign}{quantity_text(100 * abs(change) / first.value, '')} %"


#: Zero of these is no nothing.
_NO_RATIOS = (Unit.BITS_PER_BYTE, Unit.DECIBELS, Unit.NATS, Unit.NUMBER)
