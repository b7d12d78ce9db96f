"""The section of a page on what became of a candidate since its base."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date

import pytest

from benchharness.judge.answer import answers
from benchharness.judge.builds import Since, compared, twins
from benchharness.judge.gate import gated
from benchharness.results.result import BASE, Result
from reports.model.found import Found
from reports.model.gate import gate_told
from reports.pages.html import render_page
from reports.pages.index import entry_of, index_page
from reports.pages.targets import Places, targets_page
from reports.sections.builds.section import SinceBase
from tests.unit.report_samples import RUN, page_of, sections_html
from tests.unit.test_builds import DESIGN, noisy, pair
from tests.unit.test_report_safety import ATTACKS, Elements


def since(slower: float, base: str = "v1.toml", candidate: str = "v2.toml") -> tuple[Since, list[Result]]:
    results = pair(20, noisy(1), noisy(2, slower))
    told = Since(base=base, candidate=candidate, design=DESIGN, comparisons=compared(twins(results), DESIGN))
    return told, [each for each in results if each.job.side != BASE]


def test_what_got_slower_stands_first_with_how_sure() -> None:
    told, results = since(1.2)
    page = page_of(results, since=told)
    (found,) = page.of(SinceBase)
    (row,) = found.rows
    assert (row.mark, row.metric, row.verdict) == ("✗", "steady inference", "slower")
    assert row.change.startswith("+2")
    assert row.base.startswith("10")
    assert row.candidate.startswith("12")
    assert "pairs" in row.sure
    assert found.finding.startswith("steady inference of int8: slower, +2")
    assert "at most 1\u00a0% of the time" in found.method
    assert "v2.toml against v1.toml" in sections_html(page, "builds")


def test_a_run_that_compares_no_builds_has_no_such_section() -> None:
    _, results = since(1.0)
    assert page_of(results).of(SinceBase) == ()


def test_names_of_builds_are_not_trusted() -> None:
    for attack in ATTACKS:
        told, results = since(1.0, base=attack, candidate=attack)
        found = Elements(sections_html(page_of(results, since=told), "builds")).found
        assert {"script", "img", "iframe", "style"}.isdisjoint(tag for tag, _ in found), attack


# The verdict at the head of a page


def gated_since(slower: float) -> tuple[Since, list[Result]]:
    results = pair(20, noisy(1), noisy(2, slower))
    found = compared(twins(results), DESIGN)
    verdict = gated(found, None, results, design=DESIGN, today=date(2026, 3, 4))
    told = Since(base="v1.toml", candidate="v2.toml", design=DESIGN, comparisons=found, gated=verdict)
    return told, [each for each in results if each.job.side != BASE]


@pytest.mark.parametrize(
    ("slower", "heading", "sign"),
    [(1.2, "Gate red: 1 of 1 failed, 0 undecided", "✗"), (1.0, "Gate green: 1 of 1 passed", "✓")],
)
def test_a_page_on_two_builds_is_headed_by_the_gates_verdict(slower: float, heading: str, sign: str) -> None:
    told, results = gated_since(slower)
    page = page_of(results, since=told)
    assert page.gate is not None
    assert (page.gate.headline, page.gate.sign) == (heading, sign)
    assert page.gate.sentences[0] == "v2.toml against v1.toml."
    assert ("Steady inference · int8" in " ".join(page.gate.sentences[1:])) is (slower > 1)
    assert page.verdicts == ()  # it sets no budgets, which is no verdict
    assert page.title.endswith(heading)
    html = render_page(page, [])
    heads = re.findall(r"<h1>(.*?)</h1>", html, re.DOTALL)
    assert len(heads) == 1
    assert heading.partition(":")[0] in heads[0]
    assert "No budgets set" not in html
    assert "1 of 1 job of the candidate ok, against v1.toml in 10 pairs" in html


@pytest.mark.parametrize(
    ("slower", "heading", "tone"),
    [
        (1.2, "Gate red: the run is interrupted; so far 1 of 1 failed, 0 undecided", "bad"),
        (1.0, "Gate undecided: the run is interrupted; so far 1 of 1 passed", "open"),
    ],
)
def test_a_run_that_is_not_finished_is_never_green(slower: float, heading: str, tone: str) -> None:
    """Whole jobs may be missing, of which nothing is known."""
    since, _ = gated_since(slower)
    told = gate_told(since, "interrupted")
    assert told is not None
    assert (told.headline, told.tone, told.red) == (heading, tone, slower > 1)


def test_an_index_and_all_targets_tell_the_gates_verdict() -> None:
    red, results = gated_since(1.2)
    found = Found(run=RUN, hardware="pixel-8", results=results, answers=answers(results), since=red)
    page = index_page([entry_of(found, "a.html", "", ())], RUN.started)
    (line,) = page.lines
    assert (line.verdict, line.tags) == ("Gate red: 1 of 1 failed, 0 undecided", ("failed",))
    assert page.finding == "1 failed."
    green, _ = gated_since(1.0)
    every = [found, replace(found, hardware="pi-5", since=green), replace(found, hardware="pi-4", since=green)]
    places = [Places(page=f"{each.hardware}.html", jobs="jobs.html") for each in every]
    (matrix,) = targets_page(every, places, "now").matrices
    assert matrix.findings == ("Gate red on 1 of 3: pixel-8.", "Gate green on 2 of 3: pi-5, pi-4.")
    assert [head.limit for head in matrix.tables[0].heads] == ["Gate green", "Gate green", "Gate red"]  # the worst last
