"""What a gate says of a candidate: red, green, or that it could not decide; and what was accepted until when. Pure.

Red is what is worse in a primary metric, a sure miss of a budget, an exact metric past its limit, or a candidate that
fails where the base does not. Where a red comparison was repeated with fresh pairs, it is red only where both say so.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from benchharness.judge.builds import Comparison
from benchharness.judge.design import Accepted, Design
from benchharness.judge.pairs import Change
from benchharness.judge.told import percent, signed, told_of
from benchharness.metrics import METRICS, Better
from benchharness.results.result import BASE, CANDIDATE, EXACT, Job, Result, Verdict, VerdictKind


class Colour(StrEnum):
    """What a gate says."""

    GREEN = "green"
    RED = "red"
    UNDECIDED = "undecided"


_COLOURS = {
    Change.WORSE: Colour.RED,
    Change.BETTER: Colour.GREEN,
    Change.SAME: Colour.GREEN,
    Change.NO_WORSE: Colour.GREEN,
    Change.UNDECIDED: Colour.UNDECIDED,
}
_KEPT = {
    VerdictKind.PASS: Colour.GREEN,
    VerdictKind.MISS: Colour.RED,
    VerdictKind.UNDECIDED: Colour.UNDECIDED,
}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that a gate looked at: a comparison, a budget or an exact metric."""

    job: Job
    name: str  # of the metric or the budget
    colour: Colour
    told: str  # a sentence without its subject: "slower: +13 % [+10 %, +16 %], p = 0.0003, 10 pairs"
    accepted: str = ""  # by whom, why and until when, where that turned it from red to green
    of_change: bool = True  # from base to candidate; no acceptance of a change speaks of an absolute limit


@dataclass(frozen=True, kw_only=True)
class Gated:
    """What a gate found; `findings` red first."""

    colour: Colour
    findings: Sequence[Finding]

    def of(self, colour: Colour) -> list[Finding]:
        """Those of one colour."""
        return [each for each in self.findings if each.colour is colour]


def gated(
    compared: Sequence[Comparison],
    repeated: Sequence[Comparison] | None,
    results: Sequence[Result],
    *,
    design: Design,
    today: date,
    pair_s: float = 0.0,
) -> Gated:
    """The verdict. `results` are of both builds; `pair_s` is what a pair takes, to tell what more would."""
    again = {_key(each): each for each in repeated or ()}
    found = [
        *(_compared(each, _repeated(each, again), design, pair_s) for each in compared if each.primary),
        *_exact(compared, design.limits),
        *_budgets(results),
    ]
    if repeated is not None:
        found += [_compared(each, None, design, pair_s) for each in repeated if _is_new(each, compared)]
    judged = [_with_acceptance(each, compared, design.accepted, today) for each in found]
    order = (Colour.RED, Colour.UNDECIDED, Colour.GREEN)
    return Gated(
        colour=next((colour for colour in order if any(each.colour is colour for each in judged)), Colour.UNDECIDED),
        findings=sorted(judged, key=lambda each: order.index(each.colour)),
    )


def _key(comparison: Comparison) -> tuple[str, str, str]:
    job = comparison.job
    return (job.pair, comparison.metric, str(sorted(comparison.parameters.items())))


def _repeated(one: Comparison, again: Mapping[tuple[str, str, str], Comparison]) -> Comparison | None:
    """The same in the repetition; where a build gave nothing there, that."""
    whole = (one.job.pair, "", "[]")
    return again.get(_key(one)) or again.get(whole)


def _is_new(comparison: Comparison, compared: Iterable[Comparison]) -> bool:
    """A failure of the whole pair that only the repetition met."""
    return not comparison.metric and _key(comparison) not in {_key(each) for each in compared}


def _compared(one: Comparison, again: Comparison | None, design: Design, pair_s: float) -> Finding:
    told, colour = told_of(one, design), _COLOURS[one.kind]
    if colour is Colour.RED and again is not None:
        # Not green: a build that is worse would have a second chance to be missed.
        colour = Colour.RED if _COLOURS[again.kind] is Colour.RED else Colour.UNDECIDED
        but = "and again" if colour is Colour.RED else "not so when repeated"
        told = f"{told}; {but}: {told_of(again, design)}"
    elif colour is Colour.UNDECIDED and (more := would_take(one, design, pair_s)):
        told = f"{told}; {more}"
    return Finding(job=one.job, name=one.metric, colour=colour, told=told)


