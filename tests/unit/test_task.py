"""Scenario `task`: measures and losses of stored rows, what cannot be paired, what a device may not say, reports."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest
from scipy.stats import t as student

from benchharness.errors import SuiteError
from benchharness.execute.received import attempt_from
from benchharness.judge.budgets import judged
from benchharness.judge.derive import derive
from benchharness.judge.means import OF_LOGARITHMS
from benchharness.judge.paired import difference_of_shares
from benchharness.metrics import limits
from benchharness.records import TASK_DOCUMENTS, TASK_LIKELIHOODS, DocumentRow, LikelihoodRow
from benchharness.results.requested import Workload
from benchharness.results.result import (
    Attempt,
    Estimate,
    Job,
    Measurement,
    MetricResult,
    Outcome,
    OutcomeKind,
    Result,
    VerdictKind,
)
from benchharness.results.told import Effective
from benchharness.scenarios import SCENARIOS
from benchharness.scenarios.task import Task
from benchharness.scenarios.task.comparison import changes
from benchharness.scenarios.task.scored import scored
from benchharness.scenarios.task.sets import HIGHER, Document, Measure, Scores, TaskFailed, remember
from benchharness.suite.tables import check_suite
from tests.unit.made_up import TWO_VARIANTS, attempt, job, loaded
from tests.unit.report_samples import page_of, sections_html

COUNT = 60
RIGHT = [float(number % 3 > 0) for number in range(COUNT)]
LOST = (1, 4, 7, 8, 10)
GAINED = (0, 3)
AFTER = [1.0 if number in GAINED else 0.0 if number in LOST else each for number, each in enumerate(RIGHT)]
DATA = {"path": "/cache/asked.json", "kind": "requests", "sha256": "ab" * 32, "used": [COUNT, COUNT]}


def task_job(variant: str = "int8", **changed: Any) -> Job:
    workload = {"name": "verses", "prompt": {"length": 1, "seed": 0}, "data": DATA}
    key = {"fp32": "f" * 16}.get(variant, variant.ljust(16, "0"))
    facts = {"variant": variant, "scenario": "task", "workload": workload, "settings": {"evaluation": "decode"}}
    return job(key, **{**facts, **changed})


def rows(
    totals: Sequence[float], weights: Sequence[float] = (), *, first: int = 0, measure: str = "acc", **changed: Any
) -> Measurement:
    parts = zip(totals, weights or [1.0] * len(totals), strict=True)
    made = [DocumentRow(document=first + at, total=total, weight=weight) for at, (total, weight) in enumerate(parts)]
    parameters = {"task": "verses", "measure": measure, "used": f"{len(made)} of {len(made)} documents"}
    return Measurement(
        metric=TASK_DOCUMENTS.metric,
        parameters={**parameters, "better": HIGHER, "as": "mean", **changed},
        value=0.0,
        samples=TASK_DOCUMENTS.flat(made),
        row_length=TASK_DOCUMENTS.row_length,
    )


def results(of_variants: Mapping[str, Sequence[Measurement] | Outcome], **told: Any) -> dict[str, Result]:
    jobs = [task_job(variant) for variant in of_variants]
    attempts = []
    for each, measured in zip(jobs, of_variants.values(), strict=True):
        if isinstance(measured, Outcome):
            attempts.append(attempt(job=each.key, outcome=measured))
        else:
            attempts.append(attempt(0, *measured, job=each.key, effective=told.get(each.variant, {})))
    found = derive([(each, "one attempt") for each in jobs], attempts)
    return {result.job.variant: result for result in found}


def ends(found: Estimate) -> tuple[float, float, float]:
    assert found.low is not None
    assert found.value is not None
    assert found.high is not None
    return found.low, found.value, found.high


def named(result: Result, name: str, measure: str = "acc") -> MetricResult:
    (found,) = (each for each in result.metrics if each.name == name and each.parameters["measure"] == measure)
    return found


def test_a_loss_is_paired_by_document_whatever_their_order() -> None:
    shuffled = rows(AFTER)
    order = np.random.default_rng(1).permutation(COUNT)
    mixed = np.asarray(shuffled.samples).reshape(-1, 3)[order].reshape(-1).tolist()
    found = results({"fp32": [rows(RIGHT)], "int8": [replace(shuffled, samples=mixed)]})
    accuracy = named(found["int8"], "task_accuracy").estimate
    assert accuracy.value == pytest.approx(sum(AFTER) / COUNT)
    loss = named(found["int8"], "accuracy_loss").estimate
    assert loss.value == pytest.approx((len(LOST) - len(GAINED)) / COUNT)
    assert (loss.low, loss.high) == difference_of_shares(len(LOST), len(GAINED), COUNT)
    p = named(found["int8"], "mcnemar_p").estimate
    assert p.value == pytest.approx(binomtest(2, 7, 0.5).pvalue)
    assert not [each for each in found["fp32"].metrics if each.name == "accuracy_loss"]
    assert all(each.ratio is None for each in found["int8"].metrics if each.name.startswith("task_"))


def test_an_accuracy_budget_in_points_is_kept_missed_or_open() -> None:
    found = results({"fp32": [rows(RIGHT)], "int8": [rows(AFTER)], "int4": [rows([0.0] * COUNT)]})
    kinds = {}
    for text in ("1 point", "20 points"):
        for result in judged(list(found.values()), limits.parse({"accuracy_loss": text}, "suite")):
            kinds[result.job.variant, text] = [each.kind for each in result.verdicts]
    assert kinds["int8", "1 point"] == [VerdictKind.UNDECIDED]
    assert kinds["int8", "20 points"] == [VerdictKind.PASS]
    assert kinds["int4", "20 points"] == [VerdictKind.MISS]
    assert kinds["fp32", "1 point"] == []


def test_a_budget_may_be_on_one_task_or_one_of_its_measures() -> None:
    both = [rows(AFTER), rows(RIGHT, measure="acc_norm")]
    found = results({"fp32": [rows(RIGHT), rows(RIGHT, measure="acc_norm")], "int8": both})
    for part, count in (("verses", 2), ("verses acc_norm", 1), ("other", 0)):
        (judged_,) = judged([found["int8"]], limits.parse({"accuracy_loss": {part: "9 points"}}, "suite"))
        assert len(judged_.verdicts) == count


def test_documents_that_are_not_the_same_have_no_loss_and_it_says_why() -> None:
    found = results({"fp32": [rows(RIGHT)], "int8": [rows(AFTER, first=2)]})
    loss = named(found["int8"], "accuracy_loss").estimate
    assert (loss.value, loss.low) == (None, None)
    assert loss.reason == "not the same documents: 2 of 60 here are not the reference's, and 2 of its 60 are not here"
    assert named(found["int8"], "task_accuracy").estimate.value is not None


def test_without_answers_of_the_reference_there_is_no_loss() -> None:
    failed = Outcome(kind=OutcomeKind.TIMEOUT, reason="too slow")
    found = results({"fp32": failed, "int8": [rows(AFTER)]})
    assert named(found["int8"], "accuracy_loss").estimate.reason == "the reference has no answers: timeout"


def test_a_measure_that_is_a_quotient_of_sums_is_bootstrapped_in_pairs() -> None:
    chance = np.random.default_rng(2)
    words = chance.integers(5, 30, COUNT).astype(float).tolist()
    errors = [float(chance.integers(0, each)) for each in words]
    more = [each + 1 for each in errors]
    how: dict[str, Any] = {"measure": "wer", "better": "lower"}
    found = results({"fp32": [rows(errors, words, **how)], "int8": [rows(more, words, **how)]})
    assert named(found["int8"], "task_error", "wer").estimate.value == pytest.approx(sum(more) / sum(words))
    loss = named(found["int8"], "score_loss", "wer").estimate
    assert loss.value == pytest.approx(COUNT / sum(words))
    low, value, high = ends(loss)
    assert 0 < low < value < high


def test_a_perplexity_is_e_to_the_mean_and_one_beyond_numbers_has_no_interval() -> None:
    how: dict[str, Any] = {"measure": "word_perplexity", "better": "lower", "as": "exp"}
    totals, words = [2.0 * each for each in range(1, COUNT + 1)], [float(each) for each in range(1, COUNT + 1)]
    found = results(
        {"fp32": [rows(totals, words, **how)], "int8": [rows([2000.0, *totals[1:]], [1.0, *words[1:]], **how)]}
    )
    assert named(found["fp32"], "task_error", "word_perplexity").estimate.value == pytest.approx(np.exp(2.0))
    assert np.isfinite(named(found["int8"], "task_error", "word_perplexity").estimate.value or 0.0)


@pytest.mark.parametrize("least", [0.01, 0.0, -0.3, -1.0], ids=["positive", "from zero", "of both signs", "negative"])
def test_the_scale_of_an_interval_is_the_measures_and_not_the_documents(least: float) -> None:
    """Of a task's own measure nobody knows whether it can be below 0, whatever these documents happen to have."""
    totals = (least + np.random.default_rng(3).exponential(0.1, COUNT)).tolist()
    found = results({"fp32": [rows(totals, measure="bias_score_ambig", better="lower")]})
    bias = named(found["fp32"], "task_error", "bias_score_ambig").estimate
    assert OF_LOGARITHMS not in bias.statistic
    error = np.std(totals, ddof=1) / np.sqrt(COUNT)
    assert (bias.low, bias.high) == pytest.approx(student.interval(0.95, COUNT - 1, np.mean(totals), error))


