"""Choices -> which variant to ship, the candidates in a table, and the Pareto front as a figure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from benchharness.judge.choice import Candidate, Choice, Figure
from benchharness.metrics import METRICS, Better
from benchharness.results.result import Estimate
from benchharness.units import Scale, common_scale, scale_for
from reports.model.estimates import better_of, quantity, title_of
from reports.model.section import Material, Section, SectionKind, Side
from reports.model.tables import Cell, Column, Quantity
from reports.model.visible import name_text, value_text
from reports.sections.choice.chart import Front, FrontPoint

#: Better by these where they were measured, in this order, the size apart.
_SPEEDS = ("speed", "first token")
#: Of these no interval is expected: a size is exact.
_SIZE, _QUALITY = "size", "quality"
#: Losses further apart than ten thousand to one look alike at the lower end: else one of nothing hides all others.
_WIDEST_LOSS = math.log(1e4)
Candidates = Sequence[Candidate]
Place = tuple[tuple[float, float, float], tuple[float, float, float]]


@dataclass(frozen=True, kw_only=True)
class CandidateRow:
    """A variant on a configuration with its figure for each objective; `number` is that of its point."""

    number: int
    who: str
    recommended: bool
    dominated_by: str
    kept: tuple[str, ...]  # the budgets that it was seen to keep
    unfit: tuple[str, ...]
    cells: tuple[Cell, ...]


@dataclass(frozen=True, kw_only=True)
class ShownChoice(Section):
    """Which variant to ship: the one recommended and why, or what holds each back, and the candidates."""

    recommended: str
    reason: str
    why_none: tuple[tuple[str, str], ...]  # (who, what keeps it from being recommended)
    columns: tuple[Column, ...]
    rows: tuple[CandidateRow, ...]
    figure: Front | None
    tells_apart: str


def make(material: Material) -> tuple[ShownChoice, ...]:
    """A section for each choice between two candidates or more."""
    several = [(run, choice) for run, choice in material.choices if len(choice.candidates) > 1]
    return tuple(_choice(f"choice-{number}", choice, run) for number, (run, choice) in enumerate(several, start=1))


def _choice(anchor: str, choice: Choice, run: str) -> ShownChoice:
    candidates = choice.candidates
    objectives = list(dict.fromkeys(name for each in candidates for name in each.figures))
    scales = {name: _scale(candidates, name) for name in objectives}
    recommended = choice.recommended
    parts = (name_text(choice.model), name_text(choice.workload), run)
    return ShownChoice(
        anchor=anchor,
        subject=" · ".join(part for part in parts if part),
        recommended=name_text(recommended),
        reason=value_text(choice.reason),
        why_none=()
        if recommended
        else tuple(
            (_name(each), "; ".join(value_text(reason) for reason in held))
            for each in candidates
            if (held := each.unfit or _doubts(each))
        ),
        columns=tuple(_column(candidates, name) for name in objectives),
        rows=tuple(
            CandidateRow(
                number=number,
                who=_name(each),
                recommended=bool(recommended) and each.name == recommended,
                dominated_by=name_text(each.dominated_by),
                kept=tuple(value_text(budget) for budget in each.kept),
                unfit=tuple(value_text(reason) for reason in each.unfit),
                cells=tuple(_cell(each, name, scales[name]) for name in objectives),
            )
            for number, each in enumerate(candidates, start=1)
        ),
        figure=_front(candidates, recommended),
        tells_apart=f"{100 * choice.tells_apart:.3g} %",
    )


def _doubts(candidate: Candidate) -> list[str]:
    """What of a candidate is no evidence, and why."""
    return [f"{name}: {figure.doubt}" for name, figure in candidate.figures.items() if figure.doubt]


def _name(candidate: Candidate) -> str:
    return f"{name_text(candidate.variant)} · {name_text(candidate.configuration)}"


def _estimate(candidate: Candidate, objective: str) -> Estimate | None:
    """The estimate of an objective that has a finite value."""
    figure = candidate.figures.get(objective)
    if figure is None:
        return None
    found = figure.estimate
    return found if found.value is not None and math.isfinite(found.value) else None


def _metrics(candidates: Candidates, objective: str) -> list[str]:
    return list(dict.fromkeys(each.figures[objective].metric for each in candidates if objective in each.figures))


def _unit(metric: str) -> str:
    return str(METRICS[metric].unit) if metric in METRICS else ""


def _column(candidates: Candidates, objective: str) -> Column:
    metrics = _metrics(candidates, objective)
    better = list(dict.fromkeys(str(better_of(metric)) for metric in metrics))
    named = [told for metric in metrics if (told := title_of(metric)) != objective]
    figures = [each.figures[objective] for each in candidates if objective in each.figures]
    used = dict.fromkeys(f"on {value_text(figure.used)}" for figure in figures if figure.used)
    return Column(
        title=name_text(objective),
        parameters=", ".join((*named, *used)),
        better=f"{better[0]} is better" if len(better) == 1 and better_of(metrics[0]) else "",
    )


def _scale(candidates: Candidates, objective: str) -> Scale | None:
    units = {_unit(metric) for metric in _metrics(candidates, objective)}
    values = [
        found.value
        for each in candidates
        if (found := _estimate(each, objective)) and found.value is not None and not _is_reference(each, objective)
    ]
    return common_scale(units.pop(), values) if len(units) == 1 and values else None


def _is_reference(candidate: Candidate, objective: str) -> bool:
    """Whether its figure is nothing measured, but what the others are held against."""
    return candidate.figures[objective].reference


def _cell(candidate: Candidate, objective: str, scale: Scale | None) -> Cell:
    estimate = _estimate(candidate, objective)
    if estimate is None:
        return Cell(state="absent", note="not measured")
    if _is_reference(candidate, objective):
        return Cell(state="value", quantity=Quantity(text="reference"))
    shown = quantity(estimate, _unit(candidate.figures[objective].metric), scale)
    figure = candidate.figures[objective]
    doubt = value_text(figure.doubt)
    why = "; ".join(each for each in (shown.reason, doubt) if each)
    return Cell(
        state="value", quantity=Quantity(text=shown.text + _of_output(figure), interval=shown.interval, reason=why)
    )


def _of_output(figure: Figure) -> str:
    """Which output a figure is of, where it is the worst of several."""
    return f" of {name_text(figure.output)}" if figure.output else ""


def _front(candidates: Candidates, recommended: str) -> Front | None:
    """Size against speed, or the first token; None where not two candidates have both."""
    for objective in _SPEEDS:
        metrics = _metrics(candidates, objective)
        both = [
            (number, each)
            for number, each in enumerate(candidates, start=1)
            if _estimate(each, _SIZE) and _estimate(each, objective)
        ]
        if len(both) > 1 and len(metrics) == 1:
            return _figure(both, objective, metrics[0], recommended)
    return None


def _figure(candidates: Sequence[tuple[int, Candidate]], objective: str, metric: str, recommended: str) -> Front:
    given = [each for _, each in candidates]
    size = _axis_scale(given, _SIZE, "bytes")
    speed = _axis_scale(given, objective, _unit(metric))
    higher = better_of(metric) is Better.HIGHER
    losses = _losses(given)
    places = [(_ends(each, _SIZE, size), _ends(each, objective, speed)) for each in given]
    fair = [place for place, each in zip(places, given, strict=True) if not each.dominated_by]
    points = tuple(
        FrontPoint(
            number=number,
            label=_label(each),
            x=place[0],
            y=place[1],
            loss=loss,
            dominated=bool(each.dominated_by),
            recommended=bool(recommended) and each.name == recommended,
            in_front=not each.dominated_by and not any(_beats(other, place, higher) for other in fair),
        )
        for (number, each), place, loss in zip(candidates, places, losses, strict=True)
    )
    note = f"{'Up' if higher else 'Down'} and to the left is better. "
    note += "The line joins the front of these two objectives, by the values alone; "
    note += "pale: dominated in all objectives together. Bars are 95 % intervals; a ring marks the recommendation."
    if any(loss is not None for loss in losses):
        note += " Darker points lost less; grey: what it lost was not measured."
    better = "higher" if higher else "lower"
    return Front(
        title=f"Size against {name_text(objective)}",
        unit=f"{size.symbol} and {speed.symbol or '1'}",
        note=note,
        x_title=f"artefact size ({size.symbol}), lower is better",
        higher=higher,
        y_title=f"{title_of(metric)} ({speed.symbol}), {better} is better",
        points=points,
    )


def _axis_scale(candidates: Candidates, objective: str, unit: str) -> Scale:
    values = [found.value for each in candidates if (found := _estimate(each, objective)) and found.value is not None]
    return scale_for(unit, max(values, key=abs))


def _ends(candidate: Candidate, objective: str, scale: Scale) -> tuple[float, float, float]:
    """Value, low and high in the axis' unit; without an interval all three are the value."""
    found = _estimate(candidate, objective)
    value = 0.0 if found is None or found.value is None else found.value
    low = value if found is None or found.low is None else min(found.low, value)
    high = value if found is None or found.high is None else max(found.high, value)
    return value / scale.divisor, low / scale.divisor, high / scale.divisor


