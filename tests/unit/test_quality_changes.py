"""What a build loses in decisions: as far as so many inputs tell, and exactly where its outputs are equal."""

from __future__ import annotations

import numpy as np
import pytest

from benchharness.judge.builds import _lost
from benchharness.judge.paired import difference_of_shares
from benchharness.judge.pairs import Change
from benchharness.judge.told import _difference
from benchharness.metrics import Better
from benchharness.results.result import Estimate, Measurement, Parameters, Result
from benchharness.scenarios.quality import SCENARIO
from tests.unit.made_up import measured
from tests.unit.test_student_figures import student, tokens

INPUTS = 500
TOLD: Parameters = {"evaluation": "decode", "scored": 4}


def decisions(wrong: int) -> Measurement:
    """Labels that the reference has right, and of which the build has the first few wrong."""
    labels = np.arange(INPUTS) % 10
    ours = np.where(np.arange(INPUTS) < wrong, (labels + 1) % 10, labels)
    rows = np.stack([labels, labels, ours], axis=1).astype(float)
    return measured("class_decisions", 1.0, rows.reshape(-1).tolist(), row_length=3)


def divergence(of_one: float) -> Measurement:
    rows = np.tile([of_one, of_one, 0.0], (INPUTS, 1))
    return measured("class_divergence", of_one, rows.reshape(-1).tolist(), row_length=3)


def accuracy(base: Result, candidate: Result) -> Estimate:
    (found,) = [each for name, _, each in SCENARIO.changes(base, candidate) if name == "accuracy"]
    return found


def test_answers_that_agree_say_no_more_than_so_many_can() -> None:
    """Of 500 that agree, a loss of 0.7 points cannot be told apart: the interval was [0, 0], and any limit was kept."""
    found = accuracy(student(decisions(3), divergence(0.01)), student(decisions(3), divergence(0.02)))
    assert found.value == 0
    assert (found.low, found.high) == pytest.approx(difference_of_shares(0, 0, INPUTS))
    assert found.low is not None
    assert found.low == pytest.approx(-0.0076, abs=0.0002)
    assert _lost(found, Better.HIGHER, 0.01) is Change.NO_WORSE
    assert _lost(found, Better.HIGHER, 0.005) is Change.UNDECIDED


def test_equal_outputs_are_exactly_the_same() -> None:
    """The same build again: not its answers alone are equal, and no number of inputs is needed to say so."""
    found = accuracy(student(decisions(3), divergence(0.01)), student(decisions(3), divergence(0.01)))
    assert (found.value, found.low, found.high) == (0, 0, 0)
    assert _lost(found, Better.HIGHER, 0.0001) is Change.SAME
    assert _difference(found, "share") == "none of 500 inputs differs"


def test_decisions_that_differ_have_the_interval_of_shares() -> None:
    found = accuracy(student(decisions(3), divergence(0.01)), student(decisions(13), divergence(0.02)))
    assert found.value == pytest.approx(-10 / INPUTS)
    assert (found.low, found.high) == pytest.approx(difference_of_shares(0, 10, INPUTS))
    assert _lost(found, Better.HIGHER, 0.01) is Change.UNDECIDED
    assert _lost(found, Better.HIGHER, 0.001) is Change.WORSE


def test_without_divergences_equal_decisions_are_not_taken_for_equal_outputs() -> None:
    found = accuracy(student(decisions(0)), student(decisions(0)))
    assert found.high is not None
    assert found.high > 0.007


@pytest.mark.parametrize(("theirs", "kept"), [("a1", True), ("b2", False), (None, True)])
def test_two_builds_that_read_as_many_other_tokens_are_not_paired_by_token(theirs: str | None, kept: bool) -> None:
    """Tokenizers that differ may give equal counts, and then every parameter is the same. Runs of before tell none."""

    def made(worse: float, ids: str | None) -> Result:
        rows = np.tile([1.0, 1.0 + worse, worse, 1.0], (16, 1))
        told = {} if ids is None else {"ids": ids}
        answers = measured("answers_alike", 1.0, [1.0, 1.0, 9.0, 9.0] * 4, row_length=4)
        return student(tokens(rows), answers, evaluated=told, distillation={"alpha": [0.5]})

    found = {name: each for name, _, each in SCENARIO.changes(made(0.1, "a1"), made(0.2, theirs))}
    assert {"kld", "same_top_token", "same_answer", "distillation_loss"} <= set(found)
    for each in found.values():
        assert (each.value is not None) == kept
        assert kept or each.reason.startswith("the two read the text in other tokens")


def test_prompts_that_read_alike_on_both_say_no_more_than_so_many_can() -> None:
    """Of eight alike, four in ten others may be lost: the interval was [0, 0]."""
    answers = measured("answers_alike", 1.0, [1.0, 1.0, 9.0, 9.0] * 8, row_length=4)

    def found(of_base: float, of_candidate: float) -> Estimate:
        base, candidate = (
            student(
                answers, measured("token_divergence", each, [1.0, 1.0, each, 1.0] * 8, row_length=4, parameters=TOLD)
            )
            for each in (of_base, of_candidate)
        )
        return next(each for name, _, each in SCENARIO.changes(base, candidate) if name == "same_answer")

    apart, alike = found(0.1, 0.2), found(0.1, 0.1)
    assert (apart.low, apart.high) == pytest.approx(difference_of_shares(0, 0, 8))
    assert (alike.low, alike.high) == (0.0, 0.0)


def test_rounding_makes_nothing_better() -> None:
    """A student of the same text lost 1e-16 bits, and was called beaten by its teacher that lost none."""
    none, rounded = (Estimate(value=value, low=value, high=value) for value in (0.0, 1e-16))
    assert not none.clearly_below(rounded, 0.01)
    assert none.clearly_below(Estimate(value=1e-9, low=1e-9, high=1e-9), 0.01)
