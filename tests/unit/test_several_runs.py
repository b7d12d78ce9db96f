"""Two runs of one suite on one page, with another artefact under the same name: every figure is the own run's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from reports.sections.budgets.section import Budgets
from reports.sections.choice.section import ShownChoice
from reports.sections.comparison.section import Comparison

from benchharness.judge.budgets import judged
from benchharness.judge.choice import choices
from benchharness.judge.derive import derive
from benchharness.metrics.limits import parse
from benchharness.results.result import Job, Result, Run
from benchharness.results.told import Effective
from reports.model.page import Page
from reports.pages.html import render_runs
from reports.pages.view import pages
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


def results(made: Sequence[Job], times: tuple[float, float], budget: str = "40 ms") -> list[Result]:
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
    return judged(
        derive([(each, "5 attempts, as asked") for each in made], attempts), parse({"model_ttft": budget}, "suite")
    )


RUNS: list[tuple[Run, list[Result]]] = [
    (FIRST, results(jobs("ab", (4000, 1000)), (100e6, 50e6))),
    (SECOND, results(jobs("ac", (4000, 3000)), (100e6, 20e6))),
]


@pytest.fixture(scope="module")
def page() -> Page:
    found = {run.id: choices(of_run) for run, of_run in RUNS}
    return pages(RUNS, written=STARTED, choices=found)["this-machine"]


def test_sizes_and_ratios_are_those_of_the_own_run(page: Page) -> None:
    (comparison,) = page.of(Comparison)
    told = {
        (row.run, row.variant): [(size.title, size.text, size.ratio) for size in row.sizes[:2]]
        for row in comparison.rows
    }
    assert told == {
        ("run 1", "fp32"): [("on disk", "3.91 KiB", ""), ("download", "1.95 KiB", "")],
        ("run 1", "int8"): [("on disk", "1,000 B", "0.250×"), ("download", "500 B", "0.250×")],
        ("run 2", "fp32"): [("on disk", "3.91 KiB", ""), ("download", "1.95 KiB", "")],
        ("run 2", "int8"): [("on disk", "2.93 KiB", "0.750×"), ("download", "1.46 KiB", "0.750×")],
    }
    assert [row.smallest for row in comparison.rows] == [False, True, False, False]
    assert comparison.smallest
    assert (comparison.smallest.variant, comparison.smallest.size) == ("int8 · run 1", "1,000 B")
    assert (comparison.smallest.ratio, comparison.smallest.download) == ("0.250×", "500 B")


def test_the_smallest_of_the_second_run_is_named_as_such() -> None:
    turned = [(FIRST, RUNS[1][1]), (SECOND, RUNS[0][1])]
    smallest = pages(turned, written=STARTED)["this-machine"].of(Comparison)[0].smallest
    assert smallest
    assert (smallest.variant, smallest.size, smallest.ratio) == ("int8 · run 2", "1,000 B", "0.250×")


def test_times_and_their_ratios_are_those_of_the_own_run(page: Page) -> None:
    cells = {(row.run, row.variant): row.cells[0] for row in page.of(Comparison)[0].rows}
    ratios = {who: cell.ratio.text for who, cell in cells.items() if cell.ratio}
    assert ratios["run 1", "int8"] == "0.500×"
    assert ratios["run 2", "int8"] == "0.200×"


def test_each_run_has_its_leaders_because_rows_of_two_runs_are_no_pairs(page: Page) -> None:
    (comparison,) = page.of(Comparison)
    assert [(row.run, row.variant, row.cells[0].best) for row in comparison.rows] == [
        ("run 1", "fp32", False),
        ("run 1", "int8", True),
        ("run 2", "fp32", False),
        ("run 2", "int8", True),
    ]
    told = [(each.who, each.ratio.text) for each in comparison.leaders if each.ratio and "memory" not in each.metric]
    assert told == [("int8 · run 1", "0.500×"), ("int8 · run 2", "0.200×")]


def test_another_artefact_has_another_colour_and_the_same_one_has_its_own(page: Page) -> None:
    strips = next(figure for figure in page.of(Comparison)[0].figures if hasattr(figure, "strips")).strips
    colours = {strip.label: strip.colour for strip in strips}
    assert colours["fp32 · run 1"] == colours["fp32 · run 2"]
    assert len({colours["fp32 · run 1"], colours["int8 · run 1"], colours["int8 · run 2"]}) == 3


def test_details_warnings_budgets_and_choices_are_told_run_by_run(page: Page) -> None:
    digests = [
        next(value for name, value in each.facts if name == "artefact SHA-256")
        for each in page.of(Comparison)[0].details
    ]
    assert [digest[0] for digest in digests] == ["a", "b", "a", "c"]
    assert len({each.anchor for each in page.of(Comparison)[0].details}) == 4
    (budget,) = page.of(Budgets)[0].budgets
    verdicts = {line.who: line.verdict for line in budget.lines}
    assert verdicts == {
        "fp32 · run 1": "miss",
        "int8 · run 1": "miss",
        "fp32 · run 2": "miss",
        "int8 · run 2": "pass",
    }
    assert ["run 1" in each.subject for each in page.of(ShownChoice)] == [True, False]
    assert "int8 is not the same artefact in all runs: 2 different digests" in " ".join(page.of(Comparison)[0].notices)


def test_a_budget_that_one_of_two_runs_did_not_measure_is_said() -> None:
    told = ("model_ttft 40 ms", "suite", SECOND.id)
    without = [replace(result, verdicts=()) for result in RUNS[1][1]]
    page = pages([RUNS[0], (SECOND, without)], written=STARTED, unmeasured=[told])["this-machine"]
    lines = [line.who for budget in page.of(Budgets)[0].budgets for line in budget.lines if budget.text == told[0]]
    assert lines == ["fp32 · run 1", "int8 · run 1", "no result of run 2"]


def test_no_row_leads_among_rows_that_did_unequal_work_and_the_page_says_why() -> None:
    wide = [
        replace(
            result,
            effective=Effective.from_json({**result.effective.to_json(), "inputs": {"x": ["float32", 1, length]}}),
        )
        for result, length in zip(RUNS[0][1], (3000, 64), strict=True)
    ]
    page = pages([(FIRST, wide)], written=STARTED)["this-machine"]
    (comparison,) = page.of(Comparison)
    assert not any(cell.best for row in comparison.rows for cell in row.cells)
    assert comparison.leaders == ()
    assert any("No row leads in" in each and "input x 1×64 against 1×3000" in each for each in comparison.notices)
    assert comparison.smallest  # sizes are no work


def test_what_differs_stands_in_the_cell_of_the_page() -> None:
    made = jobs("ab", (4000, 1000))
    attempts = [
        attempt(0, measured("model_ttft", 1e6), job=each.key, effective={"threads": threads, "accelerators": ["cpu"]})
        for each, threads in zip(made, (2, 1), strict=True)
    ]
    html = render_runs([(FIRST, derive([(each, "") for each in made], attempts))], written=STARTED)["this-machine"]
    assert "1 thread against 2" in html
    cell: Any = pages([(FIRST, derive([(each, "") for each in made], attempts))], written=STARTED)["this-machine"]
    found = cell.of(Comparison)[0].rows[1].cells[0].ratio
    assert (found.text, found.verdict, found.reason) == ("no ratio", "none", "1 thread against 2")
