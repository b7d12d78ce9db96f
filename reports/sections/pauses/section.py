"""Speed after a pause -> a section: curves against the pause, and the same as a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchharness.results.result import MetricResult
from benchharness.units import Scale, quantity_text, scale_for
from reports.model.entries import Colours, Entry, by_comparison, configuration_name, subject_of
from reports.model.estimates import parameters_text, quantity
from reports.model.numbers import ends_of, known
from reports.model.section import Material, Section, SectionKind, in_a_line
from reports.model.tables import Cell, Quantity, QuantityRow, QuantityTable
from reports.model.visible import name_text
from reports.sections.pauses.chart import PauseCurve, PauseCurves, PausePanel

#: In the order of the page, with the words that a panel has for them.
METRICS = {
    "ttft_after_pause": "TTFT",
    "decode_rate_after_pause": "decode rate",
    "inference_after_pause": "inference",
}
PARAMETER = "pause_s"
_TOLD = (
    "Each request was sent after a pause of the length given. A loop without pauses keeps caches warm and clocks high, "
    "and so flatters a device: a user who reads and types lets it cool down and clock down, which can go either way.",
)
_NOTE = "Point: estimate over attempts; whisker: its 95 % interval. The pauses are categories, not to scale."
Group = list[tuple[Entry, dict[float, MetricResult]]]


@dataclass(frozen=True, kw_only=True)
class Pauses(Section):
    """What a pause before a request does to its speed, for a model on a workload."""

    told: tuple[str, ...]
    figure: PauseCurves
    table: QuantityTable


def make(material: Material) -> tuple[Pauses, ...]:
    """A section for each model and workload that was measured with pauses."""
    found = [entry for entry in material.costs if any(_is_paused(metric) for metric in entry.result.metrics)]
    return tuple(
        _pauses(f"pauses-{number}", group, material.colours[group[0].result.job.model])
        for number, group in enumerate(by_comparison(found).values(), start=1)
    )


def _is_paused(metric: MetricResult) -> bool:
    pause = metric.parameters.get(PARAMETER)
    if metric.name not in METRICS or not isinstance(pause, int | float) or known(pause) is None or pause < 0:
        return False
    return ends_of(metric.estimate) is not None


def _pauses(anchor: str, entries: Sequence[Entry], colours: Colours) -> Pauses:
    groups = _groups(entries)
    lengths = sorted({pause for group in groups.values() for _, by_pause in group for pause in by_pause})
    names = tuple(_pause_text(pause) for pause in lengths)
    return Pauses(
        anchor=anchor,
        subject=subject_of(entries[0]),
        finding=in_a_line(_findings(groups), "one pause only"),
        told=_TOLD,
        figure=PauseCurves(
            title="Speed against the pause before a request",
            unit="the unit that each panel names",
            note=_NOTE,
            pauses=names,
            panels=tuple(_panels(groups, lengths, colours)),
        ),
        table=QuantityTable(
            scenario="pauses",
            columns=(*((name, "pause") for name in names), ("longest against shortest", "pause")),
            rows=tuple(
                _row(f"{entry.who_and_how}: {_title(name, parameters)}", by_pause, lengths)
                for (name, parameters), group in groups.items()
                for entry, by_pause in group
            ),
        ),
    )


def _findings(groups: Mapping[tuple[str, str], Group]) -> Iterator[str]:
    """What the longest pause does to each row, where the intervals do not meet, and else that it is not clear."""
    told = [(entry.who_and_how, _title(*key), by_pause) for key, group in groups.items() for entry, by_pause in group]
    several = [each for each in told if len(each[2]) > 1]
    clear = [each for each in several if _apart(each[2])]
    for who, title, by_pause in clear:
        shortest, longest = min(by_pause), max(by_pause)
        change = (by_pause[longest].estimate.value or 0.0) / (by_pause[shortest].estimate.value or 1.0)
        times = f"{quantity_text(change, '')}×"
        yield f"{who}: {title} after {_pause_text(longest)} {times} that after {_pause_text(shortest)}"
    if len(clear) < len(several):
        yield f"no clear difference in {len(several) - len(clear)} of {len(several)} rows"


def _apart(by_pause: Mapping[float, MetricResult]) -> bool:
    shortest, longest = (by_pause[choose(by_pause)].estimate for choose in (min, max))
    if shortest.low is None or shortest.high is None or longest.low is None or longest.high is None:
        return False
    return bool(shortest.value) and not (shortest.low <= longest.high and longest.low <= shortest.high)


def _groups(entries: Sequence[Entry]) -> dict[tuple[str, str], Group]:
    """By (metric, its other parameters in words): each job with its metric by pause."""
    groups: dict[tuple[str, str], Group] = {}
    for name in METRICS:
        for entry in entries:
            found: dict[str, dict[float, MetricResult]] = {}
            for metric in entry.result.metrics:
                if metric.name == name and _is_paused(metric):
                    others = {key: value for key, value in metric.parameters.items() if key != PARAMETER}
                    by_pause = found.setdefault(parameters_text(others), {})
                    by_pause.setdefault(float(metric.parameters[PARAMETER]), metric)
            for parameters, by_pause in found.items():
                groups.setdefault((name, parameters), []).append((entry, by_pause))
    return groups


def _pause_text(pause: float) -> str:
    return quantity_text(pause * 1e9, "ns") if 0 < pause < 1 else f"{pause:g} s"


def _title(name: str, parameters: str) -> str:
    return f"{METRICS[name]}, {parameters}" if parameters else METRICS[name]


def _panels(groups: Mapping[tuple[str, str], Group], lengths: Sequence[float], colours: Colours) -> list[PausePanel]:
    """One panel for each metric under each configuration; those of one metric have the same scale."""
    panels = []
    for (name, parameters), group in groups.items():
        metrics = [metric for _, by_pause in group for metric in by_pause.values()]
        scale = scale_for(metrics[0].unit, max(metric.estimate.value or 0.0 for metric in metrics))
        drawn = [ends for metric in metrics if (ends := ends_of(metric.estimate, scale.divisor))]
        curves: dict[str, list[PauseCurve]] = {}
        for entry, by_pause in group:
            curves.setdefault(configuration_name(entry.result.job.configuration), []).append(
                _curve(entry, by_pause, lengths, scale, colours)
            )
        panels += [
            PausePanel(
                title=f"{_title(name, parameters)} ({name_text(scale.symbol)}): {where}",
                curves=tuple(of_configuration),
                highest=max(ends[2] for ends in drawn),
            )
            for where, of_configuration in curves.items()
        ]
    return panels


def _curve(
    entry: Entry,
    by_pause: Mapping[float, MetricResult],
    lengths: Sequence[float],
    scale: Scale,
    colours: Colours,
) -> PauseCurve:
    return PauseCurve(
        label=name_text(entry.result.job.variant),
        colour=colours.get(entry.artefact, 0),
        points=tuple(
            (lengths.index(pause), ends)
            for pause, metric in sorted(by_pause.items())
            if (ends := ends_of(metric.estimate, scale.divisor))
        ),
    )


def _row(who: str, by_pause: Mapping[float, MetricResult], lengths: Sequence[float]) -> QuantityRow:
    cells = [
        Cell(
            state="value",
            quantity=quantity(by_pause[pause].estimate, by_pause[pause].unit),
            count=by_pause[pause].estimate.count,
        )
        if pause in by_pause
        else Cell(state="absent", note="not asked for")
        for pause in lengths
    ]
    return QuantityRow(who=who, cells=(*cells, _against(by_pause)))


def _against(by_pause: Mapping[float, MetricResult]) -> Cell:
    """Both ends over each other. Without an interval of its own, what the two intervals say stands beside it."""
    shortest, longest = (by_pause[choose(by_pause)].estimate for choose in (min, max))
    if len(by_pause) < 2 or not shortest.value or longest.value is None:
        return Cell(state="absent", note="one pause only")
    if None in (shortest.low, shortest.high, longest.low, longest.high):
        told = "no intervals to tell them apart"
    else:
        told = "the intervals do not meet" if _apart(by_pause) else "no clear difference: the intervals overlap"
    return Cell(
        state="value", quantity=Quantity(text=f"{quantity_text(longest.value / shortest.value, '')}×", reason=told)
    )


SECTION = SectionKind(name="pauses", heading="Pauses between requests", make=make, order=80)
