"""Where operators ran: what was asked for, what the runtime did, what fell back, and what the attempt to speed up cost.

Whether something fell back was judged on the device, from where its operators ran; here it is only told. All of it is
a device's word and may be any JSON: what is not shaped as expected is shown as it is, or is unknown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchharness.judge.plain import plain_accelerator
from benchharness.results.result import Basis, Contrast, Estimate, Job
from benchharness.results.told import Effective
from benchharness.units import percent_text
from reports.model.columns import Measure, column, in_summary, why_failed
from reports.model.entries import WEIGHTS_ONLY, Entry, same_key
from reports.model.estimates import quantity, ratio_of
from reports.model.tables import Column, Quantity, Ratio
from reports.model.visible import name_text, value_text
from reports.sections.operators.runtimes import contrast_of, ratio_in

Row = Sequence[Entry]
#: What trying an accelerator can cost or bring: (metric, parameters that pick it), in the order of the table.
_COSTS: tuple[tuple[str, Mapping[str, str]], ...] = (
    ("cold_start_phase", {"phase": "load"}),
    ("model_ttft", {}),
    ("first_inference", {}),
    ("decode_rate", {}),
    ("steady_inference", {}),
)
#: More operators of one kind than this are no count.
_LARGEST_COUNT = 10**9
#: More kinds than this are told as a number: no runtime has so many.
_MOST_KINDS = 500
_NOT_REPORTED = "the runtime did not report it"
_NOT_READABLE = "what the device reported is not operators by place"


@dataclass(frozen=True, kw_only=True)
class Place:
    """The operators that ran in one place. `kinds` are all of them, most first."""

    name: str
    count: str
    share: str
    kinds: tuple[str, ...]
    elsewhere: bool  # the device says that its operators should have run on the accelerator


@dataclass(frozen=True, kw_only=True)
class PlacementRow:
    """Where the operators of a row ran, and what asking for an accelerator cost.

    `scenarios` is "" where all scenarios of the row say the same, `asked` where no accelerator was asked for. `costs`
    has one ratio for each column, or none: then `instead` says why.
    """

    who: str
    scenarios: str
    asked: str
    in_effect: str
    note: str
    places: tuple[Place, ...]
    unknown: str  # why there are no places
    left_out: str
    fell_back: bool
    lost: tuple[tuple[str, Quantity], ...]  # (scenario, what trying the accelerator took)
    against: str
    costs: tuple[Ratio, ...]
    instead: str


@dataclass(frozen=True, kw_only=True)
class Placements:
    """Where operators ran. Without an accelerator asked for in any row there is nothing to compare."""

    accelerated: bool
    columns: tuple[Column, ...]
    rows: tuple[PlacementRow, ...]
    advice: tuple[str, ...]

    @property
    def notes(self) -> tuple[str, ...]:
        """Why places are unknown and ratios are missing, each once."""
        return tuple(
            dict.fromkeys(
                reason for row in self.rows for reason in (row.unknown, *(cost.reason for cost in row.costs)) if reason
            )
        )


def placements_of(rows: Sequence[Row]) -> Placements:
    """The table on placement: a line for each row, or several where its scenarios do not say the same."""
    lines = [line for row in rows for line in _lines(row)]
    costs = list(_costs([entry for line in lines for entry in line]))
    who = {entry.result.job.key: entry.who for row in rows for entry in row}
    return Placements(
        accelerated=any(_accelerated(line[0].result.job) for line in lines),
        columns=tuple(_column(measure, costs) for measure in costs),
        rows=tuple(_row(line, costs, who, told=_told(line, lines)) for line in lines),
        advice=tuple(_advice(lines)),
    )


def _lines(row: Row) -> Iterator[Row]:
    """The scenarios of a row that say the same. A failed one that says nothing is left to the others."""
    alike: dict[str, list[Entry]] = {}
    for entry in row:
        alike.setdefault(same_key(_said(entry)), []).append(entry)
    silent = same_key(_said(None))
    yield from (entries for said, entries in alike.items() if said != silent or len(alike) == 1)


def _said(entry: Entry | None) -> list[Any]:
    told = entry.result.effective if entry else Effective()
    summary = told.fallback.get("summary") if isinstance(told.fallback, Mapping) else told.fallback
    return [told.accelerators, told.placement, told.placement_unknown, told.execution, summary]


def _told(line: Row, lines: Sequence[Row]) -> bool:
    """Whether a line has to name its scenarios: another is about the same row."""
    return sum(other[0].who == line[0].who for other in lines) > 1


def _accelerated(job: Job) -> bool:
    """Whether more than the CPU was asked for, be it by leaving the choice to the runtime."""
    return job.configuration.accelerator != plain_accelerator(job)


def _row(line: Row, costs: Sequence[Measure], who: Mapping[str, str], *, told: bool) -> PlacementRow:
    entry = next((entry for entry in line if entry.result.outcome.ok), line[0])
    job = entry.result.job
    effective, asked = entry.result.effective, job.configuration.accelerator
    places = tuple(_places(effective, asked))
    contrast = next((found for each in line if (found := contrast_of(each, Basis.ACCELERATOR))), None)
    instead = _instead(line, contrast, costs)
    left_out, fell_back = _left_out(entry, places)
    return PlacementRow(
        who=entry.who,
        scenarios=", ".join(each.scenario for each in line) if told else "",
        asked=name_text("the runtime's own choice" if asked is None else asked) if _accelerated(job) else "",
        in_effect=_in_effect(entry),
        note=WEIGHTS_ONLY if entry.weights_only else "",
        places=places,
        unknown="" if places else _why_unknown(entry),
        left_out=left_out,
        fell_back=fell_back,
        lost=tuple(_lost(line)),
        against="" if contrast is None else who.get(contrast.other) or value_text(contrast.title),
        costs=() if instead else tuple(_cost(line, measure) for measure in costs),
        instead=instead,
    )


def _in_effect(entry: Entry) -> str:
    accelerators = entry.result.effective.accelerators
    if accelerators:
        return value_text(accelerators)
    return "the runtime does not tell" if entry.result.outcome.ok else "unknown"


def _places(effective: Effective, asked: Any) -> Iterator[Place]:
    """Operators by place, in the device's order."""
    placement = effective.placement
    counted = {
        str(place): {
            str(kind): count for kind, count in operators.items() if type(count) is int and 0 < count < _LARGEST_COUNT
        }
        for place, operators in (placement.items() if isinstance(placement, Mapping) else ())
        if isinstance(operators, Mapping)
    }
    counts = {place: sum(operators.values()) for place, operators in counted.items()}
    everywhere = sum(counts.values())
    # An accelerator may stand for several places: another name is elsewhere only where the device's own count says so.
    fallback = effective.fallback
    others = everywhere - counts.get(str(asked), 0)
    marked = isinstance(fallback, Mapping) and fallback.get("operators_elsewhere") == others > 0
    for place, operators in counted.items():
        ordered = sorted(operators.items(), key=lambda item: -item[1])
        kinds = [f"{number} {name_text(kind)}" for kind, number in ordered[:_MOST_KINDS]]
        more = [f"{len(ordered) - _MOST_KINDS} other kinds"] if len(ordered) > _MOST_KINDS else []
        yield Place(
            name=name_text(place),
            count=f"{counts[place]} operator{'' if counts[place] == 1 else 's'}",
            share=percent_text(counts[place] / everywhere) if everywhere else "",
            kinds=(*kinds, *more),
            elsewhere=marked and place != str(asked),
        )


