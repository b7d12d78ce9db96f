"""Whole conversations -> a section: figures by turn, what each turn read and how it ended, and coming back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchharness.metrics import METRICS
from benchharness.records import TurnEnd
from benchharness.results.result import MetricResult
from benchharness.scenarios.conversation.turns import ENDS, by_turn, sentences, turns_of
from benchharness.units import quantity_text, scale_for
from reports.model.entries import Colours, Entry, by_comparison, subject_of
from reports.model.estimates import quantity
from reports.model.jobs import Missing, missing
from reports.model.numbers import ends_of
from reports.model.section import Material, Section, SectionKind, in_a_line
from reports.model.tables import Cell, QuantityRow, QuantityTable
from reports.model.visible import name_text, value_text
from reports.sections.conversation.chart import TurnCurve, TurnCurves, TurnPanel

SCENARIO = "conversation"
_BY_TURN = ("turn_ttft", "turn_decode_rate", "turn_memory")
#: Beyond so many turns their table is cut: the figure shows them all.
_MOST_TURNS = 60
_BESIDE = "beside"
_TOLD = (
    "Every attempt replays the whole conversation in a fresh process, pauses included. The cache stays between turns; "
    "a turn reads what is new, and the last token of the answer before it. All variants are fed the same answers.",
    "Coming back is loading the model once more in a process that had unloaded it, and reading the whole conversation "
    "up to the first token. The model's files are in the page cache then.",
)


@dataclass(frozen=True, kw_only=True)
class TurnLine:
    """A turn in words."""

    turn: str
    end: str
    tone: str
    new: str
    read: str
    context: str
    ttft: str
    rate: str
    memory: str


@dataclass(frozen=True, kw_only=True)
class Talk:
    """The turns of one row."""

    who: str
    said: tuple[str, ...]
    lines: tuple[TurnLine, ...]
    more: int
    unknown: str  # why nothing is told of coming back


@dataclass(frozen=True, kw_only=True)
class ConversationSection(Section):
    """All rows of one model and conversation."""

    missing: tuple[Missing, ...]
    figure: TurnCurves | None
    talks: tuple[Talk, ...]
    back: QuantityTable | None
    told: tuple[str, ...]


def make(material: Material) -> tuple[ConversationSection, ...]:
    """A section for each model and conversation."""
    entries = [entry for entry in material.entries if entry.result.job.scenario == SCENARIO]
    return tuple(
        _section(f"conversation-{number}", group, material.colours[group[0].result.job.model])
        for number, group in enumerate(by_comparison(entries).values(), start=1)
    )


def _section(anchor: str, entries: Sequence[Entry], colours: Colours) -> ConversationSection:
    having = [entry for entry in entries if turns_of(entry.result)]
    return ConversationSection(
        anchor=anchor,
        subject=subject_of(entries[0]),
        finding=in_a_line(
            (f"{entry.who_and_how}: {'; '.join(sentences(entry.result))}" for entry in having), "no turn was answered"
        ),
        missing=tuple(missing(entries, lambda entry: bool(turns_of(entry.result)), "no turn was answered")),
        figure=_figure(having, colours),
        talks=tuple(_talk(entry) for entry in having),
        back=_back(having),
        told=_TOLD,
    )


def _figure(entries: Sequence[Entry], colours: Colours) -> TurnCurves | None:
    panels = []
    for name in _BY_TURN:
        found = [(entry, metrics) for entry in entries if (metrics := by_turn(entry.result, name))]
        values = [metric.estimate.value or 0.0 for _, metrics in found for metric in metrics.values()]
        if not any(values):
            continue
        scale = scale_for(METRICS[name].unit, max(values))
        curves = [
            TurnCurve(label=entry.who_and_how, colour=_colour(entry, number, colours), points=points, full=_full(entry))
            for number, (entry, metrics) in enumerate(found)
            if (points := tuple(_points(metrics, scale.divisor)))
        ]
        if curves:
            panels.append(TurnPanel(title=f"{METRICS[name].title} ({scale.symbol})", curves=tuple(curves)))
    if not panels:
        return None
    return TurnCurves(
        title="A conversation, turn by turn",
        unit="the unit that each panel names",
        note="Point: estimate over attempts; stroke: its 95 % interval, which may go on beyond the panel.",
        turns=max(len(turns_of(entry.result)) for entry in entries),
        panels=tuple(panels),
    )


def _colour(entry: Entry, number: int, colours: Colours) -> int:
    """The variant's; where configurations share it, another for each."""
    return colours.get(entry.artefact, 0) if not entry.configuration else number


