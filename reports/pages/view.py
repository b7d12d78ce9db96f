"""Results of one run -> pages: one hardware target, one page, everything on it as plain frozen data."""

from __future__ import annotations

import base64
import gzip
from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from benchharness.judge.answer import worst_first
from benchharness.judge.trust import noisy, trust
from benchharness.results.result import Result
from reports.model.answers import said_of_all, told_of
from reports.model.entries import Colours, Entry, entries_of
from reports.model.foot import foot_of
from reports.model.found import Found
from reports.model.gate import gate_told
from reports.model.machine import machine_of
from reports.model.page import Export, Page, Trusted
from reports.model.section import Material
from reports.model.tradeoff import tradeoff
from reports.model.visible import name_text, value_text
from reports.sections import all_sections

_MOST_FINDINGS = 3
#: Bytes of an export that a page carries as it is.
_LONGEST_PLAIN = 60_000
#: The section with the warnings themselves.
WARNINGS = "warnings"


def _exports(found: Found) -> tuple[Export, ...]:
    """The run as CSV and JSON, in addresses that hold the data."""
    kinds = (("CSV", found.exports.csv, "text/csv"), ("JSON", found.exports.json, "application/json"))
    return tuple(_export(name_text(found.hardware), title, text, kind) for title, text, kind in kinds if text)


def _export(name: str, title: str, text: str, kind: str) -> Export:
    """Plain where it is short; else packed, so that the page stays one that can be sent."""
    data, file = text.encode(), f"{name}.{title.lower()}"
    if len(data) > _LONGEST_PLAIN:
        data, file, kind = gzip.compress(data, mtime=0), f"{file}.gz", "application/gzip"
    return Export(title=title, href=f"data:{kind};base64,{base64.b64encode(data).decode()}", file=file)


def page_of(
    found: Found,
    *,
    written: datetime,
    title: str | None = None,
    jobs_href: str = "",
) -> Page:
    """The page of a hardware target.

    `written` is the moment that it states, `title` heads it, `jobs_href` is the page of its jobs; "" where it stands
    alone.
    """
    results, sections = found.results, all_sections()
    entries = entries_of(results)
    colours = {model: colours_of(entries, model) for model in {entry.result.job.model for entry in entries}}
    ordered = worst_first(found.answers)
    told = told_of(ordered, entries, colours)
    material = Material(
        entries=entries,
        colours=colours,
        others=found.others,
        not_run={name: reason for name, reason in found.not_run.items() if name != found.hardware},
        broken=sections.broken,
        told_elsewhere=sections.tells,
        jobs_href=jobs_href,
        since=found.since,
    )
    return Page(
        title=_title(found),
        heading=value_text(title) if title else "",
        hardware=name_text(found.hardware),
        suite=name_text(found.run.suite),
        machine=machine_of(results),
        moment=_moment(found.run.started),
        jobs=len(results),
        jobs_ok=sum(result.outcome.ok for result in results),
        attempts=_attempts(results),
        trust=_trusted(results),
        sees=_sees(found),
        gate=gate_told(found.since, found.run.state),
        answers=told,
        said_of_all=said_of_all(ordered),
        tradeoffs={
            each.anchor: drawn
            for each, answer in zip(told, ordered, strict=True)
            if (drawn := tradeoff(answer, colours.get(answer.model, {})))
        },
        kinds=sections.kinds,
        sections={kind.name: tuple(kind.make(material)) for kind in sections},
        foot=foot_of([found], _moment(written)),
        exports=_exports(found),
        jobs_href=jobs_href,
    )


def _title(found: Found) -> str:
    """What a browser's tab says: where, and the first thing to know."""
    where = f"{name_text(found.run.suite)} on {name_text(found.hardware)}"
    if gate := gate_told(found.since, found.run.state):
        return f"{where}: {gate.headline}"
    return f"{where}: {value_text(worst_first(found.answers)[0].headline)}" if found.answers else where


def _attempts(results: Sequence[Result]) -> str:
    """How many attempts most jobs have."""
    counts = Counter(sum(result.outcomes.values()) for result in results)
    if not counts:
        return ""
    usual = counts.most_common(1)[0][0]
    noun = f"attempt{'' if usual == 1 else 's'}"
    return f"{usual} {noun} each" if len(counts) == 1 else f"{min(counts)} to {max(counts)} attempts each"


def _trusted(results: Sequence[Result]) -> Trusted | None:
    found = trust(results)
    if not found:
        return None
    return Trusted(
        noisy=noisy(found),
        findings=tuple(each.finding for each in found[:_MOST_FINDINGS]),
        warnings=sum(len(result.warnings) for result in results),
        anchor=WARNINGS,
    )


def _sees(found: Found) -> tuple[str, ...]:
    """Of each device that is on the page; where there are several they are named."""
    devices = dict.fromkeys(device for result in found.results for device in result.devices)
    told = {device: found.machines[device] for device in devices if device in found.machines}
    return tuple(value_text(text if len(told) == 1 else f"{device}: {text}") for device, text in told.items())


def colours_of(entries: Sequence[Entry], model: str) -> Colours:
    """A number for each artefact of a model, the same in all of its figures.

    Variants of one precision have the same where no runtime has both: a precision then looks alike in every runtime.
    """
    runtimes: dict[tuple[tuple[str, str], str | None], set[str]] = {}
    for entry in (entry for entry in entries if entry.result.job.model == model):
        job = entry.result.job
        runtimes.setdefault((entry.artefact, job.precision), set()).add(job.configuration.runtime)
    taken: list[tuple[str, set[str]]] = []  # by number: the precision, and the runtimes that have it in this colour
    numbers: dict[tuple[str, str], int] = {}
    for (artefact, precision), here in runtimes.items():
        kind = precision or artefact[0]
        alike = (at for at, (other, there) in enumerate(taken) if precision and other == kind and not there & here)
        number = next(alike, len(taken))
        if number == len(taken):
            taken.append((kind, set()))
        taken[number][1].update(here)
        numbers[artefact] = number
    return numbers


def _moment(moment: datetime) -> str:
    return moment.strftime("%d %b %Y %H:%M %Z").strip().lstrip("0")
