"""Reports: budgets, at a glance and in full."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from benchharness.results.result import Result, Verdict, VerdictKind
from reports.pages.html import render
from reports.sections.budgets.section import Budgets
from tests.unit.report_samples import RUN, WRITTEN, Fake, judged, page_of, realistic, realistic_page, result


def budgets(results: list[Result], **options: object) -> Budgets:
    (found,) = page_of(results, **options).of(Budgets)
    return found


def test_without_budgets_nothing_is_said_of_them() -> None:
    plain = result(metrics=Fake(0.5).first_token())
    assert page_of([plain]).of(Budgets) == ()
    html = render(RUN, [plain], written=WRITTEN)["this-machine"]
    assert "budget" not in re.sub(r"<style>.*?</style>", "", html, flags=re.DOTALL).lower()


def test_the_worst_verdict_is_the_budgets_own_and_misses_stand_first() -> None:
    found = budgets(realistic())
    assert found.lead == "2 of 4 budgets missed, 1 undecided"
    assert [budget.verdict for budget in found.budgets] == ["miss", "miss", "undecided", "pass"]
    assert found.headlines[1:] == (
        ("miss", "download_size 200 MB", "smollm2-135m · fp32 404 MB"),
        ("undecided", "model_ttft 2 s", "smollm2-135m · int4 · cpu 1 thread 0.645 s"),
    )
    assert found.headlines[0][2].startswith("smollm2-135m · fp32 · cpu 1 thread 7")


def test_a_size_is_judged_once_for_an_artefact_and_not_once_for_each_job() -> None:
    (download,) = [budget for budget in budgets(realistic()).budgets if budget.text.startswith("download_size")]
    assert [(line.who, line.scenario, line.verdict, line.quantity.interval) for line in download.lines] == [
        ("smollm2-135m · fp32", "", "miss", ""),
        ("smollm2-135m · int8", "", "pass", ""),
        ("smollm2-135m · int4", "", "pass", ""),
    ]
    assert download.limit == "200 MB"  # as written, and values near it too
    assert download.lines[0].share == "202%"


def test_the_page_shows_each_verdict_with_a_word_a_sign_and_the_reason(html: str) -> None:
    assert '<b class="verdict miss">✗ miss</b>' in html
    assert '<b class="verdict pass">✓ pass</b>' in html
    assert '<b class="verdict undecided">? undecided</b>' in html
    assert "one attempt says nothing about spread" in html
    assert (
        html.index('id="glance"') < html.index("budgets missed", html.index("</header>")) < html.index('id="budgets"')
    )
    assert html.index('id="budgets"') < html.index('id="comparison-1"')
    assert ">2 of 4 budgets missed, 1 undecided</a>" in html[: html.index("</header>")]
    glance = html[html.index('id="glance"') : html.index('id="budgets"')]
    assert '<b class="verdict miss">✗ miss</b>\n download_size 200 MB: smollm2-135m · fp32 404 MB' in glance
    assert '<b class="verdict undecided">? undecided</b>\n model_ttft 2 s: ' in glance
    style = html[html.index("<style>") : html.index("</style>")]
    assert all(f".verdict.{kind} {{" in style for kind in VerdictKind)


@pytest.fixture(scope="module")
def html() -> str:
    return realistic_page()


def test_what_was_not_judged_is_said() -> None:
    metrics = Fake(1.0).first_token()
    kept = result("int8", metrics=metrics)
    private = result("fp32", metrics=metrics)
    private = replace(private, job=replace(private.job, ships=False))
    failed = result("int4", metrics=())
    found = budgets(judged([kept, private, failed], model_ttft="1 ms"))
    assert [line.who for line in found.budgets[0].lines] == ["int8"]
    assert found.notes == (
        "Not judged, because the suite says that it does not ship: fp32.",
        "Without a verdict, because the job has no value: int4, first-token.",
    )


def test_a_budget_that_nothing_measures_is_undecided() -> None:
    kept = judged([result(metrics=Fake(0.1).first_token())], model_ttft="10 s")
    assert budgets(kept).lead == "the budget is kept"
    asked = [("itl p95 50 ms", "hardware target"), ("model_ttft 10 s", "suite")]
    found = budgets(kept, unmeasured=asked)
    assert found.lead == "1 of 2 budgets undecided, none missed"
    assert found.budgets[0].text == "itl p95 50 ms"
    assert found.budgets[0].lines[0].reason == "nothing that was run measures it"


def test_a_verdict_without_its_value_is_still_shown() -> None:
    verdict = Verdict(
        budget="model_ttft 1 ms",
        origin="suite",
        metric="model_ttft",
        parameters={},
        limit=0.0,
        kind=VerdictKind.UNDECIDED,
        reason="there is no interval",
    )
    found = [result(verdicts=[verdict])]
    (line,) = budgets(found).budgets[0].lines
    assert (line.quantity.text, line.share, line.reason) == ("unknown", "", "there is no interval")
    assert "there is no interval" in render(RUN, found, written=WRITTEN)["this-machine"]


def test_a_row_that_misses_twice_is_named_once_with_its_worst_value() -> None:
    slow = [
        result(scenario=name, metrics=Fake(1.0).memory(("start",), size)) for name, size in (("a", 1e9), ("b", 2e9))
    ]
    _, _, whose = budgets(judged(slow, peak_memory="1 MiB")).headlines[0]
    assert re.fullmatch(r"int8 1\.\d+ GiB", whose), whose