def _points(metrics: dict[int, MetricResult], divisor: float) -> Iterator[tuple[int, tuple[float, float, float]]]:
    for turn, metric in sorted(metrics.items()):
        if ends := ends_of(metric.estimate, divisor):
            yield turn, ends


def _full(entry: Entry) -> int | None:
    found = (int(turn.turn) + 1 for turn in turns_of(entry.result) if turn.end == TurnEnd.CONTEXT_FULL)
    return next(found, None)


def _talk(entry: Entry) -> Talk:
    turns = turns_of(entry.result)
    metrics = {name: by_turn(entry.result, name) for name in _BY_TURN}
    unknown = entry.result.effective.of_scenario(SCENARIO).get("return_unknown")
    return Talk(
        who=entry.who_and_how,
        said=tuple(value_text(each) for each in sentences(entry.result)),
        lines=tuple(
            TurnLine(
                turn=f"{int(row.turn) + 1}",
                end=name_text(ENDS.get(TurnEnd(int(row.end)), "unknown")),
                tone="ok" if row.end == TurnEnd.ANSWERED else "kind" if row.end == TurnEnd.ANSWERED_ANEW else "bad",
                new=f"{row.new:g}",
                read=f"{row.read:g}",
                context=f"{row.context:g}",
                ttft=_value(metrics["turn_ttft"].get(int(row.turn) + 1)),
                rate=_value(metrics["turn_decode_rate"].get(int(row.turn) + 1)),
                memory=_value(metrics["turn_memory"].get(int(row.turn) + 1)),
            )
            for row in turns[:_MOST_TURNS]
        ),
        more=max(0, len(turns) - _MOST_TURNS),
        unknown=value_text(str(unknown)) if unknown else "",
    )


def _value(metric: MetricResult | None) -> str:
    if metric is None or metric.estimate.value is None:
        return "none"
    return quantity_text(metric.estimate.value, metric.unit)


def _back(entries: Sequence[Entry]) -> QuantityTable | None:
    """Rows and what else the device did, beside memory before and after unloading."""
    kinds = list(
        dict.fromkeys(
            str(metric.parameters.get(_BESIDE))
            for entry in entries
            for metric in entry.result.metrics
            if metric.name == "return_ttft"
        )
    )
    if not kinds:
        return None
    columns = [
        ("memory while loaded", ""),
        ("after unloading", ""),
        *((title, f"beside {name_text(kind)}") for kind in kinds for title in ("loading again", "coming back")),
    ]
    return QuantityTable(
        scenario=SCENARIO,
        columns=tuple(columns),
        rows=tuple(
            QuantityRow(
                who=entry.who_and_how,
                cells=(
                    _cell(entry, "loaded_memory", None),
                    _cell(entry, "unloaded_memory", None),
                    *(_cell(entry, name, kind) for kind in kinds for name in ("return_load", "return_ttft")),
                ),
            )
            for entry in entries
        ),
    )


def _cell(entry: Entry, name: str, beside: str | None) -> Cell:
    for metric in entry.result.metrics:
        if metric.name == name and (beside is None or str(metric.parameters.get(_BESIDE)) == beside):
            return Cell(state="value", quantity=quantity(metric.estimate, metric.unit), count=metric.estimate.count)
    return Cell(state="absent", note="not measured")


SECTION = SectionKind(name=SCENARIO, heading="Conversation", make=make, order=84, tells=(SCENARIO,))
