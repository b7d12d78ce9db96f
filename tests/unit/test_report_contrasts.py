"""Reports: runtimes at equal precision, and a summary in which several runtimes stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from benchharness.results.result import Basis, Contrast, Estimate, Result
from benchharness.results.told import Effective
from reports.figures.svg import svg
from reports.model.tables import Cell
from reports.sections.latency.chart import Distribution, TokenCurves
from reports.sections.latency.section import Latency
from reports.sections.memory.section import Memory
from reports.sections.operators.runtimes import ContrastRow, RuntimeContrasts
from reports.sections.operators.section import Operators
from tests.unit.report_runtime_samples import (
    CORE_ML,
    LITERT,
    ON_CPU,
    ON_HOST,
    ON_LITERT,
    ONNX,
    Ran,
    across_runtimes,
    across_runtimes_sections,
    derived,
)
from tests.unit.report_samples import page_of, realistic, realistic_sections, sections_html
from tests.unit.test_report_safety import ATTACKS, Elements


def compared(results: Sequence[Result]) -> Operators:
    (found,) = page_of(results).of(Operators)
    return found


@pytest.fixture(scope="module")
def everything() -> Operators:
    return compared(across_runtimes())


@pytest.fixture(scope="module")
def html() -> str:
    return across_runtimes_sections()


def runtimes_of(comparison: Operators) -> RuntimeContrasts:
    assert comparison.runtimes
    return comparison.runtimes


def contrast_row(comparison: Operators, precision: str, configuration: str) -> ContrastRow:
    (group,) = (group for group in runtimes_of(comparison).groups if group.precision == precision)
    (row,) = (row for row in group.rows if row.configuration == configuration)
    return row


def cell(row: ContrastRow, at: int) -> Cell:
    found = row.cells[at]
    assert found.quantity
    assert found.ratio
    return found


def test_rows_of_a_precision_stand_together_the_first_runtime_first(everything: Operators) -> None:
    told = {group.precision: [row.configuration for row in group.rows] for group in runtimes_of(everything).groups}
    assert told == {
        "fp32": ["onnxruntime 2 threads", "litert 2 threads", "litert gpu, half precision"],
        "int8": ["onnxruntime 2 threads", "litert 2 threads", "litert gpu", "core ml, neural engine"],
        "int4": ["onnxruntime 2 threads", "litert 2 threads"],
    }
    assert list(told) == ["fp32", "int8", "int4"]  # fp16 is in one runtime only
    for group in runtimes_of(everything).groups:
        assert [row.first for row in group.rows] == [True] + [False] * (len(group.rows) - 1)


def test_a_cell_has_the_value_and_the_ratio_to_the_first_runtime(everything: Operators) -> None:
    titles = [column.title for group in runtimes_of(everything).columns for column in group.columns]
    assert titles == ["model TTFT", "cold-start TTFT", "prefill rate (pp)", "decode rate (tg)", "peak memory"]
    first = contrast_row(everything, "int8", "onnxruntime 2 threads")
    other = contrast_row(everything, "int8", "litert 2 threads")
    assert cell(first, 0).ratio.verdict == "reference"  # type: ignore[union-attr]
    (contrast,) = (
        contrast
        for result in across_runtimes()
        for contrast in result.contrasts
        if result.job.title == "smollm2-135m · tflite-int8 · litert 2 threads · chat 128 · first-token"
        and contrast.basis is Basis.RUNTIME
    )
    ratio = next(ratio for name, _, ratio in contrast.ratios if name == "model_ttft")
    shown = cell(other, 0).ratio
    assert shown
    assert ratio.value
    assert ratio.value == pytest.approx(0.55 / 0.42, rel=0.05)
    assert (shown.text, shown.verdict) == (f"{ratio.value:.3f}×", "worse")
    assert shown.interval == f"{ratio.low:.3f} to {ratio.high:.3f}"
    memory = cell(other, 4).ratio
    assert memory
    assert memory.verdict == "better"


@pytest.mark.parametrize(
    ("told", "note"), [("request_ttft", "takes a text: request TTFT alone"), ("tpot", "the worker did not report it")]
)
def test_a_runtime_without_a_ttft_of_token_ids_says_why(told: str, note: str) -> None:
    def renamed(result: Result) -> Result:
        if result.job.configuration.name != LITERT["name"]:
            return result
        metrics = [replace(each, name=told) if each.name == "model_ttft" else each for each in result.metrics]
        return replace(result, metrics=metrics)

    row = contrast_row(compared([renamed(each) for each in across_runtimes()]), "int8", "litert 2 threads")
    assert row.cells[0].note == note


def with_ratio(results: Sequence[Result], low: float | None, high: float | None) -> list[Result]:
    def changed(contrast: Contrast) -> Contrast:
        reason = "" if low else "one attempt"
        estimate = Estimate(value=1.0, low=low, high=high, count=5, statistic="paired", reason=reason)
        return replace(contrast, ratios=[(name, parameters, estimate) for name, parameters, _ in contrast.ratios])

    return [replace(each, contrasts=[changed(contrast) for contrast in each.contrasts]) for each in results]


def two_runtimes(precision: str = "int8") -> list[Result]:
    return derived(
        [Ran(f"onnx-{precision}", ONNX, 250, ON_CPU), Ran(f"tflite-{precision}", LITERT, 142, ON_LITERT, time=1.3)]
    )


@pytest.mark.parametrize(
    ("low", "high", "ttft", "rate"),
    [
        (0.8, 0.9, "better", "worse"),
        (1.1, 1.2, "worse", "better"),
        (1.005, 1.2, "not-apart", "not-apart"),  # within 1 % of the same
        (0.8, 0.995, "not-apart", "not-apart"),
        (1.0101, 1.2, "worse", "better"),
        (0.9, 1.1, "not-apart", "not-apart"),
        (None, None, "no-interval", "no-interval"),
    ],
)
def test_better_and_worse_are_said_only_where_the_interval_leaves_out_one(
    low: float | None, high: float | None, ttft: str, rate: str
) -> None:
    row = contrast_row(compared(with_ratio(two_runtimes(), low, high)), "int8", "litert 2 threads")
    verdicts = [cell(row, at).ratio.verdict for at in (0, 3)]  # type: ignore[union-attr]
    assert verdicts == [ttft, rate]
    figure = runtimes_of(compared(with_ratio(two_runtimes(), low, high))).figures[0]
    assert figure.groups[0].dots[0].verdict == ttft


def test_sizes_are_exact_and_to_the_first_runtime(everything: Operators) -> None:
    row = contrast_row(everything, "int8", "litert 2 threads")
    assert row.size.text == "135 MiB, 0.568×"
    assert contrast_row(everything, "int8", "onnxruntime 2 threads").size.text == "238 MiB"


def test_reference_execution_has_sizes_and_no_numbers(everything: Operators, html: str) -> None:
    row = contrast_row(everything, "int8", "core ml, neural engine")
    assert row.size.text == "130 MiB, 0.544×"
    assert [(each.state, each.note, each.span) for each in row.cells] == [
        ("absent", "reference execution, weights only", 5)
    ]
    assert '<td class="absent" colspan="5">reference execution, weights only</td>' in html
    page = page_of(across_runtimes())
    assert "mlpackage" not in str(page.of(Memory)[0].parts)
    assert "mlpackage" not in str(page.of(Latency)[0].spreads)


def test_times_that_a_reference_execution_claims_are_not_shown() -> None:
    results = derived([Ran("onnx-int8", ONNX, 250, ON_CPU), Ran("mlpackage-int8", CORE_ML, 136, ON_CPU)])
    claimed = [
        replace(each, effective=Effective.from_json({**each.effective.to_json(), **ON_HOST}))
        if each.job.configuration.runtime == "coreml"
        else each
        for each in results
    ]
    comparison = compared(claimed)
    row = contrast_row(comparison, "int8", "core ml, neural engine")
    assert [each.note for each in row.cells] == ["reference execution, weights only"]
    assert runtimes_of(comparison).figures == ()


def test_a_failed_row_shows_its_outcome(everything: Operators) -> None:
    (failed,) = contrast_row(everything, "int4", "litert 2 threads").cells
    assert (failed.state, failed.span) == ("failed", 5)
    assert failed.note == "out-of-memory: the kernel ended the worker in phase load"


def test_a_first_runtime_without_values_leaves_the_others_without_ratio() -> None:
    failed = across_runtimes()[-1].outcome
    results = derived(
        [Ran("onnx-int8", ONNX, 250, outcome=failed), Ran("tflite-int8", LITERT, 142, ON_LITERT, time=1.3)]
    )
    comparison = compared(results)
    shown = cell(contrast_row(comparison, "int8", "litert 2 threads"), 0).ratio
    assert shown
    assert (shown.text, shown.reason) == ("no ratio", "no value on onnx-int8")
    assert runtimes_of(comparison).figures == ()
    assert "no ratio" in sections_html(page_of(results), "operators")


def test_thread_counts_of_one_precision_are_groups_of_their_own() -> None:
    four = [
        Ran("onnx-int8", {**ONNX, "name": "onnxruntime 4 threads", "threads": 4}, 250, ON_CPU),
        Ran("tflite-int8", {**LITERT, "name": "litert 4 threads", "threads": 4}, 142, ON_LITERT),
    ]
    two = [Ran("onnx-int8", ONNX, 250, ON_CPU), Ran("tflite-int8", LITERT, 142, ON_LITERT)]
    groups = runtimes_of(compared(derived([*two, *four]))).groups
    assert [group.precision for group in groups] == [
        "int8, against onnx-int8 · onnxruntime 2 threads",
        "int8, against onnx-int8 · onnxruntime 4 threads",
    ]
    assert [len(group.rows) for group in groups] == [2, 2]


def test_nothing_is_shown_without_a_second_runtime() -> None:
    assert all(each.runtimes is None for each in page_of(realistic()).of(Operators))
    assert "Runtimes at equal precision" not in realistic_sections()


def test_the_first_runtime_may_not_be_on_the_page() -> None:
    alone = [each for each in two_runtimes() if each.job.configuration.runtime == "litert"]
    (group,) = runtimes_of(compared(alone)).groups
    assert group.against.startswith("smollm2-135m · onnx-int8 · onnxruntime 2 threads")
    assert [row.first for row in group.rows] == [False]


def test_a_figure_has_a_dot_for_each_ratio_on_one_axis(everything: Operators) -> None:
    fp32, int8 = runtimes_of(everything).figures  # int4 has no second row with a value
    assert (fp32.lowest, fp32.highest) == (int8.lowest, int8.highest)
    assert fp32.lowest < 1 < fp32.highest
    assert [group.label for group in int8.groups] == ["tflite-int8 · litert 2 threads", "tflite-int8 · litert gpu"]
    assert [dot.metric for dot in int8.groups[0].dots] == [
        "model TTFT ↓",
        "cold-start TTFT ↓",
        "prefill rate (pp) ↑",
        "decode rate (tg) ↑",
        "peak memory ↓",
    ]
    drawn = svg(int8, "one")
    assert drawn == svg(int8, "one")
    for dot in int8.groups[0].dots:
        assert f">{dot.metric}</text>" in drawn
        assert f"{dot.metric} {dot.text}" in int8.description
    assert [label for _, label in fp32.legend()] == [
        "better",
        "hollow: no clear difference, or no interval",
    ]


@pytest.mark.parametrize(
    ("value", "low", "high"),
    [(1e-6, 1e-9, 1e3), (1e5, 0.0, float("inf")), (1.0, 1.0, 1.0), (1.0, None, None), (3.0, 0.001, 9000.0)],
)
def test_any_ratio_can_be_drawn(value: float, low: float | None, high: float | None) -> None:
    (drawn,) = runtimes_of(compared(with_ratio(two_runtimes(), 0.9, 1.1))).figures
    results = [
        replace(
            each,
            contrasts=[
                replace(
                    contrast,
                    ratios=[
                        (name, parameters, replace(ratio, value=value, low=low, high=high))
                        for name, parameters, ratio in contrast.ratios
                    ],
                )
                for contrast in each.contrasts
            ],
        )
        for each in two_runtimes()
    ]
    (figure,) = runtimes_of(compared(results)).figures
    assert len(figure.groups[0].dots) == len(drawn.groups[0].dots)
    assert 0 < figure.lowest < figure.highest < float("inf")
    assert svg(figure, "one").startswith("<svg")


@pytest.mark.parametrize("value", [0.0, -1.0, 1e300, float("nan"), float("inf"), None])
def test_what_no_axis_can_show_is_not_drawn(value: float | None) -> None:
    results = [
        replace(
            each,
            contrasts=[
                replace(
                    contrast,
                    ratios=[
                        (name, parameters, replace(ratio, value=value)) for name, parameters, ratio in contrast.ratios
                    ],
                )
                for contrast in each.contrasts
            ],
        )
        for each in two_runtimes()
    ]
    assert runtimes_of(compared(results)).figures == ()
    assert sections_html(page_of(results), "operators")


def test_page_cache_states_have_dots_of_their_own() -> None:
    evicted = [
        replace(
            each,
            job=replace(
                each.job, key=f"{each.job.key}-evicted", settings={**each.job.settings, "page_cache": "evicted"}
            ),
            contrasts=[replace(contrast, other=f"{contrast.other}-evicted") for contrast in each.contrasts],
        )
        for each in two_runtimes()
        if each.job.scenario == "first-token"
    ]
    (figure,) = runtimes_of(compared([*two_runtimes(), *evicted])).figures
    assert [group.label for group in figure.groups] == [
        "tflite-int8 · first-token (page_cache warm)",
        "tflite-int8 · steady",
        "tflite-int8 · first-token (page_cache evicted)",
    ]


def test_rows_of_one_runtime_stand_together() -> None:
    table = page_of(across_runtimes()).of(Latency)[0].spreads[0].table
    families = [row.who.split("-")[0] for row in table.rows]
    assert families == sorted(families, key=["onnx", "tflite", "mlpackage"].index)


def test_a_precision_has_one_colour_in_every_runtime_but_not_twice_in_one() -> None:
    figures = page_of(across_runtimes()).of(Latency)[0].figures
    (curves,) = (figure for figure in figures if isinstance(figure, TokenCurves))
    colours = {curve.label: curve.colour for panel in curves.panels for curve in panel.curves}
    assert colours["onnx-int8"] == colours["tflite-int8"] != colours["onnx-fp32"] == colours["tflite-fp32"]
    twice = [replace(each, job=replace(each.job, precision="8 bit")) for each in realistic()[:12]]
    distribution = page_of(twice).of(Latency)[0].figures[0]
    assert isinstance(distribution, Distribution)
    strips = distribution.strips
    assert len({(strip.label.split(" · ")[0], strip.colour) for strip in strips}) == 3
    assert len({strip.colour for strip in strips}) == 3


@pytest.mark.parametrize("attack", ATTACKS)
def test_no_name_acts(attack: str, html: str) -> None:
    hostile = [
        replace(
            each,
            job=replace(
                each.job,
                variant=attack + each.job.variant,
                reference=attack + each.job.reference,
                precision=attack,
                configuration=replace(
                    each.job.configuration,
                    name=attack + each.job.configuration.name,
                    runtime=attack + each.job.configuration.runtime,
                ),
            ),
            contrasts=[replace(contrast, title=attack) for contrast in each.contrasts],
        )
        for each in across_runtimes()
    ]
    page = sections_html(page_of(hostile))
    assert {tag for tag, _ in Elements(page).found} <= {tag for tag, _ in Elements(html).found}
    assert not [name for _, found in Elements(page).found for name in found if name.startswith("on")]
    assert f"{attack}litert" in Elements(page).text
    assert attack in Elements(page).svg_text


def test_ids_are_unique_and_no_cell_is_empty(html: str) -> None:
    elements = Elements(html).found
    ids = [found["id"] for _, found in elements if "id" in found]
    assert len(ids) == len(set(ids))
    assert {str(found["href"])[1:] for _, found in elements if "href" in found} <= set(ids)
    assert "<td></td>" not in html.replace("\n", "")
