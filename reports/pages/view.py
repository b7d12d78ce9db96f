"""Results -> pages: one hardware target, one page, everything on it as plain frozen data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from benchharness.judge.choice import Choice
from benchharness.metrics import METRICS
from benchharness.results.result import TELLS_APART, Result, Run
from benchharness.scenarios import SCENARIOS
from reports.model.entries import Entry, configuration_name, entries_of
from reports.model.page import Definition, Page, RunLine
from reports.model.section import Material, Unmeasured
from reports.model.visible import name_text, value_text
from reports.sections import Sections, all_sections

_OVER_ATTEMPTS = "Interval: 95 %, over attempts (fresh processes); n: attempts behind a value. "
_OVER_INPUTS = "Intervals of quality: 95 %, over the inputs that were compared, as each of its tables says. "
_RATIOS = (
    "A ratio is the row over its reference under the same configuration. Here as everywhere on this page a ratio is "
    "called better or worse only where its whole interval lies more than {} from 1."
)
_DIGEST_DIGITS = 12
Runs = Sequence[tuple[Run, Sequence[Result]]]
#: By the id of the run that they were made from.
Choices = Mapping[str, Sequence[Choice]]


def pages(
    runs: Runs,
    *,
    written: datetime,
    title: str | None = None,
    hardware: Sequence[str] = (),
    not_run: Mapping[str, str] | None = None,
    unmeasured: Unmeasured = (),
    choices: Choices | None = None,
) -> dict[str, Page]:
    """One page for each hardware target that has results or is named in `hardware`, by its name.

    `title` heads every page. `not_run` gives hardware targets that were planned and not run, with the reason.
    `unmeasured` are budgets that nothing was measured for: (as written, who set it, the run's id). `choices` are those
    made from each run, by its id.
    """
    found = [result.job.hardware for _, results in runs for result in results]
    names = list(dict.fromkeys([*hardware, *found]))
    sections = all_sections()
    return {
        name: _page(
            name,
            runs,
            _material_of(name, runs, unmeasured, choices or {}, sections),
            sections,
            written=written,
            title=title,
            is_not=(
                *_silent_about(_results_of(name, runs)),
                *(f"It lacks a section: {value_text(told)}." for told in sections.broken),
                *_not_here(name, names, not_run or {}),
            ),
        )
        for name in names
    }


def _results_of(hardware: str, runs: Runs) -> list[Result]:
    return [result for _, results in runs for result in results if result.job.hardware == hardware]


def _labels(runs: Runs) -> list[str]:
    """What a page calls each run; "" where there is one only."""
    return [f"run {number}" if len(runs) > 1 else "" for number in range(1, len(runs) + 1)]


def _material_of(hardware: str, runs: Runs, unmeasured: Unmeasured, choices: Choices, sections: Sections) -> Material:
    labelled = list(zip(_labels(runs), runs, strict=True))
    labels = {run.id: label for label, (run, _) in labelled}
    entries = entries_of([(label, each) for label, run in labelled for each in _results_of(hardware, [run])])
    return Material(
        entries=entries,
        colours={model: _colours(entries, model) for model in {entry.result.job.model for entry in entries}},
        choices=[
            (labels.get(run, ""), choice)
            for run, made in choices.items()
            for choice in made
            if choice.hardware == hardware
        ],
        unmeasured=_unmeasured_here(unmeasured, labels, {entry.run for entry in entries}),
        told_elsewhere=frozenset(name for kind in sections for name in kind.tells),
    )


def _page(
    hardware: str,
    runs: Runs,
    material: Material,
    sections: Sections,
    *,
    written: datetime,
    title: str | None,
    is_not: tuple[str, ...],
) -> Page:
    entries = material.entries
    return Page(
        title=value_text(title) if title else f"What each variant costs on {name_text(hardware)}",
        hardware=name_text(hardware),
        written=_moment(written),
        devices=tuple(dict.fromkeys(name_text(device) for entry in entries for device in entry.result.devices)),
        runs=tuple(_run_line(label, run) for label, (run, _) in zip(_labels(runs), runs, strict=True)),
        several_runs=len(runs) > 1,
        reading_guide=_reading_guide(entries),
        compared=_compared(entries),
        configuration=_configuration(entries),
        jobs=len(entries),
        warnings=sum(len(entry.result.warnings) for entry in entries),
        kinds=sections.kinds,
        sections={kind.name: tuple(kind.make(material)) for kind in sections},
        definitions=tuple(_definitions(entries)),
        stops=_stops(entries),
        is_not=is_not,
    )


def _unmeasured_here(unmeasured: Unmeasured, labels: Mapping[str, str], here: set[str]) -> Unmeasured:
    """Budgets that a run measured nothing for, with the run's label; of several runs only those on this page."""
    told = [(text, origin, labels.get(run[0], "") if run else "") for text, origin, *run in unmeasured]
    return [each for each in told if len(labels) < 2 or each[2] in here]


def _reading_guide(entries: Sequence[Entry]) -> str:
    """What the intervals and ratios of this page are; those of quality are others than those of time and memory."""
    against = [entry.result.job.against is not None for entry in entries]
    timed, quality = not all(against) or not against, any(against)
    ratios = _RATIOS.format(_threshold(entries)) if timed else ""
    return f"{_OVER_ATTEMPTS if timed else ''}{_OVER_INPUTS if quality else ''}{ratios}".strip()


def _threshold(entries: Sequence[Entry]) -> str:
    """How far from 1 the ratios of this page are called better or worse; runs may have set several."""
    ratios = [metric.ratio for entry in entries for metric in entry.result.metrics if metric.ratio]
    found = sorted({ratio.tells_apart for ratio in ratios} or {TELLS_APART})
    return " or ".join(f"{100 * each:.3g} %" for each in found) + (" (as its run sets it)" if len(found) > 1 else "")


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


def _definitions(entries: Sequence[Entry]) -> list[Definition]:
    shown = {metric.name for entry in entries for metric in entry.result.metrics}
    known = [
        Definition(
            title=metric.title, better=f"{metric.better} is better", text=metric.definition, source=metric.source
        )
        for name, metric in METRICS.items()
        if name in shown
    ]
    foreign = [
        Definition(title=name_text(name), better="", text="not a metric of this version of benchharness", source="")
        for name in sorted(shown - set(METRICS))
    ]
    return known + foreign


def _stops(entries: Sequence[Entry]) -> tuple[tuple[str, int], ...]:
    """Why jobs got no more attempts, and how many jobs for each reason."""
    counts: dict[str, int] = {}
    for entry in entries:
        reason = value_text(entry.result.stopped or "not recorded")
        counts[reason] = counts.get(reason, 0) + 1
    return tuple(sorted(counts.items(), key=lambda item: -item[1]))


def _silent_about(results: Sequence[Result]) -> list[str]:
    """What nobody may read out of this page."""
    devices = {device for result in results for device in result.devices}
    ran = {result.job.scenario for result in results}
    silent = [
        f"It says nothing about {scenario.title}: scenario {scenario.name} was not run."
        for scenario in SCENARIOS.usable()
        if scenario.name not in ran
    ]
    if len(devices) == 1:
        silent.insert(0, "It speaks of one device. Another unit of the same kind may differ.")
    return silent


def _not_here(hardware: str, all_hardware: Sequence[str], not_run: Mapping[str, str]) -> list[str]:
    others = [name_text(name) for name in all_hardware if name != hardware]
    told = [f"It does not speak of {', '.join(others)}: each hardware target has its own report."] if others else []
    told += [
        f"{name_text(name)} was not run: {value_text(reason)}." for name, reason in not_run.items() if name != hardware
    ]
    told.append("Its numbers do not carry over to another kind of device.")
    return told
