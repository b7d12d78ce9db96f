"""What one run found on one hardware target, as every page takes it: results, answers, and what was not measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchharness.judge.answer import Answer
from benchharness.judge.choice import Choice
from benchharness.results.result import Result, Run
from reports.model.section import Unmeasured


@dataclass(frozen=True, kw_only=True)
class Found:
    """A run on one hardware target. Everything in it is of that target alone."""

    run: Run
    hardware: str
    results: Sequence[Result]
    answers: Sequence[Answer] = ()
    choices: Sequence[Choice] = ()
    unmeasured: Unmeasured = ()


def by_hardware(whole: Found) -> list[Found]:
    """A run that was on several hardware targets, in their order; one without a result has its own."""
    names = dict.fromkeys(result.job.hardware for result in whole.results) or {whole.hardware: None}
    return [
        Found(
            run=whole.run,
            hardware=name,
            results=[result for result in whole.results if result.job.hardware == name],
            answers=[answer for answer in whole.answers if answer.hardware == name],
            choices=[choice for choice in whole.choices if choice.hardware == name],
            unmeasured=whole.unmeasured,
        )
        for name in names
    ]
