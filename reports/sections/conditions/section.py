"""What was asked of a model, and under which conditions it was measured, those that differ first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reports.model.conditions import Facts
from reports.model.entries import Entry, compared, configuration_name, subject_of
from reports.model.section import Material, Section, SectionKind, in_a_line
from reports.model.visible import fact_texts, name_text
from reports.sections.conditions.states import Conditions, conditions_of, notices_of


@dataclass(frozen=True, kw_only=True)
class Circumstances(Section):
    """A model on a workload: the task, what was asked, and what must be known before its rows are compared."""

    task: str
    configuration: str  # the one of all rows; "" where they differ
    asked: Facts
    notices: tuple[str, ...]
    conditions: Conditions


def make(material: Material) -> tuple[Circumstances, ...]:
    """A section for each model and workload."""
    return tuple(
        _circumstances(f"conditions-{number}", group) for number, group in enumerate(compared(material.costs), start=1)
    )


def _circumstances(anchor: str, entries: Sequence[Entry]) -> Circumstances:
    conditions = conditions_of(entries)
    notices = notices_of(entries, conditions)
    names = {configuration_name(entry.result.job.configuration) for entry in entries}
    return Circumstances(
        anchor=anchor,
        subject=subject_of(entries[0]),
        finding=_finding(conditions, notices, len(entries)),
        task=_task(entries),
        configuration=names.pop() if len(names) == 1 else "",
        asked=_asked(entries[0].result.job.workload.to_json()),
        notices=notices,
        conditions=conditions,
    )


def _task(entries: Sequence[Entry]) -> str:
    """What the suite says, or what the device found out."""
    told = (entry.result.job.task or entry.result.effective.task for entry in entries)
    return name_text(next((task for task in told if task), "task not recorded"))


def _asked(workload: Mapping[str, Any]) -> Facts:
    shown = {key: value for key, value in workload.items() if key != "name" and value not in (None, {}, [])}
    return tuple(fact_texts(shown))


def _finding(conditions: Conditions, notices: Sequence[str], jobs: int) -> str:
    differing = [each.name for each in conditions.differing if each.matters]
    told = [f"rows differ in {', '.join(differing)}"] if differing else []
    others = len(notices) - len(differing)
    told += [f"{others} notice{'s' if others > 1 else ''} before comparing rows"] if others else []
    alike = f"no condition that matters differs between its {jobs} jobs" if jobs > 1 else "of its one job"
    return in_a_line(told, alike)


SECTION = SectionKind(name="conditions", heading="Conditions", make=make, order=110)