def would_take(comparison: Comparison, design: Design, pair_s: float) -> str:
    """About how many pairs, and minutes, would decide it: an interval narrows with their root. "" where unknown."""
    ratio = comparison.ratio
    if ratio.value is None or ratio.low is None or ratio.high is None or not comparison.pairs:
        return ""
    half = (math.log(ratio.high) - math.log(ratio.low)) / 2
    at = abs(math.log(ratio.value))
    distance = max(abs(math.log1p(design.margin) - at), at - math.log1p(design.least))
    if half <= 0 or distance <= 0:
        return ""
    needed = max(comparison.pairs + 1, math.ceil(comparison.pairs * (half / distance) ** 2))
    minutes = f", {needed * pair_s / 60:.0f} minutes" if pair_s * needed > 60 else ""
    return f"about {needed:,} pairs would decide it{minutes}"


def _exact(compared: Sequence[Comparison], limits: Mapping[str, float]) -> Iterator[Finding]:
    """What is known exactly, and may be worse by so much."""
    for each in compared:
        if each.metric not in limits or each.ratio.statistic != EXACT or each.ratio.value is None:
            continue
        higher = METRICS[each.metric].better is Better.HIGHER
        worse_by = (1 / each.ratio.value if higher else each.ratio.value) - 1
        limit = limits[each.metric]
        told = f"exactly {signed(each.ratio.value - 1)}, where {percent(limit)} worse is allowed"
        colour = Colour.RED if worse_by > limit else Colour.GREEN
        yield Finding(job=each.job, name=each.metric, colour=colour, told=told)


def _budgets(results: Sequence[Result]) -> Iterator[Finding]:
    for result in results:
        for verdict in result.verdicts if result.job.side == CANDIDATE else ():
            told = _budget(result, verdict)
            change = verdict.against == BASE
            yield Finding(job=result.job, name=verdict.metric, colour=_KEPT[verdict.kind], told=told, of_change=change)


def _budget(result: Result, verdict: Verdict) -> str:
    wanted = (verdict.metric, verdict.parameters)
    of = next((metric for metric in result.metrics if (metric.name, metric.parameters) == wanted), None)
    value = "" if of is None or of.estimate.value is None else f", measured {of.estimate.value:.6g} {of.unit}"
    return f"budget {verdict.budget}: {verdict.kind}{value}{f' ({verdict.reason})' if verdict.reason else ''}"


def _with_acceptance(
    finding: Finding, compared: Sequence[Comparison], accepted: Sequence[Accepted], today: date
) -> Finding:
    """Green where somebody answers for it; red, and says so, where that has run out or is exceeded."""
    mine = [each for each in accepted if finding.name and each.covers(finding.job, finding.name)]
    if finding.colour is not Colour.RED or not finding.of_change or not mine:
        return finding
    ratio = next(
        (each.ratio.value for each in compared if each.job.key == finding.job.key and each.metric == finding.name), None
    )
    for each in mine:
        if each.until < today:
            why = f"accepted by {each.owner} until {each.until}, which is over"
        elif each.worse_by is not None and ratio is not None and max(ratio, 1 / ratio) - 1 > each.worse_by:
            why = f"more than the {percent(each.worse_by)} that {each.owner} accepted"
        else:
            told = f"{each.owner} until {each.until}: {each.reason}"
            return Finding(job=finding.job, name=finding.name, colour=Colour.GREEN, told=finding.told, accepted=told)
    return Finding(job=finding.job, name=finding.name, colour=Colour.RED, told=f"{finding.told}; {why}")


def finding_text(finding: Finding) -> str:
    """A finding with its subject: `steady inference · fp32 · onnxruntime · … : slower: +13 % …`."""
    job = finding.job
    what = METRICS[finding.name].title if finding.name else "the job"
    subject = " · ".join((what, job.variant, job.configuration.name, job.workload.name, job.scenario))
    return f"{subject}: {finding.told}{f'; accepted by {finding.accepted}' if finding.accepted else ''}"


def headline(gated: Gated) -> str:
    """The gate's verdict in a sentence."""
    of = len(gated.findings)
    counts = {colour: len(gated.of(colour)) for colour in Colour}
    accepted = sum(bool(each.accepted) for each in gated.findings)
    also = f", {accepted} of them accepted until a day" if accepted else ""
    return {
        Colour.RED: f"gate red: {counts[Colour.RED]} of {of} failed, {counts[Colour.UNDECIDED]} undecided",
        Colour.UNDECIDED: f"gate undecided: {counts[Colour.UNDECIDED]} of {of} could not be told, none failed",
        Colour.GREEN: f"gate green: {of} of {of} passed{also}",
    }[gated.colour]


def of_run(gated: Gated, state: str) -> tuple[Colour, str]:
    """Colour and sentence for a run in this state: one that is not finished may lack whole jobs, and is never green."""
    if state == "finished":
        return gated.colour, headline(gated)
    colour = Colour.RED if gated.colour is Colour.RED else Colour.UNDECIDED
    return colour, f"gate {colour}: the run is {state}; so far {headline(gated).partition(': ')[2]}"
