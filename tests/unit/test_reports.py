"""Reports: results -> the data of sections -> HTML."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace

from benchharness.results.result import Estimate, Outcome, OutcomeKind
from benchharness.results.told import Conditions
from reports.model.entries import entries_of
from reports.model.estimates import ratio
from reports.model.jobs import job_detail
from reports.pages.html import render
from reports.sections.conditions.section import Circumstances
from reports.sections.latency.chart import Distribution, TokenCurves
from reports.sections.latency.section import Latency
from reports.sections.start.section import Start
from tests.unit.report_samples import (
    IMAGES,
    RUN,
    WRITTEN,
    Fake,
    page_of,
    realistic,
    realistic_sections,
    result,
    sections_html,
)


def test_a_better_or_worse_ratio_is_said_only_where_the_interval_leaves_out_one() -> None:
    def verdict(name: str, low: float | None, high: float | None) -> str:
        base = Fake(1.0).metric(name, "ns", 1e6)
        estimate = Estimate(value=1.0, low=low, high=high, count=5, reason="" if low else "one attempt")
        return ratio(replace(base, ratio=estimate), is_reference=False).verdict

    assert verdict("model_ttft", 0.8, 0.9) == "better"
    assert verdict("model_ttft", 1.1, 1.2) == "worse"
    assert verdict("decode_rate", 1.1, 1.2) == "better"
    assert verdict("decode_rate", 0.8, 0.9) == "worse"
    assert verdict("model_ttft", 0.99, 1.2) == "not-apart"
    assert verdict("model_ttft", None, None) == "no-interval"


def test_a_missing_value_says_why_once_beneath_its_table_and_no_cell_is_empty() -> None:
    latency = page_of(realistic()).of(Latency)[0]
    (itl,) = (each.table for each in latency.spreads)
    assert [title for title, _ in itl.columns] == ["p50", "p99"]
    assert [(cell.state, cell.span) for cell in itl.rows[-1].cells] == [("failed", 2)]
    assert "124 samples an attempt, and p99 needs 662" in itl.notes
    assert "no interval: one attempt says nothing about spread" in itl.notes
    html = realistic_sections()
    assert "unknown<sup>1</sup>" in html
    assert html.count("124 samples an attempt, and p99 needs 662") == 1
    assert not re.search(r"<td[^>]*>\s*</td>", html)


def test_rows_whose_conditions_differ_are_told_apart_but_readings_are_not() -> None:
    first, second = (result(variant) for variant in ("fp32", "int8"))
    second = replace(second, conditions=Conditions.from_json({**second.conditions.to_json(), "load_average": 1.9}))
    assert page_of([first, second]).of(Circumstances)[0].notices == ()
    second = replace(second, conditions=Conditions.from_json({**second.conditions.to_json(), "governor": "powersave"}))
    (notice,) = page_of([first, second]).of(Circumstances)[0].notices
    assert "differ in governor: unknown (no cpufreq on this system) for fp32; powersave for int8" in notice


def test_what_was_not_applied_is_marked() -> None:
    (entry,) = entries_of([result(effective={"accelerators": ["cpu"], "threads": 1})])
    differing = [setting.name for setting in job_detail(entry).settings if setting.differs]
    assert differing == ["threads"]


def test_figures_exist_only_where_there_is_data() -> None:
    chat, images = (each.figures for each in page_of(realistic()).of(Latency))
    assert [type(figure) for figure in chat] == [Distribution, TokenCurves]
    assert [type(figure) for figure in images] == [Distribution]
    assert page_of([result()]).of(Latency) == ()
    curves = chat[1]
    assert isinstance(curves, TokenCurves)
    assert curves.panels[0].curves[0].index[:2] == (2.0, 3.0)
    assert "<svg" not in sections_html(page_of([result()]))


def test_starts_are_told_by_phase_and_as_a_whole() -> None:
    (start,) = page_of(realistic()).of(Start)
    (part,) = start.parts
    assert [title for title, _ in part.table.columns] == ["start", "import", "load", "first request", "whole"]
    assert part.figure.phases == ("start", "import", "load", "first request")
    assert len(part.figure.bars) == len(part.table.rows) == 6
    assert start.finding == (
        "int8 · cpu 2 threads 604 ms; fp32 · cpu 1 thread 2,435 ms; of the slowest most is first request, 1,421 ms"
    )


def test_the_start_of_a_program_is_one_of_them_without_phases() -> None:
    whole = replace(Fake(0.2, ratio=False).first_token()[0], name="cold_start_ttft")
    slow = replace(Fake(9.0, ratio=False).first_token()[0], name="cold_start_ttft")
    worker = result("fp32", metrics=Fake(1.0, ratio=False).first_token())
    for of_program, told in (
        ([whole], r"int8 \d+ ms; fp32 1,\d+ ms; of the slowest most is"),
        ([slow], r"; int8 .*s$"),
    ):
        (start,) = page_of([worker, result("int8", metrics=of_program)]).of(Start)
        assert re.search(told, start.finding), start.finding
        assert len(start.parts[0].figure.bars) == 1


def test_a_long_tail_is_told_in_the_finding() -> None:
    fake = Fake(1.0)
    tails = [
        fake.metric("steady_inference", "ns", typical, parameters={"percentile": percentile})
        for percentile, typical in ((50, 1e6), (99, 2e6))
    ]
    (latency,) = page_of([result(metrics=tails, workload=IMAGES)]).of(Latency)
    assert latency.finding.startswith("steady inference p50: int8 1.0")
    assert "longest tail: int8, p99 2" in latency.finding


def test_page_cache_states_are_parts_of_their_own() -> None:
    warm = result("fp32", metrics=Fake(1.0, ratio=False).first_token())
    evicted = replace(warm, job=replace(warm.job, key="other", settings={**warm.job.settings, "page_cache": "evicted"}))
    (start,) = page_of([warm, evicted]).of(Start)
    assert [part.table.scenario for part in start.parts] == [
        "first-token (page_cache warm)",
        "first-token (page_cache evicted)",
    ]


def test_no_results() -> None:
    assert render(RUN, [], written=WRITTEN) == {}
    (page,) = render(RUN, [], written=WRITTEN, hardware=["phone"]).values()
    assert "nothing was run on phone" in page
    never = result(outcome=Outcome(kind=OutcomeKind.TIMEOUT), devices=[], outcomes={}, conditions={}, effective={})
    assert "no attempt" in sections_html(page_of([never]))


def test_each_hardware_target_has_a_page_that_does_not_speak_of_the_others() -> None:
    first, *others = realistic()[:12]
    elsewhere = replace(first, job=replace(first.job, hardware="phone"))
    html = render(RUN, [*others, elsewhere], written=WRITTEN)
    assert list(html) == ["this-machine", "phone"]
    assert "It does not speak of this-machine" in html["phone"]


def test_matplotlib_is_imported_only_to_draw() -> None:
    code = "import sys, reports.pages.html; print([m for m in ('matplotlib', 'jinja2', 'scipy') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=_path())
    assert found.stdout.strip() == "[]"


def _path() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
