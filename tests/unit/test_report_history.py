"""The page of a store's history, as plain data and as HTML, and its place in a site."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from benchharness import api
from benchharness.errors import StoreError, UsageError
from benchharness.metrics.limits import parse
from benchharness.results.result import Job
from benchharness.results.store import Store
from benchharness.results.trends import History
from reports.figures.svg import svg
from reports.pages.history import history_page, render_history
from reports.pages.site import names_of
from tests.unit.history_samples import ALONE, BASE, CANDIDATE, FIRST, Made, changed_nights, hostile_history, told, write
from tests.unit.report_samples import WRITTEN

BUDGETS = {("phones", "this-machine"): parse({"model_ttft": "12 ms"}, "suite")}


@pytest.fixture(scope="module")
def history() -> Iterator[History]:
    store = Store("sqlite://")
    yield told(write(store, changed_nights()), budgets=BUDGETS)
    store.close()


def test_the_list_of_changes_leads_to_their_drawings(history: History) -> None:
    page = history_page(history, WRITTEN)
    assert {each.when for each in page.confirmed} == {"2026-03-16"}
    assert sorted((each.figure, each.verdict) for each in page.confirmed) == [
        ("decode rate (tg)", "better"),
        ("model TTFT", "worse"),
        ("peak memory", "worse"),
    ]
    assert {each.href for each in page.confirmed} <= {f"#{each.anchor}" for each in page.multiples}
    assert all(each.cause == "artefact ab12ab12ab12 → cd34cd34cd34" for each in page.confirmed)
    html = render_history(history, [], WRITTEN)
    assert all(html.count(f'id="{each.href[1:]}"') == 1 for each in page.confirmed)


def test_a_drawing_has_the_ratio_the_drift_the_step_and_the_budget(history: History) -> None:
    page = history_page(history, WRITTEN)
    chart = next(each for each in page.multiples if "TTFT" in each.figure and "int8" in each.whose).chart
    assert (chart.unit, chart.limit) == ("ms", 12.0)
    assert chart.ratio is not None
    assert chart.drift is not None
    assert len(chart.ratio.ends) == len(chart.drift.ends) == len(chart.absolute.ends) == 28
    assert [(mark.day, mark.confirmed, mark.verdict) for mark in chart.marks] == [(15.0, True, "worse")]
    assert chart.drift.ends[0][0] == pytest.approx(chart.absolute.ends[0][0], rel=0.1), "about the figure's own level"
    drawn = svg(chart, "a")
    assert drawn.count('class="worse"') >= 2, "the step and the budget"
    assert "ratio to the base of the same night" in drawn
    assert "ratio to the base: 0.9" in drawn, "and in words"


def test_a_figure_without_a_base_is_drawn_alone_and_what_is_missing_is_told(history: History) -> None:
    page = history_page(history, WRITTEN)
    alone = [each for each in page.multiples if "fp32" in each.whose]
    assert {(each.chart.ratio, each.chart.drift) for each in alone} == {(None, None)}
    assert {each.missing for each in page.missing} == {"failed for 1 night, since 2026-03-27: crashed: signal 11"}
    assert any("absolute values only" in remark for remark in page.remarks)


def test_no_more_than_some_are_drawn_and_what_changed_is_among_them(history: History) -> None:
    page = history_page(history, WRITTEN, most_drawn=4)
    assert len(page.multiples) == 4
    assert len(page.others) == 2
    assert all("int8" in each.whose for each in page.multiples[:3]), "those that changed"
    assert all("fp32" in each.whose for each in page.others)


def test_many_nights_are_a_line_and_a_band() -> None:
    store = Store("sqlite://")
    history = told(write(store, [Made(jobs=(ALONE,))] * 120, rounds=2))
    (multiple,) = history_page(history, WRITTEN).multiples
    assert (len(multiple.nights), multiple.left_out) == (40, 80)
    drawn = svg(multiple.chart, "a")
    assert len(drawn) < 12_000
    assert "stroke-linecap" not in drawn, "no dots"


def test_one_night_with_one_attempt_can_be_drawn() -> None:
    store = Store("sqlite://")
    history = told(write(store, [Made(jobs=(ALONE,))], rounds=1))
    html = render_history(history, [], WRITTEN)
    assert "1 night, 2026-03-01 to 2026-03-01" in html
    assert "nan" not in html[html.index("<main") : html.index("<script")].lower()


def test_a_page_without_a_night_says_so() -> None:
    html = render_history(told(Store("sqlite://")), [], WRITTEN)
    assert "No night is in this store." in html


ATTACK = "\"><img src=x onerror=document.title='HACKED'>\u202e<script>document.title='HACKED'</script>"


@pytest.mark.parametrize("attack", [ATTACK, "long" * 100, " "])
def test_hostile_names_are_text(attack: str) -> None:
    history = hostile_history(attack)
    page = history_page(history, WRITTEN)
    assert len(page.confirmed) == 3
    assert all("artefact" in each.cause or "runtime" in each.cause for each in page.confirmed)
    html = render_history(history, [], WRITTEN)
    inside = html[html.index("<body") :]
    assert "<img" not in inside
    assert inside.count("<script") == 1
    assert "\u202e" not in html
    assert 'http-equiv="Content-Security-Policy" content="default-src &#39;none&#39;; ' in html
    assert "http://" not in inside.replace("http://www.w3.org", "")


# In a site


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    jobs = [Job.from_json({**ALONE.to_json(), "key": "a" * 16})]
    write(Store(url), [Made(jobs=jobs, system="Debian <12>")] * 3).close()
    return url


@pytest.mark.usefixtures("without_drawing")
def test_a_site_links_its_history_from_every_page_and_back(url: str, tmp_path: Path) -> None:
    api.site(tmp_path / "site", store=url)
    index = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    assert '<a href="history.html">History</a>' in index
    targets = (tmp_path / "site" / "phones.targets.html").read_text(encoding="utf-8")
    assert '<a href="history.html">History</a>' in targets
    page = (tmp_path / "site" / "history.html").read_text(encoding="utf-8")
    assert '<a href="index.html">Index</a>' in page
    assert '<b aria-current="page">History</b>' in page
    assert "model TTFT" in page


@pytest.fixture
def without_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page of a target has tests of its own."""
    monkeypatch.setattr("reports.pages.site.page_of", lambda *_, **__: None)
    monkeypatch.setattr("reports.pages.site.render_page", lambda *_: "a target's page")


