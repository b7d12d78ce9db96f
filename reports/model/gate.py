"""The verdict on a candidate as a page is headed by it, where a run compares two builds."""

from __future__ import annotations

from dataclasses import dataclass

from benchharness.judge.builds import Since
from benchharness.judge.gate import Colour, finding_text, of_run
from benchharness.units import together
from reports.model.visible import name_text, value_text

_BADGES = {Colour.RED: ("✗", "bad"), Colour.UNDECIDED: ("?", "open"), Colour.GREEN: ("✓", "good")}
#: So many of what is not green are told in the heading; the section on the builds has all.
_MOST = 3


@dataclass(frozen=True, kw_only=True)
class GateTold:
    """A gate's verdict: a badge, what follows it, and what is not green. `headline` is both without the mark."""

    sign: str
    tone: str
    verdict: str
    rest: str
    sentences: tuple[str, ...]
    pairs: int  # the most that a metric was compared in
    base: str
    subject: str = ""  # a page has one
    red: bool = False

    @property
    def headline(self) -> str:
        """`Gate red: 1 of 4 failed, 0 undecided`."""
        return f"{self.verdict}: {self.rest}"


def gate_told(since: Since | None, state: str) -> GateTold | None:
    """What a page says first of a run that compares builds; None of any other. `state`: the run's."""
    if since is None or since.gated is None:
        return None
    gated = since.gated
    colour, told_first = of_run(gated, state)
    sign, tone = _BADGES[colour]
    verdict, _, rest = told_first.partition(": ")
    amiss = [*gated.of(Colour.RED), *gated.of(Colour.UNDECIDED)]
    told = [f"{name_text(since.candidate)} against {name_text(since.base)}."]
    sentences = (together(value_text(finding_text(each))) for each in amiss[:_MOST])
    told += [f"{each[:1].upper()}{each[1:]}." for each in sentences]
    if more := amiss[_MOST:]:
        told.append(f"{len(more)} more are not green.")
    return GateTold(
        sign=sign,
        tone=tone,
        verdict=f"{verdict[:1].upper()}{verdict[1:]}",
        rest=rest,
        sentences=tuple(told),
        pairs=max((each.pairs for each in since.comparisons), default=0),
        base=name_text(since.base),
        red=colour is Colour.RED,
    )
