"""Reports: constrained devices, their floors, fallback chains, less CPU and load beside it."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace

import pytest

from benchharness.results.courses import ChainLink, StepOutcome
from benchharness.results.result import Outcome, OutcomeKind, Result
from benchharness.results.told import Effective
from reports.figures.svg import svg
from reports.model.entries import entries_of
from reports.model.jobs import job_detail
from reports.model.tables import Quantity
from reports.sections import all_sections
from reports.sections.constrained.chart import LadderChart
from reports.sections.constrained.section import Constraints, FloorPart
from tests.unit.report_course_samples import LESS_CPU, MIB, constrained, ladder, ladders, step
from tests.unit.report_samples import page_of, sections_html
from tests.unit.test_report_safety import ATTACKS, Elements

OUTCOMES = ("fine", "slower", "thrashing", "error", "killed", "timeout")


def section(results: Sequence[Result]) -> Constraints:
    (found,) = page_of(results).of(Constraints)
    return found


def floor(results: Sequence[Result], name: str = "memory floor") -> FloorPart:
    return next(each for each in section(results).floors if each.name == name)


def chart(results: Sequence[Result], name: str = "memory floor") -> LadderChart:
    figure = floor(results, name).figure
    assert figure
    return figure


def test_floors_of_two_kinds_never_share_a_chart_or_a_table() -> None:
    found = section(ladders())
    assert [each.name for each in found.floors] == ["memory floor", "address-space floor"]
    rows = [[row.who for row in each.table.rows] for each in found.floors]
    assert rows == [["fp32", "int8", "slow"], ["int4"]]
    assert [panel.label for panel in chart(ladders()).panels] == ["fp32", "int8"]
    assert [panel.label for panel in chart(ladders(), "address-space floor").panels] == ["int4"]
    assert {each.who for each in floor(ladders()).ladders} == {
        *(f"fp32, attempt {at} of 3" for at in (1, 2, 3)),
        "int8",
    }
    assert [each.who for each in floor(ladders(), "address-space floor").chains] == ["int4", "int4"]
    assert "fp32 memory floor 348 MiB" in found.finding
    assert "int4 address-space floor 748 MiB" in found.finding


def test_one_job_with_both_kinds_stands_in_both_parts_with_its_own_steps() -> None:
    both = [constrained("fp32", [ladder(), ladder(2.0, by="address-space limit")])]
    assert [step.limit for step in chart(both).panels[0].steps] == [520, 25, 115, 240, 300, 340, 400]
    address = chart(both, "address-space floor").panels[0]
    assert [step.limit for step in address.steps] == [1040, 50, 230, 480, 600, 680, 800]
    assert address.brackets == ((600.0, 680.0),)


def test_every_step_has_its_outcome_and_only_answers_have_a_time() -> None:
    figure = chart([constrained("int8", [ladder()])])
    assert figure.outcomes == OUTCOMES
    (panel,) = figure.panels
    assert [(each.limit, each.time, each.outcome) for each in panel.steps][:3] == [
        (520.0, 2.1, "fine"),
        (25.0, None, "error"),
        (115.0, None, "killed"),
    ]
    assert panel.brackets == ((300.0, 340.0),)
    assert (panel.unconstrained, panel.latest) == (2.1, 21.0)
    drawn = svg(figure, "x")
    assert all(f">{outcome}<" in drawn for outcome in OUTCOMES)


def test_the_floor_is_the_jobs_estimate_and_its_brackets_are_its_attempts() -> None:
    cells = floor(ladders()).table.rows[0].cells
    assert cells[0].quantity
    assert (cells[0].quantity.text, cells[0].quantity.interval) == ("348 MiB", "335 to 362")
    assert cells[1].quantity
    assert cells[1].quantity.reason == "300 MiB to 340 MiB; 308 MiB to 348 MiB; 315 MiB to 357 MiB"
    alone = floor(ladders(), "address-space floor").table.rows[0].cells[0].quantity
    assert alone
    assert (alone.text, alone.reason) == ("748 MiB", "no interval: one attempt")


def test_no_floor_says_why_and_draws_nothing() -> None:
    cells = floor(ladders()).table.rows[2].cells
    assert (cells[0].state, cells[0].note) == ("absent", "none: the time was over")
    lowest = constrained("fp32", [ladder(failing_bytes=None)])
    cell = floor([lowest]).table.rows[0].cells[1]
    assert cell.quantity == Quantity(text="", reason="340 MiB held, and no limit failed")
    refused = constrained(
        "fp32", [ladder(floor_bytes=None, failing_bytes=None, steps=(), chains=(), reason="no cgroup")]
    )
    found = floor([refused])
    assert found.figure is None
    assert found.table.rows[0].cells[0].note == "none: no cgroup"
    assert section([refused]).finding == "no floor was found"


def test_the_table_tells_each_step_largest_limit_first() -> None:
    (steps,) = floor([constrained("int8", [ladder()])]).ladders
    assert [row.constraint for row in steps.steps] == [f"{size} MiB" for size in (520, 400, 340, 300, 240, 115, "25.0")]
    thrashing = steps.steps[3]
    assert (thrashing.outcome, thrashing.sign, thrashing.tone) == ("thrashing", "◆", "bad")
    assert (thrashing.answered, thrashing.slower, thrashing.page_ins) == ("1 of 5", "9.20×", "12,345")
    assert thrashing.reason == "why it was thrashing"
    assert (steps.steps[4].slower, steps.steps[4].time) == ("no value", "unknown")
    assert steps.steps[0].reason == "nothing failed"
    assert len({row.sign for row in steps.steps}) == len(OUTCOMES)


def test_chains_tell_what_was_tried_and_what_it_cost() -> None:
    answered, failed = floor([constrained("fp32", [ladder()])]).chains
    assert [(tried[0], tried[1], tried[4]) for tried in answered.tries] == [
        ("fp32", "killed", "1.20 s"),
        ("int8", "fine", "900 ms"),
    ]
    assert (answered.limit, answered.answered_by, answered.time, answered.lost) == (
        "300 MiB",
        "int8",
        "2.10 s",
        "1.20 s",
    )
    assert (failed.answered_by, failed.time) == ("", "no answer")


def test_less_cpu_and_load_beside_it_are_bars_over_the_attempts() -> None:
    found = section(ladders()).slowdown
    assert found
    fp32 = found.groups[0]
    assert [bar.name for bar in fp32.bars] == [
        "75 % of the CPU time",
        "50 % of the CPU time",
        "25 % of the CPU time",
        "1 core",
        "a busy core",
        "memory-bandwidth load",
    ]
    assert fp32.bars[1].text == "2.05×, slower"
    (refused,) = found.groups[2].bars
    assert (refused.slower, refused.text) == (None, "not applied")
    worse = replace(LESS_CPU[0], outcome=StepOutcome.KILLED, slower=None)
    mixed = section([constrained("x", [ladder(steps=LESS_CPU[:1]), ladder(steps=(worse,))])]).slowdown
    assert mixed
    assert mixed.groups[0].bars[0].text == "1.36×, killed in 1 of 2 attempts"


def test_only_the_words_that_occur_are_explained() -> None:
    assert [word for word, _ in section(ladders()).glossary] == [*OUTCOMES, "not applied"]
    only = section([constrained("x", [ladder(steps=LESS_CPU[-1:], chains=(), floor_bytes=None, reason="")])])
    assert [word for word, _ in only.glossary] == ["fine"]
    assert only.floors == ()


def test_what_a_device_says_about_its_limits_is_told_once() -> None:
    better = "A better way to limit memory was not open: no cgroup."
    told = {
        "by": "cgroup version 1",
        "swap": "closed",
        "notes": ["libraries are not charged"],
        "no_better_way": ["no cgroup"],
    }
    results = [
        replace(constrained(name, [ladder()]), effective=Effective.from_json({"constrained": told}))
        for name in ("fp32", "int8")
    ]
    assert floor(results).told[1:] == ("Swap: closed.", "libraries are not charged.", better)
    assert not [
        each
        for each in job_detail(entries_of([results[0]])[0], all_sections().tells).settings
        if each.name == "constrained"
    ]
    unable = replace(results[0], effective=Effective.from_json({"constrained": {"swap": "", "notes": 3}}))
    assert floor([unable]).told[1:] == ()


def test_a_job_without_a_ladder_is_told_with_its_reason() -> None:
    failed = constrained("int8", [], outcome=Outcome(kind=OutcomeKind.TIMEOUT, reason="600 s were over"))
    (missing,) = section([failed]).missing
    assert (missing.who, missing.reason) == ("int8", "timeout: 600 s were over")


def test_the_page_shows_it() -> None:
    html = sections_html(page_of(ladders()), "constrained")
    elements = Elements(html).found
    ids = [attributes["id"] for _, attributes in elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {str(attributes["href"])[1:] for _, attributes in elements if "href" in attributes} <= set(ids)
    assert {"constraints-1-floor-1", "constraints-1-floor-2", "constraints-1-slowdown"} <= set(ids)
    assert "■ killed" in html
    assert not re.search(r"<t[dh][^>]*>\s*</t[dh]>", html)


@pytest.mark.parametrize("attack", ATTACKS)
def test_no_text_of_a_device_acts(attack: str) -> None:
    hostile = ladder(by=attack, reason=attack)
    link = ChainLink(variant=attack, outcome=StepOutcome.ERROR, time_ns=1e9, reason=attack)
    chain = replace(hostile.chains[0], links=[link], answered_by=attack)
    steps = [replace(each, reason=attack) for each in hostile.steps]
    steps += [step(None, StepOutcome.SLOWER, 2.0, attack)]
    results = [
        constrained(
            attack,
            [replace(hostile, steps=steps, chains=[chain])],
            effective=Effective.from_json({"constrained": {"swap": attack, "notes": [attack]}}),
        )
    ]
    elements = Elements(sections_html(page_of(results), "constrained", "warnings", "failures"))
    assert {"script", "img"}.isdisjoint(tag for tag, _ in elements.found)
    assert not [name for _, attributes in elements.found for name in attributes if name.startswith("on")]
    assert elements.text.count(attack) > 15
    assert attack in elements.svg_text


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e300, -1.0, 0.0, 5.0])
def test_numbers_that_make_no_sense_break_nothing(value: float) -> None:
    odd = [
        replace(each, amount=value, slower=value, time_ns=value, page_ins=value, peak_bytes=value)
        for each in ladder().steps
    ]
    mad = ladder(steps=odd, floor_bytes=value, failing_bytes=value, unconstrained_ns=value)
    mad = replace(mad, chains=[replace(mad.chains[0], limit_bytes=value, time_ns=value, lost_ns=value)])
    results = [replace(constrained("fp32", []), ladders=[mad, ladder()])]
    assert "<svg" in sections_html(page_of(results), "constrained", "warnings", "failures")
    assert chart(results).panels[0].brackets == ((300.0, 340.0),)
    assert all(each.limit * MIB < 1e15 for each in chart(results).panels[0].steps)
