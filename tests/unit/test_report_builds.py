"""The section of a page on what became of a candidate since its base."""

from __future__ import annotations

from benchharness.judge.builds import Since, compared, twins
from benchharness.results.result import BASE, Result
from reports.sections.builds.section import SinceBase
from tests.unit.report_samples import page_of, sections_html
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
