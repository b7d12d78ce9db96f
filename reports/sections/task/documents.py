"""The documents of a task that a variant answered otherwise than the reference: those that lost most, as texts.

They were told by a device, or come from a file of somebody's: shown where they have the expected form, cut and as text.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reports.model.entries import Entry
from reports.model.visible import visible

_MOST, _MOST_READ = 20, 5000
_LONGEST_TEXT, _LONGEST_ANSWER = 240, 120
_DIGITS = 3


@dataclass(frozen=True, kw_only=True)
class Changed:
    """Documents of one row, a line each; `more` differ and are not shown."""

    who: str
    measure: str
    lines: tuple[tuple[str, ...], ...]
    more: int

    #: What stands in a line.
    columns: tuple[str, ...] = (
        "document",
        "right",
        "reference's answer",
        "its answer",
        "reference's score",
        "its score",
    )


def changed_of(entries: Sequence[Entry]) -> Iterator[Changed]:
    """Of each row but the reference's, by the first measure that it has for each document."""
    reference = next((entry for entry in entries if entry.result.job.is_reference), None)
    theirs = _documents(reference) if reference else {}
    for entry in entries:
        if entry is reference or not theirs:
            continue
        ours = _documents(entry)
        measure = next((name for each in ours.values() for name in _scores(each)), "")
        lines = sorted(_differing(ours, theirs, measure), key=lambda each: each[0])
        if lines:
            yield Changed(
                who=entry.who,
                measure=visible(measure, _LONGEST_ANSWER),
                lines=tuple(line for _, line in lines[:_MOST]),
                more=max(0, len(lines) - _MOST),
            )


def _differing(
    ours: Mapping[int, Mapping[str, Any]], theirs: Mapping[int, Mapping[str, Any]], measure: str
) -> Iterator[tuple[float, tuple[str, ...]]]:
    """Each document whose scores differ: by how much, and as a line."""
    for number, mine in ours.items():
        other = theirs.get(number)
        here, there = _scores(mine).get(measure), _scores(other or {}).get(measure)
        if other is None or here is None or there is None or math.isclose(here, there, rel_tol=1e-6, abs_tol=1e-9):
            continue
        yield (
            -abs(here - there),
            (
                _text(mine.get("text"), _LONGEST_TEXT),
                _text(mine.get("target"), _LONGEST_ANSWER),
                _text(other.get("answer"), _LONGEST_ANSWER),
                _text(mine.get("answer"), _LONGEST_ANSWER),
                f"{there:.{_DIGITS}g}",
                f"{here:.{_DIGITS}g}",
            ),
        )


def _documents(entry: Entry) -> dict[int, Mapping[str, Any]]:
    told = entry.result.effective.others.get("documents")
    listed = told[:_MOST_READ] if isinstance(told, list | tuple) else ()
    found = (each for each in listed if isinstance(each, Mapping) and isinstance(each.get("document"), int))
    return {each["document"]: each for each in found}


def _scores(told: Mapping[str, Any]) -> dict[str, float]:
    scores = told.get("scores")
    if not isinstance(scores, Mapping):
        return {}
    return {
        str(name): float(value)
        for name, value in scores.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    }


def _text(value: Any, longest: int) -> str:
    return visible(value, longest) if isinstance(value, str) else ""