def _why_unknown(entry: Entry) -> str:
    effective = entry.result.effective
    if reason := effective.placement_unknown:
        return value_text(reason)
    if not entry.result.outcome.ok:
        return why_failed(entry)
    return _NOT_READABLE if effective.placement else _NOT_REPORTED


def _left_out(entry: Entry, places: Sequence[Place]) -> tuple[str, bool]:
    """What did not run on the accelerator, and whether that is known to be something."""
    if not _accelerated(entry.result.job):
        return "", False
    fallback = entry.result.effective.fallback
    if fallback:
        summary = fallback.get("summary") if isinstance(fallback, Mapping) else None
        return value_text(summary or fallback), True
    if not entry.result.outcome.ok or entry.weights_only:
        return "", False
    if entry.result.job.configuration.accelerator is None:
        return "no accelerator was named: the runtime chose", False
    known = any(place.kinds for place in places)
    return (
        ("nothing: every operator ran where it was wanted", False) if known else ("unknown, as is the placement", False)
    )


def _lost(line: Row) -> Iterator[tuple[str, Quantity]]:
    """What trying an accelerator took that refused, scenario by scenario."""
    for entry in line:
        for metric in entry.result.metrics:
            if metric.name == "refused_load" and not entry.weights_only:
                yield entry.scenario, quantity(metric.estimate, metric.unit)


