"""Which two metrics of an answer are drawn against each other, and its rows as points."""

from __future__ import annotations

from collections.abc import Sequence

from benchharness.judge.answer import Answer, AnswerKind, Cell, Column
from benchharness.judge.choice import OBJECTIVE_OF
from benchharness.metrics import Better
from benchharness.units import Scale, scale_for
from reports.figures.pareto import Metric, Pareto, Row
from reports.model.entries import Colours
from reports.model.numbers import ends_of, known
from reports.model.visible import name_text, value_text

#: What is drawn across, and what upwards: the first objective of each that two rows have a figure of. A limit on one
#: makes a reader look for it, so objectives with a budget come first.
_ACROSS = ("size", "memory", "quality")
_UPWARDS = ("first token", "speed", "memory", "quality")


def tradeoff(answer: Answer, colours: Colours) -> Pareto | None:
    """The drawing of an answer; None where fewer than two rows can be drawn."""
    across = _chosen(answer, _ACROSS, ())
    upwards = _chosen(answer, _UPWARDS, () if across is None else (across,))
    if across is None or upwards is None:
        return None
    x_scale, y_scale = _scale(answer, across), _scale(answer, upwards)
    runtimes = list(dict.fromkeys(row.runtime for row in answer.rows))
    rows = tuple(
        Row(
            label=name_text(row.name),
            runtime=name_text(row.runtime),
            shape=runtimes.index(row.runtime),
            swatch=colours.get((row.variant, row.digest), 0),
            x=x,
            y=y,
            named=number == 0 and answer.kind is not AnswerKind.NO_BUDGETS,
        )
        for number, row in enumerate(answer.rows)
        if (x := _ends(row.cells[across], x_scale)) and (y := _ends(row.cells[upwards], y_scale))
    )
    if len(rows) < 2:
        return None
    x_metric, y_metric = _metric(answer.columns[across], x_scale), _metric(answer.columns[upwards], y_scale)
    title = f"{value_text(answer.columns[across].title)} against {value_text(answer.columns[upwards].title)}"
    unit = f"{x_metric.title} and {y_metric.title}"
    return Pareto(title=title, unit=unit, note="", across=x_metric, upwards=y_metric, rows=rows)


def _chosen(answer: Answer, objectives: Sequence[str], taken: Sequence[int]) -> int | None:
    """The column of the first objective that two rows have different figures of."""
    budgeted = [at for at, column in enumerate(answer.columns) if column.budget]
    for among in (budgeted, range(len(answer.columns))):
        for objective in objectives:
            for at in among:
                if at not in taken and _objective(answer.columns[at]) == objective and _tells(answer, at):
                    return at
    return None


def _objective(column: Column) -> str:
    return OBJECTIVE_OF.get(column.metric, "")


def _tells(answer: Answer, at: int) -> bool:
    values = {cell.estimate.value for row in answer.rows if _drawable(cell := row.cells[at]) and cell.estimate}
    return len(values) > 1


def _drawable(cell: Cell) -> bool:
    return cell.estimate is not None and known(cell.estimate.value) is not None


def _scale(answer: Answer, at: int) -> Scale:
    column = answer.columns[at]
    if column.budget and column.scale is not None:
        return column.scale
    values = [
        cell.estimate.value
        for row in answer.rows
        if (cell := row.cells[at]).estimate is not None and cell.estimate.value is not None
    ]
    return scale_for(column.unit, max(values, key=abs))


def _ends(cell: Cell, scale: Scale) -> tuple[float, float, float] | None:
    return ends_of(cell.estimate, scale.divisor) if cell.estimate is not None else None


def _metric(column: Column, scale: Scale) -> Metric:
    limit = known(column.limit)
    return Metric(
        title=", ".join(filter(None, (value_text(column.title), scale.symbol))),
        higher=column.better is Better.HIGHER,
        limit=None if limit is None else limit / scale.divisor,
        limit_text=value_text(column.limit_text.lstrip("≤≥ ")),
        from_zero=_objective(column) != "quality",
    )
