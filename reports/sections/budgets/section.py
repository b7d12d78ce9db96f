"""Budgets -> what a page says about them: each with every result held against it, and all of them in a line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchharness.metrics import Better
from benchharness.results.result import EXACT, MetricResult, Verdict, VerdictKind
from benchharness.units import Scale, quantity_text, scale_for
from reports.model.entries import Entry, same_key
from reports.model.estimates import better_of, parameters_text, quantity
from reports.model.section import Material, Section, SectionKind, Side
from reports.model.tables import Quantity
from reports.model.visible import name_text, value_text

_WORST_FIRST = (VerdictKind.MISS, VerdictKind.UNDECIDED, VerdictKind.PASS)
_MOST_NAMES = 4
#: In the multiple of its limit a value is written where that takes neither zeros in front nor five digits.
_FROM_LIMIT, _TO_LIMIT = 0.05, 50.0


@dataclass(frozen=True, kw_only=True)
class BudgetLine:
    """One result held against a budget. `verdict`: pass, miss or undecided."""

    who: str
    scenario: str  # "" where the value belongs to the artefact, whatever was run
    parameters: str
    anchor: str  # of the job's details; "" where there is none
    quantity: Quantity
    share: str  # of the limit
    verdict: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Budget:
    """A limit as it was written, and every result held against it. The worst verdict of its lines is its own."""

    text: str
    origin: str
    limit: str  # in this page's units
    verdict: str
    whose: str  # those of that verdict, each with its worst value
    lines: tuple[BudgetLine, ...]


@dataclass(frozen=True, kw_only=True)
class Budgets(Section):
    """All budgets, in one line, in a few, and in full; `notes` say which results were not judged."""

    headlines: tuple[tuple[str, str, str], ...]  # (verdict, budget, whose), misses first
    budgets: tuple[Budget, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _Judged:
    entry: Entry
    verdict: Verdict
    metric: MetricResult | None


def make(material: Material) -> tuple[Budgets, ...]:
    """Everything about budgets on one page; nothing where there are none."""
    entries = material.entries
    by_budget: dict[tuple[str, str], list[_Judged]] = {}
    for entry in entries:
        for verdict in entry.result.verdicts:
            judged = _Judged(entry=entry, verdict=verdict, metric=_measured(entry, verdict))
            by_budget.setdefault((verdict.budget, verdict.origin), []).append(judged)
    missing: dict[tuple[str, str], list[str]] = {}  # the runs that say nothing of it
    for text, origin, *named in material.unmeasured:
        run = named[0] if named else ""
        if all(judged.entry.run != run for judged in by_budget.get((text, origin), ())):
            missing.setdefault((text, origin), []).append(run)
    budgets = [_budget(group, entries, missing.pop(key, ())) for key, group in by_budget.items()]
    budgets += [_unasked(*key, runs) for key, runs in missing.items()]
    if not budgets:
        return ()
    budgets.sort(key=lambda each: _WORST_FIRST.index(VerdictKind(each.verdict)))
    return (
        Budgets(
            anchor="budgets",
            subject="",
            lead=_summary(budgets),
            bad=budgets[0].verdict == VerdictKind.MISS,
            headlines=tuple(_headlines(budgets)),
            budgets=tuple(budgets),
            notes=tuple(_not_judged(entries)),
        ),
    )


def _measured(entry: Entry, verdict: Verdict) -> MetricResult | None:
    wanted = (verdict.metric, same_key(dict(verdict.parameters)))
    return next((each for each in entry.result.metrics if (each.name, same_key(dict(each.parameters))) == wanted), None)


def _budget(judged: Sequence[_Judged], entries: Sequence[Entry], silent: Sequence[str]) -> Budget:
    """`silent`: runs that measured nothing for it."""
    first = judged[0].verdict
    unit = next((each.metric.unit for each in judged if each.metric), "")
    written = Scale(first.unit_worth, name_text(first.unit)) if first.unit_worth else None
    near = _scale(first.limit, unit, judged)
    scale = written if near and written else near
    several = len({same_key(dict(each.verdict.parameters)) for each in judged}) > 1
    lines: dict[object, tuple[float, BudgetLine]] = {}
    for each in judged:
        lines.setdefault(_identity(each), (_beyond(each), _line(each, entries, scale, told=several)))
    lines.update((run, (float("-inf"), _nothing(run))) for run in silent)
    verdict = _worst([line.verdict for _, line in lines.values()])
    return Budget(
        text=name_text(first.budget),
        origin=name_text(first.origin),
        limit=quantity_text(first.limit, name_text(unit), written or scale),
        verdict=verdict,
        whose=_whose([each for each in lines.values() if each[1].verdict == verdict]),
        lines=tuple(line for _, line in lines.values()),
    )


def _scale(limit: float, unit: str, judged: Sequence[_Judged]) -> Scale | None:
    """The multiple of the limit, so that value and limit compare at a glance; None where they are too far apart."""
    values = [each.metric.estimate.value for each in judged if each.metric and each.metric.estimate.value is not None]
    if limit <= 0 or not values or not all(_FROM_LIMIT * limit <= value <= _TO_LIMIT * limit for value in values):
        return None
    return scale_for(unit, limit)


def _of_artefact(judged: _Judged) -> bool:
    """Whether the value belongs to the artefact, so that all of its jobs say the same."""
    return judged.metric is not None and judged.metric.estimate.statistic == EXACT


def _identity(judged: _Judged) -> object:
    job = judged.entry.result.job
    if not _of_artefact(judged):
        return judged.entry.anchor, same_key(dict(judged.verdict.parameters))
    value = judged.metric.estimate.value if judged.metric else None
    return judged.entry.run, job.model, job.variant, value, judged.verdict.kind


def _beyond(judged: _Judged) -> float:
    """How far a value is on the wrong side, so that the worst of a row's values can be named."""
    value = judged.metric.estimate.value if judged.metric else None
    if value is None:
        return float("-inf")
    return -value if better_of(judged.verdict.metric) is Better.HIGHER else value


