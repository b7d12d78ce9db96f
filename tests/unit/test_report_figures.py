"""Figures: what an SVG is made of, what it says to those who cannot see it, and what it weighs."""

from __future__ import annotations

import dataclasses
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator

import pytest

from reports.figures import pareto
from reports.figures.canvas import INK, QUIET, WIDTH, Axis, Sheet, number, short
from reports.figures.figure import Figure, figure_text, range_text
from reports.figures.pareto import SIGNS, Pareto, Row, sign_of
from reports.figures.pareto import Metric as PlotMetric
from reports.figures.svg import path_text, svg
from reports.sections.latency.chart import Distribution, Lane, Strip
from reports.sections.memory.chart import MemoryLine, MemoryLines
from tests.unit.report_course_samples import everything
from tests.unit.report_runtime_samples import across_runtimes
from tests.unit.report_samples import page_of, realistic


def figures_in(data: object) -> Iterator[Figure]:
    if isinstance(data, Figure):
        yield data
    elif dataclasses.is_dataclass(data):
        for field in dataclasses.fields(data):
            yield from figures_in(getattr(data, field.name))
    elif isinstance(data, tuple):
        for each in data:
            yield from figures_in(each)


@pytest.fixture(scope="module")
def drawn() -> list[tuple[Figure, str]]:
    """Every kind of figure once or more."""
    pages = [page_of(results) for results in (realistic(), everything(), across_runtimes())]
    found = [each for page in pages for several in page.sections.values() for each in figures_in(several)]
    return [(figure, svg(figure, f"figure-{at}")) for at, figure in enumerate(found)]


def test_every_kind_is_among_them(drawn: list[tuple[Figure, str]]) -> None:
    assert {type(figure).__name__ for figure, _ in drawn} == {
        "PhaseBars",
        "Distribution",
        "TokenCurves",
        "MemoryBars",
        "MemoryLines",
        "CourseChart",
        "RateBars",
        "PauseCurves",
        "LadderChart",
        "SlowdownBars",
        "Ratios",
    }


def test_a_figure_needs_nothing_and_brings_no_style(drawn: list[tuple[Figure, str]]) -> None:
    for _, text in drawn:
        tags = {element.tag for element in ET.fromstring(text).iter()}
        assert tags <= {"svg", "title", "desc", "path", "text"}
        assert "style" not in text
        assert "http" not in text


def test_a_figure_fits_a_phone_and_its_text_stays_readable(drawn: list[tuple[Figure, str]]) -> None:
    for figure, text in drawn:
        root = ET.fromstring(text)
        width = float(root.attrib["viewBox"].split()[2])
        assert float(root.attrib["font-size"]) * 328 / width >= 11, figure.title
        assert "font-size" not in {key for element in root.iter("text") for key in element.attrib}


def test_ink_is_the_pages_own(drawn: list[tuple[Figure, str]]) -> None:
    """So that it is light in the dark: no colour of ours for ink, and none for what is not so important."""
    for _, text in drawn:
        assert INK not in text
        assert QUIET not in text
        root = ET.fromstring(text)
        assert root.attrib["fill"] == "currentColor"
        assert "quiet" in {element.attrib.get("class") for element in root.iter("text")}


def test_a_figure_tells_its_numbers(drawn: list[tuple[Figure, str]]) -> None:
    for figure, text in drawn:
        title, described = list(ET.fromstring(text))[:2]
        assert (title.tag, title.text) == ("title", figure.title)
        assert (described.tag, described.text) == ("desc", figure.description)
        assert re.search(r"\d", figure.description), figure
        root = ET.fromstring(text)
        assert root.attrib["aria-labelledby"].split() == [title.attrib["id"], described.attrib["id"]]


def test_a_figure_is_the_same_each_time_and_its_ids_are_its_own(drawn: list[tuple[Figure, str]]) -> None:
    figure, text = drawn[0]
    assert svg(figure, "figure-0") == text
    ids = re.findall(r' id="([^"]*)"', text)
    assert ids == ["figure-0", "figure-0-title", "figure-0-desc"]


def test_thousands_of_samples_are_a_few_paths() -> None:
    values = tuple(float(at % 97) for at in range(1000))
    strip = Strip(label="x", colour=0, lanes=tuple(Lane(values=values, middle=3.0, total=1000) for _ in range(4)))
    figure = Distribution(title="t", unit="ms", note="", logarithmic=False, strips=(strip,))
    drawn = svg(figure, "one")
    assert drawn.count("<path") <= 4  # lines across, dots of even and odd lanes, medians
    assert drawn.count("h0") == 4000
    assert len(drawn) < 60_000


def test_a_long_title_stands_above_a_figure_and_not_cut_below_it() -> None:
    strip = Strip(label="x", colour=0, lanes=(Lane(values=(1.0, 2.0), middle=1.5, total=2),))
    title = "model TTFT, prompt tokens 18, context depth 0"
    drawn = svg(Distribution(title=title, unit="ms", note="", logarithmic=True, strips=(strip,)), "one")
    assert ">ms, logarithmic<" in drawn
    assert "…" not in drawn


def test_numbers_of_a_figure_are_written_as_elsewhere() -> None:
    assert [figure_text(each) for each in (8030.4, 73.0, 0.0123)] == ["8,030", "73.0", "0.0123"]
    assert range_text((8030.4, 1_234_567.0)) == "8,030 to 1,234,567"


