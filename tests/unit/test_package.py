"""What the wheel holds beside the packages: the demo, whole. `make package` builds it and runs the demo from it."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

import pytest

from benchharness import locations
from benchharness.suite.tables import load_suite
from tests.conftest import DEMO, ROOT

HATCH = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
INSIDE: dict[str, str] = HATCH["force-include"]


def test_every_artefact_of_the_demo_is_in_the_wheel_and_no_other() -> None:
    suite = load_suite(DEMO / "suite.toml")
    named = {variant.artefact.name for model in suite.models.values() for variant in model.variants.values()}
    expected = {"suite.toml", *(f"artefacts/{name}" for name in named)}
    assert set(INSIDE) == {f"examples/demo_model/{name}" for name in expected}
    assert set(INSIDE.values()) == {f"benchharness/demo_model/{name}" for name in expected}


def test_a_checkout_finds_the_demo_under_examples() -> None:
    assert locations.demo_suite() == DEMO / "suite.toml"
    assert locations.demo_suite().is_file()


def test_an_installed_package_finds_the_demo_inside_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = tmp_path / INSIDE["examples/demo_model/suite.toml"]
    installed.parent.mkdir(parents=True)
    shutil.copy(DEMO / "suite.toml", installed)
    monkeypatch.setattr(locations, "__file__", str(tmp_path / "benchharness" / "locations.py"))
    assert locations.demo_suite() == installed


def test_every_package_of_the_checkout_is_in_the_wheel() -> None:
    assert HATCH["packages"] == ["benchharness", "targets", "reports"]
    assert all((ROOT / package / "py.typed").is_file() for package in HATCH["packages"])