@pytest.mark.parametrize("measure", ["wer", "bits_per_byte (none)", "word_perplexity"])
@pytest.mark.parametrize("least", [0.01, 0.0])
def test_what_cannot_be_below_0_has_an_interval_above_it(measure: str, least: float) -> None:
    totals = (least + np.random.default_rng(3).exponential(0.1, COUNT)).tolist()
    totals[0] = least
    how: dict[str, Any] = {"better": "lower", "as": "exp" if measure == "word_perplexity" else "mean"}
    found = results({"fp32": [rows(totals, measure=measure, **how)]})
    error = named(found["fp32"], "task_error", measure).estimate
    assert OF_LOGARITHMS in error.statistic
    low, value, high = np.log(ends(error)) if how["as"] == "exp" else ends(error)
    assert high / value == pytest.approx(value / low)
    assert low > 0


def test_one_build_is_held_against_the_other_by_document() -> None:
    found = results({"fp32": [rows(RIGHT)], "int8": [rows(AFTER)]})
    ((name, parameters, estimate),) = changes(found["fp32"], found["int8"])
    assert (name, parameters["measure"]) == ("task_accuracy", "acc")
    assert estimate.value == pytest.approx(-(len(LOST) - len(GAINED)) / COUNT)
    low, value, high = ends(estimate)
    assert low < value < high