def test_an_attempt_of_one_look_is_a_dot() -> None:
    line = MemoryLine(label="x", colour=0, attempts=1, seconds=(0.0,), resident=(0.0,))
    assert "h0" in svg(MemoryLines(title="t", unit="MiB", note="", lines=(line,)), "one")


def test_a_path_is_short_and_still_the_same() -> None:
    assert path_text("M 10.04 20 \nL 30.26 20 \nL 30.26 5 \nL 31 6 \nL 32.5 7.25 \nz") == "M10 20H30.3V5L31 6 32.5 7.2z"
    assert path_text("M 1 2 \nL 1 2 \n") == "M1 2h0"
    assert path_text("M 0 0 \nC 1 1 2 2 3 3 \nL 3 9 \n") == "M0 0C1 1 2 2 3 3V9"


@pytest.mark.parametrize(
    ("axis", "ticks"),
    [
        (Axis(0, 10, 0, 100), [0, 2.5, 5, 7.5, 10]),
        (Axis(1, 1000, 0, 100, logarithmic=True), [1, 10, 100, 1000]),
        (Axis(1, 9, 0, 100, logarithmic=True), [1, 2, 5]),
        (Axis(5, 5, 0, 100), [5]),
    ],
)
def test_an_axis_has_a_few_round_ticks(axis: Axis, ticks: list[float]) -> None:
    assert axis.ticks() == ticks


def test_what_is_beyond_an_axis_stands_at_its_end() -> None:
    axis = Axis(1, 100, 0, 50, logarithmic=True)
    assert [axis.at(value) for value in (0, 1, 10, 100, 1e9)] == [0, 0, 25, 50, 50]


def test_words_on_a_sheet_fit_and_its_numbers_are_written_as_elsewhere() -> None:
    assert len(short("x" * 500)) < 60
    assert [number(value) for value in (0, 0.25, -3, 12_345)] == ["0", "0.25", "−3", "12,345"]
    sheet, top = Sheet.under([("#123456", "a label of some length")] * 4, 10)
    assert top == 36  # two lines of two
    assert sheet.height == top + 10
    assert Sheet.under([], 10)[1] == 0
    assert WIDTH < 360


@pytest.mark.parametrize("limit", [82.0, 100.0, 181.0, 200.0])
def test_what_a_limit_says_is_on_no_mark_and_across_no_line(limit: float) -> None:
    across = PlotMetric(title="size, kB", higher=False, limit=limit, limit_text=f"{limit:.0f} kB")
    upwards = PlotMetric(title="accuracy, %", higher=True, limit=90.0, limit_text="90 %")
    rows = tuple(
        Row(label=f"v{at}", runtime="r", shape=0, swatch=0, x=(at, at, at), y=(y, y, y), named=False)
        for at, y in ((80.0, 84.0), (190.0, 89.0), (60.0, 89.5))
    )
    chart = Pareto(title="t", unit="u", note="", across=across, upwards=upwards, rows=rows)
    axis = across.axis([row.x for row in rows], 46.0, WIDTH - 4.0)
    level = upwards.axis([row.y for row in rows], 234.0, 24.0)
    (_, first), (_, second) = chart.limit_words(axis, level)
    for left, top, right, bottom in (first, second):
        assert not left < axis.at(limit) < right
        assert not top < level.at(90.0) < bottom
        for row in rows:
            x, y = axis.at(row.x[0]), level.at(row.y[0])
            assert not (left < x < right and top < y < bottom)
    assert first[2] <= second[0] or second[2] <= first[0] or first[3] <= second[1] or second[3] <= first[1]


def test_a_runtime_has_the_sign_that_it_has_in_the_table_whatever_is_drawn() -> None:
    """The second of three has no figure, and a ninth one is still told from the first."""
    metric = PlotMetric(title="size, kB", higher=False, limit=None, limit_text="")
    rows = tuple(
        Row(label=f"v{at}", runtime=f"r{at}", shape=at, swatch=0, x=(at, at, at), y=(at, at, at), named=False)
        for at in (0, 2, 8)
    )
    chart = Pareto(title="t", unit="u", note="", across=metric, upwards=metric, rows=rows)
    assert chart.shapes == [("●", "r0"), ("▲", "r2"), (sign_of(8), "r8")]
    assert len(set(SIGNS)) == len(SIGNS) == 9
    assert chart.draw() is not None


def test_one_wide_interval_leaves_the_others_room() -> None:
    """Two attempts of a busy machine give intervals of a thousand times the value; it runs to the edge."""
    metric = PlotMetric(title="model TTFT, ms", higher=False, limit=None, limit_text="")
    axis = metric.axis([(1.0, 0.9, 1.1), (2.0, 0.001, 400_000.0)], 234.0, 24.0)
    assert abs(axis.at(1.0) - axis.at(2.0)) > 20
    wide = Row(label="v", runtime="r", shape=0, swatch=0, x=(2, 2, 2), y=(2, 0.001, 400_000), named=False)
    _, (_, low, high) = pareto._whiskers(wide, metric.axis([(2, 1, 3)], 46.0, 300.0), axis)
    assert 24 <= high < axis.at(2.0) < low <= 234
