"""What changed between runs on one hardware target: what was run, on what, and by what. What did not is not listed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchharness.results.result import Result
from benchharness.units import quantity_text
from reports.model.conditions import flat, is_reading, is_unknown, title
from reports.model.entries import configuration_name, same_key
from reports.model.found import Found
from reports.model.visible import name_text, value_text

_DIGEST_DIGITS = 12
_ABSENT = "not in this run"


@dataclass(frozen=True, kw_only=True)
class Change:
    """Something that was not the same in all runs, and what it was in each."""

    what: str
    values: tuple[str, ...]


def changes(found: Sequence[Found]) -> tuple[Change, ...]:
    """Every difference between the runs, those in what was measured first."""
    told = [dict(_facts(each)) for each in found]
    names = dict.fromkeys(name for facts in told for name in facts)
    rows = ((name, tuple(facts.get(name, _ABSENT) for facts in told)) for name in names)
    return tuple(Change(what=name, values=values) for name, values in rows if len(set(values)) > 1)


def _facts(found: Found) -> Iterator[tuple[str, str]]:
    """What a run was, by what to call it. A fact that its jobs do not share has all of its values."""
    told: dict[str, dict[str, None]] = {}
    for result in found.results:
        for name, value in _of(result):
            told.setdefault(name, {})[value] = None
    yield "suite", f"{name_text(found.run.suite)} {name_text(found.run.suite_digest[:_DIGEST_DIGITS])}"
    yield from ((name, ", ".join(sorted(values))) for name, values in sorted(told.items(), key=_order))
    yield "benchharness", name_text(found.run.version)


def _order(item: tuple[str, object]) -> int:
    """Artefacts first, then configurations and runtimes, conditions last."""
    return next((at for at, start in enumerate(_KINDS) if item[0].startswith(start)), len(_KINDS))


_KINDS = ("artefact", "configuration", "runtime")


def _of(result: Result) -> Iterator[tuple[str, str]]:
    job = result.job
    size = quantity_text(job.artefact_bytes, "bytes") if job.artefact_bytes > 0 else "size unknown"
    digest = name_text(job.digest[:_DIGEST_DIGITS]) or "unreadable"
    yield f"artefact {name_text(job.model)} · {name_text(job.variant)}", f"{digest} ({size})"
    asked = {key: value for key, value in job.configuration.to_json().items() if key != "name" and value}
    yield f"configuration {configuration_name(job.configuration)}", value_text(_flat(asked))
    if version := result.effective.runtime_version:
        yield f"runtime {name_text(job.configuration.runtime)}", value_text(version)
    if result.devices:
        yield "device", ", ".join(name_text(device) for device in sorted(result.devices))
    for name, value in flat(result.conditions.to_json()):
        # What could not be read has not changed; a reading, such as the load, is hardly ever the same twice.
        if not is_unknown(value) and not is_reading(name, value):
            yield title(name), value_text(value, name)


def _flat(asked: Mapping[str, Any]) -> dict[str, str]:
    return {key: value if isinstance(value, str) else same_key(value) for key, value in asked.items()}
