"""Reports: conditions, and the notices about those that differ."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from benchharness.judge.derive import derive
from benchharness.results.result import Job, Result, ResultWarning, WarningKind
from benchharness.results.told import Conditions
from reports.model.entries import entries_of
from reports.model.jobs import job_detail
from reports.sections.conditions.section import Circumstances
from reports.sections.failures.section import Failures
from reports.sections.warnings.section import Warned
from tests.unit.made_up import attempt, job, measured
from tests.unit.report_samples import Fake, page_of, realistic, realistic_sections, result, sections_html


def compared(**changes: tuple[Any, Any]) -> Circumstances:
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
    return page_of(rows).of(Circumstances)[0]


@pytest.mark.parametrize(
    ("name", "pair", "text"),
    [
        ("temperature_sensor", ("x86_pkg_temp", "acpitz"), "x86_pkg_temp, acpitz"),
        ("watching_ns", (6_564_661, 13_146_533), "6.56 ms to 13.1 ms"),
        ("load_average", (0.5, 4.0), "0.5 to 4"),
        ("waiting_share", (0.012, 0.594546), "1 % to 59 %"),
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
    html = sections_html(page_of([result()]), "conditions")
    assert '<details class="unreadable"><summary>Not readable here: governor, power source, battery</summary>' in html
    assert "<li>power source, battery: nothing in /sys/class/power_supply</li>" in html


def test_unknown_for_two_reasons_is_no_difference() -> None:
    comparison = compared(governor=({"unknown": "no cpufreq"}, {"unknown": "permission denied"}))
    assert comparison.notices == ()
    assert comparison.conditions.unreadable[0].reason == "no cpufreq; permission denied"


def test_kinds_of_memory_that_are_unknown_are_not_readable_either() -> None:
    comparison = compared(memory_unknown=({"pss": "no smaps"}, {}))
    assert comparison.notices == ()
    assert comparison.conditions.unreadable[-1].names == ("memory: pss",)


def test_the_finding_names_what_differs() -> None:
    assert compared(power_source=("mains", "battery")).finding == "rows differ in power source"
    assert compared().finding == "no condition that matters differs between its 2 jobs"


def test_the_only_configuration_is_not_in_every_name() -> None:
    assert [each.who for each in entries_of([result("fp32"), result("int8")])] == ["fp32", "int8"]
    several = entries_of([result("fp32"), result("fp32", "cpu 1 thread")])
    assert [each.who for each in several] == ["fp32 · cpu 2 threads", "fp32 · cpu 1 thread"]
    assert page_of([result("fp32"), result("int8")]).of(Circumstances)[0].configuration == "cpu 2 threads"


def warned(variant: str, *messages: str, scenario: str = "first-token") -> Result:
    warnings = [ResultWarning(kind=WarningKind.UNSTABLE, message=message) for message in messages]
    found = result(variant, metrics=Fake(1.0).first_token(), warnings=warnings)
    return replace(found, job=replace(found.job, scenario=scenario, key=f"{variant} {scenario}"))


def test_warnings_are_told_by_kind_each_message_once_with_its_jobs() -> None:
    results = [warned("fp32", "few"), warned("int8", "few", "shaky"), warned("int8", "shaky", scenario="steady")]
    (found,) = page_of(results).of(Warned)
    (kind,) = found.kinds
    assert kind.finding == found.finding == "3 of 3 jobs have attempts that spread widely"
    assert [(each.text, each.jobs) for each in kind.messages] == [
        ("few", ("fp32, first-token", "int8, first-token")),
        ("shaky", ("int8, first-token", "int8, steady")),
    ]
    html = sections_html(page_of(results), "warnings")
    assert html.count("shaky") == 1
    everywhere = sections_html(page_of([warned("fp32", "few"), warned("int8", "few")]), "warnings")
    assert "every job" in everywhere
    assert page_of([result()]).of(Warned) == ()


def test_failures_have_their_evidence_and_the_finding_names_them() -> None:
    (found,) = page_of(realistic()).of(Failures)
    (failure,) = found.failures
    assert (failure.kind, failure.attempts) == ("out-of-memory", "3 out-of-memory")
    assert found.finding == "smollm2-135m · chat 128 · int4 · cpu 2 threads, steady: out-of-memory"
    html = realistic_sections()
    below = html[html.index(f'<li id="{failure.anchor}"') :]
    assert "do not fit" in below[: below.index("</li>")]
    assert page_of([result()]).of(Failures) == ()


def test_some_failed_attempts_show_though_the_job_is_ok() -> None:
    (found,) = page_of([result(metrics=Fake(1.0).first_token(), outcomes={"ok": 4, "crashed": 1})]).of(Failures)
    assert [(each.kind, each.attempts) for each in found.partly] == [("ok", "4 ok, 1 crashed")]
    assert found.failures == ()
    assert found.finding == "attempts failed in 1 job with a value"


def _two_variants() -> list[Job]:
    return [job(variant[0] * 16, variant=variant) for variant in ("fp32", "int8")]


def test_rows_that_did_unequal_work_are_a_notice() -> None:
    made = _two_variants()
    attempts = [
        attempt(round_, measured("model_ttft", 1e6 * (1 + round_ / 100)), job=each.key, effective=_fed(length))
        for each, length in zip(made, (3000, 64), strict=True)
        for round_ in range(5)
    ]
    (found,) = page_of(derive([(each, "") for each in made], attempts)).of(Circumstances)
    (notice,) = (each for each in found.notices if "Not the same work" in each)
    assert "times do not rank in steady" in notice
    assert "input x 1×64 against 1×3000" in notice
    assert found.finding == "1 notice before comparing rows"


def _fed(length: int) -> dict[str, Any]:
    return {"accelerators": ["cpu"], "threads": 2, "inputs": {"x": ["float32", 1, length]}}


def test_what_differs_stands_beside_the_ratio_that_is_missing() -> None:
    made = _two_variants()
    attempts = [
        attempt(0, measured("model_ttft", 1e6), job=each.key, effective={"threads": threads, "accelerators": ["cpu"]})
        for each, threads in zip(made, (2, 1), strict=True)
    ]
    results = derive([(each, "") for each in made], attempts)
    found = job_detail(entries_of(results)[1]).metrics[0].ratio
    assert (found.text, found.verdict, found.reason) == ("no ratio", "none", "1 thread against 2")
