"""Reports: a cloud and a device that answer together, and whole conversations."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchharness.results.result import MetricResult, Result
from reports.sections.conversation.section import ConversationSection
from reports.sections.hybrid.section import HybridSection
from tests.unit.product_samples import BUDGETS, REQUESTS, conversation, hybrid
from tests.unit.report_samples import page_of, sections_html
from tests.unit.test_report_safety import ATTACKS, Elements


def test_the_decision_stands_first_and_every_way_below() -> None:
    (section,) = page_of([hybrid(REQUESTS, BUDGETS)]).of(HybridSection)
    (traded,) = section.traded
    assert section.finding.startswith("int8: take eager: it keeps all 3 budgets")
    assert [(way.policy, way.sign) for way in traded.ways] == [
        ("cloud alone", "✗"),
        ("device alone", "✓"),
        ("eager", "✓"),
    ]
    assert "over 3g: missed, 20 % [13, 29] of requests are beyond it, and 5 % may be" in traded.ways[0].whys[0]
    mixed = next(row for row in traded.rows if (row.policy, row.network) == ("eager", "3g"))
    assert (mixed.first, mixed.silence, mixed.locally) == ("100 ms / 500 ms", "100 ms / 600 ms", "40 %")
    assert (mixed.energy, mixed.right, mixed.agreement) == ("unknown", "not told", "0.50 of 20")
    lost = next(row for row in traded.rows if (row.policy, row.network) == ("cloud alone", "offline"))
    assert (lost.first, lost.silence, lost.unanswered) == ("never / never", "never / never", "100 %")


def test_the_figure_has_each_way_and_what_never_came() -> None:
    (section,) = page_of([hybrid(REQUESTS, BUDGETS)]).of(HybridSection)
    figure = section.traded[0].figure
    assert {way.label: (way.silence, way.chosen) for way in figure.ways} == {
        "cloud alone": ((100.0, None), False),
        "device alone": ((60.0, 60.0), False),
        "eager": ((100.0, 600.0), True),
    }
    assert figure.unit == "ms"
    assert "cloud alone: silence p50 100, p95 never, 0 % by the device" in figure.description
    assert figure.draw() is not None


def test_what_is_simulated_is_called_so() -> None:
    html = sections_html(page_of([hybrid(REQUESTS, BUDGETS)]))
    assert html.count("simulated") >= 4
    assert "packets, their retransmission and congestion control are not simulated" in html
    assert "Energy is unknown here: no RAPL counters." in html


def test_a_conversation_turn_by_turn() -> None:
    (section,) = page_of([conversation("int8"), conversation("int4", full=None)]).of(ConversationSection)
    assert section.figure is not None
    assert [panel.title for panel in section.figure.panels] == [
        "TTFT by turn (ms)",
        "decode rate by turn (tokens/s)",
        "memory by turn (MiB)",
    ]
    first, second = section.figure.panels[0].curves
    assert [point[1][0] for point in first.points] == [10.0, 20.0, 30.0, 40.0, 50.0]
    assert (first.full, second.full) == (6, None)
    talk = section.talks[0]
    assert [line.end for line in talk.lines] == ["answered"] * 5 + ["context full"]
    assert (talk.lines[1].ttft, talk.lines[5].ttft) == ("20.0 ms", "none")
    assert section.back is not None
    assert [column[1] for column in section.back.columns[2:]] == ["beside nothing"] * 2 + ["beside busy-core"] * 2
    assert section.figure.draw() is not None
    assert "context full in turn 6" in section.figure.description


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_a_device_says_is_only_shown(attack: str) -> None:
    def attacked(metric: MetricResult) -> MetricResult:
        told = {name: attack if isinstance(value, str) else value for name, value in metric.parameters.items()}
        return replace(metric, parameters=told)

    def hostile(result: Result) -> Result:
        return replace(result, metrics=[attacked(each) for each in result.metrics], told=[attack])

    html = sections_html(page_of([hostile(hybrid(REQUESTS, BUDGETS)), hostile(conversation())]))
    assert {tag for tag, _ in Elements(html).found}.isdisjoint({"script", "img"})
    assert "conversation" in html