# What a device may say


def finished(row: LikelihoodRow, **changed: Any) -> dict[str, Any]:
    return {
        "id": "0195a3c2-0000-7000-8000-000000000000",
        "job": "int8" + "0" * 12,
        "round": 0,
        "outcome": {"kind": "ok"},
        "measurements": [
            {"metric": TASK_LIKELIHOODS.metric, "parameters": {}, "value": -1.0, "samples": list(row), "row_length": 4}
        ],
        "effective": {},
        "conditions": {},
        "started_unix_ns": 10**18,
        "duration_ns": 10**9,
        **changed,
    }


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        (LikelihoodRow(0, -1.5, 1, 3), OutcomeKind.OK),
        (LikelihoodRow(0, 0.5, 1, 3), OutcomeKind.INVALID),
        (LikelihoodRow(0, float("nan"), 1, 3), OutcomeKind.INVALID),
        (LikelihoodRow(0, -1.5, 2, 3), OutcomeKind.INVALID),
        (LikelihoodRow(0.5, -1.5, 1, 3), OutcomeKind.INVALID),
    ],
)
def test_a_likelihood_that_cannot_be_makes_the_attempt_invalid(row: LikelihoodRow, kind: OutcomeKind) -> None:
    found = attempt_from(finished(row), device={}, host="bench", clock_offset_ns=0)
    assert found.outcome.kind is kind


class Fixed:
    """A task whose scores are made up."""

    name, language, used, total, kind, path, sha256 = "verses", True, 2, 5, "requests", Path("/x"), "ab" * 32

    def __init__(self, scores: Scores | Exception, documents: str = "d1") -> None:
        self._scores = scores
        self.settings = {"documents": documents}

    def scores(self, effective: Mapping[str, Any], rows: Sequence[float]) -> Scores:
        if isinstance(self._scores, Exception):
            raise self._scores
        return self._scores


def scores(*totals: float, keys: Sequence[str] = ("a", "b")) -> Scores:
    documents = [Document(key=key, text="t" * 500, target="right", answer="wrong") for key in keys]
    return Scores(documents=documents, measures=[Measure(name="acc", better=HIGHER, totals=totals, weights=[1.0] * 2)])


def kept(task: Fixed, **told: Any) -> Attempt:
    remember([task])
    effective = Effective.from_json({"answers": {"0": {"text": "secret"}}, **told})
    return scored(task_job(settings={**task.settings}), replace(attempt(job="int8"), effective=effective))


def test_scores_are_kept_beside_the_answers_and_texts_are_cut() -> None:
    found = kept(Fixed(scores(1.0, 0.0)))
    (measured,) = found.measurements
    assert [row.total for row in TASK_DOCUMENTS.rows(measured.samples)] == [1.0, 0.0]
    assert measured.parameters["used"] == "2 of 5 documents"
    assert len(found.effective.others["documents"][0]["text"]) == 240
    assert "answers" not in found.effective.to_json()


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (TaskFailed("the task raised: KeyError", "Traceback …"), "the task raised"),
        (scores(1.0, 0.0, keys=("a", "a")), "two documents of the task are the same one"),
        (ZeroDivisionError("division by zero"), "the answers cannot be scored: ZeroDivisionError"),
    ],
)
def test_answers_that_cannot_be_scored_are_an_outcome(made: Scores | Exception, told: str) -> None:
    found = kept(Fixed(made))
    assert found.outcome.kind is OutcomeKind.INVALID
    assert told in found.outcome.reason


