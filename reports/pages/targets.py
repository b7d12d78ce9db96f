"""All targets of a suite on one page: a matrix of variants and hardware targets for each metric.

Above it stands what passes where. Times of different devices are not ranked: a cell is tinted by its own budget only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchharness.judge.answer import (
    Across,
    Answer,
    AnswerKind,
    Cell,
    Column,
    Place,
    Row,
    across,
    findings,
    worst_last,
)
from benchharness.metrics import Better
from benchharness.units import Scale
from reports.model.foot import Foot, foot_of
from reports.model.found import Found
from reports.model.gate import GateTold, gate_told
from reports.model.links import Link
from reports.model.visible import name_text, value_text
from reports.pages.cells import Shown, empty, scale_of, shown
from reports.pages.environment import environment
from reports.pages.jobs import anchors


@dataclass(frozen=True, kw_only=True)
class Head:
    """A hardware target at the head of a table; `limit` is that of the metric there, after a gate's verdict."""

    title: str
    href: str
    limit: str


@dataclass(frozen=True, kw_only=True)
class MetricTable:
    """One metric of every variant on every hardware target."""

    id: str
    title: str
    better: str
    heads: tuple[Head, ...]
    rows: tuple[tuple[str, tuple[Shown, ...]], ...]  # (variant, its cells)

    @property
    def turned(self) -> bool:
        """Whether it is shown with a line for each target: side by side so many are read by nobody."""
        return len(self.heads) > MOST_ACROSS

    @property
    def lines(self) -> Iterator[tuple[Head, tuple[Shown, ...]]]:
        """A line for each target, the worst one first."""
        for at in reversed(range(len(self.heads))):
            yield self.heads[at], tuple(cells[at] for _, cells in self.rows)


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """One model and workload: what passes where, and a table for each metric."""

    id: str
    subject: str
    findings: tuple[str, ...]
    tables: tuple[MetricTable, ...]


@dataclass(frozen=True, kw_only=True)
class TargetsPage:
    """A suite over all of its hardware targets."""

    title: str
    matrices: tuple[Matrix, ...]
    foot: Foot


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where a hardware target's own page and its jobs stand."""

    page: str
    jobs: str


Key = tuple[str, int | None, str]
_VERDICTS = ("Gate red", "Gate undecided", "Gate green")
#: So many targets stand side by side, and are linked to at the head of the page.
MOST_ACROSS = 12
#: So many targets are named in a finding.
_MOST_NAMED = 8


def render_targets(found: Sequence[Found], places: Sequence[Places], links: Sequence[Link], written: str) -> str:
    """The page as HTML; `places` are those of the hardware targets, in the order of `found`."""
    page = targets_page(found, places, written)
    return environment().get_template("pages/targets.html.j2").render(page=page, links=links)


def targets_page(found: Sequence[Found], places: Sequence[Places], written: str) -> TargetsPage:
    """The page as plain data; each of `found` is of another hardware target."""
    subjects = dict.fromkeys((answer.model, answer.workload) for each in found for answer in each.answers)
    suite = name_text(found[0].run.suite)
    return TargetsPage(
        title=f"{suite} on {len(found)} hardware target{'' if len(found) == 1 else 's'}",
        matrices=tuple(
            _matrix(f"m{number}", model, workload, found, places)
            for number, (model, workload) in enumerate(subjects, start=1)
        ),
        foot=foot_of(found, written),
    )


@dataclass(frozen=True, kw_only=True)
class Target:
    """A hardware target of one matrix: what it answers, its columns by metric, and where its pages stand."""

    answer: Answer
    columns: Mapping[Key, tuple[int, Column]]
    page: str
    jobs: Mapping[str, str]  # where the details of each job stand, by its key


def _matrix(name: str, model: str, workload: str, found: Sequence[Found], places: Sequence[Places]) -> Matrix:
    pairs = zip(found, places, strict=True)
    targets = [_target(each, place, _answer(each, model, workload)) for each, place in pairs]
    lines = across([target.answer for target in targets])
    gates = {name_text(each.hardware): told for each in found if (told := gate_told(each.since, each.run.state))}
    return Matrix(
        id=name,
        subject=f"{name_text(model)} · {name_text(workload)}",
        findings=(*_gated(gates), *_findings(lines, targets, bool(gates))),
        tables=tuple(_tables(name, lines, targets, [gates.get(name_text(each.hardware)) for each in found])),
    )


def _target(found: Found, place: Places, answer: Answer) -> Target:
    return Target(
        answer=answer,
        columns={_key(column): (at, column) for at, column in enumerate(answer.columns)},
        page=place.page,
        jobs={key: f"{place.jobs}#{anchor}" for key, anchor in anchors(found).items()},
    )