def _costs(entries: Sequence[Entry]) -> Iterator[Measure]:
    """The columns: what any entry can be compared in with the same variant without accelerator."""
    found = {
        (measure.scenario, measure.name, same_key(dict(measure.parameters))): measure
        for entry in entries
        if (contrast := contrast_of(entry, Basis.ACCELERATOR)) and not entry.weights_only
        for name, parameters, _ in contrast.ratios
        for measure in [Measure(entry.scenario, name, parameters)]
    }
    for name, picked in _COSTS:
        for measure in found.values():
            if measure.name == name and picked.items() <= measure.parameters.items() and in_summary(measure.parameters):
                yield measure


def _column(measure: Measure, costs: Sequence[Measure]) -> Column:
    """The heading; its scenario and all parameters only where another column is of the same metric."""
    several = sum(other.name == measure.name for other in costs) > 1
    kept = measure.parameters if several else dict(_COSTS)[measure.name]
    shared = {name: value for name, value in measure.parameters.items() if name not in kept}
    return column(measure, shared, measure.scenario if several else "")


def _ratio(line: Row, measure: Measure) -> Estimate | None:
    entry = next((entry for entry in line if entry.scenario == measure.scenario), None)
    return ratio_in(contrast_of(entry, Basis.ACCELERATOR), measure) if entry else None


def _instead(line: Row, contrast: Contrast | None, costs: Sequence[Measure]) -> str:
    """Why a row has no ratios; "" where it has some, or at least should."""
    if not _accelerated(line[0].result.job):
        return "no accelerator was asked for"
    if any(entry.weights_only for entry in line):
        return WEIGHTS_ONLY
    if not any(entry.result.outcome.ok for entry in line):
        return f"no value: {line[0].result.outcome.kind}"
    if contrast is None:
        return "nothing to compare it with: the suite has no such configuration without accelerator"
    compared = any(_ratio(line, measure) is not None for measure in costs)
    return "" if compared else f"no value that {value_text(contrast.title)} has too"


def _cost(line: Row, measure: Measure) -> Ratio:
    entry = next((entry for entry in line if entry.scenario == measure.scenario), None)
    if entry is None:
        return Ratio(text="not asked for", verdict="none")
    if not entry.result.outcome.ok:
        return Ratio(text="no value", verdict="none", reason=why_failed(entry))
    return ratio_of(measure.name, _ratio(line, measure), "one of the two has no value")


def _advice(lines: Sequence[Row]) -> Iterator[str]:
    """What to add to the suite, so that the next run can tell what an accelerator costs and brings."""
    missing: dict[str, list[str]] = {}
    for line in lines:
        job = line[0].result.job
        if not _accelerated(job) or any(entry.weights_only for entry in line):
            continue
        if not any(contrast_of(entry, Basis.ACCELERATOR) for entry in line):
            missing.setdefault(_configuration(job), []).append(line[0].who)
    for configuration, rows in missing.items():
        yield (
            f"To see what the accelerator costs or brings for {', '.join(dict.fromkeys(rows))}, "
            f"add a configuration without one to the suite: {configuration} and the same options."
        )


def _configuration(job: Job) -> str:
    requested, plain = job.configuration, plain_accelerator(job)
    named = {"runtime": requested.runtime or None, "accelerator": plain, "threads": requested.threads}
    told = [f"{name} = {_toml(value)}" for name, value in named.items() if value is not None]
    return f"[[configurations]] with {', '.join(told)}" + ("" if plain else ", no accelerator")


def _toml(value: Any) -> str:
    return f'"{name_text(value)}"' if isinstance(value, str) else value_text(value)