def test_documents_that_changed_since_the_run_began_are_not_scored() -> None:
    remember([Fixed(scores(1.0, 0.0), "as they are now")])
    found = scored(task_job(settings={"documents": "as they were"}), attempt(job="int8"))
    assert found.outcome.kind is OutcomeKind.INVALID
    assert "have changed since this run began" in found.outcome.reason


# What a suite says


def suite_of(**settings: Any) -> dict[str, Any]:
    models = {"m": {"variants": {"a": {"artefact": "a.onnx"}}}}
    return {"name": "s", "models": models, "scenarios": {"task": settings}}


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({}, "names no task"),
        ({"tasks": ["hellaswag"]}, "trust_code = true"),
        ({"tasks": ["a", "a"], "trust_code": True}, "names one twice"),
        ({"datasets": ["d"], "most_documents": 0}, "most_documents"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(SuiteError, match=told):
        check_suite(suite_of(**settings), where="suite.toml")


def test_a_model_that_is_not_there_is_refused() -> None:
    suite = check_suite(suite_of(datasets=["d"], models=["n"]), where="suite.toml")
    with pytest.raises(SuiteError, match=r"no model is called 'n'; there are: m"):
        SCENARIOS["task"].check(Task(datasets=(Path("d"),), models=("n",)), suite.models)


def test_paths_of_a_scenario_are_relative_to_the_suite(tmp_path: Path) -> None:
    text = '[scenarios.task]\ntasks = ["t"]\ntask_folder = "tasks"\ndatasets = ["a", "/b"]\ntrust_code = true\n'
    suite = loaded(tmp_path, TWO_VARIANTS + text)
    settings = suite.scenarios.task
    assert settings.task_folder == tmp_path / "tasks"
    assert settings.datasets == (tmp_path / "a", Path("/b"))
    assert check_suite(json.loads(suite.model_dump_json(by_alias=True)), where="s", stored=True) == suite


def test_a_suite_without_tasks_is_the_suite_that_it_was() -> None:
    table = {"name": "s", "models": suite_of()["models"]}
    assert "task" not in json.loads(check_suite(table, where="suite.toml").model_dump_json(by_alias=True))["scenarios"]


# The report


def told_of(totals: Sequence[float], answer: str) -> dict[str, Any]:
    documents = [
        {
            "document": at,
            "text": f"<b>text {at}</b>",
            "target": "right\u202e",
            "answer": answer,
            "scores": {"acc": total},
        }
        for at, total in enumerate(totals)
    ]
    return {"documents": documents, "scored": {"by": "lm-eval", "<i>": "\x1b[31m"}, "asked": {"merged": 2}}


def test_the_report_shows_measures_losses_and_the_documents_that_differ() -> None:
    found = results(
        {"fp32": [rows(RIGHT)], "int8": [rows(AFTER)]},
        fp32=told_of(RIGHT, "yes"),
        int8=told_of(AFTER, "<script>no</script>"),
    )
    html = sections_html(page_of(list(found.values())), "task")
    assert "accuracy loss" in html
    assert "5.00 points" in html
    assert html.count("&lt;b&gt;text") == len(LOST) + len(GAINED)
    assert "&lt;script&gt;" in html
    assert "<script>no" not in html
    assert "\x1b" not in html
    assert "\u202e" not in html
    assert "Accuracy lost against the reference" in html
    assert "2 texts were joined" in html


@pytest.mark.parametrize(
    "lie", [5, [], [{"document": "x"}], [{"document": 1, "scores": 7}], [None, {"document": True}]]
)
def test_documents_in_another_form_than_expected_are_left_out(lie: Any) -> None:
    found = results(
        {"fp32": [rows(RIGHT)], "int8": [rows(AFTER)]}, fp32={"documents": lie, "scored": lie}, int8={"documents": lie}
    )
    assert "Documents that differ" not in sections_html(page_of(list(found.values())), "task")


def test_results_of_tasks_stand_beside_every_workload() -> None:
    """A candidate that is fast and wrong is not shipped for its speed."""
    from benchharness.judge.choice import by_candidate

    found = list(results({"fp32": [rows(RIGHT)], "int8": [rows(AFTER)]}).values())
    timed = [
        replace(each, job=replace(each.job, workload=Workload.from_json({"name": "w"}), scenario="steady"))
        for each in found
    ]
    (group,) = by_candidate([*timed, *found])
    assert [[each.job.scenario for each in everything] for everything in group] == [["steady", "task"]] * 2
