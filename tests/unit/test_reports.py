"""Reports: results -> view data -> HTML.

The golden view data is made anew with `REGENERATE_GOLDEN=1 python -m pytest tests/unit/test_reports.py -k golden`.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from benchharness.errors import UsageError
from benchharness.results.result import Estimate, Outcome, OutcomeKind
from benchharness.results.told import Conditions
from reports.figures.svg import svg
from reports.pages.files import write
from reports.pages.html import render, render_runs
from reports.pages.view import pages
from reports.sections.comparison.chart import Distribution, PhaseBars, TokenCurves
from reports.sections.comparison.section import Comparison
from tests.unit.report_samples import RUN, WRITTEN, Fake, page_of, realistic, realistic_page, result

#: Jobs whose details are golden: an ordinary one and the failed one.
IN_FULL = ("job-2", "job-12")
GOLDEN = Path(__file__).parent.parent / "golden" / "report_page.json"


@pytest.fixture(scope="module")
def html() -> str:
    return realistic_page()


def test_view_data_is_the_golden_one() -> None:
    found = asdict(page_of(realistic()))
    del found["kinds"]  # code
    found = json.loads(json.dumps(found))
    del found["definitions"]  # the registry's own words, which may be reworded without a report changing
    for comparison in found["sections"]["comparison"]:
        comparison["details"] = [job for job in comparison["details"] if job["anchor"] in IN_FULL]
    if os.environ.get("REGENERATE_GOLDEN"):
        GOLDEN.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    assert found == json.loads(GOLDEN.read_text(encoding="utf-8"))


def test_better_and_worse_are_said_only_where_the_interval_leaves_out_one() -> None:
    def verdict(name: str, low: float | None, high: float | None) -> str:
        base = Fake(1.0).metric(name, "ns", 1e6)
        ratio = Estimate(value=1.0, low=low, high=high, count=5, reason="" if low else "one attempt")
        page = page_of([result(metrics=[replace(base, ratio=ratio)])])
        found = page.of(Comparison)[0].rows[0].cells[0].ratio
        assert found
        return found.verdict

    assert verdict("model_ttft", 0.8, 0.9) == "better"
    assert verdict("model_ttft", 1.1, 1.2) == "worse"
    assert verdict("decode_rate", 1.1, 1.2) == "better"
    assert verdict("decode_rate", 0.8, 0.9) == "worse"
    assert verdict("model_ttft", 0.99, 1.2) == "not-apart"
    assert verdict("model_ttft", None, None) == "no-interval"


def test_a_missing_value_says_why_and_a_failed_job_keeps_its_row(html: str) -> None:
    page = page_of(realistic())
    assert [failure.kind for failure in page.failures] == ["out-of-memory"]
    chat = page.of(Comparison)[0]
    assert [cell.state for cell in chat.rows[-1].cells] == ["value", "value", "failed", "failed", "value", "failed"]
    assert "124 samples an attempt, and p99 needs 662" in html
    assert "no interval: one attempt says nothing about spread" in html
    assert not re.search(r"<t[dh][^>]*>\s*</t[dh]>", html[html.index("<tbody") :])


def test_rows_whose_conditions_differ_are_told_apart_but_readings_are_not() -> None:
    first, second = (result(variant) for variant in ("fp32", "int8"))
    second = replace(second, conditions=Conditions.from_json({**second.conditions.to_json(), "load_average": 1.9}))
    assert page_of([first, second]).of(Comparison)[0].notices == ()
    second = replace(second, conditions=Conditions.from_json({**second.conditions.to_json(), "governor": "powersave"}))
    (notice,) = page_of([first, second]).of(Comparison)[0].notices
    assert "governor was unknown (no cpufreq on this system) for fp32; powersave for int8" in notice


def test_what_was_not_applied_is_marked() -> None:
    page = page_of([result(effective={"accelerators": ["cpu"], "threads": 1})])
    differing = [setting.name for setting in page.of(Comparison)[0].details[0].settings if setting.differs]
    assert differing == ["threads"]


def test_figures_exist_only_where_there_is_data() -> None:
    chat, images = (comparison.figures for comparison in page_of(realistic()).of(Comparison))
    assert [type(figure) for figure in chat] == [Distribution, TokenCurves, PhaseBars]
    assert [type(figure) for figure in images] == [Distribution]
    assert page_of([result()]).of(Comparison)[0].figures == ()
    curves = chat[1]
    assert isinstance(curves, TokenCurves)
    assert curves.panels[0].curves[0].index[:2] == (2.0, 3.0)
    assert "<svg" not in render(RUN, [result()], written=WRITTEN)["this-machine"]


def test_a_figure_is_the_same_each_time_and_has_a_name_to_read_out() -> None:
    figure = page_of(realistic()).of(Comparison)[0].figures[0]
    drawn = svg(figure, "one")
    assert drawn == svg(figure, "one")
    assert drawn.startswith("<svg")
    assert 'aria-labelledby="one-title"' in drawn
    assert "<title" in drawn
    assert "<metadata" not in drawn
    assert "<style" not in drawn


def test_a_name_in_a_script_that_the_layout_font_lacks() -> None:
    metrics = Fake(1.0).first_token()
    assert "模型 🙂" in render(RUN, [result("模型 🙂", metrics=metrics)], written=WRITTEN)["this-machine"]


def test_no_results() -> None:
    assert render(RUN, [], written=WRITTEN) == {}
    (page,) = render(RUN, [], written=WRITTEN, hardware=["phone"]).values()
    assert "No results" in page
    never = result(outcome=Outcome(kind=OutcomeKind.TIMEOUT), devices=[], outcomes={}, conditions={}, effective={})
    assert "no attempt" in render(RUN, [never], written=WRITTEN)["this-machine"]


def test_several_runs_and_several_hardware_targets() -> None:
    first, second = realistic()[:12], realistic()[:12]
    elsewhere = replace(second[0], job=replace(second[0].job, hardware="phone"))
    html = render_runs([(RUN, first), (replace(RUN, id="other"), [*second[1:], elsewhere])], written=WRITTEN)
    assert list(html) == ["this-machine", "phone"]
    page = pages([(RUN, first), (replace(RUN, id="other"), second)], written=WRITTEN)["this-machine"]
    assert len(page.of(Comparison)[0].rows) == 12
    assert {row.run for row in page.of(Comparison)[0].rows} == {"run 1", "run 2"}
    assert "It does not speak of this-machine" in html["phone"]


def test_page_cache_states_are_columns_of_their_own() -> None:
    warm = result("fp32", metrics=Fake(1.0, ratio=False).first_token())
    evicted = replace(warm, job=replace(warm.job, key="other", settings={**warm.job.settings, "page_cache": "evicted"}))
    (comparison,) = page_of([warm, evicted]).of(Comparison)
    assert [group.name for group in comparison.groups] == [
        "first-token (page_cache warm)",
        "first-token (page_cache evicted)",
    ]
    assert len(comparison.rows) == 1


def test_pages_are_written_whole_under_safe_names(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "reports"
    paths = write({"../../etc/passwd": "a", "Phone": "b", "phone": "c", "…": "d"}, folder)
    assert [path.name for path in paths] == ["etc-passwd.html", "Phone.html", "phone-2.html", "report.html"]
    assert sorted(path.name for path in folder.iterdir()) == sorted(path.name for path in paths)
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        write({"a": "b"}, tmp_path / "file")


def test_matplotlib_is_imported_only_to_draw() -> None:
    code = "import sys, reports.pages.html; print([m for m in ('matplotlib', 'jinja2', 'scipy') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=_path())
    assert found.stdout.strip() == "[]"


def _path() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


def test_a_page_does_not_take_long() -> None:
    started = time.process_time()
    render(RUN, realistic(), written=WRITTEN)
    assert time.process_time() - started < 5  # 2 s is the aim; test machines are slow
