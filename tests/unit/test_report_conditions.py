"""Reports: conditions, and the notices about those that differ."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from benchharness.results.result import Result, ResultWarning, WarningKind
from benchharness.results.told import Conditions
from reports.pages.html import render
from reports.sections.comparison.section import Comparison
from tests.unit.report_samples import RUN, WRITTEN, Fake, page_of, realistic, realistic_page, result


def compared(**changes: tuple[Any, Any]) -> Comparison:
    """Two rows whose conditions differ in what is given."""
    rows = [result(variant, metrics=Fake(1.0).first_token()) for variant in ("fp32", "int8")]
    rows = [
        replace(
            row,
            conditions=Conditions.from_json(
                {**row.conditions.to_json(), **{name: pair[at] for name, pair in changes.items()}}
            ),
        )
        for at, row in enumerate(rows)
    ]
    return page_of(rows).of(Comparison)[0]


@pytest.mark.parametrize(
    ("name", "pair", "text"),
    [
        ("temperature_sensor", ("x86_pkg_temp", "acpitz"), "x86_pkg_temp, acpitz"),
        ("watching_ns", (6_564_661, 13_146_533), "6.56 ms to 13.1 ms"),
        ("load_average", (0.5, 4.0), "0.5 to 4"),
        ("cpu_pressure", (1.0, 80.5), "1 % to 80.5 %"),
        ("battery_percent", (80.0, 79.0), "79 % to 80 %"),
        ("temperature_celsius", (51.5, 60.0), "51.5 °C to 60 °C"),
    ],
)
def test_readings_are_a_range_and_raise_no_notice(name: str, pair: tuple[Any, Any], text: str) -> None:
    comparison = compared(**{name: pair})
    assert comparison.notices == ()
    assert comparison.conditions.differing == ()
    assert text in [shown for _, shown in comparison.conditions.alike]


@pytest.mark.parametrize(
    ("name", "pair"),
    [
        ("power_source", ("mains", "battery")),
        ("cores_allowed", (2, 1)),
        ("cgroup_cpu_quota_us", ("none", 50_000)),
        ("governor", ({"unknown": "no cpufreq"}, "powersave")),
        ("python", ("3.11.7", "3.9.2")),
    ],
)
def test_states_that_differ_raise_a_notice(name: str, pair: tuple[Any, Any]) -> None:
    comparison = compared(**{name: pair})
    assert len(comparison.notices) == 1
    assert [each.matters for each in comparison.conditions.differing] == [True]


def test_a_quota_is_a_time() -> None:
    assert ("cgroup CPU quota", "50.0 ms") in compared(cgroup_cpu_quota_us=(50_000, 50_000)).conditions.alike


def test_what_nobody_could_read_is_one_line_with_the_reasons_on_demand() -> None:
    comparison = compared()
    assert [(each.names, each.reason) for each in comparison.conditions.unreadable] == [
        (("governor",), "no cpufreq on this system"),
        (("power source", "battery"), "nothing in /sys/class/power_supply"),
    ]
    names = [name for name, _ in comparison.conditions.alike]
    assert "governor" not in names
    html = render(RUN, [result()], written=WRITTEN)["this-machine"]
    line = '<details class="unreadable"><summary>Not readable here: governor, power source, battery</summary>'
    assert html.count(line) == 2  # of the comparison, and of its job
    assert "<li>power source, battery: nothing in /sys/class/power_supply</li>" in html


def test_unknown_for_two_reasons_is_no_difference() -> None:
    comparison = compared(governor=({"unknown": "no cpufreq"}, {"unknown": "permission denied"}))
    assert comparison.notices == ()
    assert comparison.conditions.unreadable[0].reason == "no cpufreq; permission denied"


def test_kinds_of_memory_that_are_unknown_are_not_readable_either() -> None:
    comparison = compared(memory_unknown=({"pss": "no smaps"}, {}))
    assert comparison.notices == ()
    assert comparison.conditions.unreadable[-1].names == ("memory: pss",)


def test_what_a_group_shares_stands_in_its_header() -> None:
    first, steady, _ = page_of(realistic()).of(Comparison)[0].groups
    assert (first.name, first.parameters) == ("first-token", "prompt_tokens 128, context_depth 0")
    assert [column.parameters for column in first.columns] == ["", ""]
    assert (steady.parameters, steady.columns[0].parameters) == (
        "prompt_tokens 128, output_tokens 32, context_depth 128",
        "",
    )
    assert page_of(realistic()).of(Comparison)[0].width == 2 + 2 + 2 + 2


def test_parameters_that_differ_within_a_group_stay_with_their_columns() -> None:
    fake = Fake(1.0)
    metrics = [
        fake.metric("prefill_rate", "tokens/s", 1.0, parameters={"prompt_tokens": 8, "context_depth": 0}),
        fake.metric("decode_rate", "tokens/s", 1.0, parameters={"output_tokens": 8, "context_depth": 8}),
    ]
    (group,) = page_of([result(metrics=metrics)]).of(Comparison)[0].groups
    assert group.parameters == "prompt_tokens 8, output_tokens 8"
    assert [column.parameters for column in group.columns] == ["context_depth 0", "context_depth 8"]


def test_the_only_configuration_stands_in_the_header_and_not_in_every_name() -> None:
    page = page_of([result("fp32"), result("int8")])
    assert page.configuration == "cpu 2 threads"
    assert [row.who for row in page.of(Comparison)[0].rows] == ["fp32", "int8"]
    page = page_of([result("fp32"), result("fp32", "cpu 1 thread")])
    assert page.configuration == ""
    assert [row.who for row in page.of(Comparison)[0].rows] == ["fp32 · cpu 2 threads", "fp32 · cpu 1 thread"]


def warned(variant: str, *messages: str) -> Result:
    warnings = [ResultWarning(kind=WarningKind.UNSTABLE, message=message) for message in messages]
    return result(variant, metrics=Fake(1.0).first_token(), warnings=warnings)


def test_a_warning_that_every_job_carries_is_told_once() -> None:
    comparison = page_of([warned("fp32", "few"), warned("int8", "few", "shaky")]).of(Comparison)[0]
    assert [warning.message for warning in comparison.warnings] == ["few"]
    assert [[warning.message for warning in row.warnings] for row in comparison.rows] == [[], ["shaky"]]


def test_a_warning_of_two_scenarios_is_told_once_in_its_row() -> None:
    steady = replace(warned("int8", "few"), job=replace(result("int8").job, scenario="steady", key="other"))
    comparison = page_of([warned("fp32"), warned("int8", "few"), steady]).of(Comparison)[0]
    assert [(each.message, each.about) for each in comparison.rows[1].warnings] == [("few", "first-token, steady")]


def test_the_outcome_stands_with_the_variant_and_the_evidence_below_its_row() -> None:
    html = realistic_page()
    row = html[html.index('id="comparison-1-row-6"') :]
    heading = row[: row.index("</th>")]
    assert "out-of-memory" in heading
    assert "steady: 3 out-of-memory" in heading
    below = row[row.index('<tr class="failed">') :]
    assert "do not fit" in below[: below.index("</tr>")]


def test_some_failed_attempts_show_though_the_job_is_ok() -> None:
    shaky = result(metrics=Fake(1.0).first_token(), outcomes={"ok": 4, "crashed": 1})
    html = render(RUN, [shaky], written=WRITTEN)["this-machine"]
    heading = html[html.index('id="comparison-1-row-1"') :]
    assert "first-token: 4 ok, 1 crashed" in heading[: heading.index("</th>")]
    assert page_of([result()]).of(Comparison)[0].rows[0].ended[0].clean
