"""Reports: a section is a package and a row, and nothing else knows it."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

import reports
from benchharness.results.result import ResultWarning, WarningKind
from reports.model.entries import entries_of
from reports.model.jobs import job_detail
from reports.model.section import SectionKind, in_a_line
from reports.pages import view
from reports.pages.html import render
from reports.sections import Sections, all_sections
from reports.sections.methods.section import Methods
from reports.sections.warnings.section import Warned
from tests.unit.report_course_samples import everything
from tests.unit.report_runtime_samples import across_runtimes
from tests.unit.report_samples import COLD, RUN, WARM, WRITTEN, Fake, page_of, realistic, result, sections_html

ROOT = Path(reports.__file__).parent

SECTION = """
from __future__ import annotations

from dataclasses import dataclass

from reports.model.entries import entries_of
from reports.model.jobs import job_detail
from reports.model.section import Material, Section


@dataclass(frozen=True, kw_only=True)
class Moonlight(Section):
    told: str


def make(material: Material) -> tuple[Moonlight, ...]:
    seen = [entry for entry in material.costs if entry.result.job.scenario == "moonlight"]
    told = f"<{len(seen)}> jobs"
    return (Moonlight(anchor="moonlight-1", subject="m", finding="<full>", told=told),) if seen else ()
"""
TEMPLATE = """
{% from "model/parts.html.j2" import facts %}
{% macro section(each, title, page) %}
<p>{{ each.told }}</p>{{ facts([("a", "<b>")]) }}
{% endmacro %}
"""


def test_a_section_from_elsewhere_is_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "moonlit.py").write_text(SECTION)
    (tmp_path / "section.html.j2").write_text(TEMPLATE)
    monkeypatch.syspath_prepend(tmp_path)
    own = SectionKind(
        name="moonlight",
        heading="By moonlight",
        make=importlib.import_module("moonlit").make,
        order=35,
        tells=("phase of the moon",),
    )
    ran = result(scenario="moonlight", metrics=Fake(1.0).first_token(), effective={"phase of the moon": "full"})
    with monkeypatch.context() as patched:
        kinds = tuple(sorted((*all_sections(), own), key=lambda kind: kind.order))
        patched.setattr(view, "all_sections", lambda: Sections(kinds, ("scenario <i>: no such",)))
        (html,) = render(RUN, [ran], written=WRITTEN).values()
    assert "It lacks a section: scenario &lt;i&gt;: no such." in html
    assert html.count("<h2>By moonlight</h2>") == 1
    assert "&lt;full&gt;" in html
    assert html.index('id="moonlight-1"') < html.index("&lt;1&gt; jobs") < html.index('id="start-1"')
    assert "<dd>&lt;b&gt;</dd>" in html
    (entry,) = entries_of([ran])
    told = [setting.name for setting in job_detail(entry, ("phase of the moon",)).settings]
    assert "phase of the moon" not in told, "the section tells it, so the details of the job do not"
    assert "phase of the moon" in [setting.name for setting in job_detail(entry).settings]
    (methods,) = page_of([result()]).of(Methods)
    assert any("behaviour under tight memory (scenario constrained)" in told for told in methods.is_not)


def test_a_finding_is_a_line() -> None:
    assert in_a_line([]) == ""
    assert in_a_line([], "nothing") == "nothing"
    assert in_a_line(["one", "", "two"]) == "one; two"
    many = in_a_line([f"row {number} has 3.4 MiB" for number in range(20)])
    assert many.endswith("; and 16 more")
    assert len(many.split()) <= 25
    assert in_a_line(["word " * 90, "x"]).endswith("word …")
    assert len(in_a_line(["x" * 9_000])) <= 240


def test_the_order_of_the_page_is_by_order() -> None:
    assert list(page_of(realistic()).sections) == [
        "builds",
        "failures",
        "warnings",
        "quality",
        "task",
        "start",
        "latency",
        "memory",
        "sustained",
        "pauses",
        "concurrent",
        "conversation",
        "hybrid",
        "constrained",
        "operators",
        "conditions",
        "methods",
    ]


@pytest.mark.parametrize("kind", all_sections().kinds, ids=[kind.name for kind in all_sections()])
def test_a_section_is_a_package_with_its_template(kind: SectionKind) -> None:
    assert kind.folder == ROOT / "sections" / kind.name
    template = (kind.folder / "section.html.j2").read_text(encoding="utf-8")
    assert "macro section(" in template
    assert "<section" not in template, "the page wraps it"
    assert "style=" not in template, "the page's policy refuses it"


def test_every_section_has_a_finding() -> None:
    for results in (realistic(), everything(), across_runtimes()):
        for name, several in page_of(results).sections.items():
            for each in several:
                assert each.finding, name
                assert len(each.finding.split()) <= 25, name


def test_the_sections_of_eight_variants_are_small() -> None:
    """A whole page has at most 3,000 elements and 200 kB without data; its first screen needs some of both."""
    made = [
        result(f"variant {number}", scenario=scenario, metrics=metrics)
        for number in range(8)
        for fake in [Fake(0.5 + number / 10, seed=number)]
        for scenario, metrics in (
            ("first-token", [*fake.first_token(), *fake.memory(COLD, 3e8)]),
            ("steady", [*fake.steady(), *fake.memory(WARM, 3e8 + number)]),
        )
    ]
    drawn = sections_html(page_of(made))
    assert len(re.findall(r"<[a-z]", drawn)) < 1_500
    assert len(drawn.encode()) < 110_000


@pytest.mark.parametrize("name", ["sustained", "constrained"])
def test_nothing_but_the_registry_names_a_section_of_a_scenario(name: str) -> None:
    """A scenario's section can be taken out, or another one added, without a change elsewhere."""
    own, registry = ROOT / "sections" / name, ROOT / "sections" / "__init__.py"
    files = [path for path in ROOT.rglob("*") if path.suffix in (".py", ".j2", ".css")]
    others = [path for path in files if path != registry and own not in path.parents]
    assert len(others) > 30
    assert [path for path in others if re.search(rf"\b{name}\b", path.read_text(encoding="utf-8"))] == []


def test_a_hint_that_all_warnings_of_a_kind_have_is_said_once() -> None:
    jobs = [result(name, warnings=[warned(f"{name} waited", "close other programs")]) for name in ("fp32", "int8")]
    (kind,) = page_of(jobs).of(Warned)[0].kinds
    assert kind.hint == "close other programs"
    assert {message.hint for message in kind.messages} == {""}
    assert sections_html(page_of(jobs), "warnings").count("close other programs") == 1
    jobs[1] = result("int8", warnings=[warned("int8 waited", "use fewer threads")])
    (kind,) = page_of(jobs).of(Warned)[0].kinds
    assert kind.hint == ""
    assert [message.hint for message in kind.messages] == ["close other programs", "use fewer threads"]


def warned(message: str, hint: str) -> ResultWarning:
    return ResultWarning(kind=WarningKind.CONTENDED, message=message, hint=hint)


def test_a_row_says_once_why_it_has_no_figures() -> None:
    (answer,) = page_of(across_runtimes()).answers
    notes = [[cell.note for cell in line.cells if cell.note] for line in answer.lines]
    several = [told for told in notes if len(told) > 1]
    assert several
    for told in several:
        assert len([each for each in told if each != "–"]) == len({*told} - {"–"})
