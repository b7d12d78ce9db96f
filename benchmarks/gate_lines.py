"""The lines of a campaign of gates: what a gate found, with the values it decided on, and how many ended how.

A line has each primary metric of the first comparison and of the one that repeated it. `base` and `candidate` are what
was compared of each process, pair by pair in the order of the pairs, in the metric's unit with six digits; `began` says
of each pair which of the two ran first, `b` or `c`. Lines from before values were kept have none; where no scenario is
named it is `steady`, the only one there was.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from benchharness import api, builds
from benchharness.judge.builds import Comparison, Twins, primary_of, twins
from benchharness.judge.exact_shares import clopper_pearson
from benchharness.judge.gate import Colour
from benchharness.judge.pairs import Change, rounds_of
from benchharness.results.result import MetricResult

Line = Mapping[str, Any]
#: By this pair most gates of equal builds are to have ended.
EARLY = 12


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """The values of one metric of one comparison, pair by pair, and what the gate made of them."""

    kind: str  # of the gate: what its candidate was
    scenario: str
    metric: str
    change: Change
    pairs: int  # after which it was decided; more may have been made for another metric
    base: Sequence[float]
    candidate: Sequence[float]
    began: str

    def processes(self) -> Iterator[float]:
        """All values in the order in which the processes ran."""
        for base, candidate, first in zip(self.base, self.candidate, self.began, strict=True):
            yield from (base, candidate) if first == "b" else (candidate, base)


def read(file: Path) -> list[Line]:
    """The lines of a file, in their order."""
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def recorded(lines: Sequence[Line]) -> Iterator[Recorded]:
    """What the lines kept values of, in the first comparison of each gate."""
    for line in lines:
        for each in line["first"]:
            if each.get("base"):
                yield Recorded(
                    kind=line["kind"],
                    scenario=scenario_of(each),
                    metric=each["metric"],
                    change=Change(each["kind"]),
                    pairs=each["pairs"],
                    base=each["base"],
                    candidate=each["candidate"],
                    began=each["began"],
                )


def scenario_of(verdict: Line) -> str:
    """The scenario that a metric of a line was measured in."""
    return str(verdict.get("scenario", "steady"))


def verdicts(found: builds.Found, store: str) -> list[dict[str, Any]]:
    """Each primary metric of a comparison, with the values that it was decided on."""
    with closing(api.open_store(store)) as opened:
        started = {each.id: each.started for each in opened.attempts(found.findings.run.id)}
    pairs = {each.candidate.job.key: each for each in twins(found.findings.results)}
    return [
        {
            "scenario": each.job.scenario,
            "metric": each.metric,
            "kind": str(each.kind),
            "ratio": each.ratio.value,
            "p": each.p_value,
            "pairs": each.pairs,
            "visible": each.visible,
            **_values(each, pairs.get(each.job.key), started),
        }
        for each in found.comparisons
        if each.primary
    ]


def _values(comparison: Comparison, pair: Twins | None, started: Mapping[str, datetime]) -> dict[str, Any]:
    if comparison.difference is not None:
        found = comparison.difference
        return {"difference": [_short(each) for each in (found.value, found.low, found.high)]}
    both = None if pair is None else next(primary_of(pair, [comparison.metric]), None)
    if both is None:
        return {}
    base, candidate = both
    rounds = dict(sorted(rounds_of(base, candidate).items()))
    ours, theirs = (_starts(each, started) for each in (candidate, base))
    return {
        "base": [_short(best) for best, _ in rounds.values()],
        "candidate": [_short(best) for _, best in rounds.values()],
        "began": "".join("b" if theirs[round_] < ours[round_] else "c" for round_ in rounds),
    }


def _starts(metric: MetricResult, started: Mapping[str, datetime]) -> dict[int, datetime]:
    return {value.round: started[value.attempt] for value in metric.attempts}


def _short(value: float | None) -> float | None:
    """With six digits, and no point where none is needed."""
    if value is None:
        return None
    short = float(f"{value:.6g}")
    return int(short) if short.is_integer() else short


def summary(lines: Sequence[Line], planned: Mapping[str, int]) -> Iterator[str]:
    """How many of each kind ended how, with the exact interval of the share that bars ask for."""
    for name, gates in planned.items():
        made = [each for each in lines if each["kind"] == name]
        counts = {colour: sum(each["colour"] == colour for each in made) for colour in Colour}
        told = ", ".join(f"{count} {colour}" for colour, count in counts.items() if count)
        yield f"{name}: {len(made)} of {gates} gates: {told or 'none'}"
        if made:
            first = sum(any(one["kind"] == Change.WORSE for one in each["first"]) for each in made)
            early = sum(all(_is_early(one) for one in each["first"]) for each in made)
            yield f"  red, first and repeated: {share_of(counts[Colour.RED], len(made))}"
            yield f"  worse in the first comparison: {share_of(first, len(made))}"
            yield f"  decided by pair {EARLY}: {share_of(early, len(made))}"


def _is_early(verdict: Line) -> bool:
    return bool(verdict["pairs"] <= EARLY and verdict["kind"] != Change.UNDECIDED)


def share_of(hits: int, of: int, *, digits: int = 1) -> str:
    """`66.7 % [53.7, 78.0]`, with the exact 95 % interval of Clopper and Pearson; "none made" of nothing."""
    if not of:
        return "none made"
    low, high = clopper_pearson(hits, of)
    return f"{100 * hits / of:.{digits}f} % [{100 * low:.{digits}f}, {100 * high:.{digits}f}]"
