"""Reports: which variant to ship."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from benchharness.judge.choice import Candidate, Choice, Figure, Wish
from benchharness.results.result import Estimate
from reports.pages.html import render
from reports.sections.choice.section import ShownChoice
from tests.unit.report_samples import RUN, WRITTEN, Fake, page_of, result


def estimate(value: float, spread: float = 0.0) -> Estimate:
    return Estimate(
        value=value, low=value - spread, high=value + spread, count=5, statistic="mean" if spread else "exact"
    )


def candidate(variant: str, size: float, rate: float, kld: float | None = None, **more: Any) -> Candidate:
    figures = {
        "size": Figure(metric="artefact_size", estimate=estimate(size * 2**20)),
        "speed": Figure(metric="decode_rate", estimate=estimate(rate, 1.0)),
    }
    if kld is not None:
        figures["quality"] = Figure(metric="kld", estimate=estimate(kld, kld / 10))
    return Candidate(
        hardware="this-machine",
        model="m",
        workload="w",
        variant=variant,
        configuration="cpu",
        figures=figures,
        **more,
    )


def given(*candidates: Candidate, recommended: str = "", reason: str = "no variant is fit") -> Choice:
    return Choice(
        hardware="this-machine",
        model="m",
        workload="w",
        wish=Wish.SMALLEST,
        candidates=candidates,
        recommended=recommended,
        reason=reason,
    )


FP32 = candidate("fp32", 100, 20, dominated_by="int8 · cpu")
INT8 = candidate("int8", 25, 40, 0.003)
INT4 = candidate("int4", 15, 30, 0.1, unfit=["kld 0.02 nats miss"])
SLOW = candidate("slow", 30, 30, 1e-12)


def shown(choice: Choice) -> ShownChoice:
    (found,) = page_of([result(metrics=Fake(1.0).first_token())], choices={RUN.id: [choice]}).of(ShownChoice)
    return found


def test_the_recommended_one_and_why() -> None:
    found = shown(given(FP32, INT8, INT4, recommended="int8 · cpu", reason="the smallest of 2"))
    assert (found.recommended, found.reason, found.why_none) == ("int8 · cpu", "the smallest of 2", ())
    assert [row.recommended for row in found.rows] == [False, True, False]
    assert [row.dominated_by for row in found.rows] == ["int8 · cpu", "", ""]
    assert found.rows[2].unfit == ("kld 0.02 nats miss",)


def test_without_a_recommendation_each_is_told_what_holds_it_back() -> None:
    assert shown(given(FP32, INT4)).why_none == (("int4 · cpu", "kld 0.02 nats miss"),)


def test_objectives_have_units_and_intervals() -> None:
    found = shown(given(FP32, INT8))
    assert [column.title for column in found.columns] == ["size", "speed", "quality"]
    texts = [
        [(cell.quantity.text, cell.quantity.interval) if cell.quantity else cell.note for cell in row.cells]
        for row in found.rows
    ]
    assert texts[1] == [("25.0 MiB", ""), ("40.0 tokens/s", "39.0 to 41.0"), ("0.00300 nats", "0.00270 to 0.00330")]
    assert texts[0][2] == "not measured"


def test_the_front_is_of_those_that_nobody_beats() -> None:
    figure = shown(given(FP32, INT8, INT4, SLOW, recommended="int8 · cpu")).figure
    assert figure
    assert [point.in_front for point in figure.points] == [False, True, True, False]
    assert [point.dominated for point in figure.points] == [True, False, False, False]
    assert figure.points[1].y == (40.0, 39.0, 41.0)
    assert figure.points[1].x == (25.0, 25.0, 25.0)
    assert figure.points[0].loss is None
    assert figure.points[2].loss == 1.0
    assert figure.points[3].loss == 0.0
    assert 0.4 < (figure.points[1].loss or 0.0) < 0.7  # one that lost nothing does not hide the others


def test_one_candidate_is_no_choice_and_other_hardware_stands_elsewhere() -> None:
    results = [result(metrics=Fake(1.0).first_token())]
    elsewhere = replace(given(FP32, INT8), hardware="phone")
    assert page_of(results, choices={RUN.id: [given(INT8), elsewhere]}).of(ShownChoice) == ()


def test_the_page_shows_it_escaped() -> None:
    hostile = candidate("<b>x", 10, 50, 0.01, unfit=["<script>"])
    html = render(
        RUN,
        [result(metrics=Fake(1.0).first_token())],
        written=WRITTEN,
        choices=[given(hostile, INT8, FP32, recommended="int8 · cpu", reason="the only one")],
    )["this-machine"]
    assert "Recommended: <b>int8 · cpu</b>, the only one." in html
    assert "<script>" not in html
    assert "<b>x" not in html
    assert "Size against speed" in html


def test_budgets_are_called_kept_by_name_and_only_where_they_are_set() -> None:
    keeps = candidate("int8", 25, 40, 0.003, kept=["kld 0.02 nats"])
    html = render(
        RUN,
        [result(metrics=Fake(1.0).first_token())],
        written=WRITTEN,
        choices=[given(FP32, keeps, INT4, recommended="int8 · cpu", reason="the only one")],
    )["this-machine"]
    assert html.count('<span class="ok">kept</span>') == 1
    assert '<span class="ok">kept</span>: kld 0.02 nats' in html
    assert html.count("none is set") == 1
    assert "lie more than 1 % apart" in html


def test_a_figure_that_is_no_evidence_says_so_and_holds_back() -> None:
    figures = dict(INT8.figures)
    figures["speed"] = replace(figures["speed"], doubt="no evidence: session disturbed")
    found = shown(given(replace(INT8, figures=figures), INT4))
    speed = found.rows[0].cells[1].quantity
    assert speed
    assert speed.reason == "no evidence: session disturbed"
    assert found.why_none[0] == ("int8 · cpu", "speed: no evidence: session disturbed")