@pytest.mark.usefixtures("without_drawing")
def test_a_history_that_cannot_be_read_says_so_and_the_site_is_written(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(*_: object) -> History:
        raise StoreError("the store holds what cannot be read")

    monkeypatch.setattr("benchharness.reading.history_in", damaged)
    api.site(tmp_path / "site", store=url)
    page = (tmp_path / "site" / "history.html").read_text(encoding="utf-8")
    assert "the history cannot be read: the store holds what cannot be read" in page


def test_no_suite_takes_the_name_of_the_history() -> None:
    names = names_of([("history", "history")], history=True)
    assert "history.html" not in {*names.suites.values(), *(each.page for each in names.targets.values())}


def test_a_history_alone_is_one_file(history: History, tmp_path: Path) -> None:
    path = api.render_history(history, tmp_path / "new" / "h.html")
    text = path.read_text(encoding="utf-8")
    assert re.findall(r'(?:src|href)="(?!#|data:)[^"]*"', text) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        api.render_history(history, tmp_path / "file" / "h.html")


def test_dates_are_those_of_the_nights(history: History) -> None:
    page = history_page(history, WRITTEN)
    chart = page.multiples[0].chart
    last = FIRST + timedelta(days=27)
    assert (chart.first, chart.last, chart.days) == ("2026-03-01", f"{last:%Y-%m-%d}", 27.0)


def test_several_runs_of_one_day_are_told_by_their_hours() -> None:
    store = Store("sqlite://")
    write(store, [Made(jobs=(ALONE,), started=FIRST + timedelta(hours=at)) for at in range(3)])
    chart = history_page(told(store), WRITTEN).multiples[0].chart
    store.close()
    assert (chart.first, chart.last) == ("02:00", "04:00")
    assert chart.days == pytest.approx(2 / 24)


def test_what_the_machines_can_see_is_told_once_for_those_of_whom_it_is_the_same(history: History) -> None:
    sees = {"one": "not tested", "two": "not tested", "three": "selftest of 2026-03-01: this machine sees <5 %"}
    page = history_page(replace(history, machines=sees), WRITTEN)
    assert page.sees == ("2 devices: not tested", "three: selftest of 2026-03-01: this machine sees <5 %")
    html = render_history(replace(history, machines={"three": sees["three"]}), [], WRITTEN)
    assert '<p class="machine">selftest of 2026-03-01: this machine sees &lt;5 %.</p>' in html


def test_nights_beside_another_base_say_so_at_their_drawing_and_in_their_table() -> None:
    newer = replace(BASE, digest="00ee" * 16)
    bridge = Made(jobs=(BASE, replace(CANDIDATE, digest="00ee" * 16)), suite="bases")
    store = write(Store("sqlite://"), [bridge, *[Made()] * 3, *[Made(jobs=(newer, CANDIDATE))] * 3])
    page = history_page(told(store, bridges=["night-0000"]), WRITTEN)
    (multiple,) = page.multiples
    assert len(multiple.bridged) == 1
    assert multiple.bridged[0].startswith("3 nights beside base ")
    assert [base.endswith(", by the bridge") for *_, base in multiple.nights] == [True] * 3 + [False] * 3
    assert any("by bridge run night-0000" in each for each in page.remarks)
