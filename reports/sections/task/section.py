"""What a model gets right: tasks -> a table of measures and losses, a figure, and the documents that changed.

A section a model. What documents say comes from a suite's data and from devices: it is bounded, and shown as text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchharness.metrics import METRICS
from benchharness.results.result import MetricResult
from benchharness.units import Scale, quantity_text
from reports.figures.figure import Figure
from reports.model.entries import WEIGHTS_ONLY, Entry, configuration_name
from reports.model.estimates import quantity, title_of
from reports.model.section import Material, Section, SectionKind, in_a_line
from reports.model.tables import Cell, Column, Quantity, notes_of
from reports.model.visible import name_text, value_text, words_of
from reports.sections.task.chart import LossDot, Losses, LossGroup
from reports.sections.task.documents import Changed, changed_of

_SCENARIO = "task"
_VALUES = ("task_accuracy", "task_score", "task_error")
_LOSSES = ("accuracy_loss", "score_loss")
#: What stands in the table, in this order for each measure.
_COLUMNS = (*_VALUES, *_LOSSES, "mcnemar_p")
_SHARES = ("accuracy_loss",)
_POINTS = Scale(0.01, "points")
_NO_INTERVAL = ("mcnemar_p",)
_MOST_COLUMNS = 12


@dataclass(frozen=True, kw_only=True)
class TaskRow:
    """What one variant under one configuration got right."""

    anchor: str
    variant: str
    configuration: str
    size: str
    label: str  # reference execution, or the reference itself; "" otherwise
    cells: tuple[Cell, ...]


@dataclass(frozen=True, kw_only=True)
class TaskTable:
    """One task: rows that were asked the same documents."""

    anchor: str
    name: str
    told: tuple[str, ...]
    columns: tuple[Column, ...]
    rows: tuple[TaskRow, ...]
    figures: tuple[Figure, ...]
    changed: tuple[Changed, ...]

    @property
    def notes(self) -> tuple[str, ...]:
        """What stands beneath the table."""
        return notes_of(cell for row in self.rows for cell in row.cells)


@dataclass(frozen=True, kw_only=True)
class Tasks(Section):
    """What one model gets right."""

    tables: tuple[TaskTable, ...]


def make(material: Material) -> tuple[Tasks, ...]:
    """A section for each model that was asked a task."""
    models: dict[str, list[Entry]] = {}
    for entry in material.entries:
        if entry.result.job.scenario == _SCENARIO:
            models.setdefault(entry.result.job.model, []).append(entry)
    return tuple(_tasks(f"tasks-{number}", *each) for number, each in enumerate(models.items(), start=1))


def _tasks(anchor: str, model: str, entries: Sequence[Entry]) -> Tasks:
    by_task: dict[str, list[Entry]] = {}
    for entry in entries:
        data = entry.result.job.workload.data
        by_task.setdefault(data.sha256 if data else "", []).append(entry)
    return Tasks(
        anchor=anchor,
        subject=name_text(model),
        finding=in_a_line(_findings(entries), "no task has a value"),
        tables=tuple(_table(f"{anchor}-{number}", each) for number, each in enumerate(by_task.values(), start=1)),
    )


def _findings(entries: Sequence[Entry]) -> Iterator[str]:
    """What each row lost in each task, by its first measure."""
    for entry in entries:
        lost = next((metric for metric in entry.result.metrics if metric.name in _LOSSES), None)
        if lost is not None:
            task = name_text(entry.result.job.workload.name)
            yield f"{entry.who} {title_of(lost.name)} {_shown(lost).text} in {task}"


def _table(anchor: str, entries: Sequence[Entry]) -> TaskTable:
    job = entries[0].result.job
    found = [(entry, _metrics(entry)) for entry in entries]
    keys = list(dict.fromkeys(key for _, metrics in found for key in metrics))
    order = {name: place for place, name in enumerate(_COLUMNS)}
    measures = list(dict.fromkeys(measure for _, measure in keys))
    keys = sorted(keys, key=lambda key: (measures.index(key[1]), order[key[0]]))[:_MOST_COLUMNS]
    return TaskTable(
        anchor=anchor,
        name=name_text(job.workload.name),
        told=tuple(_told(entries)),
        columns=tuple(_column(name, measure) for name, measure in keys),
        rows=tuple(_row(entry, metrics, keys) for entry, metrics in found),
        figures=tuple(_figures(found, measures)),
        changed=tuple(changed_of(entries)),
    )


def _metrics(entry: Entry) -> dict[tuple[str, str], MetricResult]:
    return {
        (metric.name, str(metric.parameters.get("measure", ""))): metric
        for metric in entry.result.metrics
        if metric.name in _COLUMNS
    }


def _told(entries: Sequence[Entry]) -> Iterator[str]:
    """What was asked, and how."""
    used = next(
        (
            str(each.parameters["used"])
            for entry in entries
            for each in entry.result.metrics
            if "used" in each.parameters
        ),
        "",
    )
    if used:
        yield f"{name_text(used)}, the same ones in every row; losses are paired by document."
    asked = entries[0].result.job.settings.get("evaluation")
    if asked:
        how = "token by token through the cache" if asked == "decode" else "each text in one pass"
        yield f"Continuations were read {how}; nothing was cut to fit the context."
    facts = next((told for entry in entries if (told := entry.result.effective.of_scenario("scored"))), {})
    parts = [f"{words_of(key)} {value_text(value)}" for key, value in list(facts.items())[:12]]
    if parts:
        yield f"Scored: {'; '.join(parts)}."
    merged = max(_whole(entry.result.effective.of_scenario("asked").get("merged")) for entry in entries)
    if merged:
        yield f"{merged} texts were joined with the end of their context by the tokenizer, and asked for from there on."


def _whole(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _column(name: str, measure: str) -> Column:
    better = METRICS[name].better
    return Column(
        title=METRICS[name].title,
        parameters=name_text(measure),
        better=f"{better} is better" if str(better) != "neither" else "for comparison",
    )


def _row(entry: Entry, metrics: Mapping[tuple[str, str], MetricResult], keys: Sequence[tuple[str, str]]) -> TaskRow:
    job, outcome = entry.result.job, entry.result.outcome
    label = WEIGHTS_ONLY if entry.weights_only else "reference" if job.is_reference else ""
    if not outcome.ok and not metrics:
        cells: tuple[Cell, ...] = (Cell(state="failed", note=name_text(outcome.kind), span=max(1, len(keys))),)
    else:
        cells = tuple(_cell(metrics.get(key), key[0], is_reference=job.is_reference) for key in keys)
    return TaskRow(
        anchor=entry.anchor,
        variant=name_text(job.variant),
        configuration=configuration_name(job.configuration),
        size=quantity_text(job.artefact_bytes, "bytes") if job.artefact_bytes > 0 else "unknown",
        label=label,
        cells=cells,
    )


def _cell(metric: MetricResult | None, name: str, *, is_reference: bool) -> Cell:
    if metric is None:
        held = is_reference and name not in _VALUES
        return Cell(state="absent", note="it is the reference" if held else "not reported")
    return Cell(state="value", quantity=_shown(metric))


def _shown(metric: MetricResult) -> Quantity:
    shown = quantity(metric.estimate, metric.unit, _POINTS if metric.name in _SHARES else None)
    if metric.name in _NO_INTERVAL and metric.estimate.value is not None:
        return Quantity(text=shown.text)
    return shown


def _figures(
    found: Sequence[tuple[Entry, Mapping[tuple[str, str], MetricResult]]], measures: Sequence[str]
) -> Iterator[Losses]:
    """Losses that are shares, measure by measure: they share one axis."""
    groups = []
    for measure in measures:
        dots = [
            LossDot(
                label=entry.who,
                value=100 * metric.estimate.value,
                low=None if metric.estimate.low is None else 100 * metric.estimate.low,
                high=None if metric.estimate.high is None else 100 * metric.estimate.high,
            )
            for entry, metrics in found
            if (metric := metrics.get(("accuracy_loss", measure))) is not None and metric.estimate.value is not None
        ]
        if dots:
            groups.append(LossGroup(label=name_text(measure), dots=tuple(dots)))
    if groups:
        yield Losses(
            title="Accuracy lost against the reference",
            unit="points",
            note="Paired by document, with 95 % intervals; right of 0 is lost.",
            groups=tuple(groups),
        )


SECTION = SectionKind(
    name="task",
    heading="What it gets right",
    make=make,
    order=35,
    tells=("documents", "scored", "asked", "answers"),
)
