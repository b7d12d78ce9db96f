"""How a choice among variants ends: the exit code and the last line, whatever failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import typer

from benchharness.api import Findings
from benchharness.commands.ending import conclude
from benchharness.commands.options import Shown
from benchharness.errors import GATE_FAILED, SOME_FAILED
from benchharness.judge.budgets import unmeasured
from benchharness.metrics.limits import parse
from benchharness.results.result import OutcomeKind, Result
from tests.unit.made_up import run as stored
from tests.unit.test_answer import CRASH, around, run


def failing(results: Sequence[Result], **changes: Any) -> list[Result]:
    """The same jobs of another scenario or model, all of which crashed."""
    return [
        replace(each, metrics=(), verdicts=(), outcome=CRASH, outcomes={OutcomeKind.CRASHED: 1},
                job=replace(each.job, key=f"f{each.job.key[1:]}", **changes))
        for each in results
    ]  # fmt: skip


def ended(results: Sequence[Result], *, undecided_fails: bool, **budgets: Any) -> int:
    """The exit code of a choice."""
    found = Findings(run=stored(), results=results, unmeasured_budgets=unmeasured(results, parse(budgets, "suite")))
    with pytest.raises(typer.Exit) as ending:
        conclude(lambda _: [found], out=None, store=None, shown=Shown(), undecided_fails=undecided_fails, choosing=True)
    return ending.value.exit_code


@pytest.mark.parametrize("undecided_fails", [False, True])
def test_where_none_passes_because_all_fail_the_last_line_says_so(
    capsys: pytest.CaptureFixture[str], undecided_fails: bool
) -> None:
    """Not one budget is missed, and none is undecided."""
    found = run({"fp32": around(10), "int8": around(5)}, first_inference="60 ms")
    both = [*found, *failing(found, scenario="steady")]
    assert ended(both, undecided_fails=undecided_fails, first_inference="60 ms") == GATE_FAILED
    told = " ".join(capsys.readouterr().err.split())
    assert told.startswith("benchharness: None passes: both variants failing. Closest: fp32, fails: steady: crashed")


def test_without_a_budget_failed_jobs_are_failed_jobs_and_no_open_budget(capsys: pytest.CaptureFixture[str]) -> None:
    found = run({"fp32": around(10), "int8": around(5)})
    assert ended([*found, *failing(found, model="another")], undecided_fails=True) == SOME_FAILED
    assert capsys.readouterr().err.startswith("benchharness: 2 of 4 jobs failed: ")


@pytest.mark.parametrize(("undecided_fails", "code"), [(True, GATE_FAILED), (False, SOME_FAILED)])
def test_a_model_of_which_nothing_is_known_leaves_its_budget_open(
    capsys: pytest.CaptureFixture[str], undecided_fails: bool, code: int
) -> None:
    found = run({"fp32": around(10), "int8": around(5)}, first_inference="60 ms")
    both = [*found, *failing(found, model="another")]
    assert ended(both, undecided_fails=undecided_fails, first_inference="60 ms") == code
    if undecided_fails:
        assert "Not trustworthy: nothing was measured. First-token crashed" in " ".join(capsys.readouterr().err.split())
