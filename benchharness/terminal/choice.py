"""The Pareto front in the terminal: candidates down, objectives across, dominated ones dim."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchharness.judge.choice import OBJECTIVES, Candidate, Choice
from benchharness.metrics import METRICS
from benchharness.terminal.values import estimated, interval, visible


def show_choices(choices: Sequence[Choice], console: Console) -> None:
    """A table for each choice that has more than one candidate, and the recommendation under it."""
    for choice in choices:
        if len(choice.candidates) > 1:
            console.print(_table(choice))
            console.print(visible(recommendation(choice)), style="bold" if choice.recommended else "yellow")


def recommendation(choice: Choice) -> str:
    """The recommendation in a sentence."""
    if not choice.recommended:
        return f"no recommendation for {choice.model} on {choice.hardware}: {choice.reason}"
    return f"recommended for {choice.model} on {choice.hardware}: {choice.recommended}, {choice.reason}"


def _table(choice: Choice) -> Table:
    shown = [name for name in OBJECTIVES if any(name in candidate.figures for candidate in choice.candidates)]
    title = Text(f"{choice.model} · {choice.workload}: what each variant costs and loses")
    used = dict.fromkeys(figure.used for each in choice.candidates for figure in each.figures.values() if figure.used)
    caption = Text(visible(f"evaluated on {'; '.join(used)}")) if used else None
    table = Table(title=title, title_justify="left", caption=caption, caption_justify="left")
    for name in ("candidate", *shown, "budgets"):
        table.add_column(name, overflow="fold")
    for candidate in choice.candidates:
        cells = [_figure(candidate, objective) for objective in shown]
        row = [Text(candidate.name), *cells, _budgets(candidate)]
        style = "bold" if candidate.name == choice.recommended else "dim" if candidate.dominated_by else ""
        table.add_row(*row, style=style)
    return table


def _figure(candidate: Candidate, objective: str) -> Text:
    figure = candidate.figures.get(objective)
    if figure is None or figure.estimate.value is None:
        return Text("unknown", style="dim")
    if figure.reference:
        return Text("reference")
    unit = METRICS[figure.metric].unit
    of = f" of {visible(figure.output)}" if figure.output else ""
    shown = Text(estimated(figure.estimate, unit) + interval(figure.estimate, unit) + of)
    return shown.append(f"\n{visible(figure.doubt)}", style="yellow") if figure.doubt else shown


def _budgets(candidate: Candidate) -> Text:
    kept = f"kept: {', '.join(candidate.kept)}" if candidate.kept else "none is set"
    told = "; ".join(candidate.unfit) if candidate.unfit else kept
    beaten = f"\ndominated by {candidate.dominated_by}" if candidate.dominated_by else ""
    return Text(visible(told + beaten))
