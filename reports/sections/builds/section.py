"""What got slower: every primary metric with its verdict, change and how sure, the worst first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchharness.judge.builds import Comparison, Since
from benchharness.judge.pairs import Change
from benchharness.judge.told import change_of, percent, verdict_of
from benchharness.metrics import METRICS
from benchharness.units import quantity_text, scale_for
from reports.model.section import Material, Section, SectionKind, in_a_line
from reports.model.visible import name_text, value_text

_ORDER = (Change.WORSE, Change.UNDECIDED, Change.BETTER, Change.NO_WORSE, Change.SAME)
_MARKS = {
    Change.WORSE: ("✗", "bad"),
    Change.UNDECIDED: ("?", "open"),
    Change.BETTER: ("✓", "ok"),
    Change.NO_WORSE: ("✓", "ok"),
    Change.SAME: ("✓", "ok"),
}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One primary metric of one job."""

    mark: str
    style: str
    metric: str
    job: str
    base: str
    candidate: str
    change: str
    verdict: str
    sure: str
    why: str


@dataclass(frozen=True, kw_only=True)
class SinceBase(Section):
    """The comparison of a page's run."""

    base: str
    candidate: str
    rows: tuple[Row, ...]
    method: str


def make(material: Material) -> tuple[SinceBase, ...]:
    """One section, where the run compares two builds."""
    since = material.since
    if since is None:
        return ()
    primary = sorted((each for each in since.comparisons if each.primary), key=lambda each: _ORDER.index(each.kind))
    return (
        SinceBase(
            anchor="since-base",
            subject="",
            finding=in_a_line([_finding(each, since) for each in primary], "no primary metric is measured by both"),
            base=name_text(since.base),
            candidate=name_text(since.candidate),
            rows=tuple(_row(each, since) for each in primary),
            method=_method(since),
        ),
    )


def _finding(each: Comparison, since: Since) -> str:
    what = f"{_metric(each)} of {name_text(each.job.variant)}"
    told = (verdict_of(each, since.design), change_of(each))
    return value_text(f"{what}: {', '.join(filter(None, told))}")


def _metric(each: Comparison) -> str:
    return METRICS[each.metric].title if each.metric else "the job"


def _row(each: Comparison, since: Since) -> Row:
    mark, style = _MARKS[each.kind]
    job = each.job
    is_told = each.p_value is not None and each.kind in (Change.WORSE, Change.BETTER)
    sure = [f"p = {each.p_value:.1g}"] if is_told else []
    sure += [f"{each.pairs} pairs"] if each.pairs else []
    sure += [f"{percent(each.visible)} would be seen"] if each.visible is not None else []
    return Row(
        mark=mark,
        style=style,
        metric=_metric(each),
        job=name_text(" · ".join((job.variant, job.configuration.name, job.workload.name, job.scenario))),
        base=_value(each, each.base),
        candidate=_value(each, each.candidate),
        change=change_of(each) or "–",
        verdict=verdict_of(each, since.design),
        sure=", ".join(sure),
        why=value_text(each.reason) if each.reason else "",
    )


def _value(each: Comparison, value: float | None) -> str:
    if value is None or not each.metric:
        return "–"
    unit = METRICS[each.metric].unit
    return quantity_text(value, unit, scale_for(unit, value))


def _method(since: Since) -> str:
    design = since.design
    looks: Sequence[str] = [str(look) for look in design.looks]
    return (
        f"Pairs of fresh processes in random order, looked at after {', '.join(looks)}. Called worse wrongly at most "
        f"{percent(design.alpha)} of the time over all primary metrics and looks, and one that is worse by "
        f"{percent(design.margin)} no worse at most {percent(design.beta)}; changes below {percent(design.least)} "
        "are none."
    )


SECTION = SectionKind(name="builds", heading="Since the base", make=make, order=5)
