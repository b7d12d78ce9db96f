"""The conditions that compared rows ran under: what was the same, what differed, what matters, what is unknown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from benchharness.judge.unequal import Factor, differences
from benchharness.results.result import EXACT
from reports.model.conditions import GATE_REASON, Facts, Unreadable, flat, grouped_by_reason, is_unknown, title
from reports.model.entries import Entry, by_row, same_key
from reports.model.visible import name_text, value_text

_MOST_ROWS = 6
_READING = "a reading"
_UNKNOWN = "unknown"
#: What moves by itself from one attempt to the next though it is no fraction: which sensor is the hottest, how long
#: reading memory took.
_ALSO_READINGS = frozenset(("temperature_sensor", "watching_ns", "entry gate: waited_s"))


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A condition, and which rows met it in which state. One state: it was the same for all."""

    name: str
    states: tuple[tuple[str, tuple[str, ...]], ...]  # (value, who)
    matters: bool  # a state of the device that differs, not a reading such as the load


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What the rows ran under: what all met alike, readings as a range, states that differ, and what is unknown."""

    alike: Facts
    differing: tuple[Difference, ...]
    unreadable: tuple[Unreadable, ...]


def conditions_of(entries: Sequence[Entry]) -> Conditions:
    """Every condition of the jobs compared; of those that differ, the ones that matter first."""
    told = [(entry, dict(_conditions(entry))) for entry in entries if entry.result.conditions]
    names = list(dict.fromkeys(name for _, conditions in told for name in conditions))
    alike: list[tuple[str, str]] = []
    differing: list[Difference] = []
    unknown: dict[str, str] = {}
    for name in names:
        states = [(entry, known[name]) for entry, known in told if name in known]
        if all(is_unknown(value) for _, value in states):
            unknown[title(name)] = _reasons(states)
            continue
        difference = _difference(name, states)
        if len(difference.states) == 1:
            alike.append((difference.name, difference.states[0][0]))
        else:
            differing.append(difference)
    return Conditions(
        alike=tuple(alike),
        differing=tuple(sorted(differing, key=lambda each: not each.matters)),
        unreadable=grouped_by_reason(unknown),
    )


def notices_of(entries: Sequence[Entry], conditions: Conditions) -> tuple[str, ...]:
    """What a reader must know before comparing the rows."""
    return (
        *_different_conditions(conditions.differing),
        *_reference_missing(entries),
        *_unequal_work(entries),
    )


def _conditions(entry: Entry) -> Iterator[tuple[str, Any]]:
    result = entry.result
    if result.devices:
        yield "device", list(result.devices)
    if version := result.effective.runtime_version:
        # Versions of two runtimes are no difference in conditions: the configurations say that already.
        yield f"{result.job.configuration.runtime or 'runtime'} version", version
    yield from ((name, value) for name, value in flat(result.conditions.to_json()) if name != GATE_REASON)


def _reasons(states: Sequence[tuple[Entry, Any]]) -> str:
    return "; ".join(dict.fromkeys(value_text(value["unknown"]) for _, value in states))


def _difference(name: str, states: Sequence[tuple[Entry, Any]]) -> Difference:
    by_state: dict[str, list[Entry]] = {}
    texts: dict[str, str] = {}
    for entry, value in states:
        key = _state(name, value)
        by_state.setdefault(key, []).append(entry)
        texts[key] = value_text(value, name)
    if _READING in texts:
        texts[_READING] = _range_text(name, [value for _, value in states if _is_reading(name, value)])
    entries = [entry for entry, _ in states]
    return Difference(
        name=title(name),
        states=tuple((texts[key], _rows_of(here, entries)) for key, here in by_state.items()),
        matters=_matters(name, states),
    )


def _is_reading(name: str, value: Any) -> bool:
    """A fraction is a reading, such as the load, which is hardly ever the same twice; most others are states."""
    return not is_unknown(value) and (isinstance(value, float) or name in _ALSO_READINGS)


def _state(name: str, value: Any) -> str:
    """Readings are told together, as a range; what is unknown is unknown for whatever reason."""
    if is_unknown(value):
        return _UNKNOWN
    return _READING if _is_reading(name, value) else same_key(value)


def _range_text(name: str, values: Sequence[Any]) -> str:
    numbers = [value for value in values if isinstance(value, int | float)]
    if len(numbers) == len(values) and min(numbers) < max(numbers):
        return f"{value_text(min(numbers), name)} to {value_text(max(numbers), name)}"
    return ", ".join(dict.fromkeys(value_text(value, name) for value in values))


def _matters(name: str, states: Sequence[tuple[Entry, Any]]) -> bool:
    """Whether rows of one scenario met different states."""
    if any(_is_reading(name, value) for _, value in states):
        return False
    by_scenario: dict[str, set[str]] = {}
    for entry, value in states:
        by_scenario.setdefault(entry.scenario, set()).add(_state(name, value))
    return any(len(values) > 1 for values in by_scenario.values())


def _rows_of(here: Sequence[Entry], everywhere: Sequence[Entry]) -> tuple[str, ...]:
    """Names of rows; a scenario is named where only some of a row's scenarios are meant."""
    names = []
    for row in by_row(here):
        who = row[0].who
        whole = sum(entry.who == who for entry in everywhere)
        scenarios = ", ".join(entry.scenario for entry in row)
        names.append(who if len(row) == whole else f"{who} ({scenarios})")
    return tuple(names)


def _different_conditions(conditions: Sequence[Difference]) -> Iterator[str]:
    for condition in conditions:
        if not condition.matters:
            continue
        states = "; ".join(f"{value} for {_listed(rows)}" for value, rows in condition.states)
        yield f"Rows compared here differ in {condition.name}: {states}."


def _listed(rows: Sequence[str]) -> str:
    more = f" and {len(rows) - _MOST_ROWS} more" if len(rows) > _MOST_ROWS else ""
    return ", ".join(rows[:_MOST_ROWS]) + more


def _reference_missing(entries: Sequence[Entry]) -> Iterator[str]:
    jobs = [entry.result.job for entry in entries]
    if jobs and not any(job.is_reference for job in jobs):
        yield f"The reference variant, {name_text(jobs[0].reference)}, has no row here: the rows have no ratio."


def _unequal_work(entries: Sequence[Entry]) -> Iterator[str]:
    """Rows of one scenario whose times do not rank them. Sizes are no work."""
    first: dict[str, Entry] = {}
    told: dict[str, list[str]] = {}
    for entry in entries:
        if not any(
            metric.estimate.value is not None and metric.estimate.statistic != EXACT for metric in entry.result.metrics
        ):
            continue
        other = first.setdefault(entry.scenario, entry)
        if entry is not other and (unequal := differences(entry.result, other.result, Factor.CONFIGURATION)):
            told.setdefault(f"{entry.who} and {other.who}: {value_text('; '.join(unequal))}", []).append(entry.scenario)
    for reason, scenarios in told.items():
        yield f"Not the same work, so times do not rank in {', '.join(dict.fromkeys(scenarios))}. {reason}."