def _answer(found: Found, model: str, workload: str) -> Answer:
    """What a target answers; one without rows where the model was not run there."""
    mine = (each for each in found.answers if (each.model, each.workload) == (model, workload))
    return next(mine, None) or _nothing(found.hardware, model, workload)


def _nothing(hardware: str, model: str, workload: str) -> Answer:
    return Answer(
        hardware=hardware,
        model=model,
        workload=workload,
        kind=AnswerKind.NOT_TRUSTWORTHY,
        headline="",
        sentences=(),
        columns=(),
        rows=(),
        named="",
    )


def _gated(gates: Mapping[str, GateTold]) -> Iterator[str]:
    """Where which verdict was given, the worst first; each names its targets, or most of them how many."""
    for verdict in sorted({told.verdict for told in gates.values()}, key=_VERDICTS.index):
        where = [name for name, told in gates.items() if told.verdict == verdict]
        named = ", ".join(where[:_MOST_NAMED])
        more = f" and {len(where) - _MOST_NAMED} more" if len(where) > _MOST_NAMED else ""
        yield f"{verdict} on {len(where)} of {len(gates)}: {named}{more}."


def _findings(lines: Sequence[Across], targets: Sequence[Target], gated: bool) -> Iterator[str]:
    if not any(target.answer.budgets or target.answer.unmeasured for target in targets):
        if not gated:
            yield "No budgets set: nothing passes or fails."
        return
    yield from (value_text(f"{finding}.") for finding in findings(lines))


def _tables(
    name: str, lines: Sequence[Across], targets: Sequence[Target], gates: Sequence[GateTold | None]
) -> Iterator[MetricTable]:
    ranks = [-_VERDICTS.index(gate.verdict) if gate else -len(_VERDICTS) for gate in gates]
    order = sorted(worst_last(lines), key=lambda at: ranks[at])
    configured = _configurations(lines)
    for number, key in enumerate(_keys(targets), start=1):
        here = [target.columns.get(key) for target in targets]
        one = next(column for _, column in filter(None, here))
        scale = scale_of([figure for target in targets for figure in _figures(target, key)])
        yield MetricTable(
            id=f"{name}-{number}",
            title=name_text(one.title),
            better="" if one.better is Better.NEITHER else f"{one.better} is better",
            heads=tuple(_head(targets[at], here[at], gates[at]) for at in order),
            rows=tuple(
                (
                    name_text(line.variant),
                    tuple(_shown(line.places[at], here[at], scale, targets[at], configured) for at in order),
                )
                for line in lines
            ),
        )


def _head(target: Target, column: tuple[int, Column] | None, gate: GateTold | None) -> Head:
    limit = name_text(column[1].limit_text if column else "")
    told = ", ".join(filter(None, [gate.verdict if gate else "", limit]))
    return Head(title=name_text(target.answer.hardware), href=target.page, limit=told)


def _figures(target: Target, key: Key) -> Iterator[tuple[Column, Cell]]:
    """Every figure of a metric on a target."""
    if key in target.columns:
        at, column = target.columns[key]
        yield from ((column, row.cells[at]) for row in target.answer.rows)


def _key(column: Column) -> Key:
    return column.metric, column.percentile, column.output


def _keys(targets: Sequence[Target]) -> list[Key]:
    """Every metric of some target: those with a budget anywhere first."""
    keys = dict.fromkeys(key for target in targets for key in target.columns)
    budgeted = {key for target in targets for key, (_, column) in target.columns.items() if column.budget}
    return sorted(keys, key=lambda key: key not in budgeted)


def _configurations(lines: Sequence[Across]) -> bool:
    """Whether the best rows of variants are not all of one configuration, so that each cell has to say its own."""
    rows = (place.row for line in lines for place in line.places)
    return len({row.configuration for row in rows if row}) > 1


def _shown(
    place: Place, column: tuple[int, Column] | None, scale: Scale | None, target: Target, configured: bool
) -> Shown:
    row = place.row
    if row is None:
        return empty("not run here")
    if column is None:
        return empty(_failed(row) or "not measured here")
    at, one = column
    cell = row.cells[at]
    if cell.estimate is None and not cell.is_reference and _failed(row):
        return empty(_failed(row))
    return shown(cell, one, scale, target.jobs, row.configuration if configured else "")


def _failed(row: Row) -> str:
    failed = (f"failed: {each.job.scenario} {each.outcome.kind}" for each in row.results if not each.outcome.ok)
    return next(failed, "")