def _beats(one: Place, other: Place, higher: bool) -> bool:
    """Whether one is better in one of both and not worse in the other, by their values alone."""
    sign = -1.0 if higher else 1.0
    mine, theirs = (one[0][0], sign * one[1][0]), (other[0][0], sign * other[1][0])
    return mine != theirs and mine[0] <= theirs[0] and mine[1] <= theirs[1]


def _losses(candidates: Candidates) -> list[float | None]:
    """How much each lost, 0 to 1 on a logarithmic scale between the least and the most; None where it is unknown."""
    metrics = _metrics(candidates, _QUALITY)
    if len(metrics) != 1:
        return [None for _ in candidates]  # figures of two metrics do not compare
    higher = better_of(metrics[0]) is Better.HIGHER
    found = [_estimate(each, _QUALITY) for each in candidates]
    lost = [
        None if each is None or each.value is None else max(0.0, 1 - each.value if higher else each.value)
        for each in found
    ]
    logs = [math.log(each) for each in lost if each]
    high = max(logs, default=0.0)
    low = max(min(logs, default=0.0), high - _WIDEST_LOSS)
    return [
        None if each is None else max(0.0, math.log(each) - low) / (high - low) if each and high > low else 0.0
        for each in lost
    ]


def _label(candidate: Candidate) -> str:
    estimate = _estimate(candidate, _QUALITY)
    parts = [_name(candidate)]
    if estimate is not None and _is_reference(candidate, _QUALITY):
        parts.append("reference")
    elif estimate is not None:
        metric = candidate.figures[_QUALITY].metric
        parts.append(
            f"{title_of(metric)} {quantity(estimate, _unit(metric)).text}{_of_output(candidate.figures[_QUALITY])}"
        )
    if candidate.dominated_by:
        parts.append("dominated")
    if candidate.unfit:
        parts.append("held back (see the table)")
    return ", ".join(parts)


SECTION = SectionKind(name="choice", heading="Which one to ship", make=make, card=Side.RIGHT, card_first=True)
