"""A comparison of two builds and a gate's verdict, as lines: what was decided first, then what is advice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console

from benchharness.judge.builds import Comparison
from benchharness.judge.design import Design
from benchharness.judge.gate import Colour, Gated, finding_text, of_run
from benchharness.judge.pairs import Change
from benchharness.judge.told import change_of, percent, subject_of, told_of, told_together, words_of
from benchharness.results.result import EXACT
from benchharness.terminal.console import tell
from benchharness.terminal.values import one_line

_SIGNS = {
    Change.WORSE: ("✗", "bold red"),
    Change.BETTER: ("✓", "bold green"),
    Change.SAME: ("✓", "green"),
    Change.NO_WORSE: ("✓", "green"),
    Change.UNDECIDED: ("?", "bold yellow"),
}
_COLOURS = {Colour.RED: ("✗", "bold red"), Colour.UNDECIDED: ("?", "bold yellow"), Colour.GREEN: ("✓", "green")}
_ORDER = (Change.WORSE, Change.UNDECIDED, Change.BETTER, Change.NO_WORSE, Change.SAME)
#: Lines of advice, and letters of a line that something untrusted made long.
_MOST_ADVICE, _LONGEST = 8, 600
#: Continued lines stand below the text behind a sign.
_INDENT = 2


def show_comparison(
    comparisons: Sequence[Comparison], design: Design, *, base: str, candidate: str, paired: bool, console: Console
) -> None:
    """What became of every primary metric, the worst first; then the rest as advice."""
    tell(console, one_line(f"{candidate} against {base}", _LONGEST), "bold")
    primary = sorted((each for each in comparisons if each.primary), key=lambda each: _ORDER.index(each.kind))
    for each in primary:
        sign, style = _SIGNS[each.kind]
        _line(console, f"{sign} {subject_of(each)}: {told_of(each, design)}", style)
    for line in _advice([each for each in comparisons if not each.primary]):
        _line(console, f"  {line}", "dim")
    tell(console, _method(design, paired=paired), "dim")


def show_gate(gated: Gated, machine: str, console: Console, where: str = "") -> None:
    """What a gate says, and all that it looked at, red first; `machine` is what its self-test says.

    `where` names its device, where there are several.
    """
    show_verdict(gated, console, where)
    for each in gated.findings:
        mark, colour = _COLOURS[each.colour]
        _line(console, f"{mark} {finding_text(each)}", colour)
    _line(console, machine, "dim")


def show_verdict(gated: Gated, console: Console, where: str = "", state: str = "finished") -> None:
    """What a gate says, in one line. `state`: its run's."""
    colour, told = of_run(gated, state)
    sign, style = _COLOURS[colour]
    tell(console, one_line(f"{sign} {f'{where}: ' if where else ''}{told}", _LONGEST), style)


def _line(console: Console, text: str, style: str) -> None:
    """Untrusted names are in it: on one line, then wrapped."""
    tell(console, one_line(text, _LONGEST), style)


def _advice(others: Sequence[Comparison]) -> Iterator[str]:
    """Exact metrics that changed, and what seems to have moved; how many did not is one line."""
    exact = [each for each in others if each.ratio.statistic == EXACT and each.kind is not Change.SAME]
    moved = [each for each in others if each.ratio.statistic != EXACT and each.kind in (Change.WORSE, Change.BETTER)]
    for each in exact[:_MOST_ADVICE]:
        yield f"exactly: {_named(each)} {change_of(each)}"
    for each in moved[:_MOST_ADVICE]:
        worse, better, _ = words_of(each.metric)
        yield f"seems {worse if each.kind is Change.WORSE else better}: {_named(each)} {change_of(each)}"
    left = len(exact[_MOST_ADVICE:]) + len(moved[_MOST_ADVICE:])
    rest = len(others) - len(exact) - len(moved)
    if others:
        more = f"{left} more moved, " if left else ""
        yield f"advice alone, decided on nothing: {more}{rest} of {len(others)} other figures show no clear difference"


def _named(each: Comparison) -> str:
    percentile = each.parameters.get("percentile")
    return f"{f'p{percentile} of ' if percentile else ''}{subject_of(each)}"


def _method(design: Design, *, paired: bool) -> str:
    if not paired:
        return (
            "two runs made at different times, the weaker test: the machine's own drift between them is in every "
            "figure, so nothing is called the same and no error is promised; compare the builds themselves for that"
        )
    looks = ", ".join(map(str, design.looks))
    return (
        f"pairs of fresh processes in random order, looked at after {looks}; called worse (or better) wrongly at most "
        f"{percent(design.alpha)} of the time over {told_together(design)}, and one that is worse by "
        f"{percent(design.margin)} no worse at most {percent(design.beta)}; changes below {percent(design.least)} "
        "are none"
    )
