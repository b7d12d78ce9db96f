"""Reports: where operators ran, what fell back, and what asking for an accelerator cost."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from benchharness.results.result import Estimate, Parameters, Result
from benchharness.results.told import Effective
from reports.model.entries import entries_of
from reports.model.jobs import job_detail
from reports.sections import all_sections
from reports.sections.operators.placement import PlacementRow, Placements
from reports.sections.operators.section import Operators
from tests.unit.report_runtime_samples import (
    CORE_ML,
    CPU,
    DELEGATE,
    LITERT,
    LITERT_GPU,
    ON_CPU,
    ON_GPU,
    ON_LITERT,
    ONNX,
    OPERATORS,
    REFUSED,
    Ran,
    across_runtimes,
    across_runtimes_sections,
    derived,
)
from tests.unit.report_samples import page_of, realistic, realistic_sections, result, sections_html
from tests.unit.test_report_safety import ATTACKS, Elements


def placements_of(results: Sequence[Result]) -> Placements:
    (operators,) = page_of(results).of(Operators)
    return operators.placements


@pytest.fixture(scope="module")
def everything() -> Placements:
    return placements_of(across_runtimes())


@pytest.fixture(scope="module")
def html() -> str:
    return across_runtimes_sections()


def row_of(placements: Placements, who: str) -> PlacementRow:
    (row,) = (row for row in placements.rows if row.who == who)
    return row


def told(effective: dict[str, Any], accelerator: str | None = None) -> PlacementRow:
    """The line on one result whose device said this."""
    (row,) = placements_of([on(effective, accelerator)]).rows
    return row


def on(effective: dict[str, Any], accelerator: str | None) -> Result:
    """A result that asked for an accelerator, and whose device said this."""
    found = result(effective=effective)
    changed = replace(found.job, configuration=replace(found.job.configuration, accelerator=accelerator))
    return replace(found, job=changed)


def test_operators_are_told_by_place_most_first_and_all_of_them(everything: Placements, html: str) -> None:
    (place,) = row_of(everything, "onnx-fp32 · onnxruntime 2 threads").places
    assert (place.name, place.count, place.share) == (CPU, f"{sum(OPERATORS.values())} operators", "100 %")
    assert place.kinds[:2] == ("211 MatMul", "150 Mul")
    assert len(place.kinds) == len(OPERATORS)
    assert "211 MatMul, 150 Mul, 121 Add and 21 more kinds</summary>" in html
    assert "1 Kind19</details>" in html


def test_a_partial_fallback_names_what_ran_elsewhere(everything: Placements) -> None:
    row = row_of(everything, "onnx-int8 · onnxruntime xnnpack")
    assert (row.asked, row.in_effect) == (DELEGATE, f"{DELEGATE}, {CPU}")
    assert [(place.name, place.share, place.elsewhere) for place in row.places] == [
        (DELEGATE, "85 %", False),
        (CPU, "15 %", True),
    ]
    assert row.fell_back
    assert row.left_out.startswith(f"84 of 562 operators do not run on {DELEGATE}: 60 Transpose")
    assert row.lost == ()


def test_a_refusal_has_its_reason_and_the_time_it_lost(everything: Placements, html: str) -> None:
    row = row_of(everything, "tflite-int8 · litert gpu")
    assert row.left_out == REFUSED["summary"]
    ((scenario, lost),) = row.lost
    assert scenario == "first-token"
    assert 175 < float(lost.text.removesuffix(" ms")) < 189
    assert lost.text.endswith(" ms")
    assert " to " in lost.interval
    assert "lost in trying:" in html


def test_what_the_attempt_cost_is_a_ratio_to_the_same_variant_without_accelerator(everything: Placements) -> None:
    assert [(column.title, column.parameters) for column in everything.columns] == [
        ("cold-start phase", "phase load"),
        ("model TTFT", ""),
        ("decode rate (tg)", ""),
    ]
    row = row_of(everything, "tflite-int8 · litert gpu")
    assert row.against == "tflite-int8 · litert 2 threads"
    load, first, rate = row.costs
    assert load.verdict == "worse"
    assert load.text.startswith("1.7")
    assert " to " in load.interval
    assert first.verdict in {"not-apart", "worse"}
    assert rate.text.endswith("×")
    cpu = row_of(everything, "tflite-int8 · litert 2 threads")
    assert (cpu.costs, cpu.instead) == ((), "no accelerator was asked for")


def test_models_that_are_no_language_models_compare_inferences() -> None:
    def with_inference(each: Result) -> Result:
        ratio = Estimate(value=1.2, low=1.1, high=1.3, count=5, statistic="paired")
        ratios: list[tuple[str, Parameters, Estimate]] = [("first_inference", {}, ratio)]
        ratios += [("steady_inference", {"percentile": percentile}, ratio) for percentile in (50, 99)]
        return replace(each, contrasts=[replace(contrast, ratios=ratios) for contrast in each.contrasts])

    steady = [with_inference(each) for each in across_runtimes() if each.job.scenario == "steady"]
    columns = placements_of(steady).columns
    assert [column.title for column in columns] == ["first inference", "steady inference p50"]


def test_without_such_a_configuration_the_page_says_how_to_get_it(everything: Placements, html: str) -> None:
    row = row_of(everything, "tflite-fp32 · litert gpu, half precision")
    assert row.left_out == "nothing: every operator ran where it was wanted"
    assert not row.fell_back
    assert row.costs == ()
    assert row.instead.startswith("nothing to compare it with")
    assert everything.advice == (
        "To see what the accelerator costs or brings for tflite-fp32 · litert gpu, half precision, add a configuration "
        'without one to the suite: [[configurations]] with runtime = "litert", threads = 2, no accelerator and the '
        "same options.",
    )
    assert "[[configurations]] with runtime" in html


def test_an_unknown_placement_has_its_reason(everything: Placements) -> None:
    row = row_of(everything, "mlpackage-int8 · core ml, neural engine")
    assert row.places == ()
    assert row.unknown.startswith("placement is decided by Core ML")
    assert row.note == row.instead == "reference execution, weights only"
    assert told({}).unknown == "the runtime did not report it"
    assert told({"placement_unknown": "no profile"}, "npu").left_out == "unknown, as is the placement"


def test_what_was_asked_for_is_not_repeated_where_it_is_in_effect() -> None:
    assert "npu, in effect" not in sections_html(page_of([on({"accelerators": ["npu"]}, "npu")]), "operators")
    assert "npu, in effect cpu" in sections_html(page_of([on({"accelerators": ["cpu"]}, "npu")]), "operators")


def test_a_failed_row_tells_its_outcome(everything: Placements) -> None:
    row = row_of(everything, "onnx-int4 · onnxruntime xnnpack, all of it")
    assert row.unknown.startswith('unsupported: fallback = "fail"')
    assert (row.left_out, row.costs, row.instead) == ("", (), "no value: unsupported")


def test_a_place_is_marked_only_where_the_device_counts_its_operators_as_elsewhere() -> None:
    spread = {"accelerators": ["npu"], "placement": {"npu": {"Conv": 3}, "dsp": {"Add": 1}}}
    row = told(spread, "npu")  # one accelerator may stand for two places
    assert [place.elsewhere for place in row.places] == [False, False]
    assert (row.left_out, row.fell_back) == ("nothing: every operator ran where it was wanted", False)
    row = told({**spread, "fallback": {"summary": "1 of 4", "operators_elsewhere": 1}}, "npu")
    assert [place.elsewhere for place in row.places] == [False, True]
    row = told({**spread, "fallback": {"summary": "3 of 4", "operators_elsewhere": 3}}, "npu or dsp")
    assert [place.elsewhere for place in row.places] == [False, False]


def core_ml(accelerator: str | None) -> Ran:
    placed = {"accelerators": ["CPU"], "placement": {"CPU": {"linear": 3}}}
    name = f"core ml {accelerator}"
    return Ran("mlpackage-int8", {**CORE_ML, "name": name, "accelerator": accelerator}, 136, placed)


def test_a_runtime_whose_default_is_no_plain_cpu_has_an_accelerator_that_is() -> None:
    placements = placements_of(derived([core_ml("CPU_ONLY"), core_ml(None)]))
    plain, default = placements.rows
    assert (plain.asked, plain.instead) == ("", "no accelerator was asked for")
    assert default.asked == "the runtime's own choice"
    assert default.left_out == "no accelerator was named: the runtime chose"
    assert default.against == "mlpackage-int8 · core ml CPU_ONLY"
    assert len(default.costs) == 3
    alone = placements_of(derived([core_ml("CPU_AND_NE")]))
    assert alone.advice[0].endswith(
        '[[configurations]] with runtime = "coreml", accelerator = "CPU_ONLY", threads = 2 and the same options.'
    )
    assert not placements_of(derived([core_ml("CPU_ONLY")])).accelerated


def test_scenarios_that_say_the_same_are_one_line_and_others_are_not() -> None:
    same = derived([Ran("onnx-int8", ONNX, 250, ON_CPU)])
    assert [row.scenarios for row in placements_of(same).rows] == [""]
    other = [
        same[0],
        replace(
            same[1], effective=Effective.from_json({**same[1].effective.to_json(), "placement": {CPU: {"MatMul": 1}}})
        ),
    ]
    assert [row.scenarios for row in placements_of(other).rows] == ["first-token", "steady"]
    silent = [same[0], replace(same[1], effective=Effective())]
    assert [row.scenarios for row in placements_of(silent).rows] == [""]


def test_without_an_accelerator_the_table_is_short_and_the_finding_says_so() -> None:
    operators = page_of(realistic()).of(Operators)[0]
    assert not operators.placements.accelerated
    assert not operators.placements.columns
    assert not operators.placements.advice
    told = "every operator that is known ran on CPUExecutionProvider; no accelerator was asked for"
    assert operators.finding == told
    assert "without accelerator" not in realistic_sections()
    assert "60 Add, 31 MatMul, 4 Softmax" in realistic_sections()


def test_the_finding_names_what_fell_back() -> None:
    (operators,) = page_of(across_runtimes()).of(Operators)
    assert operators.finding.startswith("onnx-int8 · onnxruntime xnnpack: 84 of 562 operators do not run on")
    assert len(operators.finding.split()) <= 25


def test_a_job_does_not_repeat_the_placement_and_the_fallback_differs_from_no_request(html: str) -> None:
    for entry in entries_of(across_runtimes()):
        job = job_detail(entry, all_sections().tells)
        names = [setting.name for setting in job.settings]
        assert {"placement", "placement_unknown"}.isdisjoint(names)
        assert not [setting for setting in job.settings if setting.name == "fallback" and setting.differs]
    assert "Operators per accelerator" not in html


def test_a_peer_that_failed_leaves_no_ratio() -> None:
    failed = across_runtimes()[-1].outcome
    gpu = Ran("tflite-int8", LITERT_GPU, 142, ON_GPU)
    row = row_of(
        placements_of(derived([Ran("tflite-int8", LITERT, 142, outcome=failed), gpu])), "tflite-int8 · litert gpu"
    )
    assert row.costs == ()
    assert row.instead.startswith("no value that smollm2-135m · tflite-int8 · litert 2 threads")
    half = derived([Ran("tflite-int8", LITERT, 142, ON_LITERT), gpu])
    half[3] = replace(half[3], outcome=failed, metrics=())
    row = row_of(placements_of(half), "tflite-int8 · litert gpu")
    assert [cost.text for cost in row.costs][-1] == "no value"
    assert sections_html(page_of(half), "operators")


ODD: tuple[Any, ...] = (
    None,
    True,
    0,
    -3,
    1e999,
    "a text",
    [],
    [1, [2]],
    {},
    {"a": 1},
    {"a": {"b": "c"}},
    {"a": {"b": -1, "c": True, "d": 1e3, "e": 10**400}},
    {"": {"": 2}},
    {"a": {f"kind {number}": 1 for number in range(600)}},
)


@pytest.mark.parametrize("name", ["accelerators", "placement", "placement_unknown", "fallback", "execution"])
@pytest.mark.parametrize("odd", ODD, ids=lambda odd: json.dumps(odd)[:20])
def test_whatever_a_device_says_the_page_stands(name: str, odd: Any) -> None:
    for accelerator in (None, "npu"):
        found = result(effective={"accelerators": ["npu"], "placement": {"npu": {"Add": 1}}, name: odd})
        changed = replace(found.job, configuration=replace(found.job.configuration, accelerator=accelerator))
        page = sections_html(page_of([replace(found, job=changed)]), "operators")
        assert "Where operators ran" in page


def test_what_is_no_count_is_not_counted() -> None:
    row = told({"placement": {"a": {"b": -1, "c": True, "d": 1e3, "e": 10**400, "f": 2}, "g": 5}})
    assert [(place.name, place.count, place.kinds) for place in row.places] == [("a", "2 operators", ("2 f",))]
    assert told({"placement": [1]}).unknown == "what the device reported is not operators by place"
    (place,) = told({"placement": {"a": {f"kind {number}": 1 for number in range(600)}}}).places
    assert place.count == "600 operators"
    assert place.kinds[-1] == "100 other kinds"


@pytest.mark.parametrize("attack", ATTACKS)
def test_no_word_of_a_device_acts(attack: str, html: str) -> None:
    effective = {
        "accelerators": [attack],
        "placement": {attack: {f"{attack}{number}": 1 for number in range(9)}},
        "placement_unknown": attack,
        "fallback": {"summary": attack, "lost_ns": attack},
        "execution": attack,
    }
    hostile = [
        replace(
            each,
            effective=Effective.from_json(effective if number % 3 else {"placement_unknown": attack}),
            job=replace(each.job, configuration=replace(each.job.configuration, accelerator=attack, runtime=attack)),
            contrasts=[replace(contrast, other="elsewhere", title=attack) for contrast in each.contrasts],
        )
        for number, each in enumerate(across_runtimes())
    ]
    page = Elements(sections_html(page_of(hostile), "operators"))
    assert {tag for tag, _ in page.found} <= {tag for tag, _ in Elements(html).found}
    assert not [name for _, found in page.found for name in found if name.startswith("on")]
    assert page.text.count(attack) > 30
