"""The table that compares variants and configurations of one model on one workload, and what stands under it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from benchharness.results.result import MetricResult
from reports.figures.figure import Figure
from reports.model.conditions import Facts
from reports.model.entries import Entry, by_comparison, by_row, configuration_name, subject_of
from reports.model.estimates import ratio
from reports.model.jobs import Ended, JobDetail, Warned, ended_of, job_detail, warnings_of
from reports.model.section import Failure, Material, Section, SectionKind, Side
from reports.model.tables import Cell, ColumnGroup, Ratio, Size
from reports.model.visible import fact_texts, name_text, value_text
from reports.sections.comparison.columns import cell_of, column_groups, find, joined, measures_of, scale_of
from reports.sections.comparison.conditions import Conditions, conditions_of, notices_of
from reports.sections.comparison.leaders import Leader, best_rows, leaders, no_leaders, tied, work_apart
from reports.sections.comparison.memory import Memory, memory_of
from reports.sections.comparison.placement import Placements, placements_of
from reports.sections.comparison.runtimes import RuntimeContrasts, contrasts_of
from reports.sections.comparison.samples import figures_of
from reports.sections.comparison.sizes import Smallest, is_smallest, sizes_of, smallest


@dataclass(frozen=True, kw_only=True)
class Row:
    """A variant under a configuration, over all scenarios of one workload."""

    anchor: str
    heading: str  # of the runtime whose rows begin here; "" on the others, and where there is one runtime only
    run: str
    variant: str
    configuration: str
    recipe: str
    reference: bool
    who: str
    sizes: tuple[Size, ...]
    smallest: bool
    cells: tuple[Cell, ...]
    ended: tuple[Ended, ...]
    warnings: tuple[Warned, ...]


@dataclass(frozen=True, kw_only=True)
class Comparison(Section):
    """A model on a workload: what its variants and configurations cost."""

    model: str
    workload: str
    task: str
    configuration: str  # the one of all rows; "" where they differ
    asked: Facts
    leaders: tuple[Leader, ...]
    smallest: Smallest | None
    failed: int
    jobs: int
    groups: tuple[ColumnGroup, ...]
    rows: tuple[Row, ...]
    notices: tuple[str, ...]
    warnings: tuple[Warned, ...]  # those that every one of its jobs carries
    conditions: Conditions
    figures: tuple[Figure, ...]
    runtimes: RuntimeContrasts | None
    placements: Placements
    memory: Memory | None
    details: tuple[JobDetail, ...]

    @property
    def width(self) -> int:
        """Columns of the summary table."""
        return 2 + sum(len(group.columns) for group in self.groups)


def make(material: Material) -> tuple[Comparison, ...]:
    """A comparison for each model and workload."""
    groups = list(by_comparison(material.costs).values())
    return tuple(
        _comparison(f"comparison-{number}", group, material, several=len(groups) > 1)
        for number, group in enumerate(groups, start=1)
    )


def _comparison(anchor: str, entries: Sequence[Entry], material: Material, *, several: bool) -> Comparison:
    """`entries` are the jobs of one model on one workload; `several`: so a failure has to name both."""
    job, subject = entries[0].result.job, subject_of(entries[0])
    colours = material.colours[job.model]
    entries = _by_runtime(entries)
    rows = by_row(entries)
    anchors = [f"{anchor}-row-{number}" for number in range(1, len(rows) + 1)]
    measures = measures_of(entries)
    found = [[find(row, measure) for measure in measures] for row in rows]
    apart = [work_apart(measure, rows, [line[at] for line in found]) for at, measure in enumerate(measures)]
    bests = [best_rows(measure, rows, [line[at] for line in found], apart[at]) for at, measure in enumerate(measures)]
    scales = [scale_of(line[at] for line in found) for at in range(len(measures))]
    cells = [
        joined(
            (
                replace(
                    cell_of(row, measure, scales[at], _to_reference),
                    best=number in bests[at] and not tied(number, rows, [line[at] for line in found]),
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
    shown = tuple(_row(anchors[at], headings[at], row, cells[at], rows, common) for at, row in enumerate(rows))
    return Comparison(
        anchor=anchor,
        subject=subject,
        failures=tuple(_failures(shown, subject if several else "")),
        model=name_text(job.model),
        workload=name_text(job.workload.name),
        task=_task(entries),
        configuration=_only([configuration_name(entry.result.job.configuration) for entry in entries]),
        asked=_asked(job.workload.to_json()),
        leaders=tuple(leaders(rows, measures, found, bests, scales)),
        smallest=smallest(rows),
        failed=sum(not entry.result.outcome.ok for entry in entries),
        jobs=len(entries),
        groups=tuple(column_groups(measures, entries)),
        rows=shown,
        notices=(*notices_of(entries, conditions), *no_leaders(measures, apart)),
        warnings=tuple(common),
        conditions=conditions,
        figures=figures_of(entries, colours),
        runtimes=contrasts_of(rows, anchors),
        placements=placements_of(rows),
        memory=memory_of([entry for entry in entries if not entry.weights_only], colours),
        details=tuple(job_detail(entry, material.told_elsewhere) for entry in entries),
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


def _failures(rows: Sequence[Row], subject: str) -> Iterator[Failure]:
    for row in rows:
        for ended in row.ended:
            if not ended.ok:
                yield Failure(
                    anchor=row.anchor,
                    who=" · ".join(part for part in (subject, row.who) if part),
                    scenario=ended.scenario,
                    kind=ended.kind,
                    reason=ended.reason,
                )


SECTION = SectionKind(
    name="comparison",
    heading="",
    make=make,
    card=Side.LEFT,
    tells=("placement", "placement_unknown", "fallback"),
)
