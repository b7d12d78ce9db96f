"""Budgets against the reference or the base: kept where the whole paired ratio is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from benchharness.errors import UsageError
from benchharness.judge.answer import answers
from benchharness.judge.budgets import judged
from benchharness.judge.derive import derive
from benchharness.metrics.limits import parse
from benchharness.results.result import BASE, CANDIDATE, Job, Result, Verdict, VerdictKind
from tests.unit.made_up import attempt, job, measured

ROUNDS = 12
RATE = 50.0


def rates(job_: Job, factor: float, seed: int) -> list[Any]:
    """Attempts on a machine that drifts by a quarter: the same round is the same machine."""
    return [
        attempt(
            round_,
            measured("decode_rate", RATE * factor * (1 + 0.02 * round_ + 0.002 * math.sin(seed + round_))),
            job=job_.key,
        )
        for round_ in range(ROUNDS)
    ]


def verdicts(jobs: Sequence[Job], factors: Sequence[float], budget: Mapping[str, Any]) -> list[Result]:
    made = [
        each for seed, (one, factor) in enumerate(zip(jobs, factors, strict=True)) for each in rates(one, factor, seed)
    ]
    return judged(derive([(each, "") for each in jobs], made), parse({"decode_rate": budget}, "suite"))


def only(results: Sequence[Result]) -> Verdict:
    (verdict,) = [verdict for result in results for verdict in result.verdicts]
    return verdict


@pytest.mark.parametrize(
    ("factor", "kind"),
    [(0.99, VerdictKind.PASS), (1.3, VerdictKind.PASS), (0.9, VerdictKind.MISS), (0.9524, VerdictKind.UNDECIDED)],
)
@pytest.mark.parametrize("against", ["reference", "base"])
def test_a_budget_against_another(factor: float, kind: VerdictKind, against: str) -> None:
    if against == "base":
        jobs = [job("b" * 16, side=BASE, pair="p"), job("c" * 16, side=CANDIDATE, pair="p")]
    else:
        jobs = [job("b" * 16, variant="fp32"), job("c" * 16)]
    results = verdicts(jobs, (1.0, factor), {"worse_by": "5 %", "against": against})
    verdict = only(results)
    assert verdict.kind is kind
    assert verdict.budget == f"decode_rate at most 5 % worse than {against}"
    assert (verdict.limit, verdict.against) == (0.05, against)


def test_without_a_base_beside_it_nothing_is_decided() -> None:
    verdict = only(verdicts([job()], (1.0,), {"worse_by": "5 %", "against": "base"}))
    assert verdict.kind is VerdictKind.UNDECIDED
    assert "no base ran beside it" in verdict.reason


def test_the_first_table_says_what_it_is_against() -> None:
    jobs = [job("b" * 16, variant="fp32"), job("c" * 16)]
    (answer,) = answers(verdicts(jobs, (1.0, 0.8), {"worse_by": "5 %", "against": "reference"}))
    column = next(each for each in answer.columns if each.budget)
    assert column.limit_text == "at most 5 % worse than reference"
    assert column.limit is None
    assert [row.cells[answer.columns.index(column)].verdict for row in answer.rows if row.variant == "int8"] == [
        VerdictKind.MISS
    ]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"kld": {"worse_by": "5 %", "against": "reference"}}, "it is a difference, or may be zero"),
        ({"agreement": {"worse_by": "5 %", "against": "base"}}, "it is a difference, or may be zero"),
        ({"decode_rate": {"worse_by": "5 %"}}, "against is 'reference' or 'base'"),
        ({"decode_rate": {"worse_by": "5 %", "against": "yesterday"}}, "against is 'reference' or 'base'"),
        ({"decode_rate": {"worse_by": 5, "against": "base"}}, "a relative budget is such as"),
        ({"decode_rate": {"worse_by": "5 ms", "against": "base"}}, "decode_rate.worse_by"),
        ({"itl": {"worse_by": "5 %", "against": "base", "of": "p51"}}, "itl has no 'p51'"),
    ],
)
def test_a_relative_budget_that_cannot_be_is_refused(table: Mapping[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said.replace("(", r"\(")):
        parse(table, "suite")
