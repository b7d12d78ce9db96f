"""Results -> pages: one hardware target, one page, everything on it as plain frozen data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from benchharness.results.result import Result, Run
from reports.model.entries import Entry, configuration_name, entries_of
from reports.model.page import Page, RunLine
from reports.model.section import Material
from reports.model.visible import name_text, value_text
from reports.sections import Sections, all_sections

_DIGEST_DIGITS = 12
Runs = Sequence[tuple[Run, Sequence[Result]]]


def pages(
    runs: Runs,
    *,
    written: datetime,
    title: str | None = None,
    hardware: Sequence[str] = (),
    not_run: Mapping[str, str] | None = None,
) -> dict[str, Page]:
    """One page for each hardware target that has results or is named in `hardware`, by its name.

    `title` heads every page. `not_run` gives hardware targets that were planned and not run, with the reason.
    """
    found = [result.job.hardware for _, results in runs for result in results]
    names = list(dict.fromkeys([*hardware, *found]))
    sections = all_sections()
    return {
        name: _page(
            name,
            runs,
            _material_of(name, runs, [other for other in names if other != name], not_run or {}, sections),
            sections,
            written=written,
            title=title,
        )
        for name in names
    }


def _results_of(hardware: str, runs: Runs) -> list[Result]:
    return [result for _, results in runs for result in results if result.job.hardware == hardware]


def _labels(runs: Runs) -> list[str]:
    """What a page calls each run; "" where there is one only."""
    return [f"run {number}" if len(runs) > 1 else "" for number in range(1, len(runs) + 1)]


def _material_of(
    hardware: str, runs: Runs, others: Sequence[str], not_run: Mapping[str, str], sections: Sections
) -> Material:
    labelled = list(zip(_labels(runs), runs, strict=True))
    entries = entries_of([(label, each) for label, run in labelled for each in _results_of(hardware, [run])])
    return Material(
        entries=entries,
        colours={model: _colours(entries, model) for model in {entry.result.job.model for entry in entries}},
        others=others,
        not_run={name: reason for name, reason in not_run.items() if name != hardware},
        broken=sections.broken,
        told_elsewhere=sections.tells,
    )


def _page(
    hardware: str,
    runs: Runs,
    material: Material,
    sections: Sections,
    *,
    written: datetime,
    title: str | None,
) -> Page:
    entries = material.entries
    return Page(
        title=value_text(title) if title else f"What each variant costs on {name_text(hardware)}",
        hardware=name_text(hardware),
        written=_moment(written),
        devices=tuple(dict.fromkeys(name_text(device) for entry in entries for device in entry.result.devices)),
        runs=tuple(_run_line(label, run) for label, (run, _) in zip(_labels(runs), runs, strict=True)),
        several_runs=len(runs) > 1,
        compared=_compared(entries),
        configuration=_configuration(entries),
        jobs=len(entries),
        warnings=sum(len(entry.result.warnings) for entry in entries),
        kinds=sections.kinds,
        sections={kind.name: tuple(kind.make(material)) for kind in sections},
    )


def _colours(entries: Sequence[Entry], model: str) -> dict[tuple[str, str], int]:
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
    return moment.strftime("%Y-%m-%d %H:%M %Z").strip()


def _run_line(label: str, run: Run) -> RunLine:
    return RunLine(
        label=label,
        id=name_text(run.id),
        suite=name_text(run.suite),
        suite_digest=name_text(run.suite_digest[:_DIGEST_DIGITS]),
        started=_moment(run.started),
        state=name_text(run.state),
        version=name_text(run.version),
    )


def _compared(entries: Sequence[Entry]) -> str:
    """What was compared, in one line."""
    jobs = [entry.result.job for entry in entries]
    counts = (
        (len({job.model for job in jobs}), "model"),
        (len({(job.model, job.variant) for job in jobs}), "variant"),
        (len({job.configuration.name for job in jobs}), "configuration"),
        (len({job.workload.name for job in jobs}), "workload"),
        (len({entry.scenario for entry in entries}), "scenario"),
    )
    return ", ".join(f"{count} {noun}{'' if count == 1 else 's'}" for count, noun in counts)


def _configuration(entries: Sequence[Entry]) -> str:
    names = {configuration_name(entry.result.job.configuration) for entry in entries}
    return names.pop() if len(names) == 1 else ""
