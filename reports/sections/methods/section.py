"""What the figures of a page mean, why jobs stopped, and what nobody may read out of the page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchharness.metrics import METRICS, Better
from benchharness.results.result import TELLS_APART, Result
from benchharness.scenarios import SCENARIOS
from reports.model.entries import Entry
from reports.model.section import Material, Section, SectionKind, in_a_line
from reports.model.visible import name_text, value_text

_OVER_ATTEMPTS = "Intervals are 95 %, over attempts, which are fresh processes."
_OVER_INPUTS = (
    "Intervals of quality are 95 %, over documents, chunks of a single text in a row, or inputs (Clopper-Pearson for "
    "shares of inputs): they speak of other inputs of this kind, not of other attempts. Over chunks they allow for "
    "neighbours being alike, and speak of this text: several documents tell what one cannot. Percentiles, p-values, "
    "rank correlations and largest errors have none."
)
_RATIOS = (
    "A ratio is the row over its reference under the same configuration. It is called better or worse only where its "
    "whole interval lies more than {} from 1; a value without either has no clear difference."
)


@dataclass(frozen=True, kw_only=True)
class Definition:
    """What a metric shown on the page means."""

    title: str
    better: str
    text: str
    source: str


@dataclass(frozen=True, kw_only=True)
class Methods(Section):
    """How to read the page."""

    guide: tuple[str, ...]
    definitions: tuple[Definition, ...]
    stops: tuple[tuple[str, int], ...]
    is_not: tuple[str, ...]


def make(material: Material) -> tuple[Methods, ...]:
    """One section."""
    entries = material.entries
    stops = _stops(entries)
    return (
        Methods(
            anchor="methods",
            subject="",
            finding=in_a_line(_finding(entries, stops)),
            guide=tuple(_guide(entries)),
            definitions=tuple(_definitions(entries)),
            stops=stops,
            is_not=(*_silent_about([entry.result for entry in entries]), *_not_here(material)),
        ),
    )


def _finding(entries: Sequence[Entry], stops: Sequence[tuple[str, int]]) -> Iterator[str]:
    yield "intervals are 95 %"
    yield f"better or worse from {_threshold(entries)} on"
    if stops:
        reason, count = stops[0]
        yield f"{count} of {len(entries)} job{'' if len(entries) == 1 else 's'}: {reason}"


def _guide(entries: Sequence[Entry]) -> Iterator[str]:
    """What intervals and ratios are; those of quality are others than those of time and memory."""
    against = [entry.result.job.against is not None for entry in entries]
    if not all(against) or not against:
        yield _OVER_ATTEMPTS
        yield _RATIOS.format(_threshold(entries))
    if any(against):
        yield _OVER_INPUTS


def _threshold(entries: Sequence[Entry]) -> str:
    """How far from 1 the ratios of this page are called better or worse; runs may have set several."""
    ratios = [metric.ratio for entry in entries for metric in entry.result.metrics if metric.ratio]
    found = sorted({ratio.tells_apart for ratio in ratios} or {TELLS_APART})
    return " or ".join(f"{100 * each:.3g} %" for each in found) + (" (as its run sets it)" if len(found) > 1 else "")


def _definitions(entries: Sequence[Entry]) -> Iterator[Definition]:
    shown = {metric.name for entry in entries for metric in entry.result.metrics}
    for name, metric in METRICS.items():
        if name in shown:
            better = "" if metric.better is Better.NEITHER else f"{metric.better} is better"
            yield Definition(title=metric.title, better=better, text=metric.definition, source=metric.source)
    for name in sorted(shown - set(METRICS)):
        text = "not a metric of this version of benchharness"
        yield Definition(title=name_text(name), better="", text=text, source="")


def _stops(entries: Sequence[Entry]) -> tuple[tuple[str, int], ...]:
    """Why jobs got no more attempts, and how many jobs for each reason."""
    counts: dict[str, int] = {}
    for entry in entries:
        reason = value_text(entry.result.stopped or "not recorded")
        counts[reason] = counts.get(reason, 0) + 1
    return tuple(sorted(counts.items(), key=lambda item: -item[1]))


def _silent_about(results: Sequence[Result]) -> Iterator[str]:
    """What nobody may read out of this page."""
    ran = {result.job.scenario for result in results}
    if len({device for result in results for device in result.devices}) == 1:
        yield "It speaks of one device, and its intervals of this unit alone. Another unit of the same kind may differ."
    missing = [scenario for scenario in SCENARIOS.usable() if scenario.name not in ran]
    if missing:
        told = "; ".join(f"{scenario.title} (scenario {scenario.name})" for scenario in missing)
        yield f"It says nothing about what was not run: {told}."


def _not_here(material: Material) -> Iterator[str]:
    yield from (f"It lacks a section: {value_text(told)}." for told in material.broken)
    others = [name_text(name) for name in material.others]
    if others:
        yield f"It does not speak of {', '.join(others)}: each hardware target has its own report."
    yield from (f"{name_text(name)} was not run: {value_text(why)}." for name, why in material.not_run.items())
    yield "Its numbers do not carry over to another kind of device."


SECTION = SectionKind(name="methods", heading="Methods", make=make, order=120)
