"""Results of before: a store that version 0.1.0 wrote before rules were mended still opens, and says what is wrong."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from benchharness import api
from benchharness.device import attempt as device_attempt
from benchharness.device.rules import FIRST, RULES
from benchharness.judge.earlier import MENDED, on_figures, rules_of, warnings_of_before
from benchharness.judge.ranking import Wish
from benchharness.results.courses import StepOutcome
from benchharness.results.result import Result, VerdictKind, WarningKind
from tests.unit.made_up import attempt, job, measured

GOLDEN = Path(__file__).parent.parent / "golden" / "earlier.sqlite"
#: By the order in `MENDED`.
ARRAYS, FLOORED, TEXTS, INVENTED, RECURRENT, WITHOUT_CACHE, SIZES = (each.warning.message for each in MENDED)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A copy: opening a store may migrate it."""
    path = tmp_path_factory.mktemp("earlier") / "earlier.db"
    shutil.copy(GOLDEN, path)
    return f"sqlite:///{path}"


def found(store: str, suite: str) -> api.Findings:
    (run,) = [run for run in api.runs(store=store) if run.suite == suite]
    return api.load(run.id, store=store)


def said(result: Result) -> set[str]:
    return {warning.message for warning in result.warnings if warning.kind is WarningKind.EARLIER_RULE}


def by_job(findings: api.Findings) -> dict[tuple[str, str, str], Result]:
    return {(each.job.model, each.job.variant, each.job.scenario): each for each in findings.results}


def test_quality_of_arrays_is_doubted_and_the_floor_where_it_shows(store: str) -> None:
    results = by_job(found(store, "earlier"))
    assert said(results["two-outputs", "bad", "quality"]) == {ARRAYS, SIZES}
    assert said(results["digits", "int8", "quality"]) == {ARRAYS, SIZES}
    assert said(results["softmax", "u8out", "quality"]) == {ARRAYS, FLOORED, SIZES}
    assert said(results["digits", "int8", "first-token"]) == {SIZES}
    agreement = next(each for each in results["two-outputs", "bad", "quality"].metrics if each.name == "agreement")
    assert agreement.estimate.value == 1.0  # where every class is wrong: it compared the embeddings


def test_a_length_that_was_made_up_and_texts_are_doubted(store: str) -> None:
    (timed,) = found(store, "earlier, a length").results
    assert said(timed) == {INVENTED, SIZES}
    results = by_job(found(store, "earlier, texts and sessions"))
    assert said(results["demo", "onnx-int8", "quality"]) == {TEXTS, SIZES}
    assert said(results["demo", "onnx-int8", "steady"]) == {SIZES}


def test_what_a_mended_rule_would_refuse_keeps_no_budget(store: str) -> None:
    verdicts = [each for result in found(store, "earlier").results for each in result.verdicts]
    assert {each.kind for each in verdicts} == {VerdictKind.UNDECIDED}
    assert all(each.reason.startswith("no evidence: measured before ") for each in verdicts)
    outside = found(store, "earlier, weights outside")
    assert {SIZES} == {message for result in outside.results for message in said(result)}


def test_outcomes_of_trials_are_read_off_their_ratio_again(store: str) -> None:
    ladders = [each for result in found(store, "earlier, texts and sessions").results for each in result.ladders]
    assert ladders
    for step in (step for ladder in ladders for step in ladder.steps):
        if step.slower is not None and step.outcome in (StepOutcome.FINE, StepOutcome.SLOWER):
            assert (step.outcome is StepOutcome.SLOWER) == (float(f"{step.slower:.2f}") >= 1.1)


@pytest.mark.parametrize(
    "suite", ["earlier", "earlier, a length", "earlier, weights outside", "earlier, texts and sessions"]
)
def test_it_is_shown_reported_exported_and_chosen_from(store: str, suite: str, tmp_path: Path) -> None:
    findings = found(store, suite)
    exported = json.loads(findings.to_json())
    kinds = {warning["kind"] for each in exported["results"] for warning in each["warnings"]}
    assert "earlier-rule" in kinds
    assert "a rule that has been mended since" in findings.render(tmp_path)[0].read_text(encoding="utf-8")
    assert findings.to_csv().count("\n") > len(findings.results)
    assert not findings.frame().empty
    for wish in Wish:
        assert all(choice.reason for choice in findings.choices(wish))


