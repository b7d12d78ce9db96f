"""The conditions that compared rows ran under: what was the same, what differed, and whether that matters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from reports.entries import Entry, by_row, same_key
from reports.page import Difference
from reports.visible import name_text, value_text

_MOST_ROWS = 6
_READING = "a reading"


def differences(entries: Sequence[Entry]) -> tuple[Difference, ...]:
    """Every condition of the jobs compared, with the rows in each state; those that matter first."""
    told = [(entry, dict(_conditions(entry))) for entry in entries if entry.result.conditions]
    names = list(dict.fromkeys(name for _, conditions in told for name in conditions))
    found = [_difference(name, [(entry, known[name]) for entry, known in told if name in known]) for name in names]
    return tuple(sorted(found, key=lambda each: (not each.matters, len(each.states) < 2)))


def notices_of(entries: Sequence[Entry], conditions: Sequence[Difference]) -> tuple[str, ...]:
    """What a reader must know before comparing the rows."""
    return (*_different_conditions(conditions), *_reference_missing(entries), *_different_artefacts(entries))


def _conditions(entry: Entry) -> Iterator[tuple[str, Any]]:
    result = entry.result
    if result.devices:
        yield "device", list(result.devices)
    if version := result.effective.get("runtime_version"):
        # Versions of two runtimes are no difference in conditions: the configurations say that already.
        yield f"{result.job.configuration.get('runtime', 'runtime')} version", version
    yield from result.conditions.items()


def _difference(name: str, states: Sequence[tuple[Entry, Any]]) -> Difference:
    by_state: dict[str, list[Entry]] = {}
    texts: dict[str, str] = {}
    for entry, value in states:
        key = _reading_or_key(value)
        by_state.setdefault(key, []).append(entry)
        texts[key] = value_text(value, name)
    readings = [float(value) for _, value in states if _is_reading(value)]
    if readings and min(readings) < max(readings):
        texts[_READING] = f"{value_text(min(readings), name)} to {value_text(max(readings), name)}"
    entries = [entry for entry, _ in states]
    return Difference(
        name=name_text(name),
        states=tuple((texts[key], _rows_of(here, entries)) for key, here in by_state.items()),
        matters=_matters(states),
    )


def _is_reading(value: Any) -> bool:
    """A fraction is a reading, such as the load, which is hardly ever the same twice; the rest are states."""
    return isinstance(value, float)


def _reading_or_key(value: Any) -> str:
    """Readings are told together, as a range."""
    return _READING if _is_reading(value) else same_key(value)


def _matters(states: Sequence[tuple[Entry, Any]]) -> bool:
    """Whether rows of one scenario met different states."""
    if any(_is_reading(value) for _, value in states):
        return False
    by_scenario: dict[str, set[str]] = {}
    for entry, value in states:
        by_scenario.setdefault(entry.scenario, set()).add(same_key(value))
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
        yield f"Conditions differ between the rows compared here: {condition.name} was {states}."


def _listed(rows: Sequence[str]) -> str:
    more = f" and {len(rows) - _MOST_ROWS} more" if len(rows) > _MOST_ROWS else ""
    return ", ".join(rows[:_MOST_ROWS]) + more


def _reference_missing(entries: Sequence[Entry]) -> Iterator[str]:
    for run in dict.fromkeys(entry.run for entry in entries):
        jobs = [entry.result.job for entry in entries if entry.run == run]
        if not any(job.is_reference for job in jobs):
            where = f" of {run}" if run else ""
            reference = name_text(jobs[0].reference)
            yield f"The reference variant, {reference}, has no row here: the rows{where} have no ratio."


def _different_artefacts(entries: Sequence[Entry]) -> Iterator[str]:
    digests: dict[str, set[str]] = {}
    for entry in entries:
        job = entry.result.job
        if job.digest:
            digests.setdefault(name_text(job.variant), set()).add(job.digest)
    for variant, found in digests.items():
        if len(found) > 1:
            yield f"Variant {variant} is not the same artefact in all runs: {len(found)} different digests."
