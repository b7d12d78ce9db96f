"""Reports: a section is a package and a row, and nothing else knows it."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

import reports
from reports.model.section import SectionKind, Side
from reports.pages import view
from reports.pages.html import render_runs
from reports.sections import Sections, all_sections
from tests.unit.report_samples import RUN, WRITTEN, Fake, page_of, realistic, result

ROOT = Path(reports.__file__).parent

SECTION = """
from __future__ import annotations

from dataclasses import dataclass

from reports.model.section import Material, Section


@dataclass(frozen=True, kw_only=True)
class Moonlight(Section):
    told: str


def make(material: Material) -> tuple[Moonlight, ...]:
    seen = [entry for entry in material.costs if entry.result.job.scenario == "moonlight"]
    return (Moonlight(anchor="moonlight-1", subject="m", told=f"<{len(seen)}> jobs"),) if seen else ()
"""
TEMPLATE = """
{% from "model/parts.html.j2" import facts %}
{% macro section(each, title, page) %}
<section id="{{ each.anchor }}"><h2>{{ title }}</h2><p>{{ each.told }}</p>{{ facts([("a", "<b>")]) }}</section>
{% endmacro %}
{% macro card(each, title) %}
<div class="card"><a href="#{{ each.anchor }}">{{ title }}</a></div>
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
        card=Side.LEFT,
        tells=("phase of the moon",),
    )
    ran = result(scenario="moonlight", metrics=Fake(1.0).first_token(), effective={"phase of the moon": "full"})
    with monkeypatch.context() as patched:
        patched.setattr(view, "all_sections", lambda: Sections((*all_sections(), own), ("scenario <i>: no such",)))
        (html,) = render_runs([(RUN, [ran])], written=WRITTEN).values()
    assert "It lacks a section: scenario &lt;i&gt;: no such." in html
    assert html.count("By moonlight: m") == 2
    assert html.index('href="#moonlight-1"') < html.index('<section id="comparison-1">') < html.index("&lt;1&gt; jobs")
    assert "<dd>&lt;b&gt;</dd>" in html
    assert "phase of the moon" not in html, "the section tells it, so the details of the job do not"
    (without,) = render_runs([(RUN, [result()])], written=WRITTEN).values()
    assert "It says nothing about behaviour under tight memory: scenario constrained was not run." in without
    (plain,) = render_runs([(RUN, [ran])], written=WRITTEN).values()
    assert "phase of the moon" in plain


def test_the_order_of_the_page_is_that_of_the_registry() -> None:
    assert list(page_of(realistic()).sections) == [kind.name for kind in all_sections()]


@pytest.mark.parametrize("kind", all_sections().kinds, ids=[kind.name for kind in all_sections()])
def test_a_section_is_a_package_with_its_template(kind: SectionKind) -> None:
    assert kind.folder == ROOT / "sections" / kind.name
    template = (kind.folder / "section.html.j2").read_text(encoding="utf-8")
    assert "macro section(" in template
    assert ("macro card(" in template) == (kind.card is not None)


@pytest.mark.parametrize("name", ["sustained", "constrained"])
def test_nothing_but_the_registry_names_a_section_of_a_scenario(name: str) -> None:
    """A scenario's section can be taken out, or another one added, without a change elsewhere."""
    own, registry = ROOT / "sections" / name, ROOT / "sections" / "__init__.py"
    files = [path for path in ROOT.rglob("*") if path.suffix in (".py", ".j2", ".css")]
    others = [path for path in files if path != registry and own not in path.parents]
    assert len(others) > 30
    assert [path for path in others if re.search(rf"\b{name}\b", path.read_text(encoding="utf-8"))] == []
