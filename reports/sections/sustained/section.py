"""Sustained attempts -> a section: verdicts with their evidence, burst against steady state, one chart a job."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from benchharness.results.courses import Course, SessionState
from benchharness.results.result import MetricResult
from benchharness.units import quantity_text
from reports.figures.figure import Ends
from reports.model.conditions import Unreadable
from reports.model.entries import Colours, Entry, by_comparison, subject_of
from reports.model.jobs import Missing, missing
from reports.model.numbers import ends_of, finite
from reports.model.section import Glossary, Material, Section, SectionKind, in_a_line
from reports.model.tables import Cell, QuantityRow, QuantityTable
from reports.model.visible import fact_texts, name_text, value_text
from reports.sections.sustained.cells import found_in, metric_cell, text_cell
from reports.sections.sustained.chart import CourseChart, RateBars, RatePair
from reports.sections.sustained.energy import energy_table
from reports.sections.sustained.series import chart_of, unreadable_of

SCENARIO = "sustained"
_STEADY = SessionState.STEADY
#: Worst first; what is not here, a file from outside may say.
_SEVERITY = (
    SessionState.HEAT,
    SessionState.QUOTA,
    SessionState.CORES,
    SessionState.SLOW_CORE,
    SessionState.CONTENTION,
    SessionState.STEAL,
    SessionState.UNKNOWN,
    SessionState.STEADY,
)
_GLOSSARY = {
    SessionState.STEADY: "nothing slowed the session down, as far as could be read",
    SessionState.QUOTA: "a limit on CPU time (a cgroup quota) stopped the process again and again",
    SessionState.CORES: "cores were taken from the process, or exchanged for others, and it slowed down with it",
    SessionState.HEAT: "the cores became slower, and a temperature sensor or a throttle counter says why; "
    "never said without a sensor's word",
    SessionState.SLOW_CORE: "an inference took more CPU time than before: heat looks like this where no sensor tells, "
    "and so does a busy memory bus",
    SessionState.CONTENTION: "the process waited for a core longer than before: something else ran",
    SessionState.STEAL: "the hypervisor gave the core's time to another virtual machine",
    SessionState.UNKNOWN: "no verdict, for the reason beside it",
}
_TERMS = (
    ("burst", "the rate in the baseline: the first seconds after warm-up"),
    ("steady state", "the rate in the last windows of the session"),
    ("retention", "steady state over burst: of a job, the geometric mean over its sessions"),
    ("worst session", "the attempt with the worst verdict; of several such, the one that kept least of its burst rate"),
    ("change point", "where the session splits best into two; it never decides the verdict"),
)
_TOLD = (
    "Requests ran back to back, or paced as asked for, in one process for a set time, which is cut into windows; none "
    "is left out. A rate counts the time that inferences took; pauses asked for between requests are not in it.",
    "A verdict is the worst attempt's, and its evidence comes first. Sensors were read from outside the process.",
    "Over time: one line an attempt, one point a window. Thick strokes are the baseline and the last windows; of "
    "several attempts they and the dashed lines are those of the worst. Shaded windows were held up by something.",
)
_RATES = (("burst_decode_rate", "settled_decode_rate"), ("burst_inference_rate", "settled_inference_rate"))
#: Percent of the burst rate, and where a course says when that much was lost.
_LOSSES = ((10, "below_10_s"), (25, "below_25_s"))
_COLUMNS = (
    ("verdict", "of the worst attempt"),
    ("burst", "in the baseline"),
    ("steady state", "in the last windows"),
    ("retention", "steady state / burst"),
    ("of the cool rate", "steady state / scenario steady"),
    ("time to −10\u00a0%", "of the burst rate"),
    ("time to −25\u00a0%", "of the burst rate"),
    ("energy", "an inference"),
)
_ENERGY_WORDS = ("energy", "watt", "power")
_MOST_SENTENCES = 12


@dataclass(frozen=True, kw_only=True)
class CoursePart:
    """The courses of one job: the verdict on the worst attempt and its evidence, then the others in a line each."""

    anchor: str  # of the job's details
    who: str
    verdict: str
    tone: str  # ok, bad, or "" for neither
    counts: str
    evidence: tuple[str, ...]
    others: tuple[str, ...]
    figure: CourseChart | None
    silent: tuple[str, ...]  # what is not in the figure though no sensor failed
    folded: bool  # nothing happened in it, and another one is open


@dataclass(frozen=True, kw_only=True)
class Sustained(Section):
    """The sustained attempts of a model on a workload."""

    told: tuple[str, ...]
    bars: RateBars | None
    table: QuantityTable
    energy: QuantityTable | None  # where more is known of it than what an inference takes
    parts: tuple[CoursePart, ...]
    unreadable: tuple[tuple[str, tuple[Unreadable, ...]], ...]  # by the rows that it is alike for
    missing: tuple[Missing, ...]
    glossary: Glossary


def make(material: Material) -> tuple[Sustained, ...]:
    """A section for each model and workload with sustained jobs."""
    found = [entry for entry in material.costs if entry.result.job.scenario == SCENARIO or entry.result.courses]
    return tuple(
        _sustained(f"sessions-{number}", group, material.colours[group[0].result.job.model])
        for number, group in enumerate(by_comparison(found).values(), start=1)
    )


def _sustained(anchor: str, entries: Sequence[Entry], colours: Colours) -> Sustained:
    measured = [entry for entry in entries if entry.result.courses]
    worst = min(measured, key=lambda entry: _rank(worst_of(entry.result.courses)), default=None)
    states = {course.state for entry in measured for course in entry.result.courses}
    states |= {window.state for entry in measured for course in entry.result.courses for window in course.windows}
    return Sustained(
        anchor=anchor,
        subject=subject_of(entries[0]),
        finding=in_a_line(_findings(measured), "no session was recorded"),
        told=(*_TOLD, f"Asked for: {'; or '.join(_asked(entries))}."),
        bars=_bars(entries, colours),
        table=_table(entries),
        energy=energy_table(measured, SCENARIO),
        parts=tuple(
            _part(entry, colours.get(entry.artefact, 0), folded=_quiet(entry) and entry is not worst)
            for entry in measured
        ),
        unreadable=tuple(_unreadable(measured)),
        missing=tuple(missing(entries, lambda entry: bool(entry.result.courses), "no session was recorded")),
        glossary=(*((state, text) for state, text in _GLOSSARY.items() if state in {_STEADY, *states}), *_TERMS),
    )


def _asked(entries: Sequence[Entry]) -> list[str]:
    """The settings of the jobs, those that are alike once."""
    told = (
        ", ".join(f"{name.removesuffix('_ns')} {value}" for name, value in fact_texts(dict(_settings(entry))))
        for entry in entries
    )
    return list(dict.fromkeys(each or "no settings were recorded" for each in told))


def _settings(entry: Entry) -> Iterator[tuple[str, object]]:
    """Those that were set, with times in ns, so that they are told in a readable unit."""
    for name, value in entry.result.job.settings.items():
        if name.endswith("_s") and isinstance(value, int | float):
            yield f"{name.removesuffix('_s')}_ns", value * 1e9
        elif value is not None:
            yield name, value


def _rank(course: Course) -> tuple[int, float]:
    severity = _SEVERITY.index(course.state) if course.state in _SEVERITY else len(_SEVERITY)
    kept = course.retention
    return severity, kept if kept is not None and math.isfinite(kept) else 1.0


def worst_of(courses: Sequence[Course]) -> Course:
    """The attempt with the worst verdict; of several such, the one that kept least of its speed."""
    return min(courses, key=_rank)


def _quiet(entry: Entry) -> bool:
    return all(course.state == _STEADY for course in entry.result.courses)


def _findings(entries: Sequence[Entry]) -> Iterator[str]:
    """The worst session of each row, the worst row first."""
    for entry in sorted(entries, key=lambda each: _rank(worst_of(each.result.courses))):
        worst = worst_of(entry.result.courses)
        yield f"{entry.who_and_how}: {name_text(worst.state)}, {_kept(worst, entry.result.courses)}{_change(worst)}"


def _change(course: Course) -> str:
    """The first thing that was done to the process meanwhile, and how many more there were."""
    if not course.events:
        return ""
    first, more = course.events[0], len(course.events) - 1
    when = f"{first.second:.1f} s" if math.isfinite(first.second) else "an unknown moment"
    return f", {value_text(first.told)} at {when}{f' and {more} more' if more else ''}"


def _kept(course: Course, courses: Sequence[Course]) -> str:
    """A course's own retention. Beside others it has a name of its own: the job's is a mean over all of them."""
    if course.retention is None:
        return "too short to tell"
    if len(courses) == 1:
        return f"retention {_percent(course.retention)}"
    whose = "worst session's" if course is worst_of(courses) else "this session's"
    return f"{whose} retention {_percent(course.retention)}"


def _percent(share: float) -> str:
    return f"{share * 100:.3g} %" if math.isfinite(share) else "an unknown share"


def _part(entry: Entry, colour: int, *, folded: bool) -> CoursePart:
    courses = entry.result.courses
    worst = worst_of(courses)
    names = [f"attempt {number}" for number in range(1, len(courses) + 1)]
    counts: dict[str, int] = {}
    for course in courses:
        counts[name_text(course.state)] = counts.get(name_text(course.state), 0) + 1
    figure, silent = chart_of(entry, courses, worst, colour)
    return CoursePart(
        anchor=entry.anchor,
        who=entry.who_and_how,
        verdict=name_text(worst.state),
        tone={_STEADY: "ok", SessionState.UNKNOWN: ""}.get(worst.state, "bad"),
        counts=", ".join(f"{_among(count, courses)} {state}" for state, count in counts.items()),
        evidence=(*_evidence(worst), *_course_facts(worst, courses), *_gate_facts(entry)),
        others=tuple(
            f"{name}{_on(course, courses)}: {name_text(course.state)}, {_kept(course, courses)}. "
            f"{' '.join(_evidence(course))}"
            for name, course in zip(names, courses, strict=True)
            if course is not worst
        )[:_MOST_SENTENCES],
        figure=figure,
        silent=silent,
        folded=folded,
    )


def _unreadable(entries: Sequence[Entry]) -> Iterator[tuple[str, tuple[Unreadable, ...]]]:
    """What no sensor told, once for all rows that it is alike for: "here" where these are all of them."""
    rows: dict[tuple[Unreadable, ...], list[str]] = {}
    for entry in entries:
        rows.setdefault(unreadable_of(entry.result.courses), []).append(entry.who_and_how)
    for shown, names in rows.items():
        if shown:
            yield ("here" if len(rows) == 1 else f"for {'; '.join(names)}"), shown


def _among(count: int, courses: Sequence[Course]) -> str:
    return f"{count} of {len(courses)} attempts" if len(courses) > 1 else "the one attempt"


def _on(course: Course, courses: Sequence[Course]) -> str:
    """The device, where there are several."""
    return f" on {name_text(course.device)}" if len({each.device for each in courses}) > 1 else ""


def _evidence(course: Course) -> list[str]:
    return [value_text(sentence) for sentence in course.evidence[:_MOST_SENTENCES]] or ["No evidence was recorded."]


def _course_facts(course: Course, courses: Sequence[Course]) -> Iterator[str]:
    unit = name_text(course.unit)
    burst = quantity_text(course.burst_rate, unit)
    settled = "unknown" if course.settled_rate is None else quantity_text(course.settled_rate, unit)
    whose = "Worst session's burst" if len(courses) > 1 else "Burst"
    yield f"{whose} {burst}, its steady state {settled}: {_kept(course, courses)}."
    if course.change_s is not None:
        yield f"Change point at {quantity_text(course.change_s * 1e9, 'ns')}."


def _gate_facts(entry: Entry) -> Iterator[str]:
    gate = entry.result.conditions.entry_gate
    if gate and gate.get("reason"):
        yield f"Entry gate before the last attempt: {value_text(gate['reason'])}."


def _table(entries: Sequence[Entry]) -> QuantityTable:
    return QuantityTable(
        scenario=SCENARIO,
        columns=_COLUMNS,
        rows=tuple(QuantityRow(who=entry.who_and_how, cells=tuple(_cells(entry))) for entry in entries),
    )


def _cells(entry: Entry) -> Iterator[Cell]:
    courses = entry.result.courses
    if courses:
        worst = worst_of(courses)
        share = sum(course.state == worst.state for course in courses)
        yield text_cell(name_text(worst.state), _among(share, courses))
    else:
        yield Cell(state="failed", note=name_text(entry.result.outcome.kind))
    burst, settled = _rates(entry)
    yield metric_cell(burst)
    yield metric_cell(settled)
    yield metric_cell(found_in(entry, "retention"))
    yield metric_cell(found_in(entry, "retention_of_steady"), "no cool result of scenario steady")
    for percent, field in _LOSSES:
        reached = [getattr(course, field) for course in courses]
        yield _loss(found_in(entry, "time_to_loss", percent=percent), reached, courses)
    yield metric_cell(found_in(entry, "energy_per_inference"), _why_no_energy(courses))


def _rates(entry: Entry) -> tuple[MetricResult | None, MetricResult | None]:
    found = [(found_in(entry, burst), found_in(entry, settled)) for burst, settled in _RATES]
    return next((pair for pair in found if any(pair)), (None, None))


def _loss(metric: MetricResult | None, reached: Sequence[float | None], courses: Sequence[Course]) -> Cell:
    """When the rate fell so far. In most courses it does not: that is said, not left empty."""
    times = finite(reached)
    if courses and not times:
        ends = [course.windows[-1].end_s for course in courses if course.windows]
        return text_cell("not reached", f"in {quantity_text(min(ends) * 1e9, 'ns')}" if ends else "")
    if metric is not None and metric.estimate.value is not None and len(times) == len(courses):
        return metric_cell(metric)
    if not times:
        return metric_cell(metric)
    text = quantity_text(median(times) * 1e9, "ns")
    return text_cell(text, f"reached in {len(times)} of {len(courses)} attempts; their median")


def _why_no_energy(courses: Sequence[Course]) -> str:
    reasons = (
        f"unknown: {value_text(reason)}"
        for course in courses
        for name, reason in course.sensors_unknown.items()
        if any(word in name.lower() for word in _ENERGY_WORDS)
    )
    return next(reasons, "unknown: no sensor of energy was reported")


def _bars(entries: Sequence[Entry], colours: Colours) -> RateBars | None:
    """All rows with a rate in the unit that the first one has."""
    pairs = [(entry, *_rates(entry)) for entry in entries]
    unit = next((metric.unit for _, *rates in pairs for metric in rates if metric and _ends(metric)), None)
    rows = []
    for entry, burst, settled in pairs:
        ends = [_ends(metric) if metric and metric.unit == unit else None for metric in (burst, settled)]
        if any(ends):
            rows.append(
                RatePair(
                    label=entry.who_and_how,
                    colour=colours.get(entry.artefact, 0),
                    burst=ends[0],
                    settled=ends[1],
                    text=_pair_text(entry, ends[0], ends[1]),
                )
            )
    if not rows or unit is None:
        return None
    return RateBars(
        title="Burst against steady state",
        unit=name_text(unit),
        note="Upper bar: the baseline after warm-up. Lower, paler bar: the last windows. Whiskers: 95 % intervals over "
        "attempts; a bar without one had too few attempts.",
        rows=tuple(rows),
    )


def _pair_text(entry: Entry, burst: Ends | None, settled: Ends | None) -> str:
    rates = " → ".join(_rate_text(ends[0]) if ends else "unknown" for ends in (burst, settled))
    retention = found_in(entry, "retention")
    kept = retention.estimate.value if retention else None
    return rates if kept is None else f"{rates}, retention {_percent(kept)}"


def _rate_text(rate: float) -> str:
    """Three digits, or all that stand before the point."""
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}"


def _ends(metric: MetricResult) -> Ends | None:
    return ends_of(metric.estimate)


SECTION = SectionKind(name="sustained", heading="Sustained sessions", make=make, order=70)