def _whose(lines: Sequence[tuple[float, BudgetLine]]) -> str:
    """The rows, each once with its worst value."""
    worst: dict[str, tuple[float, BudgetLine]] = {}
    for beyond, line in lines:
        if line.who not in worst or beyond > worst[line.who][0]:
            worst[line.who] = (beyond, line)
    told = [f"{who} {line.quantity.text}" for who, (_, line) in worst.items()]
    more = f" and {len(told) - _MOST_NAMES} more" if len(told) > _MOST_NAMES else ""
    return ", ".join(told[:_MOST_NAMES]) + more


def _line(judged: _Judged, entries: Sequence[Entry], scale: Scale | None, *, told: bool) -> BudgetLine:
    """`told`: results of this budget differ in their parameters, so a line names its own."""
    entry, verdict, metric = judged.entry, judged.verdict, judged.metric
    exact = _of_artefact(judged)
    value = metric.estimate.value if metric else None
    shown = quantity(metric.estimate, metric.unit, scale) if metric else None
    return BudgetLine(
        who=_who(entry, entries, exact=exact),
        scenario="" if exact else entry.scenario,
        parameters=parameters_text(verdict.parameters) if told else "",
        anchor=entry.anchor,
        quantity=shown or Quantity(text="unknown", reason="the result has no such value"),
        share="" if value is None or verdict.limit <= 0 else f"{value / verdict.limit:.0%}",
        verdict=str(VerdictKind(verdict.kind)),
        reason=value_text(verdict.reason),
    )


def _who(entry: Entry, entries: Sequence[Entry], *, exact: bool) -> str:
    """The row, and before it what tells it from rows of other comparisons on the page."""
    job = entry.result.job
    parts = []
    if len({each.result.job.model for each in entries}) > 1:
        parts.append(name_text(job.model))
    if exact:
        return " · ".join(part for part in (*parts, name_text(job.variant), entry.run) if part)
    jobs = [each.result.job for each in entries if each.result.job.model == job.model]
    if len({each.workload.name for each in jobs}) > 1:
        parts.append(name_text(job.workload.name))
    return " · ".join((*parts, entry.who))


def _nothing(run: str) -> BudgetLine:
    return BudgetLine(
        who=f"no result of {run}" if run else "no result",
        scenario="",
        parameters="",
        anchor="",
        quantity=Quantity(text="not measured"),
        share="",
        verdict=str(VerdictKind.UNDECIDED),
        reason="nothing that was run measures it",
    )


def _unasked(text: str, origin: str, runs: Sequence[str]) -> Budget:
    lines = tuple(_nothing(run) for run in runs)
    return Budget(
        text=name_text(text),
        origin=name_text(origin),
        limit="",
        verdict=lines[0].verdict,
        whose=lines[0].quantity.text,
        lines=lines,
    )


def _worst(verdicts: Sequence[str]) -> str:
    return str(next(kind for kind in _WORST_FIRST if kind in verdicts))


def _summary(budgets: Sequence[Budget]) -> str:
    """A budget is missed where one result misses it, and kept only where all keep it."""
    count = len(budgets)
    missed = sum(budget.verdict == VerdictKind.MISS for budget in budgets)
    undecided = sum(budget.verdict == VerdictKind.UNDECIDED for budget in budgets)
    noun = "budget" if count == 1 else "budgets"
    if missed:
        return f"{missed} of {count} {noun} missed" + (f", {undecided} undecided" if undecided else "")
    if undecided:
        return f"{undecided} of {count} {noun} undecided, none missed"
    return f"all {count} budgets kept" if count > 1 else "the budget is kept"


def _headlines(budgets: Sequence[Budget]) -> Iterator[tuple[str, str, str]]:
    for budget in budgets:
        if budget.verdict != VerdictKind.PASS:
            yield budget.verdict, budget.text, budget.whose


def _not_judged(entries: Sequence[Entry]) -> Iterator[str]:
    private = dict.fromkeys(name_text(entry.result.job.variant) for entry in entries if not entry.result.job.ships)
    if private:
        yield f"Not judged, because the suite says that it does not ship: {', '.join(private)}."
    failed = [f"{_who(entry, entries, exact=False)}, {entry.scenario}" for entry in entries if _failed(entry)]
    if failed:
        yield f"Without a verdict, because the job has no value: {'; '.join(failed)}."
    by_weights = dict.fromkeys(
        _who(entry, entries, exact=False)
        for entry in entries
        if entry.weights_only and entry.result.job.ships and entry.result.job.against is None
    )
    if by_weights:
        yield f"Judged on sizes alone, because the execution is a reference one: {', '.join(by_weights)}."


def _failed(entry: Entry) -> bool:
    return entry.result.job.ships and not entry.result.metrics


SECTION = SectionKind(name="budgets", heading="Budgets", make=make, card=Side.RIGHT)
