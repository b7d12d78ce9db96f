"""A scenario that is not ours: planned, run, judged and shown with nothing of the harness changed.

It is four files beside its package's metadata: its host module, its module on the device, and its section of a page,
which is data and a template.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.conftest import CommandLine

HOST = '''
"""Scenario `reset`: how long a session takes to forget."""
from benchharness.metrics.definition import Better, Metric, Unit
from benchharness.results.result import ResultWarning, WarningKind
from benchharness.scenarios.definition import Scenario, ScenarioSettings


class Settings(ScenarioSettings):
    """How often."""

    times: int = 5


class Reset(Scenario):
    """A session forgets, several times."""

    name = "reset"
    title = "how long forgetting takes"
    settings = Settings
    device = "forgetful_device"
    sections = ("forgetful_section",)
    one_attempt = "forgetting is always the same"
    metrics = (
        Metric(name="reset_time", title="reset", unit=Unit.NANOSECONDS, better=Better.LOWER,
               definition="one reset of a session", source="forgetful"),
    )

    def warnings(self, result):
        """One, to be seen."""
        yield ResultWarning(kind=WarningKind.UNSTABLE, message="forgetful", hint="remember")


SCENARIO = Reset()
'''
DEVICE = '''
"""Scenario `reset` on the device."""
import time

from benchharness.device.measured import measurement


def measure(stage):
    samples = []
    for _ in range(stage.settings["times"]):
        before = time.perf_counter_ns()
        stage.session.reset()
        time.sleep(0.001)
        samples.append(time.perf_counter_ns() - before)
    stage.phases.end("first_request")
    return [measurement("reset_time", {}, samples=samples)]
'''
SECTION = '''
"""Scenario `reset` on a page."""
from dataclasses import dataclass

from reports.model.section import Section, SectionKind


@dataclass(frozen=True, kw_only=True)
class Forgotten(Section):
    jobs: int


def make(material):
    jobs = [entry for entry in material.costs if entry.result.job.scenario == "reset"]
    return [Forgotten(anchor="reset-1", subject="", finding=f"{len(jobs)} forgot", jobs=len(jobs))] if jobs else []


SECTION = SectionKind(name="reset", heading="How it forgets", make=make)
'''
TEMPLATE = """
{% macro section(each, title, page) %}
<p>{{ each.jobs }} forgot, in full</p>
{% endmacro %}
"""
METADATA = {
    "METADATA": "Metadata-Version: 2.1\nName: forgetful\nVersion: 1\n",
    "entry_points.txt": "[benchharness.scenarios]\nreset = forgetful:SCENARIO\n",
}


@pytest.fixture
def on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "installed"
    (folder / "forgetful-1.dist-info").mkdir(parents=True)
    (folder / "forgetful.py").write_text(HOST)
    (folder / "forgetful_device.py").write_text(DEVICE)
    (folder / "forgetful_section.py").write_text(SECTION)
    (folder / "section.html.j2").write_text(TEMPLATE)
    for name, text in METADATA.items():
        (folder / "forgetful-1.dist-info" / name).write_text(text)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH", "")))))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "nothing.null"
    path.write_bytes(b"")
    return path


@pytest.mark.usefixtures("on_the_path")
def test_a_scenario_of_ones_own_is_planned_run_and_shown(benchharness: CommandLine, model: Path) -> None:
    (model.parent / "suite.toml").write_text(
        '[[configurations]]\nruntime = "null"\n[models.m.variants]\na = { artefact = "nothing.null" }\n'
        "[scenarios.reset]\ntimes = 7\n"
    )
    done = benchharness("run", "suite.toml", report=True)
    assert done.returncode == 0, done.stderr
    assert "reset" in done.stdout
    (result,) = json.loads(benchharness("export").stdout)["results"]
    assert (result["scenario"], result["outcomes"]) == ("reset", {"ok": 1})
    (metric,) = [each for each in result["metrics"] if each["name"] == "reset_time"]
    assert 1e6 <= metric["value"] < 1e9
    assert [each["message"] for each in result["warnings"]].count("forgetful") == 1
    page = model.parent / "report" / "this-machine.html"
    html = page.read_text()
    assert "How it forgets</h2>" in html
    assert "1 forgot, in full" in html
    assert "(scenario reset)" not in html


@pytest.mark.usefixtures("on_the_path")
def test_a_section_that_cannot_be_loaded_costs_the_page_nothing_else(benchharness: CommandLine, model: Path) -> None:
    (model.parent / "installed" / "forgetful_section.py").write_text("import what_is_not_there")
    done = benchharness("run", model, "--scenario", "steady", "--attempts", "1", "--runtime", "null", report=True)
    assert done.returncode == 0, done.stderr
    page = model.parent / "report" / "this-machine.html"
    told = "It lacks a section: scenario reset: forgetful_section: ModuleNotFoundError"
    assert told in page.read_text()


@pytest.mark.usefixtures("on_the_path")
def test_its_settings_are_checked_as_ours_are(benchharness: CommandLine, model: Path) -> None:
    (model.parent / "suite.toml").write_text(
        '[models.m.variants]\na = { artefact = "nothing.null" }\n[scenarios.reset]\ntime = 7\n'
    )
    done = benchharness("run", "suite.toml")
    assert done.returncode == 2
    assert "unknown key 'scenarios.reset.time'; did you mean 'times'?" in done.stderr


def test_one_that_is_not_installed_is_not_there(benchharness: CommandLine, model: Path) -> None:
    done = benchharness("run", model, "--scenario", "reset")
    assert done.returncode == 2
    assert "no scenario is called 'reset'" in done.stderr
