"""What one run found on one hardware target, as every page takes it: results, answers, and its data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from benchharness.judge.answer import Answer
from benchharness.judge.builds import Since
from benchharness.results.result import Result, Run


@dataclass(frozen=True, kw_only=True)
class Exports:
    """A run as CSV and JSON, to be taken from its pages."""

    csv: str = ""
    json: str = ""


@dataclass(frozen=True, kw_only=True)
class Found:
    """A run on one hardware target. Results and answers are of that target alone, the exports of the whole run.

    `others` are the run's other hardware targets, `not_run` those that were planned and not run, with the reason.
    """

    run: Run
    hardware: str
    results: Sequence[Result]
    answers: Sequence[Answer] = ()
    since: Since | None = None  # what became of a candidate, where two builds are compared; results are the candidate's
    exports: Exports = field(default_factory=Exports)
    others: Sequence[str] = ()
    not_run: Mapping[str, str] = field(default_factory=dict)
    machines: Mapping[str, str] = field(default_factory=dict)  # by device what its newest self-test says


def by_hardware(whole: Found) -> list[Found]:
    """A run that was on several hardware targets, in their order; one without a result has its own."""
    names = list(dict.fromkeys(result.job.hardware for result in whole.results)) or [whole.hardware]
    return [
        replace(
            whole,
            hardware=name,
            results=[result for result in whole.results if result.job.hardware == name],
            answers=[answer for answer in whole.answers if answer.hardware == name],
            others=[other for other in names if other != name],
        )
        for name in names
    ]
