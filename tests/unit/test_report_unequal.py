"""Rows that did unequal work: what differs is said, and times are not ranked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from benchharness.judge.derive import derive
from benchharness.results.result import Job, Result
from benchharness.results.told import Effective
from reports.model.entries import entries_of
from reports.model.jobs import job_detail
from reports.sections.conditions.section import Circumstances
from tests.unit.made_up import attempt, job, measured
from tests.unit.report_samples import pages_of
from tests.unit.test_contrasts import RUN

CONFIGURED: dict[str, Any] = {
    "name": "onnxruntime",
    "runtime": "onnxruntime",
    "accelerator": None,
    "threads": 2,
    "options": {},
}
THREADS: dict[str, Any] = {**CONFIGURED, "python": None}


def jobs(digits: str, sizes: tuple[int, int]) -> list[Job]:
    return [
        job(
            variant[0] * 16,
            variant=variant,
            configuration=THREADS,
            digest=digits[at] * 64,
            artefact_bytes=sizes[at],
            download_bytes=sizes[at] // 2,
        )
        for at, variant in enumerate(("fp32", "int8"))
    ]


def results(made: Sequence[Job], times: tuple[float, float]) -> list[Result]:
    attempts = [
        attempt(
            round_,
            measured("model_ttft", time * (1 + round_ / 100), samples=[time] * 3),
            measured("peak_memory", time),
            job=each.key,
        )
        for each, time in zip(made, times, strict=True)
        for round_ in range(5)
    ]
    return derive([(each, "5 attempts, as asked") for each in made], attempts)


def test_rows_that_did_unequal_work_are_a_notice() -> None:
    wide = [
        replace(
            result,
            effective=Effective.from_json({**result.effective.to_json(), "inputs": {"x": ["float32", 1, length]}}),
        )
        for result, length in zip(results(jobs("ab", (4000, 1000)), (100e6, 50e6)), (3000, 64), strict=True)
    ]
    (found,) = pages_of(wide, run=RUN)["this-machine"].of(Circumstances)
    (notice,) = (each for each in found.notices if "Not the same work" in each)
    assert "times do not rank in steady" in notice
    assert "input x 1×64 against 1×3000" in notice
    assert found.finding == "1 notice before comparing rows"


def test_what_differs_stands_beside_the_ratio_that_is_missing() -> None:
    made = jobs("ab", (4000, 1000))
    attempts = [
        attempt(0, measured("model_ttft", 1e6), job=each.key, effective={"threads": threads, "accelerators": ["cpu"]})
        for each, threads in zip(made, (2, 1), strict=True)
    ]
    results = derive([(each, "") for each in made], attempts)
    found = job_detail(entries_of(results)[1]).metrics[0].ratio
    assert (found.text, found.verdict, found.reason) == ("no ratio", "none", "1 thread against 2")
