"""What the documentation says exists, and what exists is documented."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import get_args

import pytest

from benchharness.commands import COMMANDS
from benchharness.metrics import METRICS
from benchharness.results.result import OutcomeKind, WarningKind
from benchharness.suite.hardware import load_hardware
from benchharness.suite.scenarios import Scenarios
from benchharness.suite.tables import Attempts, check_suite, load_suite
from tests.conftest import ROOT

INDEX = (ROOT / "docs" / "scenarios.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_stands_in_the_readme(command: str) -> None:
    assert f"`benchharness {command}" in README


@pytest.mark.parametrize("kind", [kind.value for kind in WarningKind])
def test_every_warning_stands_in_the_readme(kind: str) -> None:
    assert f"`{kind}`" in README


@pytest.mark.parametrize("outcome", [kind.value for kind in OutcomeKind])
def test_every_outcome_stands_in_the_readme(outcome: str) -> None:
    assert f"`{outcome}`" in README


@pytest.mark.parametrize("metric", [name for name, metric in METRICS.items() if metric.headline])
def test_every_headline_metric_stands_in_the_readme(metric: str) -> None:
    assert f"`{metric}`" in README


SETTINGS = [
    (section, key)
    for section, table in Scenarios.model_fields.items()
    for key in next(kind for kind in get_args(table.annotation) if kind is not type(None)).model_fields
]


@pytest.mark.parametrize(("section", "key"), [*SETTINGS, *(("attempts", key) for key in Attempts.model_fields)])
def test_every_setting_stands_on_its_scenarios_page(section: str, key: str) -> None:
    if section == "attempts":
        found = re.search(r"^## For all of them.*?(?=^## |\Z)", INDEX, flags=re.MULTILINE | re.DOTALL)
        assert found is not None
        assert f"`{key}`" in found[0]
    else:
        name = section.replace("_", "-")
        assert f"`{key}`" in (ROOT / "docs" / "scenarios" / f"{name}.md").read_text(encoding="utf-8")
        assert f"(scenarios/{name}.md)" in INDEX


@pytest.mark.parametrize("page", sorted((ROOT / "docs").rglob("*.md")), ids=lambda page: page.stem)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)", page.read_text(encoding="utf-8")):
        there = (page.parent / target).resolve() if target else page
        assert there.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", there.read_text(encoding="utf-8"), flags=re.MULTILINE)
            assert anchor in {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}, anchor


def test_the_suite_in_the_readme_is_a_suite() -> None:
    (text,) = re.findall(r"```toml\n(.*?)```", README, flags=re.DOTALL)
    suite = check_suite({"name": "readme", **tomllib.loads(text)}, where="README.md")
    assert suite.budgets
    assert suite.attempts.interval == 0.02


@pytest.mark.parametrize("target", re.findall(r"\]\(((?!http)[^)#]+)\)", README))
def test_every_link_of_the_readme_leads_somewhere(target: str) -> None:
    assert (ROOT / target).exists()


@pytest.mark.parametrize("target", re.findall(r"^make ([a-z0-9-]+)", README, flags=re.MULTILINE))
def test_every_make_target_of_the_readme_is_one(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)


def test_the_changelog_and_the_decisions_are_there() -> None:
    assert (ROOT / "CHANGELOG.md").is_file()
    assert list((ROOT / "docs" / "decisions").glob("0001-*.md"))


@pytest.mark.parametrize("profile", sorted((ROOT / "targets" / "hardware").glob("*.toml")), ids=lambda path: path.stem)
def test_every_hardware_profile_is_one(profile: Path) -> None:
    assert load_hardware(str(profile)).budgets


@pytest.mark.parametrize(
    "suite", sorted((ROOT / "examples").glob("*/suite*.toml")), ids=lambda path: f"{path.parent.name}/{path.stem}"
)
def test_every_example_suite_is_one(suite: Path) -> None:
    loaded = load_suite(suite)
    chain = loaded.scenarios.constrained.fallback_chain if loaded.scenarios.constrained else ()
    assert set(chain) <= {name for model in loaded.models.values() for name in model.variants}
