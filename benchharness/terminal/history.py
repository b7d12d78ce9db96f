"""What `benchharness history` shows: confirmed changes first, what is missing, then a line for each figure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console

from benchharness.judge.step_words import (
    WORDS,
    cause_text,
    date_text,
    family_text,
    figure_text,
    fleet_lines,
    gap_text,
    headline,
    interval_text,
    machines_text,
    nights_text,
    remarks,
    size_text,
    when_text,
    whose_text,
    worse_text,
)
from benchharness.results.trends import Certainty, History, Step, Track, Trend
from benchharness.terminal.console import tell
from benchharness.terminal.lines import Group, Line, show_lines
from benchharness.terminal.markdown import escaped
from benchharness.terminal.values import one_line
from benchharness.units import quantity_text

#: Of each kind so many steps, and so many missing figures, are told at once; the JSON has all.
_MOST = 20
_BARS = "▁▂▃▄▅▆▇█"
_SPARKS = 12
#: Columns of a terminal in which they break no line.
_ROOM_FOR_BARS, _ROOM_FOR_RATIOS = 80, 68
_STYLES = {Certainty.CONFIRMED: "bold", Certainty.LIKELY: "yellow", Certainty.DRIFT: "dim"}


def show_history(history: History, console: Console) -> None:
    """Everything, at any width."""
    confirmed = history.steps(Certainty.CONFIRMED)
    style = "bold red" if any(step.worse for _, step in confirmed) else "bold"
    tell(console, headline(history), style)
    for certainty in Certainty:
        _steps(history, certainty, console)
    _missing(history, console)
    for remark in remarks(history):
        tell(console, one_line(remark), "yellow")
    if history.trends:
        console.print()
    show_lines(_heads(console), list(_groups(history, console)), console)
    _fleets(history, console)
    for told in machines_text(history):
        tell(console, one_line(told), "dim")
    tell(console, f"{nights_text(history)}; {family_text(history)}", "dim")


def history_markdown(history: History) -> str:
    """The same for a pull request: changes and gaps as lists; figures are in the JSON and on the page."""
    blocks = [f"**{escaped(headline(history))}**"]
    for certainty in Certainty:
        lines = [f"- {escaped(line)}" for line in _step_lines(history, certainty)]
        blocks += ["\n".join(lines)] if lines else []
    gone = [f"- {escaped(line)}" for line in list(_gone(history))[:_MOST]]
    blocks += ["\n".join(gone)] if gone else []
    told = [
        *remarks(history),
        *(f"{each}." for each in machines_text(history)),
        f"{nights_text(history)}; {family_text(history)}.",
    ]
    return "\n\n".join([*blocks, *(escaped(one_line(each)) for each in told)]) + "\n"


# Changes


def _steps(history: History, certainty: Certainty, console: Console) -> None:
    for line in _step_lines(history, certainty):
        tell(console, line, _STYLES[certainty], indent=2)


def _step_lines(history: History, certainty: Certainty) -> Iterator[str]:
    found = history.steps(certainty)
    for trend, step in found[:_MOST]:
        size = " ".join(filter(None, (size_text(step, trend.unit), interval_text(step), worse_text(step))))
        word = "" if certainty is Certainty.CONFIRMED else f"{WORDS[certainty]}: "
        told = f"{when_text(history, step)} {word}{_whose(trend)}: {size}; {cause_text(step)}"
        yield one_line(told)
    if len(found) > _MOST:
        yield f"… and {len(found) - _MOST} more {WORDS[certainty]}; --format json has all"


def _whose(trend: Trend) -> str:
    return one_line(f"{trend.hardware} · {trend.model} · {whose_text(trend)} · {figure_text(trend)}", 160)


def _missing(history: History, console: Console) -> None:
    gone = list(_gone(history))
    for line in gone[:_MOST]:
        tell(console, line, "red", indent=2)
    if len(gone) > _MOST:
        tell(console, f"… and {len(gone) - _MOST} more missing; --format json has all", "red", indent=2)


def _gone(history: History) -> Iterator[str]:
    """A line for each figure, or one for all of a job that are missing alike."""
    together: dict[tuple[str, ...], list[Trend]] = {}
    for trend in history.missing:
        alike = (trend.hardware, trend.model, whose_text(trend), trend.scenario, trend.workload, _gap(trend))
        together.setdefault(alike, []).append(trend)
    for (hardware, model, whose, *_, gap), trends in together.items():
        if len(trends) == 1:
            yield one_line(f"{_whose(trends[0])}: {gap}")
        else:
            yield one_line(f"{hardware} · {model} · {whose} · {len(trends)} figures: {gap}")


def _gap(trend: Trend) -> str:
    return gap_text(trend.gap) if trend.gap else ""


def _fleets(history: History, console: Console) -> None:
    """What several devices of a target say together: those that stand out, and those with steps, first."""
    told = sorted(fleet_lines(history), key=lambda each: (not each[0].stands_out, not each[0].steps))
    if told:
        console.print()
        tell(console, "Over devices, the device as a random level", "bold")
    for fleet, line in told[:_MOST]:
        tell(console, f"{_whose(fleet.trends[0])}: {one_line(line)}", "red" if fleet.stands_out else "", indent=2)
    if len(told) > _MOST:
        tell(console, f"… and {len(told) - _MOST} more; --format json has all", indent=2)


# A line a figure


def _heads(console: Console) -> list[str]:
    """The columns that have room: a narrow terminal goes without bars, then without ratios."""
    heads = ["now ", *(["to base "] if console.width >= _ROOM_FOR_RATIOS else []), "last step"]
    return [*heads, "nights"] if console.width >= _ROOM_FOR_BARS and _can_spark(console) else heads


def _groups(history: History, console: Console) -> Iterator[Group]:
    """Figures under whose they are."""
    together: dict[str, list[Trend]] = {}
    for trend in history.trends:
        heading = f"{trend.hardware} · {trend.device} · {trend.model} · {whose_text(trend, device=False)}"
        together.setdefault(heading, []).append(trend)
    for heading, trends in together.items():
        rows = [_line(trend, history, _heads(console)) for trend in trends]
        yield Group(heading=heading, rows=rows)


def _line(trend: Trend, history: History, heads: Sequence[str]) -> Line:
    newest = quantity_text(trend.absolute.values[-1], trend.unit, half=_half(trend.absolute))
    ratio = f"×{quantity_text(trend.ratio.values[-1], '', half=_half(trend.ratio))}" if trend.ratio else "–"
    step = trend.change
    missing = trend.gap is not None
    cells = {
        "now ": ("missing" if missing else newest, "red" if missing else ""),
        "to base ": ("" if missing else ratio, "" if trend.ratio else "dim"),
        "last step": _last(step, trend, history),
        "nights": (spark(trend), ""),
    }
    return Line(name=figure_text(trend), cells=[cells[head] for head in heads])


def _last(step: Step | None, trend: Trend, history: History) -> tuple[str, str]:
    if step is None:
        return "none", "dim"
    sure = "" if step.certainty is Certainty.CONFIRMED else "?"
    style = {True: "red", False: "green", None: ""}[step.worse]
    return f"{size_text(step, trend.unit)}{sure} {date_text(history, step.night)}", style


def _half(track: Track) -> float:
    low, high = track.lows[-1], track.highs[-1]
    return 0.0 if low is None or high is None else (high - low) / 2


def spark(trend: Trend) -> str:
    """The newest nights as bars: of the ratio where there is one."""
    return sparkline((trend.ratio or trend.absolute).values[-_SPARKS:])


def sparkline(values: Sequence[float]) -> str:
    """A bar for each value, between the least and the most of them."""
    low, high = min(values), max(values)
    if high - low <= 1e-9 * abs(high):
        return _BARS[0] * len(values)
    return "".join(_BARS[min(int((value - low) / (high - low) * len(_BARS)), len(_BARS) - 1)] for value in values)


def _can_spark(console: Console) -> bool:
    try:
        _BARS.encode(console.encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True
