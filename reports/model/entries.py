"""Results as a report groups them: which row they stand in, what they are called."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchharness.results.requested import Configuration
from benchharness.results.result import Result
from reports.model.visible import name_text, value_text

#: What stands in place of times and memory where another runtime computed what the weights say.
WEIGHTS_ONLY = "reference execution, weights only"
#: A number for each artefact: a variant's name and its digest.
Colours = Mapping[tuple[str, str], int]
#: As the device says it.
_REFERENCE_EXECUTION = "reference"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A result with what a page calls it. `scenario` names the settings that tell it from its like.

    `configuration` is "" where each variant has one only, which the table of variants tells.
    """

    anchor: str
    scenario: str
    configuration: str
    result: Result

    @property
    def artefact(self) -> tuple[str, str]:
        """What was measured: the variant's name, and its digest."""
        return self.result.job.variant, self.result.job.digest

    @property
    def weights_only(self) -> bool:
        """Whether another runtime computed what the weights say: nothing of it is about time or memory here."""
        return self.result.effective.execution == _REFERENCE_EXECUTION

    @property
    def who(self) -> str:
        """The row it stands in: variant and, among several, configuration."""
        job = self.result.job
        parts = (name_text(job.variant), self.configuration)
        return " · ".join(part for part in parts if part)

    @property
    def who_and_how(self) -> str:
        """The row, and the settings of its scenario where others of the scenario have different ones."""
        settings = self.scenario.removeprefix(name_text(self.result.job.scenario)).strip()
        return f"{self.who} {settings}" if settings else self.who


def entries_of(results: Sequence[Result]) -> list[Entry]:
    """One entry a result, in order."""
    differing = _differing_settings(results)
    names = [configuration_name(result.job.configuration) for result in results]
    several = _in_several(results)
    return [
        Entry(
            anchor=f"job-{number}",
            scenario=_scenario_label(result, differing.get(result.job.scenario, ())),
            configuration=name if several else "",
            result=result,
        )
        for number, (name, result) in enumerate(zip(names, results, strict=True), start=1)
    ]


def _in_several(results: Sequence[Result]) -> bool:
    """Whether some variant was measured in more than one configuration, so that its name alone tells no row."""
    found: dict[tuple[str, str], set[str]] = {}
    for result in results:
        job = result.job
        found.setdefault((job.model, job.variant), set()).add(configuration_name(job.configuration))
    return any(len(names) > 1 for names in found.values())


def by_comparison(entries: Sequence[Entry]) -> dict[tuple[str, str], list[Entry]]:
    """Entries by (model, workload), in order."""
    groups: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        job = entry.result.job
        groups.setdefault((job.model, job.workload.name), []).append(entry)
    return groups


def compared(entries: Sequence[Entry]) -> list[list[Entry]]:
    """The jobs of each comparison, those of one runtime together, in the order in which the runtimes come first."""
    return [_by_runtime(group) for group in by_comparison(entries).values()]


def _by_runtime(entries: Sequence[Entry]) -> list[Entry]:
    runtimes = list(dict.fromkeys(entry.result.job.configuration.runtime for entry in entries))
    return sorted(entries, key=lambda entry: runtimes.index(entry.result.job.configuration.runtime))


def subject_of(entry: Entry) -> str:
    """The comparison that an entry is in, in words: model and workload."""
    job = entry.result.job
    return f"{name_text(job.model)} · {name_text(job.workload.name)}"


def by_row(entries: Sequence[Entry]) -> list[list[Entry]]:
    """Entries of one variant and configuration together, one a scenario; a second one starts another row."""
    rows: dict[tuple[str, str], list[list[Entry]]] = {}
    ordered: list[list[Entry]] = []
    for entry in entries:
        job = entry.result.job
        same = rows.setdefault((job.variant, job.configuration.name), [])
        row = next((row for row in same if all(other.scenario != entry.scenario for other in row)), None)
        if row is None:
            row = []
            same.append(row)
            ordered.append(row)
        row.append(entry)
    return ordered


def configuration_name(configuration: Configuration) -> str:
    """What the suite calls a configuration."""
    return name_text(configuration.name or configuration.runtime or "configuration without a name")


def same_key(value: object) -> str:
    """A text that is equal for equal JSON values."""
    return json.dumps(value, sort_keys=True, default=str)


def _differing_settings(results: Sequence[Result]) -> dict[str, tuple[str, ...]]:
    """By scenario: the settings that are not the same in all of its jobs."""
    seen: dict[str, dict[str, set[str]]] = {}
    for result in results:
        settings = seen.setdefault(result.job.scenario, {})
        for name, value in result.job.settings.items():
            settings.setdefault(name, set()).add(same_key(value))
    return {
        scenario: tuple(name for name, values in settings.items() if len(values) > 1)
        for scenario, settings in seen.items()
    }


def _scenario_label(result: Result, differing: Sequence[str]) -> str:
    settings = result.job.settings
    told = [f"{name_text(name.removesuffix('_ns'))} {value_text(settings.get(name), name)}" for name in differing]
    scenario = name_text(result.job.scenario)
    return f"{scenario} ({', '.join(told)})" if told else scenario
