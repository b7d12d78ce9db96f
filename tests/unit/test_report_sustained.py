"""Reports: sustained sessions, and pauses between requests."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from html import unescape

import pytest

from benchharness.results.courses import Event, SessionState
from benchharness.results.result import Outcome, OutcomeKind, Result
from benchharness.results.told import Conditions
from reports.model.page import Page
from reports.model.tables import Cell
from reports.sections.conditions.section import Circumstances
from reports.sections.constrained.section import Constraints
from reports.sections.pauses.section import Pauses
from reports.sections.sustained.chart import CourseChart
from reports.sections.sustained.section import CoursePart, Sustained, worst_of
from tests.unit.report_course_samples import course, everything, paused, sessions, sustained
from tests.unit.report_samples import page_of, realistic, realistic_sections, sections_html
from tests.unit.test_report_safety import ATTACKS, Elements

PAUSES: tuple[str | float, ...] = ("long", math.nan, -1.0)
STEADY, QUOTA, HEAT = SessionState.STEADY, SessionState.QUOTA, SessionState.HEAT


@pytest.fixture(scope="module")
def html() -> str:
    return sections_html(page_of(everything()), "sustained", "pauses", "constrained")


def section(results: Sequence[Result]) -> Sustained:
    (found,) = page_of(results).of(Sustained)
    return found


def part(results: Sequence[Result], who: str = "int8") -> CoursePart:
    return next(each for each in section(results).parts if each.who == who)


def chart(results: Sequence[Result], who: str = "int8") -> CourseChart:
    figure = part(results, who).figure
    assert figure
    return figure


def row(results: Sequence[Result], who: str) -> dict[str, Cell]:
    table = section(results).table
    (found,) = (each for each in table.rows if each.who == who)
    return dict(zip((title for title, _ in table.columns), found.cells, strict=True))


def text(cell: Cell) -> tuple[str, str]:
    return (cell.quantity.text, cell.quantity.reason) if cell.quantity else ("", cell.note)


def test_the_worst_attempts_evidence_comes_first_and_the_others_follow() -> None:
    shown = part(sessions())
    assert shown.verdict == "throttled (quota)"
    assert shown.counts == "2 of 3 attempts throttled (quota), 1 of 3 attempts steady"
    assert shown.evidence[0].startswith("A quota stopped the process 75 times")
    assert [line.split(",")[0] for line in shown.others] == ["attempt 2: throttled (quota)", "attempt 3: steady"]
    assert part(sessions(), "fp32").tone == "ok"
    assert part(sessions(), "short").evidence[0] == "baseline unsettled: 1 window"


def test_an_attempt_is_worse_by_its_verdict_and_then_by_what_it_kept() -> None:
    little, much = (course(QUOTA, kept=kept, slow=[(30, 120)], attempt=str(kept)) for kept in (0.6, 0.8))
    hot = course(HEAT, kept=0.95, slow=[(30, 120)], attempt="hot")
    other = part([sustained("int8", [much, little])]).others[0]
    assert other.startswith("attempt 1: throttled (quota), this session's retention 79.9")
    assert part([sustained("int8", [little, hot])]).verdict == "throttled (heat)"


def test_steady_jobs_are_folded_where_another_one_is_not() -> None:
    assert [each.folded for each in section(sessions()).parts] == [True, False, False, False, False, False]
    assert [each.folded for each in section(sessions()[:1]).parts] == [False]


def test_heat_is_said_only_where_the_verdict_says_it() -> None:
    without = [each for each in sessions() if each.job.variant != "int4"]
    assert "throttled (heat)" not in sections_html(page_of(without), "sustained")


def test_a_chart_has_baseline_thresholds_shades_and_the_change_point() -> None:
    figure = chart(sessions())
    assert figure.levels == (("burst", 31.0), ("−10 %", 27.9), ("−25 %", 23.25))
    assert figure.baseline == (0.0, 4.98, 31.0)
    assert [(shade.start, shade.end, shade.state) for shade in figure.shades] == [
        (30.0, 54.98, "throttled (quota)"),
        (70.0, 119.98, "throttled (quota)"),
    ]
    assert figure.change_s == 30.0
    assert [len(panel.lines) for panel in figure.panels] == [3, 3]
    assert [line.told for line in figure.panels[0].lines] == [True, False, False]
    assert len(figure.panels[0].lines[0].seconds) == 120


def test_temperature_and_clock_stand_beneath_or_a_sentence_says_why_not() -> None:
    titles = [panel.title for panel in chart(sessions(), "int4").panels]
    assert titles == ["throughput (tokens/s)", "time spent waiting for a core (%)", "temperature (°C)", "clock (GHz)"]
    clock = chart(sessions(), "int4").panels[3].lines[0].values
    assert (clock[0], clock[-1]) == (2.9, 1.682)
    where, silent = section(sessions()).unreadable[0]
    assert "temperature" in silent[0].names
    assert "no thermal zone" in silent[0].reason
    assert where.startswith("for ")
    assert "int4" not in where, "its own sensors told"
    assert any(each.names == ("clocks",) and "no cpufreq" in each.reason for each in silent)
    assert [panel.title for panel in chart(sessions(), "steal").panels][2] == "time stolen by the hypervisor (%)"


def test_a_long_session_is_thinned_and_says_so() -> None:
    figure = chart([sustained("int8", [course(seconds=1500)])])
    assert len(figure.panels[0].lines[0].seconds) <= 150
    assert "the mean of up to 10 windows" in figure.note


def test_burst_and_steady_state_stand_side_by_side_with_their_intervals() -> None:
    bars = section(sessions()).bars
    assert bars
    assert [each.label for each in bars.rows] == ["fp32", "int8", "int4", "slow", "steal", "short"]
    int8 = bars.rows[1]
    assert int8.burst
    assert int8.burst[1] < int8.burst[0] < int8.burst[2]
    heat = bars.rows[2]
    assert heat.burst == (44.0, 44.0, 44.0)  # one attempt has no interval
    assert heat.text == "44 → 25.5, retention 57.9 %"


def test_the_table_tells_retention_losses_and_energy() -> None:
    int8 = row(sessions(), "int8")
    assert text(int8["verdict"]) == ("throttled (quota)", "2 of 3 attempts")
    assert text(int8["time to −10\u00a0%"]) == ("35.5 s", "reached in 2 of 3 attempts; their median")
    assert text(int8["energy"]) == ("unknown", "no sensor counts energy on this device")
    assert text(row(sessions(), "int4")["retention"]) == ("57.9 %", "one attempt: no interval")
    assert text(row(sessions(), "int4")["time to −25\u00a0%"]) == ("38.0 s", "one attempt: no interval")
    assert text(row(sessions(), "fp32")["time to −10\u00a0%"]) == ("not reached", "in 120 s")


def test_what_was_not_reported_says_so() -> None:
    bare = replace(sustained("int8", [course()]), metrics=(), conditions=Conditions())
    found = row([bare], "int8")
    assert text(found["retention"]) == ("", "not reported")
    assert text(found["of the cool rate"]) == ("", "no cool result of scenario steady")
    assert text(found["energy"]) == ("", "unknown: no RAPL counters")
    assert section([bare]).bars is None


def test_paces_of_one_variant_are_told_apart() -> None:
    found = sustained("int8", [course()])
    paced = [
        replace(found, job=replace(found.job, key=str(pace), settings={**found.job.settings, "every_ns": pace}))
        for pace in (5e8, 2e9)
    ]
    names = ["int8 (every 500 ms)", "int8 (every 2.00 s)"]
    assert [each.who for each in section(paced).parts] == names
    assert [each.who for each in section(paced).table.rows] == names
    assert names[1] in section(paced).finding


def test_a_job_without_a_session_is_told_with_its_reason() -> None:
    killed = Outcome(kind=OutcomeKind.OUT_OF_MEMORY, reason="the kernel ended it")
    found = section([sustained("int8", [course()]), sustained("int4", [], outcome=killed, metrics=())])
    assert [(each.who, each.reason) for each in found.missing] == [("int4", "out-of-memory: the kernel ended it")]
    assert found.table.rows[1].cells[0].state == "failed"


def test_the_finding_names_the_worst_rows_with_their_verdicts() -> None:
    finding = section(sessions()).finding
    assert finding.startswith("int4: throttled (heat), retention 57.9 %; int8: throttled (quota), worst session's")
    assert finding.endswith("more")
    assert len(finding.split()) <= 25


def test_a_name_has_one_value_in_a_row_of_the_page(html: str) -> None:
    """The mean over sessions is `retention`; a session of several has a name of its own wherever it is told."""
    words = unescape(re.sub(r"<[^>]+>", " ", html))
    means = {
        f"{metric.estimate.value * 100:.3g} %"
        for each in sessions()
        for metric in each.metrics
        if metric.name == "retention" and metric.estimate.value
    }
    assert set(re.findall(r"(?<!session's )retention ([\d.]+ %)", words)) <= means
    int8 = next(each for each in sessions() if each.job.variant == "int8")
    assert len(int8.courses) > 1
    assert f"worst session's retention {worst_of(int8.courses).retention * 100:.3g} %" in words  # type: ignore[operator]
    assert not re.search(r"\d % kept|kept [\d.]+ %", words)


def test_the_gate_and_the_sensors_are_conditions_and_only_a_state_is_a_difference() -> None:
    alike = page_of([sustained("fp32", [course()]), sustained("int8", [course()])]).of(Circumstances)[0]
    assert alike.notices == ()  # what a reading of a sensor cost, and how long the gate took, are no states
    assert ("entry gate settled", "yes") in alike.conditions.alike
    assert ("sensors read", "steal") in alike.conditions.alike
    assert ["sensor: temperature"] in [list(each.names) for each in alike.conditions.unreadable]
    (notice,) = page_of(sessions()).of(Circumstances)[0].notices
    assert "differ in entry gate settled: yes for" in notice


def test_pauses_are_categories_with_error_bars_one_panel_a_metric() -> None:
    (found,) = page_of(paused()).of(Pauses)
    figure = found.figure
    assert figure.pauses == ("0 s", "1 s", "10 s")
    assert [panel.title for panel in figure.panels] == [
        "TTFT (s): cpu 2 threads",
        "decode rate (tokens/s): cpu 2 threads",
    ]
    curve = figure.panels[0].curves[0]
    assert [at for at, _ in curve.points] == [0, 1, 2]
    assert all(low < value < high for _, (value, low, high) in curve.points)
    assert 0.7 < curve.points[0][1][0] < 0.9
    last = found.table.rows[0].cells[-1]
    assert last.quantity
    assert last.quantity.reason == "the intervals do not meet"
    assert "longest" in found.table.columns[-1][0]


def test_a_pause_that_is_no_number_is_left_out() -> None:
    results = paused()
    strange = [
        replace(metric, parameters={"pause_s": pause})
        for metric, pause in zip(results[0].metrics[-3:], PAUSES, strict=True)
    ]
    assert page_of([replace(results[0], metrics=strange)]).of(Pauses) == ()


def test_nothing_of_it_is_on_a_page_without_such_jobs() -> None:
    page: Page = page_of(realistic())
    assert (page.of(Sustained), page.of(Pauses), page.of(Constraints)) == ((), (), ())
    assert "What the words mean" not in realistic_sections()


def test_figures_are_drawn_and_ids_are_unique(html: str) -> None:
    elements = Elements(html).found
    ids = [attributes["id"] for _, attributes in elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = {str(attributes["href"])[1:] for _, attributes in elements if "href" in attributes}
    assert targets <= set(ids)
    assert "sessions-1-chart-2" in ids
    assert "pauses-1-figure" in ids
    assert chart(sessions()).legend()[:2] == [("#d55e00", "the worst attempt"), ("#9aa4af", "the other 2")]


def test_what_was_done_to_the_process_is_in_the_finding_and_on_the_chart() -> None:
    moved = "moved from group / to /background"
    seconds = (31.0, 90.0, -5.0, 1e9, math.nan)
    events = [Event(second=second, kinds=["group"], told=moved) for second in seconds]
    found = course(SessionState.QUOTA, kept=0.7, slow=[(31, 120)], events=events)
    (shown,) = page_of([sustained("int8", [found])]).of(Sustained)
    assert f", {moved} at 31.0 s and 4 more" in shown.finding
    figure = shown.parts[0].figure
    assert figure is not None
    assert figure.events == (31.0, 90.0), "those within the course"
    assert "other groups or limits at: 31 s, 90 s" in list(figure.numbers())
    assert ("#b3007d", "upright lines: other groups, quota, cores or memory limit") in figure.legend()
    assert figure.draw()


@pytest.mark.parametrize("attack", ATTACKS)
def test_no_text_of_a_device_acts(attack: str) -> None:
    hostile = course(
        SessionState.QUOTA,
        kept=0.7,
        slow=[(30, 60)],
        evidence=[attack],
        device=attack,
        attempt=attack,
        sensors_unknown={attack: attack, "temperature": attack, "waiting": attack, "energy counters": attack},
        events=[Event(second=31.0, kinds=[attack], told=attack)],
    )
    gate = {"waited_s": 1.0, "by": attack, "settled": False, "reason": attack}
    other = replace(course(evidence=[attack]), device="x")
    found = sustained(
        attack,
        [hostile, other],
        conditions=Conditions.from_json(
            {"entry_gate": gate, "sensors": {attack: {"found": True}, attack + "x": {"reason": attack}}}
        ),
    )
    page = sections_html(page_of([found, *paused()]), "sustained", "pauses", "conditions")
    elements = Elements(page)
    assert {"script", "img"}.isdisjoint(tag for tag, _ in elements.found)
    assert not [name for _, attributes in elements.found for name in attributes if name.startswith("on")]
    assert elements.text.count(attack) > 8
    assert attack in elements.svg_text


def test_numbers_that_make_no_sense_break_nothing() -> None:
    nothing = course(windows=[], baseline=(0, 9), settled=(-3, 5))
    mad = course(burst=10.0, slow=[(0, 5)], state=QUOTA)
    values = (math.nan, math.inf, -math.inf, 1e300, -1.0)
    windows = [
        replace(
            window, rate=value, start_s=value if number % 2 else 0.0, celsius=value, clock_khz=value, wait_share=value
        )
        for number, (window, value) in enumerate(zip(mad.windows, values, strict=False))
    ]
    mad = replace(
        mad,
        windows=windows,
        burst_rate=math.nan,
        settled_rate=math.inf,
        retention=math.nan,
        change_s=math.inf,
        below_10_s=math.nan,
    )
    odd = replace(mad, windows=[replace(window, rate=5.0) for window in windows], retention=1e300, change_s=-5.0)
    made = {"fp32": [nothing], "int8": [mad], "int4": [mad, odd]}
    results = [replace(sustained(variant, []), courses=courses) for variant, courses in made.items()]
    assert part(results, "fp32").figure is None
    assert part(results, "fp32").silent == ("No window has a rate to draw.",)
    assert "retention an unknown share" in sections_html(page_of(results), "sustained")
