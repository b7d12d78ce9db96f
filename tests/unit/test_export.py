"""Results for other programs: the keys and units that schema 1 promises, in JSON and in CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from benchharness.judge.derive import derive
from benchharness.metrics import METRICS
from benchharness.results.export import to_csv, to_json
from benchharness.results.result import Attempt, Outcome, OutcomeKind, Result, Run
from tests.unit.made_up import DEVICE, STARTED, attempt, job, measured, run

RUN = run(finished=None, state="interrupted", jobs=3, attempts=11)
INT8 = job()
FP32 = job("fedcba9876543210", variant="fp32", recipe="as exported")
CRASHING = job("00000000deadbeef", variant="int4")


def attempts_of(key: str, scale: float) -> list[Attempt]:
    return [
        attempt(
            round_,
            measured("model_ttft", scale * (1 + round_ / 100), [scale, scale * 2], parameters={"prompt_tokens": 64}),
            measured("itl", scale, [scale] * 64, parameters={"output_tokens": 64}),
            job=key,
        )
        for round_ in range(5)
    ]


RESULTS = derive(
    [(INT8, "5 attempts, as asked"), (FP32, "5 attempts, as asked"), (CRASHING, "")],
    [
        *attempts_of(INT8.key, 4e7),
        *attempts_of(FP32.key, 8e7),
        attempt(0, job=CRASHING.key, outcome=OutcomeKind.CRASHED),
    ],
)


def refuse_constant(text: str) -> float:
    raise AssertionError(f"{text} is not JSON")


def as_json(results: Sequence[Result] = RESULTS, run: Run = RUN) -> dict[str, Any]:
    document = json.loads(to_json(run, results), parse_constant=refuse_constant)
    assert isinstance(document, dict)
    return document


def as_rows(results: Sequence[Result] = RESULTS) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(to_csv(RUN, results), newline="")))


def assert_types(table: dict[str, Any], expected: dict[str, type | tuple[type, ...]]) -> None:
    assert expected.keys() <= table.keys()
    for key, kind in expected.items():
        assert isinstance(table[key], kind), key


NUMBER_OR_UNKNOWN = (float, int, type(None))


def test_json_has_every_key_of_schema_1_with_its_type() -> None:
    document = as_json()
    assert document["schema"] == 1
    assert_types(document["run"], {"id": str, "suite": str, "started": str})
    for result in document["results"]:
        text = dict.fromkeys(("hardware", "device", "model", "variant", "scenario", "outcome"), str)
        tables = dict.fromkeys(("configuration", "workload", "conditions"), dict)
        assert_types(result, {**text, **tables, "warnings": list, "metrics": list})
        for metric in result["metrics"]:
            numbers = dict.fromkeys(("value", "low", "high"), NUMBER_OR_UNKNOWN)
            text = dict.fromkeys(("name", "unit", "statistic"), str)
            assert_types(metric, {**text, **numbers, "parameters": dict, "attempts": list})
            for each in metric["attempts"]:
                assert_types(each, {"id": str, "device": str, "value": (int, float), "samples": list})


def test_json_gives_base_units_and_the_numbers_as_derived() -> None:
    document = as_json()
    metric = document["results"][0]["metrics"][0]
    derived = RESULTS[0].metrics[0]
    assert (metric["name"], metric["unit"]) == ("model_ttft", "ns")
    assert (metric["value"], metric["low"], metric["high"]) == (
        derived.estimate.value,
        derived.estimate.low,
        derived.estimate.high,
    )
    assert metric["ratio"]["value"] == pytest.approx(0.5)
    assert [each["value"] for each in metric["attempts"]] == [value.value for value in derived.attempts]
    assert metric["attempts"][0]["samples"] == [4e7, 8e7]
    assert document["results"][0]["device"] == DEVICE
    for result in document["results"]:
        assert all(each["unit"] == METRICS[each["name"]].unit for each in result["metrics"])


def test_json_tells_an_unknown_value_with_its_reason() -> None:
    p99 = next(each for each in as_json()["results"][0]["metrics"] if each["parameters"].get("percentile") == 99)
    assert (p99["value"], p99["low"], p99["high"], p99["attempts"]) == (None, None, None, [])
    assert p99["reason"] == "64 samples an attempt, and p99 needs 662"


def test_json_has_failed_jobs_too() -> None:
    failed = as_json()["results"][2]
    assert (failed["outcome"], failed["metrics"], failed["outcomes"]) == ("crashed", [], {"crashed": 1})


def test_json_has_a_job_that_was_never_tried() -> None:
    (result,) = as_json(derive([(INT8, "")], []))["results"]
    assert (result["outcome"], result["metrics"]) == ("timeout", [])


def test_json_says_when_and_how_the_run_ended() -> None:
    assert (as_json()["run"]["started"], as_json()["run"]["finished"]) == (STARTED.isoformat(), None)
    ended = as_json(run=replace(RUN, finished=STARTED, state="finished"))["run"]
    assert (ended["finished"], ended["state"]) == (STARTED.isoformat(), "finished")


def test_csv_has_a_row_for_each_metric_and_one_for_each_result_without() -> None:
    rows = as_rows()
    metrics = len(RESULTS[0].metrics)
    assert [row["variant"] for row in rows] == ["int8"] * metrics + ["fp32"] * metrics + ["int4"]
    assert (rows[-1]["outcome"], rows[-1]["metric"], rows[-1]["value"]) == ("crashed", "", "")


def test_csv_numbers_come_back_exactly() -> None:
    for row, metric in zip(as_rows(), RESULTS[0].metrics, strict=False):
        assert (row["metric"], row["unit"]) == (metric.name, metric.unit)
        assert json.loads(row["parameters"]) == metric.parameters
        estimate, ratio = metric.estimate, metric.ratio
        assert [float(row[key]) if row[key] else None for key in ("value", "low", "high")] == [
            estimate.value,
            estimate.low,
            estimate.high,
        ]
        assert int(row["count"]) == estimate.count
        assert row["reason"] == estimate.reason
        assert ratio is not None
        assert (float(row["ratio"]) if row["ratio"] else None) == ratio.value


def test_csv_leaves_commas_quotes_and_line_ends_whole() -> None:
    awkward = 'a "quoted", name; with\na line end'
    results = derive([(job(variant=awkward), "")], attempts_of(INT8.key, 4e7))
    assert {row["variant"] for row in as_rows(results)} == {awkward}


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@sum(A1)", "=cmd|' /C calc'!A0", "\t=1+1"])
@pytest.mark.parametrize("place", ["variant", "model", "configuration", "workload"])
def test_csv_text_is_never_a_formula(text: str, place: str) -> None:
    changes: dict[str, Any] = {place: text if place in ("variant", "model") else {"name": text}}
    named = job(**changes)
    (row,) = as_rows(derive([(named, "")], []))
    assert row[place].startswith("'")
    assert row[place][1:] == text


@pytest.mark.parametrize("words", ["10 %\r20 %", 'failed,\r\n"badly"\n', "; ,\t"])
def test_csv_survives_whatever_a_runtime_says(words: str) -> None:
    failed = attempt(0, outcome=Outcome(kind=OutcomeKind.RUNTIME_ERROR, reason=words))
    (row,) = as_rows(derive([(INT8, "")], [failed]))
    assert row["outcome"] == f"runtime-error({words})"


def test_csv_numbers_stay_numbers() -> None:
    assert all(not row[key].startswith("'") for row in as_rows() for key in ("value", "low", "high", "count", "ratio"))


def test_an_outcome_reads_well_in_a_sentence_and_stays_one_field_in_exports() -> None:
    timeout = Outcome(kind=OutcomeKind.TIMEOUT, reason="no result within 3 s")
    assert (str(timeout), timeout.exported) == ("timeout: no result within 3 s", "timeout(no result within 3 s)")
    crashed = Outcome(kind=OutcomeKind.CRASHED)
    assert (str(crashed), crashed.exported) == ("crashed", "crashed")
    frame = pytest.importorskip("benchharness.results.frames", reason="needs pandas")
    (row,) = frame.results_frame(derive([(INT8, "")], [attempt(0, outcome=timeout)])).to_dict("records")
    assert row["outcome"] == "timeout(no result within 3 s)"
