"""A package that is not ours, installed as its users install it: named, run and held to the contract."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import ROOT, CommandLine

PACKAGE = ROOT / "examples" / "adapter"
PAGE = (ROOT / "docs" / "adapters.md").read_text()
FEATURES, CLASSES = 64, 10


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the package is installed into, by pip and without a network."""
    folder = tmp_path_factory.mktemp("installed")
    source = shutil.copytree(PACKAGE, tmp_path_factory.mktemp("source") / "adapter")
    options = ("--quiet", "--disable-pip-version-check", "--no-index", "--no-deps", "--no-build-isolation")
    command = [sys.executable, "-m", "pip", "install", *options, "--target", str(folder), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def on_the_path(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(installed), os.environ.get("PYTHONPATH", "")))))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    path = tmp_path / "digits.linear.npz"
    np.savez(path, weights=random.normal(size=(FEATURES, CLASSES)), bias=random.normal(size=CLASSES))
    return path


def results(benchharness: CommandLine) -> dict[str, dict[str, Any]]:
    done = benchharness("export")
    assert done.returncode == 0, done.stderr
    return {result["scenario"]: result for result in json.loads(done.stdout)["results"]}


@pytest.mark.usefixtures("on_the_path")
def test_an_installed_adapter_is_named_with_what_it_says_of_itself(benchharness: CommandLine) -> None:
    done = benchharness("adapters")
    assert done.returncode == 0, done.stderr
    (row,) = [line for line in done.stdout.splitlines() if "numpy-linear" in line]
    assert [cell.strip() for cell in re.split("[│|]", row)[1:-1]] == [
        "numpy-linear",
        "yes",
        np.__version__,
        ".linear.npz",
        "cpu",
    ]


def test_an_adapter_that_is_not_installed_is_not_there(benchharness: CommandLine, model: Path) -> None:
    assert "numpy-linear" not in benchharness("adapters").stdout
    done = benchharness("run", model)
    assert done.returncode == 2
    assert "no adapter opens it" in done.stderr


@pytest.mark.usefixtures("on_the_path")
def test_an_installed_adapters_numbers_arrive(benchharness: CommandLine, model: Path) -> None:
    done = benchharness("run", model, "--attempts", "2", report=True)
    assert done.returncode == 0, done.stderr
    found = results(benchharness)
    assert found.keys() == {"first-token", "steady"}
    for result in found.values():
        assert (result["outcome"], result["outcomes"]) == ("ok", {"ok": 2})
        assert result["configuration"]["runtime"] == "numpy-linear"
        effective = result["effective"]
        assert (effective["accelerators"], effective["threads"]) == (["cpu"], 1)
        assert effective["runtime_version"] == np.__version__
        assert effective["inputs"] == {"x": ["float32", 1, FEATURES]}
    values = {metric["name"]: metric["value"] for metric in found["steady"]["metrics"]}
    assert values["artefact_size"] == model.stat().st_size
    assert 0 < values["steady_inference"] < 1e9
    assert values["peak_memory"] > 0
    assert model.stem in (model.parent / "report" / "this-machine.html").read_text()


@pytest.mark.usefixtures("on_the_path")
def test_a_suite_names_the_adapter_and_its_refusals_are_outcomes(benchharness: CommandLine, model: Path) -> None:
    (model.parent / "broken.linear.npz").write_bytes(model.read_bytes()[:500])
    (model.parent / "suite.toml").write_text(
        """
        [[configurations]]
        runtime = "numpy-linear"
        [[configurations]]
        name = "on an npu"
        runtime = "numpy-linear"
        accelerator = "npu"
        [models.digits.variants]
        whole = { artefact = "digits.linear.npz" }
        broken = { artefact = "broken.linear.npz" }
        [attempts]
        at_least = 1
        [scenarios.first-token]
        min_time = "1 ms"
        """
    )
    done = benchharness("run", "suite.toml")
    assert done.returncode == 3, done.stderr
    exported = json.loads(benchharness("export").stdout)["results"]
    found = {(result["variant"], result["configuration"]["name"]): result for result in exported}
    assert {key: result["outcome"] for key, result in found.items()} == {
        ("whole", "numpy-linear"): "ok",
        ("whole", "on an npu"): "unsupported",
        ("broken", "numpy-linear"): "runtime-error",
        ("broken", "on an npu"): "unsupported",
    }
    assert "accelerator 'npu': numpy has the cpu only" in found["whole", "on an npu"]["reason"]
    assert "broken.linear.npz: is no linear classifier" in found["broken", "numpy-linear"]["reason"]


@pytest.mark.usefixtures("on_the_path")
def test_the_adapters_own_tests_hold_it_to_the_contract(tmp_path: Path) -> None:
    done = run_its_tests(tmp_path)
    assert done.returncode == 0, done.stdout
    assert re.search(r"\b1[0-9] passed", done.stdout), done.stdout


def test_a_fault_in_the_adapter_fails_its_tests(tmp_path: Path) -> None:
    source = (PACKAGE / "numpy_linear.py").read_text()
    assert source.count("+ self._bias}") == 1
    (tmp_path / "numpy_linear.py").write_text(source.replace("+ self._bias}", "* np.float32(np.nan)}"))
    done = run_its_tests(tmp_path)
    assert done.returncode == 1, done.stdout
    assert re.findall(r"^FAILED .*::(\w+)", done.stdout, flags=re.MULTILINE) == ["test_outputs_can_be_an_answer"]


def run_its_tests(folder: Path) -> subprocess.CompletedProcess[str]:
    """pytest in a process and a folder of its own, where nothing of this repository's configuration holds."""
    shutil.copy(PACKAGE / "test_numpy_linear.py", folder)
    options = ("-q", "-rf", "-p", "no:cacheprovider", "--rootdir", str(folder))
    command = [sys.executable, "-m", "pytest", *options, str(folder)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", ["pyproject.toml", "numpy_linear.py", "test_numpy_linear.py"])
def test_the_page_shows_the_package_as_it_is(name: str) -> None:
    blocks = re.findall(rf"`{re.escape(name)}`:\n\n```\w+\n(.*?)```\n", PAGE, flags=re.DOTALL)
    assert blocks == [(PACKAGE / name).read_text()]


def test_the_package_stays_as_small_as_an_example_should_be() -> None:
    assert sum(len((PACKAGE / name).read_text().splitlines()) for name in ("pyproject.toml", "numpy_linear.py")) < 60
    assert len((PACKAGE / "test_numpy_linear.py").read_text().splitlines()) < 20


@pytest.mark.parametrize("target", re.findall(r"\]\(((?!http)[^)#]+)\)", PAGE))
def test_every_link_of_the_page_leads_somewhere(target: str) -> None:
    assert (ROOT / "docs" / target).exists()
