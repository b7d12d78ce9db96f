"""Reports: memory and sizes."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from benchharness.results.result import AttemptValue, MetricResult, Outcome, OutcomeKind, Result
from benchharness.results.told import Conditions
from reports.figures.svg import svg
from reports.model.entries import entries_of
from reports.model.jobs import JobDetail, job_detail
from reports.model.tables import Quantity
from reports.sections.memory.chart import MemoryBars, MemoryLines
from reports.sections.memory.section import Memory
from tests.unit.report_samples import COLD, WARM, Fake, page_of, realistic, result, sections_html

MIB = 2**20


def measured(first: float, steady: float, variant: str = "int8") -> list[Result]:
    return [
        result(variant, scenario="first-token", metrics=Fake(1.0).memory(COLD, first * MIB)),
        result(variant, scenario="steady", metrics=Fake(1.0).memory(WARM, steady * MIB)),
    ]


def memory_of(results: list[Result]) -> Memory:
    return page_of(results).of(Memory)[0]


def details(results: list[Result]) -> list[JobDetail]:
    return [job_detail(entry) for entry in entries_of(results)]


def test_memory_is_told_of_the_scenario_that_needed_most() -> None:
    found = memory_of([*measured(300, 400, "fp32"), *measured(200, 250)])
    assert [part.table.scenario for part in found.parts] == ["steady"]
    assert found.finding.startswith("peak 25")
    assert "(int8) to 41" in found.finding
    assert "the model is 35" in found.finding
    assert found.finding.endswith("smallest file int8, 130 MiB (0.253×)")


def test_memory_is_told_twice_where_no_scenario_needed_most_on_every_row() -> None:
    parts = memory_of([*measured(500, 400, "fp32"), *measured(200, 250)]).parts
    assert [part.table.scenario for part in parts] == ["first-token", "steady"]
    failed = replace(measured(300, 400)[1], metrics=(), outcome=Outcome(kind=OutcomeKind.OUT_OF_MEMORY))
    parts = memory_of([*measured(300, 400, "fp32"), measured(200, 250)[0], failed]).parts
    assert len(parts) == 2  # the one value of a row with a failed job is not hidden


def test_a_rows_peak_is_that_of_the_scenario_that_needed_most() -> None:
    found = memory_of([*measured(500, 400, "fp32"), *measured(200, 250)])
    assert re.match(r"peak 25\d MiB \(int8\) to [45]\d\d MiB \(fp32\)", found.finding), found.finding


def test_the_table_adds_up_to_the_peak_and_says_what_each_includes() -> None:
    (part,) = memory_of(measured(300, 400)).parts
    assert [title for title, _ in part.table.columns] == [
        "before the runtime",
        "+ runtime",
        "+ model",
        "= peak",
        "PSS at the end",
        "USS at the end",
    ]
    values = [cell.quantity.text for cell in part.table.rows[0].cells if cell.quantity]
    numbers = [float(text.split()[0]) for text in values]
    assert sum(numbers[:3]) == pytest.approx(numbers[3], rel=0.05)
    assert numbers[4] == pytest.approx(400 * 0.9 * 0.8, rel=0.1)  # at the end, not at the start
    html = sections_html(page_of(measured(300, 400)), "memory")
    assert "Python, the runtime and the model" in html
    assert "mapped weights" in html


def without(results: list[Result], *kinds: str) -> list[Result]:
    return [
        replace(
            each,
            metrics=[metric for metric in each.metrics if metric.parameters.get("kind") not in kinds],
            conditions=Conditions.from_json(
                {**each.conditions.to_json(), "memory_unknown": dict.fromkeys(kinds, "smaps_rollup cannot be read")}
            ),
        )
        for each in results
    ]


def test_an_unknown_kind_says_why() -> None:
    memory = memory_of(without(measured(300, 400), "pss", "uss"))
    pss = memory.parts[0].table.rows[0].cells[4]
    assert pss.state == "unknown"
    assert pss.quantity
    assert pss.quantity.reason == "smaps_rollup cannot be read"
    assert [(each.names, each.reason) for each in memory.unknown] == [(("pss", "uss"), "smaps_rollup cannot be read")]


def test_memory_that_could_not_be_read_at_all_says_why() -> None:
    blind = result(metrics=Fake(1.0).first_token(), conditions={"memory_unknown": {"memory": "psutil is missing"}})
    assert [each.reason for each in memory_of([blind]).unknown] == ["psutil is missing"]
    html = sections_html(page_of([blind]), "memory")
    assert "psutil is missing" in html
    odd = result(metrics=Fake(1.0).first_token(), conditions={"memory_unknown": "garbled"})
    assert memory_of([odd]).unknown == ()


def test_bars_show_both_parts_the_peak_and_the_baseline() -> None:
    bars, lines = memory_of(measured(300, 400)).figures
    assert isinstance(bars, MemoryBars)
    assert isinstance(lines, MemoryLines)
    (group,) = bars.groups
    assert bars.unit == "MiB"
    assert [bar.phase for bar in group.bars] == list(WARM)
    last = group.bars[-1]
    assert last.anonymous + last.file == pytest.approx(360, rel=0.05)
    assert last.anonymous == pytest.approx(1.5 * last.file, rel=0.1)
    assert last.resident == 0
    assert last.peak == pytest.approx(400, rel=0.05)
    assert group.baseline == pytest.approx(50, rel=0.05)
    drawn = svg(bars, "bars")
    assert all(f">{phase}</text>" in drawn for phase in WARM)
    told = [label for _, label in bars.legend()]
    assert told == [
        "anonymous",
        "file-backed (mapped weights, libraries)",
        "tick: highest within the phase",
        "dashed: before a model was loaded",
    ]


def test_bars_without_the_two_parts_show_what_is_resident() -> None:
    bars = memory_of(without(measured(300, 400), "anonymous", "file")).figures[0]
    assert isinstance(bars, MemoryBars)
    assert bars.groups[0].bars[-1].resident == pytest.approx(360, rel=0.05)
    assert "resident, its parts unknown" in [label for _, label in bars.legend()]
    assert svg(bars, "bars").startswith("<svg")


def timeline(samples: list[float], row_length: int = 2) -> list[Result]:
    found = measured(300, 400)[1]
    value = AttemptValue(attempt="a", device="d", round=0, value=1.0, samples=samples, row_length=row_length)

    def changed(metric: MetricResult) -> MetricResult:
        return replace(metric, attempts=[value]) if metric.name == "memory_timeline" else metric

    return [replace(found, metrics=[changed(metric) for metric in found.metrics])]


def lines_of(results: list[Result]) -> MemoryLines | None:
    return next((figure for figure in memory_of(results).figures if isinstance(figure, MemoryLines)), None)


def test_lines_of_one_colour_stand_in_panels_of_their_own() -> None:
    (first,) = timeline([0.0, 10.0 * MIB, 1e9, 20.0 * MIB])
    other = replace(first.job.configuration, name="tflite", runtime="tflite")
    lines = lines_of([first, replace(first, job=replace(first.job, configuration=other, key="f" * 16))])
    assert lines
    assert len({line.colour for line in lines.lines}) == 1
    assert len({line.panel for line in lines.lines}) == 2
    one, two = svg(replace(lines, lines=lines.lines[:1]), "one"), svg(lines, "two")
    assert "tflite<" not in one
    assert "tflite<" in two


def test_a_line_is_the_attempt_that_held_most_in_seconds_and_mebibytes() -> None:
    lines = lines_of(measured(300, 400))
    assert lines
    (line,) = lines.lines
    assert line.attempts == 5
    assert line.seconds == (0.2, 0.3, 0.4)
    assert line.resident[:2] == (15.0, 50.0)
    timelines = next(metric for metric in measured(300, 400)[1].metrics if metric.name == "memory_timeline").attempts
    assert line.resident[2] == pytest.approx(max(each.samples[5] for each in timelines) / MIB, rel=1e-5)


def test_a_long_line_is_thinned_and_keeps_its_peak() -> None:
    looks = [number for at in range(5000) for number in (at * 1e8, (900.0 if at == 2500 else 10.0) * MIB)]
    lines = lines_of(timeline(looks))
    assert lines
    (line,) = lines.lines
    assert len(line.seconds) <= 60
    assert max(line.resident) == 900


@pytest.mark.parametrize(
    ("samples", "row_length"), [([], 2), ([1.0, 2.0], 0), ([1.0], 2), ([float("nan"), 2.0], 2), ([1.0, 2.0], 3)]
)
def test_a_timeline_that_makes_no_sense_is_not_drawn(samples: list[float], row_length: int) -> None:
    assert lines_of(timeline(samples, row_length)) is None


def test_a_jobs_memory_by_phase_is_one_table_and_not_thirty_rows() -> None:
    (job,) = details(measured(300, 400)[:1])
    assert job.memory
    assert [row.who for row in job.memory.rows] == [each.replace("_", " ") for each in COLD]
    assert [title for title, _ in job.memory.columns][:2] == ["highest within it", "RSS at its end"]
    assert not [metric for metric in job.metrics if "phase" in metric.parameters and "memory" in metric.title]


def test_sizes_have_no_interval_and_a_ratio_to_the_reference() -> None:
    sizes = memory_of(realistic()).sizes
    assert sizes
    assert [cell.quantity.text for cell in sizes.rows[2].cells if cell.quantity] == [
        "136 MB, 0.253×",
        "102 MB, 0.253×",
        "43.8 MiB",
    ]
    download = next(metric for metric in details(realistic())[4].metrics if metric.title == "download size")
    assert (download.quantity.interval, download.attempts, download.samples) == ("", "none needed", "none needed")
    assert (download.ratio.text, download.ratio.interval, download.ratio.verdict) == ("0.300×", "", "better")
    same = result(metrics=[Fake(1.0).exactly("download_size", 5.0, 1.0)])
    assert details([same])[0].metrics[0].ratio.verdict == "same"


def test_an_unknown_download_size_says_why() -> None:
    unknown = Fake(1.0).exactly("download_size", 5.0)
    estimate = replace(unknown.estimate, value=None, low=None, high=None, reason="too large")
    found = result(metrics=[replace(unknown, estimate=estimate)])
    found = replace(found, job=replace(found.job, download_bytes=None))
    sizes = memory_of([found]).sizes
    assert sizes
    assert sizes.rows[0].cells[1].quantity == Quantity(text="unknown", reason="too large")


def test_memory_is_told_in_the_unit_of_its_budget() -> None:
    results = [
        replace(each, verdicts=[replace(one, unit="MB") for one in each.verdicts if one.metric == "peak_memory"])
        for each in realistic()
    ]
    section = memory_of(results)
    assert re.search(r"peak [\d.]+ MB ", section.finding)
    texts = [cell.quantity.text for row in section.parts[0].table.rows for cell in row.cells if cell.quantity]
    assert any(text.endswith(" MB") for text in texts)
    assert not any(text.endswith("iB") for text in texts)
    assert {figure.unit for figure in section.figures} == {"MB"}
