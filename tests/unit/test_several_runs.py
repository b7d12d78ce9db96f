"""Two runs of one suite on one page, with another artefact under the same name: every figure is the own run's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from benchharness.judge.derive import derive
from benchharness.results.result import Job, Result, Run
from benchharness.results.told import Effective
from reports.model.entries import entries_of
from reports.model.jobs import job_detail
from reports.model.page import Page
from reports.pages.view import pages
from reports.sections.conditions.section import Circumstances
from reports.sections.latency.chart import Distribution
from reports.sections.latency.section import Latency
from reports.sections.memory.section import Memory
from tests.unit.made_up import STARTED, attempt, job, measured
from tests.unit.test_contrasts import RUN

FIRST = replace(RUN, id="01a00000-0000-7000-8000-000000000001")
SECOND = replace(RUN, id="01a00000-0000-7000-8000-000000000002")
CONFIGURED: dict[str, Any] = {
    "name": "onnxruntime",
    "runtime": "onnxruntime",
    "accelerator": None,
    "threads": 2,
    "options": {},
}
THREADS: dict[str, Any] = {**CONFIGURED, "python": None}


def jobs(digits: str, sizes: tuple[int, int]) -> list[Job]:
    """The keys are alike in both runs, as those of a suite over the same paths would be."""
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


RUNS: list[tuple[Run, list[Result]]] = [
    (FIRST, results(jobs("ab", (4000, 1000)), (100e6, 50e6))),
    (SECOND, results(jobs("ac", (4000, 3000)), (100e6, 20e6))),
]


@pytest.fixture(scope="module")
def page() -> Page:
    return pages(RUNS, written=STARTED)["this-machine"]


def sizes(page: Page) -> dict[str, list[str]]:
    found = page.of(Memory)[0].sizes
    assert found
    return {row.who: [cell.quantity.text for cell in row.cells[:2] if cell.quantity] for row in found.rows}


def test_sizes_and_ratios_are_those_of_the_own_run(page: Page) -> None:
    assert sizes(page) == {
        "fp32 · run 1": ["3.91 KiB", "1.95 KiB"],
        "int8 · run 1": ["1,000 B, 0.250×", "500 B, 0.250×"],
        "fp32 · run 2": ["3.91 KiB", "1.95 KiB"],
        "int8 · run 2": ["2.93 KiB, 0.750×", "1.46 KiB, 0.750×"],
    }


def test_the_smallest_is_named_with_its_run(page: Page) -> None:
    assert page.of(Memory)[0].finding.endswith("smallest file int8 of run 1, 1,000 B (0.250×)")
    turned = [(FIRST, RUNS[1][1]), (SECOND, RUNS[0][1])]
    finding = pages(turned, written=STARTED)["this-machine"].of(Memory)[0].finding
    assert finding.endswith("smallest file int8 of run 2, 1,000 B (0.250×)")


def test_times_and_their_ratios_are_those_of_the_own_run() -> None:
    entries = entries_of(
        [(label, each) for label, (_, results) in zip(("1", "2"), RUNS, strict=True) for each in results]
    )
    ratios = [job_detail(entry).metrics[0].ratio.text for entry in entries]
    assert ratios == ["reference", "0.500×", "reference", "0.200×"]


def test_another_artefact_has_another_colour_and_the_same_one_has_its_own(page: Page) -> None:
    strips = next(figure for figure in page.of(Latency)[0].figures if isinstance(figure, Distribution)).strips
    colours = {strip.label: strip.colour for strip in strips}
    assert colours["fp32 · run 1"] == colours["fp32 · run 2"]
    assert len({colours["fp32 · run 1"], colours["int8 · run 1"], colours["int8 · run 2"]}) == 3


def test_another_artefact_under_the_same_name_is_a_notice(page: Page) -> None:
    (found,) = page.of(Circumstances)
    assert "int8 is not the same artefact in all runs: 2 different digests" in " ".join(found.notices)


def test_rows_that_did_unequal_work_are_a_notice() -> None:
    wide = [
        replace(
            result,
            effective=Effective.from_json({**result.effective.to_json(), "inputs": {"x": ["float32", 1, length]}}),
        )
        for result, length in zip(RUNS[0][1], (3000, 64), strict=True)
    ]
    (found,) = pages([(FIRST, wide)], written=STARTED)["this-machine"].of(Circumstances)
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
    found = job_detail(entries_of([("", each) for each in results])[1]).metrics[0].ratio
    assert (found.text, found.verdict, found.reason) == ("no ratio", "none", "1 thread against 2")