def test_attempts_of_today_say_by_which_rules_they_were_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_attempt.RunningAttempt, "_with_timeline", lambda _, measurements, **more: measurements)
    made = device_attempt.RunningAttempt.__new__(device_attempt.RunningAttempt)
    told = {"outcome": {"kind": "ok"}, "effective": {"threads": 1, "rules": 99}}
    found = made._found(told, "")  # what the worker tells is no word on it
    assert found["effective"] == {"threads": 1, "rules": RULES}


@pytest.mark.parametrize(
    ("told", "rules"), [(None, FIRST), (RULES, RULES), (RULES + 7, FIRST), ("2", FIRST), (-1, FIRST)]
)
def test_a_number_that_cannot_be_is_the_first(told: Any, rules: int) -> None:
    assert rules_of(attempt(effective={"rules": told})) == rules


DATA = {"name": "w", "data": {"kind": "npz"}}
AGAINST = {"variant": "fp32", "configuration": {}}


@pytest.mark.parametrize(
    ("changes", "effective", "expected"),
    [
        ({"against": AGAINST, "workload": DATA}, {}, {ARRAYS}),
        ({"against": AGAINST, "workload": DATA}, {"rules": RULES}, set()),
        ({"against": AGAINST, "workload": {"name": "w", "data": {"kind": "jsonl"}}}, {}, {TEXTS}),
        ({"against": AGAINST, "workload": {"name": "w", "data": {"kind": "tokens"}}}, {}, set()),
        ({}, {"inputs": {"length": ["int64", 1]}}, {INVENTED}),
        ({}, {"inputs": {"length": ["int64", 1]}, "rules": RULES}, set()),
        ({"workload": {"name": "w", "values": {"length": 3}}}, {"inputs": {"length": ["int64", 1]}}, set()),
        ({}, {"inputs": {"input_ids": ["int64", 1, 8], "x": ["float32", 1]}}, set()),
        ({}, {"inputs": {"image": ["uint8", 1, 8, 8, 3]}}, set()),
        ({}, {"inputs": {"odd": [], "odder": 7}}, set()),
        ({}, {"inputs": "odd"}, set()),
        ({}, {"inputs": {"input": ["float32", 1, 512], "state": ["float32", 2, 1, 128]}}, {RECURRENT}),
        ({"against": AGAINST}, {"inputs": {"state": ["float32", 2, 1, 128]}}, set()),
        ({}, {"facts": {"layout": "no-cache", "described_by": ""}}, {WITHOUT_CACHE}),
        ({}, {"facts": {"layout": "no-cache", "described_by": "config.json"}}, set()),
        ({}, {"facts": {"layout": "tensors"}}, set()),
        ({}, {"facts": "odd"}, set()),
    ],
)
def test_only_those_are_doubted_that_the_rule_concerned(
    changes: dict[str, Any], effective: dict[str, Any], expected: set[str]
) -> None:
    made = job(**{"configuration": {"name": "c", "runtime": "tflite"}, **changes})
    told = {each.message for each in warnings_of_before(made, [attempt(effective={"rules": FIRST, **effective})])}
    assert told == expected


@pytest.mark.parametrize(("divergence", "doubted"), [(0.01, False), (1.01, True)])
def test_a_divergence_as_large_as_a_floor_gives_is_doubted(divergence: float, doubted: bool) -> None:
    rows = measured("class_decisions", 1.0, [0, 1, 1, 0.0, 0, 1, 1, divergence], row_length=4)
    made = job(configuration={"name": "c", "runtime": "tflite"})
    told = [each.message for each in warnings_of_before(made, [attempt(0, rows, effective={"rules": FIRST})])]
    assert told == ([FLOORED] if doubted else [])


def test_a_doubt_about_a_size_is_none_about_what_was_measured() -> None:
    assert [each.warning for each in MENDED if not on_figures(each.warning)] == [MENDED[-1].warning]
